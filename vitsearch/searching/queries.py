"""Query images in any form: read and crop them."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import numpy as np
import numpy.typing as npt

from vitsearch.backbones.preprocessing import prepare, with_fit
from vitsearch.errors import BadQuery, UnreadablePhoto
from vitsearch.paths import is_url
from vitsearch.photos.photo import MAX_FILE_BYTES, PhotoFile, parse_photo, read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from vitsearch.decoding.decoders import Decoders, ProtectedPhoto
    from vitsearch.space import Preprocessing, Space

# In quotes: Pillow is imported where an image is opened.
Example = Union[str, "os.PathLike[str]", bytes, BinaryIO, "Image", "npt.NDArray[Any]"]
Crop = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """An example with its possible photo hashes, 32 bytes each, and its unit embedding, (d,) float32."""

    name: str
    hashes: tuple[bytes, ...]
    vector: npt.NDArray[np.float32]


def vector_query(vector: npt.NDArray[Any], space: Space) -> EmbeddedQuery:
    """Accept an embedding (d,) of a space, of any length but zero, as a query.

    Raises:
        BadQuery: it has another shape, or no direction.

    """
    if vector.shape != (space.dimension,):
        raise BadQuery(
            f"an array of shape {vector.shape} is no query: the vectors of {space.model} have the shape "
            f"({space.dimension},)"
        )
    row = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(row))
    if not np.isfinite(length) or length == 0:
        raise BadQuery(f"a vector of length {length} has no direction: search with another one")
    return EmbeddedQuery("vector", (), row / np.float32(length))


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An example image; `name` is its absolute path or URL, "-" for a stream, or "an image"."""

    name: str
    photo: PhotoFile | ProtectedPhoto

    @classmethod
    @contextmanager
    def open(cls, example: Example, *, decoders: Decoders | None) -> Iterator[QueryImage]:
        """Open an image: a path, an https URL, bytes, an open binary file, a PIL image, or pixels.

        Pixels are (h, w, 3) uint8, (h, w) for grey, or (h, w, 4) with alpha. The image is decoded by one of the
        `decoders`, or without them in this process; images from a URL are never decoded in this process.

        Raises:
            UnreadablePhoto: it is not an image, or cannot be fetched.
            BadQuery: an array has another shape or type.

        """
        name, title, source = _source(example)
        if decoders is not None:
            with decoders.open(source, name=title) as photo:
                yield cls(name, photo)
        elif is_url(name):
            from vitsearch.decoding.decoders import Decoders

            with Decoders(1) as own, own.open(source, name=title) as photo:
                yield cls(name, photo)
        elif isinstance(source, bytes):
            yield cls(name, parse_photo(source, name=title))
        else:
            yield cls(name, read_photo(source, with_sidecars=False))

    def pixels(self, *, preprocessing: Preprocessing, crop: Crop | None) -> Image:
        """Decode as an index run does; with a `crop` (x, y, width, height in pixels), decode in full size and crop.

        Raises:
            BadQuery: the crop is not within the image.
            UnreadablePhoto: the image data is damaged.

        """
        self._check(crop)
        if crop is None:
            return self.photo.pixels(min_side=preprocessing.decode_side, colours=preprocessing.colours)
        left, top, width, height = crop
        return self.photo.pixels(colours=preprocessing.colours).crop((left, top, left + width, top + height))

    def prepared(self, preprocessing: Preprocessing, crop: Crop | None) -> npt.NDArray[np.uint8]:
        """Return the model's input, uint8 of the preprocessing's `shape`; a decoding process returns nothing larger.

        Raises:
            BadQuery: the crop is not within the image.
            UnreadablePhoto: the image data is damaged.

        """
        if isinstance(self.photo, PhotoFile):
            return prepare(self.pixels(preprocessing=preprocessing, crop=crop), preprocessing)
        self._check(crop)
        return self.photo.prepared(preprocessing, crop=crop)[1]

    def views(self, preprocessing: Preprocessing, crop: Crop | None) -> npt.NDArray[np.uint8]:
        """Return the one or two model inputs of the query, uint8, each of the preprocessing's `shape`.

        A region is squashed as a whole into the model's square, because it has no margins that could be cropped. A
        whole photo is preprocessed as the library's photos are, and additionally as a whole frame if those are
        centre-cropped.

        Raises:
            BadQuery: the crop is not within the image.
            UnreadablePhoto: the image data is damaged.

        """
        import numpy as np

        cuts = preprocessing.framings[0].fit == "crop"
        whole = with_fit(preprocessing, "squeeze")
        if crop is not None and cuts:
            return np.concatenate([self.prepared(whole, crop)] * len(preprocessing.framings))[None]
        if preprocessing.fit != "crop":
            return self.prepared(preprocessing, crop)[None]
        if isinstance(self.photo, PhotoFile):
            pixels = self.pixels(preprocessing=preprocessing, crop=None)
            return np.stack([prepare(pixels, preprocessing), prepare(pixels, whole)])
        return np.stack([self.prepared(preprocessing, None), self.prepared(whole, None)])

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


def _source(example: Example) -> tuple[str, str, Path | bytes]:
    """Return the name of an example in results, its name in messages, and its file or bytes."""
    if isinstance(example, str) and is_url(example):
        from vitsearch.searching.fetching import fetch

        return example, example, fetch(example)
    if isinstance(example, (str, os.PathLike)):
        path = Path(example).absolute()
        if path.is_dir():
            raise UnreadablePhoto(path, "it is a folder; name one image in it")
        return str(path), str(path), path
    if isinstance(example, bytes):
        return _checked("an image", "the image that was given", example)
    if hasattr(example, "read"):
        return _checked("-", "the image on standard input", example.read(MAX_FILE_BYTES + 1))
    return "an image", "the image that was given", _as_png(example)


def _checked(name: str, title: str, data: bytes) -> tuple[str, str, bytes]:
    if len(data) > MAX_FILE_BYTES:
        raise UnreadablePhoto(title, f"it has more bytes than the limit of {MAX_FILE_BYTES}")
    return name, title, data


def _as_png(pixels: Image | npt.NDArray[Any]) -> bytes:
    """Encode pixels losslessly, upright and with their colour profile, so that they are read like any other file."""
    from PIL import Image as PillowImage
    from PIL import ImageOps

    if isinstance(pixels, np.ndarray):
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
            raise BadQuery(
                f"an array of {pixels.dtype} with the shape {pixels.shape} is no image: give (height, width, 3) uint8"
            )
        if not pixels.size:
            raise BadQuery(f"an array with the shape {pixels.shape} holds no pixels")
        image = PillowImage.fromarray(np.ascontiguousarray(pixels))
    elif isinstance(pixels, PillowImage.Image):
        image = ImageOps.exif_transpose(pixels)
    else:
        raise BadQuery(f"a {type(pixels).__name__} is no image: give a path, bytes, a PIL image or an array")
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        # A profile of four inks does not describe what they become.
        image = image.convert("RGB")
        image.info.pop("icc_profile", None)
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1, icc_profile=image.info.get("icc_profile"))
    return data.getvalue()
