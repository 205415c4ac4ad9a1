"""A library of ten photos in two folders, and where a collection of them may be."""

import os

import pytest
from PIL import Image

COLOURS = ("red", "darkred", "green", "lime", "blue", "navy", "orange", "gold", "purple", "brown")


@pytest.fixture
def address(tmp_path):
    from pymilvus.client.cache import GlobalCache

    # The client remembers schemas by port, and a file that is opened may get the port of one that was closed.
    GlobalCache.schema.clear()
    return f"milvus://{tmp_path.as_posix() if os.name == 'posix' else '/' + tmp_path.as_posix()}/store.db"


@pytest.fixture
def photos(tmp_path, picture):
    folder = tmp_path / "photos"
    for number, colour in enumerate(COLOURS):
        tags = Image.Exif()
        tags[0x0110] = ("Canon EOS R5", 'Odd "100%_\\ cam', "Pixel 8")[number % 3]
        tags[0x0132] = f"20{15 + number}:05:17 10:00:00"
        picture(folder / f"{'warm' if number % 2 else 'cold'}/{colour}.jpg", colour, exif=tags)
    return folder


@pytest.fixture
def indexed(library, photos):
    library.index([photos])
    return library
