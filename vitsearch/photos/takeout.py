"""Google Takeout's notes: a JSON file beside each photo, with the date, place and description that Google Photos shows.

Takeout puts the notes on `photo.jpg` into `photo.jpg.json` or `photo.jpg.supplemental-metadata.json`, those on
`photo(1).jpg` into `photo.jpg(1).json` or `photo.jpg.supplemental-metadata(1).json`, and cuts long names: the mark, the
ending or the name of the photo may stop early. An edited photo (`photo-edited.jpg`) has none of its own.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from vitsearch.photos.exif import printable
from vitsearch.photos.formats import EXTENSIONS, RAW_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TAKEOUT_ENDING = ".json"
_NAME = re.compile(r"(?P<start>.+?)(?P<number>\(\d+\))?\.json", re.IGNORECASE | re.DOTALL)
TAKEOUT_MARK = "supplemental-metadata"
# What stands before the number and ".json" has at most 46 characters; some archives count the ending, too.
_LONGEST, _CUT = 46, 41
# Even of a name that is cut, so much is left.
_SHARED = 16
_LONGEST_TEXT, _MOST_PEOPLE = 2000, 200
_NUMBERED = re.compile(r"(?P<start>.+)(?P<number>\(\d+\))(?P<ending>\.[^.]+)", re.DOTALL)
# What Google Photos calls an edited photo, in the languages in which its archives are described.
_EDITED = re.compile(
    r"(?P<start>.+)-(edited|effects|bearbeitet|modifié|editado|modificato|bewerkt|edytowane|編集済み|编辑后)"
    r"(?P<number>\(\d+\))?(?P<ending>\.[^.]+)",
    re.IGNORECASE | re.DOTALL,
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, as dates are stored without a zone


@dataclass(frozen=True, slots=True)
class TakeoutNotes:
    """What one JSON file says; `taken` is a date in UTC, ISO 8601, a position is in degrees and metres."""

    taken: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    caption: str | None = None
    people: tuple[str, ...] = ()


class TakeoutNames:
    """The names in one folder: which JSON files are notes on which photos, in small letters or capitals."""

    def __init__(self, names: Iterable[str]) -> None:
        self._photos: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        notes = []
        for name in sorted(names):
            stem, _, ending = name.casefold().rpartition(".")
            if f".{ending}" == TAKEOUT_ENDING:
                notes.append(name)
            elif f".{ending}" in EXTENSIONS or f".{ending}" in RAW_EXTENSIONS:
                self._photos.setdefault(name.casefold(), []).append(name)
                self._stems.setdefault(stem, []).append(name)
        self._sorted = sorted(self._photos)
        self._photos_of = {note: self._owners(note.casefold()) for note in notes}
        self._notes_of: dict[str, list[str]] = {}
        for note, photos in self._photos_of.items():
            for photo in photos:
                self._notes_of.setdefault(photo, []).append(note)
        self._add_edited()

    def notes_on(self, photo: str) -> tuple[str, ...]:
        """Return the names of the notes on a photo."""
        return tuple(self._notes_of.get(photo, ()))

    def own_notes_on(self, photo: str) -> tuple[str, ...]:
        """Return those notes on a photo that are about no other one, but for an edited version of it."""
        itself = (unedited(photo) or photo).casefold()
        return tuple(
            note
            for note in self.notes_on(photo)
            if all((unedited(each) or each).casefold() == itself for each in self._photos_of[note])
        )

    def photos_of(self, note: str) -> tuple[str, ...]:
        """Return the photos that a JSON file may be about; none if it is about none in this folder."""
        return tuple(self._photos_of.get(note, ()))

    def _owners(self, note: str) -> list[str]:
        if (stem := note.rpartition(".")[0]) in self._photos:
            return self._photos[stem]
        start, _, number = parsed_name(note)
        named = numbered(start, number)
        if named in self._photos:
            return self._photos[named]
        if not number and len(stem) >= _CUT:
            return [name for photo in self._beginning_with(start) for name in self._photos[photo]]
        return self._stems.get(stem, [])

    def _beginning_with(self, start: str) -> Iterator[str]:
        first = bisect_left(self._sorted, start)
        return takewhile(lambda photo: photo.startswith(start), islice(self._sorted, first, None))

    def _add_edited(self) -> None:
        for names in self._photos.values():
            for photo in names:
                if photo in self._notes_of or (original := unedited(photo)) is None:
                    continue
                for note in (
                    note for of in self._photos.get(original.casefold(), ()) for note in self.notes_on(of)
                ):
                    self._notes_of.setdefault(photo, []).append(note)
                    self._photos_of[note] = [*self._photos_of[note], photo]


def usual_names(photo: str) -> tuple[str, ...]:
    """Return the names that the notes on a photo mostly have, its own first; none where they may be cut."""
    if len(photo) >= _CUT:
        return ()
    own = unedited(photo) or photo
    start, number = _without_number(own)
    marked = f"{start}.{TAKEOUT_MARK}"[:_LONGEST]
    names = (photo, own, f"{marked}{number}", f"{start}{number}")
    return tuple(dict.fromkeys(name + TAKEOUT_ENDING for name in names))


def shared_start(photo: str) -> str:
    """Return how the names of a photo, of its notes and of what these may also be about begin, in small letters."""
    start, _ = _without_number(unedited(photo) or photo)
    return start.rpartition(".")[0][:_SHARED].casefold()


def _without_number(photo: str) -> tuple[str, str]:
    match = _NUMBERED.fullmatch(photo)
    return (match["start"] + match["ending"], match["number"]) if match else (photo, "")


def parsed_name(note: str) -> tuple[str, str, str]:
    """Take the name of notes apart: the photo they are called after, what is left of their mark, and their number."""
    match = _NAME.fullmatch(note)
    if match is None:
        return note, "", ""
    start, number = match["start"], match["number"] or ""
    head, dot, mark = start.rpartition(".")
    return (head, dot + mark, number) if head and TAKEOUT_MARK.startswith(mark) else (start, "", number)


def numbered(name: str, number: str) -> str:
    """Put a number where photos have it: `photo.jpg` and `(1)` are `photo(1).jpg`."""
    head, dot, ending = name.rpartition(".")
    return f"{head}{number}{dot}{ending}"


def unedited(photo: str) -> str | None:
    """Return the name of the photo that one is an edited version of by its name; None if it is no such name."""
    match = _EDITED.fullmatch(photo)
    return match and f"{match['start']}{match['number'] or ''}{match['ending']}"


def read_takeout(data: bytes) -> TakeoutNotes | None:
    """Read the notes in a JSON file, each fact for itself; None if it is no file of Takeout's."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("photoTakenTime"), dict):
        return None
    latitude, longitude, altitude = _position(fields.get("geoData"))
    if latitude is None:
        latitude, longitude, altitude = _position(fields.get("geoDataExif"))
    people = fields.get("people")
    listed = people[:_MOST_PEOPLE] if isinstance(people, list) else []
    named = [_text(each.get("name")) for each in listed if isinstance(each, dict)]
    return TakeoutNotes(
        _date(fields["photoTakenTime"].get("timestamp")),
        latitude,
        longitude,
        altitude,
        _text(fields.get("description")),
        tuple(dict.fromkeys(name for name in named if name)),
    )


def _date(timestamp: object) -> str | None:
    try:
        seconds = int(timestamp) if isinstance(timestamp, int | str) else 0
        taken = _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    # Zero stands for a date that is not known.
    return taken.isoformat() if seconds else None


def _position(place: object) -> tuple[float | None, float | None, float | None]:
    """Degrees and metres; zeroes stand for a place that is not known."""
    if not isinstance(place, dict):
        return None, None, None
    latitude, longitude = _number(place.get("latitude"), 90), _number(place.get("longitude"), 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None, None
    altitude = _number(place.get("altitude"), 100_000)
    return round(latitude, 7), round(longitude, 7), round(altitude, 2) if altitude else None


def _number(value: object, limit: float) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) <= limit else None


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return printable(" ".join(value.split()), most=_LONGEST_TEXT) or None
