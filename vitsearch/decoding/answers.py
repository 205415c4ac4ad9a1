"""Parse the responses of decoding processes, which are not trusted: everything is validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from vitsearch.errors import UnreadablePhoto
from vitsearch.paths import EARLIEST_NS, LATEST_NS
from vitsearch.photo_facts import PhotoFacts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

Fields = dict[str, Any]

_FACTS: dict[str, type | tuple[type, ...]] = {
    "format": str,
    "width": int,
    "height": int,
    **dict.fromkeys(
        ("taken", "camera", "software", "taken_from", "utc_offset", "lens", "caption"), (str, type(None))
    ),
    **dict.fromkeys(("latitude", "longitude", "altitude"), (float, type(None))),
    "rating": (int, type(None)),
    "keywords": tuple,
}
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Header:
    """A validated description of a file that a process has opened; `state` as in `PhotoFile`."""

    file_hash: bytes
    photo_hash: bytes
    earlier_hash: bytes | None
    facts: PhotoFacts
    remarks: tuple[str, ...]
    state: tuple[int, int] | None


class Prepared(NamedTuple):
    """A photo decoded for a model: `pixels` (height, width, 3) uint8, and optionally a thumbnail."""

    perceptual: bytes
    pixels: npt.NDArray[np.uint8]
    thumbnail: Image | None


def refused(name: str, fields: Fields) -> UnreadablePhoto | None:
    """Return why a photo could not be read, if the response says so."""
    if "unreadable" not in fields:
        return None
    reason = "".join(character for character in str(fields["unreadable"]) if character.isprintable())
    return UnreadablePhoto(name, reason[:300], passing=fields.get("passing") is True)


def understood_header(fields: Fields) -> Header:
    """Parse the description of an opened photo.

    Raises:
        KeyError, TypeError, ValueError: it is malformed.

    """
    earlier = fields["earlier_hash"]
    hashes = [bytes.fromhex(fields["file_hash"]), bytes.fromhex(fields["photo_hash"])]
    hashes += [bytes.fromhex(earlier)] if earlier is not None else []
    facts = PhotoFacts(**{**fields["facts"], "keywords": tuple(fields["facts"]["keywords"])})
    remarks = tuple(fields["remarks"])
    if any(len(each) != _HASH_BYTES for each in hashes):
        raise ValueError("a hash of another length")
    if any(not isinstance(getattr(facts, name), kind) for name, kind in _FACTS.items()):
        raise TypeError("facts of other types")
    if any(not isinstance(text, str) or not text.isprintable() for text in (*facts.keywords, *remarks)):
        raise TypeError("words of another type")
    state = None if fields["state"] is None else tuple(fields["state"])
    if state is not None and (len(state) != 2 or any(type(each) is not int for each in state)):
        raise TypeError("a state of another kind")
    if state is not None and not (state[0] >= 0 and EARLIEST_NS <= state[1] <= LATEST_NS):
        raise ValueError("a state that no file has")
    return Header(hashes[0], hashes[1], hashes[2] if earlier is not None else None, facts, remarks, state)


def understood_thumbnail(fields: Fields, data: bytes, box: tuple[int, int] | None) -> Image | None:
    """Parse the pixels of a thumbnail within a box (width, height); None if none was made.

    Raises:
        KeyError, TypeError, ValueError: it is malformed.

    """
    from PIL.Image import frombytes

    size = fields["thumbnail"]
    if size is None:
        return None
    width, height = size
    if box is None or not (0 < width <= box[0] and 0 < height <= box[1]):
        raise ValueError("a thumbnail of another size")
    return frombytes("RGB", (width, height), data)
