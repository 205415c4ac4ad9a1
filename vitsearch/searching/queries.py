"""What a person gives to search for: files or open streams, read and cropped."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vitsearch.backbones.preprocessing import prepare
from vitsearch.errors import BadQuery, UnreadablePhoto
from vitsearch.photos.photo import MAX_FILE_BYTES, PhotoFile, parse_photo, read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.decoding.decoders import Decoders, ProtectedPhoto
    from vitsearch.space import Preprocessing

Example = str | os.PathLike[str] | BinaryIO
Crop = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """An example with the hashes that libraries may know it by, 32 bytes each, and its unit vector, (d,) float32."""

    name: str
    hashes: tuple[bytes, ...]
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An example image; `name` is its absolute path, or "-" for one that came as a stream."""

    name: str
    photo: PhotoFile | ProtectedPhoto

    @classmethod
    @contextmanager
    def open(cls, example: Example, *, decoders: Decoders | None) -> Iterator[QueryImage]:
        """Open a path or an open binary file, in one of the `decoders` or else in this process.

        Raises:
            UnreadablePhoto: it is not an image.

        """
        source: Path | bytes
        if isinstance(example, (str, os.PathLike)):
            path = source = Path(example).absolute()
            name = title = str(path)
            if path.is_dir():
                raise UnreadablePhoto(path, "it is a folder; name one image in it")
        else:
            name, title = "-", "the image on standard input"
            source = example.read(MAX_FILE_BYTES + 1)
            if len(source) > MAX_FILE_BYTES:
                raise UnreadablePhoto(title, f"it has more bytes than the limit of {MAX_FILE_BYTES}")
        if decoders is not None:
            with decoders.open(source, name=title) as photo:
                yield cls(name, photo)
        elif isinstance(source, bytes):
            yield cls(name, parse_photo(source, name=title))
        else:
            yield cls(name, read_photo(source))

    def pixels(self, *, preprocessing: Preprocessing, crop: Crop | None) -> Image:
        """Decode as an index run does, or, with a `crop` (x, y, width, height in pixels), in full and cut it out.

        Raises:
            BadQuery: the crop does not lie within the image.
            UnreadablePhoto: the image data is damaged.

        """
        self._check(crop)
        if crop is None:
            return self.photo.pixels(min_side=preprocessing.decode_side, colours=preprocessing.colours)
        left, top, width, height = crop
        return self.photo.pixels(colours=preprocessing.colours).crop((left, top, left + width, top + height))

    def prepared(self, preprocessing: Preprocessing, crop: Crop | None) -> npt.NDArray[np.uint8]:
        """Return what a model is given, (height, width, 3) uint8; a decoding process hands over no more than that.

        Raises:
            BadQuery: the crop does not lie within the image.
            UnreadablePhoto: the image data is damaged.

        """
        if isinstance(self.photo, PhotoFile):
            return prepare(self.pixels(preprocessing=preprocessing, crop=crop), preprocessing)
        self._check(crop)
        return self.photo.prepared(preprocessing, crop=crop)[1]

    def _check(self, crop: Crop | None) -> None:
        if crop is None:
            return
        facts = self.photo.facts
        left, top, width, height = crop
        inside = left + width <= facts.width and top + height <= facts.height
        if width < 1 or height < 1 or left < 0 or top < 0 or not inside:
            raise BadQuery(
                f"the crop {left},{top},{width},{height} does not lie within {self.photo.name} "
                f"({facts.width} x {facts.height})"
            )
