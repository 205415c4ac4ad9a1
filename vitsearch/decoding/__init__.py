"""Photos are read and decoded in worker processes, so that a bad file affects nothing but itself.

Decoders are large C libraries, and files come from strangers: they may crash a decoder, hang it or exhaust memory.
`Decoders` keeps a few processes running, each with limits on time and memory, and replaces those that die. They return
text and pixels, never code: even a decoder that a malicious file has taken over is not trusted.
"""
