"""The program of a decoding process, with decoders that a word in a file crashes or hangs.

No file is known that does so to the libraries of today; tomorrow's may come with a stranger's photo.
"""

import ctypes
import os
import signal
import time
from pathlib import Path

from PIL.Image import Image

from vitsearch.decoding import worker
from vitsearch.photos import photo
from vitsearch.photos.photo import PhotoFile
from vitsearch.space import Colours

decode = PhotoFile.pixels
main = worker.main
read = photo.read_photo
decoded: list[str] = []


def hostile_decode(
    photo: PhotoFile, *, min_side: int | None = None, colours: Colours = "sRGB", as_drawing: bool = False
) -> Image:
    data = getattr(photo._picture, "_data", b"")
    if b"CRASH" in data:
        ctypes.string_at(0)
    if b"HANG" in data:
        ctypes.PyDLL(None).sleep(1000)  # with the interpreter's lock held
    if b"SPIN" in data:
        while True:
            pass
    if b"EXIT" in data:
        os._exit(1)
    if b"KILL" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"PRINT" in data:
        os.write(1, b"\xff" * 100)
    if b"LIE" in data:
        os.write(answers(), b"\x10\0\0\0" * 40)
    if b"ONCE" in data and not (seen := Path(photo.name + ".seen")).exists():
        seen.touch()
        ctypes.string_at(0)
    if b"SLOW" in data:
        time.sleep(0.4)
    take_memory(photo.name, data)
    return decode(photo, min_side=min_side, colours=colours, as_drawing=as_drawing)


def take_memory(name: str, data: bytes) -> None:
    # The second, as where what earlier photos left lies between all that is free.
    if b"MEMORY" in data or (b"PIECES" in data and decoded):
        raise MemoryError
    decoded.append(name)


def answers():
    """The descriptor that the process answers on: the last pipe that was opened."""
    descriptors = [entry for entry in Path("/dev/fd").iterdir() if entry.exists()]
    return max(int(entry.name) for entry in descriptors if str(entry.readlink()).startswith("pipe:"))


def hostile_read(path, **how):
    if b"HEADER" in Path(path).read_bytes():
        ctypes.string_at(0)
    return read(path, **how)


type.__setattr__(PhotoFile, "pixels", hostile_decode)
vars(worker)["read_photo"] = hostile_read
