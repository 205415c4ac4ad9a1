"""The program of a decoding process that acts as an ordinary user, whom permissions stop; see `own_folder`."""

import os
import resource  # noqa: F401 - read now, as all else
from typing import NoReturn

from PIL import Image

from vitsearch.decoding import worker

# Now: the ordinary user may not be able to read a Python that root keeps in its own folder.
Image.init()


def main(seconds: float, memory: int) -> NoReturn:
    """Step down, and decode."""
    os.seteuid(65534)
    worker.main(seconds, memory)
