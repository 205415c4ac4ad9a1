"""What a photo's header says: apart from the other records, which a decoding process would need time to define."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DateSource = Literal["EXIF", "XMP", "IPTC", "Takeout", "name"]


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What a photo's header says, as seen upright.

    `taken` is local camera time in ISO 8601, `taken_from` says where that date was found ("name": in the file's
    name; "Takeout": in Google Takeout's notes, in UTC), and `utc_offset` is that of the place, as "+02:00", where it is
    known. Positions are degrees, `altitude` metres above the sea. `rating` is 1 to 5, or -1 for a rejected photo.
    """

    format: str
    width: int
    height: int
    taken: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    software: str | None = None
    taken_from: DateSource | None = None
    utc_offset: str | None = None
    altitude: float | None = None
    lens: str | None = None
    rating: int | None = None
    keywords: tuple[str, ...] = ()
    caption: str | None = None
