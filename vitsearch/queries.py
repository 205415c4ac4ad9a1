"""What a person gives to search for: files or open streams, read and cropped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vitsearch.errors import BadQuery, UnreadablePhoto
from vitsearch.photos import PhotoFile, parse_photo, read_photo

if TYPE_CHECKING:
    from PIL.Image import Image

Example = str | os.PathLike[str] | BinaryIO
Crop = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An example image; `name` is its absolute path, or "-" for one that came as a stream."""

    name: str
    photo: PhotoFile

    @classmethod
    def read(cls, example: Example) -> QueryImage:
        """Read a path or an open binary file.

        Raises:
            UnreadablePhoto: it is not an image.

        """
        if not isinstance(example, (str, os.PathLike)):
            return cls("-", parse_photo(example.read(), name="the image on standard input"))
        path = Path(example).absolute()
        if path.is_dir():
            raise UnreadablePhoto(path, "it is a folder; name one image in it")
        return cls(str(path), read_photo(path))

    def pixels(self, *, min_side: int, crop: Crop | None) -> Image:
        """Decode as an index run does, or, with a `crop` (x, y, width, height in pixels), in full and cut it out.

        Raises:
            BadQuery: the crop does not lie within the image.
            UnreadablePhoto: the image data is damaged.

        """
        if crop is None:
            return self.photo.pixels(min_side=min_side)
        image = self.photo.pixels()
        left, top, width, height = crop
        right, bottom = left + width, top + height
        if width < 1 or height < 1 or left < 0 or top < 0 or right > image.width or bottom > image.height:
            raise BadQuery(
                f"the crop {left},{top},{width},{height} does not lie within {self.photo.name} "
                f"({image.width} x {image.height})"
            )
        return image.crop((left, top, right, bottom))
