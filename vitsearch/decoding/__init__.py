"""Photos are read and decoded in processes of their own, so that a file can cost itself and nothing else.

Decoders are large C libraries and files are strangers': one may crash them, hang them or fill the memory. `Decoders`
keeps a few processes at work, each with a limit on time and on memory, and starts another one where one dies. What
comes back is text and pixels, never code: not even a decoder that a file has taken over is trusted.
"""
