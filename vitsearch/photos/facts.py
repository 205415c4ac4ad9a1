"""What is known of a photo besides its pixels: when, where and with what it was taken, and what people noted.

EXIF is asked first, then XMP, then IPTC, and for the date at last the file's name. What a sidecar says goes before all
of them, but for the names of camera and lens: programs keep there what people have corrected. Each fact stands for
itself: one that is damaged or makes no sense is as if it were not there.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from vitsearch.photo_facts import PhotoFacts
from vitsearch.photos.exif import ExifTags, read_exif
from vitsearch.photos.takeout import TakeoutNotes
from vitsearch.photos.xmp import PEOPLE, IptcValues, XmpValues, read_iptc, read_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vitsearch.photo_facts import DateSource
    from vitsearch.photos.containers import Notes
    from vitsearch.photos.exif import Value

_ORIENTATION, _MODIFIED, _MAKE, _MODEL, _SOFTWARE = 274, 306, 271, 272, 305
_ORIGINAL, _DIGITIZED = 36867, 36868
_OFFSETS = {_MODIFIED: 36880, _ORIGINAL: 36881, _DIGITIZED: 36882}
_LENS_MODEL, _LENS_MAKE, _RATING, _DNG_MODEL = 42036, 42035, 18246, 50708
_DESCRIPTION = 270
_XMP_DATES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized", "xmp:CreateDate")
_MOST_PROGRAMS = 20
# Settings that a converter only keeps in the camera's own file have changed none of its pixels.
_NOT_APPLIED = ("False", "false", "0")
_KEYWORDS = ("dc:subject", "MicrosoftPhoto:LastKeywordXMP", *PEOPLE)
_MOST_OFFSET = timedelta(hours=14)
# The year of the oldest photograph that has survived.
_FIRST_YEAR = 1826
_DATE = re.compile(
    r"\s*(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})(?:[ T]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?)?"
    r"(?:[.,]\d+)?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})")
# IMG_20190701_183011, PXL_20210203_101112345, Screenshot_2019-07-01-18-30-11, 2019-07-01 18.30.11, IMG-20190701-WA0001
_NAME_DATE = re.compile(
    r"(?<!\d)(19[2-9]\d|20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:(?:[-_ T.]|[-_ ]at[-_ ])+([01]\d|2[0-3])([-_.:h]?)([0-5]\d)\6([0-5]\d)\d{0,3}(?!\d)|(?!\d))"
)
_BORING = {"OLYMPUS DIGITAL CAMERA", "SAMSUNG CAMERA PICTURES", "DCIM", "SONY DSC", "MINOLTA DIGITAL CAMERA"}
_COMPANIES = re.compile(
    r"[,.]?\s*\b(corporation|corp|company|co|ltd|inc|gmbh|ag|electronics|imaging( corp)?|optical|technologies|"
    r"computer|digital camera|photo|camera)\b\.?",
    re.IGNORECASE,
)


class _Taken(NamedTuple):
    local: str
    offset: str | None
    source: DateSource


class Told(NamedTuple):
    """The notes of a file and those beside it, in XMP and from Google Takeout; `remarks` say what could not be read."""

    exif: ExifTags
    xmp: XmpValues
    iptc: IptcValues
    remarks: tuple[str, ...]
    beside: XmpValues = XmpValues({})
    takeout: TakeoutNotes = TakeoutNotes()


def read_notes(notes: Notes) -> Told:
    """Read what can be read of the notes of a file."""
    exif, remarks = ExifTags(), []
    if notes.exif:
        try:
            exif = read_exif(notes.exif)
        except ValueError:
            remarks.append("its EXIF block is damaged and was left out")
    xmp = read_xmp(notes.xmp) if notes.xmp else XmpValues({})
    if notes.xmp and xmp.is_cut:
        remarks.append("its XMP is damaged, and what stands behind the damage was left out")
    return Told(exif, xmp, read_iptc(notes.iptc) if notes.iptc else IptcValues(), tuple(remarks))


def orientation_of(told: Told) -> int:
    """Return how the stored pixels lie, 1 (upright) to 8, by EXIF or else by XMP."""
    value = told.exif.image.get(_ORIENTATION)
    if value is None:
        text = told.xmp.first("tiff:Orientation")
        return int(text) if text and text in "12345678" else 1
    number = value[0] if isinstance(value, tuple) and value else 1
    return int(number) if 1 <= number <= 8 else 1


def facts_of(told: Told, *, format_name: str, width: int, height: int, name: str) -> PhotoFacts:
    """Gather what the notes of a file and its name say of a photo of this format and upright size."""
    exif, xmp, iptc, beside = told.exif, told.xmp, told.iptc, told.beside
    taken = next(_dates(told, name), None)
    latitude, longitude, altitude = _position(told)
    # Of a sidecar too, which may hold the ones alone that its program has added.
    keywords = dict.fromkeys(
        [*xmp.all(*_KEYWORDS), *iptc.keywords, *beside.all(*_KEYWORDS), *told.takeout.people]
    )
    return PhotoFacts(
        format=format_name,
        width=width,
        height=height,
        taken=taken.local if taken else None,
        camera=_camera(exif, xmp) or _camera(ExifTags(), beside),
        latitude=latitude,
        longitude=longitude,
        software=exif.text(_SOFTWARE) or xmp.first("xmp:CreatorTool"),
        taken_from=taken.source if taken else None,
        utc_offset=taken.offset if taken else None,
        altitude=altitude,
        lens=_lens(exif, xmp) or _lens(ExifTags(), beside),
        rating=_rating(exif, beside if beside.first("xmp:Rating") else xmp),
        keywords=tuple(keywords),
        caption=_caption(told),
    )


def programs_of(told: Told) -> tuple[str, ...]:
    """Return the programs that the XMP in a file names: what made it, and what its history says to have saved it."""
    return tuple(told.xmp.all("xmp:CreatorTool", "stEvt:softwareAgent")[:_MOST_PROGRAMS])


def was_developed(told: Told) -> bool:
    """Whether the XMP in a file holds the settings of a raw converter that its pixels were made with."""
    settings = any(name.startswith("crs:") for name in told.xmp.values)
    return settings and told.xmp.first("crs:AlreadyApplied") not in _NOT_APPLIED


def _caption(told: Told) -> str | None:
    said = ("dc:description", "dc:title")
    text = told.beside.first(*said) or told.xmp.first(*said) or told.iptc.caption or told.iptc.title
    own = told.exif.text(_DESCRIPTION)
    return text or (own if own and own.strip().upper() not in _BORING else None) or told.takeout.caption


def _dates(told: Told, name: str) -> Iterator[_Taken]:
    """The dates that make sense, the best first."""
    exif, xmp, beside = told.exif, told.xmp, told.beside

    def valid(text: str | None, source: DateSource, offset: str | None = None) -> Iterator[_Taken]:
        found = parsed_date(text, needs_time=source == "EXIF")
        if found is not None:
            yield _Taken(found[0], _utc_offset(offset) or found[1], source)

    own = [
        date
        for tag in (_ORIGINAL, _DIGITIZED)
        for date in valid(exif.text(tag), "EXIF", exif.text(_OFFSETS[tag]))
    ]
    # A sidecar repeats the date of a shot without its offset, or has it corrected.
    corrected = [date for prop in _XMP_DATES[:2] for date in valid(beside.first(prop), "XMP")]
    if corrected and not (own and own[0].local == corrected[0].local):
        yield corrected[0]
    yield from own
    for prop in _XMP_DATES:
        yield from valid(xmp.first(prop), "XMP")
    for prop in _XMP_DATES:
        yield from valid(beside.first(prop), "XMP")
    yield from valid(told.iptc.taken, "IPTC")
    yield from valid(exif.text(_MODIFIED), "EXIF", exif.text(_OFFSETS[_MODIFIED]))
    named = date_in_name(name)
    noted = told.takeout.taken if int((told.takeout.taken or "0")[:4]) >= _FIRST_YEAR else None
    # A name tells the time of day at the place: it is the better one where both may mean the same moment.
    if noted is not None and not (named is not None and _may_be_one_moment(named, noted)):
        yield _Taken(noted, "+00:00", "Takeout")
    if named is not None:
        yield _Taken(named, None, "name")


def _may_be_one_moment(local: str, utc: str) -> bool:
    """Whether a local time can be this time in UTC at some place on earth; a date alone, at midnight, tells less."""
    apart = datetime.fromisoformat(local) - datetime.fromisoformat(utc)
    return not local.endswith("T00:00:00") and abs(apart) <= _MOST_OFFSET


def parsed_date(text: str | None, *, needs_time: bool = False) -> tuple[str, str | None] | None:
    """Return a date as a program wrote it as (local time in ISO 8601, UTC offset or None), or None if it is none."""
    match = _DATE.match(text or "")
    if match is None or (needs_time and match[6] is None):
        return None
    numbers = [int(part or 0) for part in match.groups()[:6]]
    return (local, _utc_offset(match[7])) if (local := _valid(*numbers)) else None


def date_in_name(name: str) -> str | None:
    """Return the date in a file's name, as cameras, phones and messengers write it, in ISO 8601, or None."""
    stem = PurePath(name).name
    match = _NAME_DATE.search(stem)
    if match is None:
        return None
    year, _, month, day, hour, _, minute, second = match.groups()
    # Eight digits alone may be any number; with a time, separators or a word before them they are a date.
    if hour is None and not match[2] and not re.search(r"[A-Za-z][-_ ]?$", stem[: match.start()]):
        return None
    local = _valid(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    return local if local and int(year) <= datetime.now(UTC).year + 1 else None


def _valid(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str | None:
    if year < _FIRST_YEAR:
        return None
    try:
        # A leap second is as good as the one before it: Python knows none.
        datetime(year, month, day, hour, minute, second - (second == 60))  # noqa: DTZ001 - local time
    except ValueError:
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _utc_offset(text: str | None) -> str | None:
    match = _OFFSET.search(text or "")
    if match is None:
        return None
    if match[1] == "Z":
        return "+00:00"
    digits = match[1].replace(":", "")
    return f"{digits[:3]}:{digits[3:]}" if int(digits[1:3]) <= 14 and int(digits[3:]) < 60 else None


def _camera(exif: ExifTags, xmp: XmpValues) -> str | None:
    make = exif.text(_MAKE) or xmp.first("tiff:Make") or ""
    model = exif.text(_MODEL) or exif.text(_DNG_MODEL) or xmp.first("tiff:Model") or ""
    return _named(make, model)


def _named(make: str, model: str) -> str | None:
    """Join a maker and a model as people say them: "Nikon D850", not "NIKON CORPORATION NIKON D850"."""
    make = _COMPANIES.sub("", make).strip(" ,.") or make.strip()
    make = " ".join(map(_quiet, make.split()))
    if not model or not make:
        return model or make or None
    first = make.split()[0]
    if model.casefold().startswith(first.casefold()):
        rest = model[len(first) :].strip()
        loud = model[: len(first)]
        return f"{_quiet(loud)} {rest}".strip() if loud.isupper() else model
    # "EASTMAN KODAK COMPANY" makes the "KODAK DX7590".
    own = model.split()[0]
    if own.casefold() in make.casefold().split():
        return f"{_quiet(own)} {model[len(own) :].strip()}".strip()
    return f"{make} {model}"


def _quiet(word: str) -> str:
    return word.capitalize() if word.isalpha() and word.isupper() and len(word) > 3 else word


def _lens(exif: ExifTags, xmp: XmpValues) -> str | None:
    lens = exif.text(_LENS_MODEL) or xmp.first("exifEX:LensModel", "aux:Lens")
    if not lens or not re.search(r"[A-Za-z]", lens) or set(lens) <= set("-. "):
        return None
    return lens


def _rating(exif: ExifTags, xmp: XmpValues) -> int | None:
    text = xmp.first("xmp:Rating")
    number: float | None = None
    if text is not None:
        try:
            number = float(text)
        except ValueError:
            number = None
    if number is None:
        number = exif.number(_RATING)
    # -1 is a rejected photo's; 0 says that nobody rated it.
    return (
        int(number)
        if number is not None and math.isfinite(number) and (1 <= number <= 5 or number == -1)
        else None
    )


def _position(told: Told) -> tuple[float | None, float | None, float | None]:
    gps, xmp, beside = told.exif.position, told.xmp, told.beside
    corrected = _xmp_position(beside)
    if corrected is not None:
        return *corrected, _altitude({}, beside) or _altitude(gps, xmp)
    latitude = _degrees(gps.get(2), gps.get(1), 90)
    longitude = _degrees(gps.get(4), gps.get(3), 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        found = _xmp_position(xmp)
        noted = told.takeout
        return (*found, _altitude(gps, xmp)) if found else (noted.latitude, noted.longitude, noted.altitude)
    return latitude, longitude, _altitude(gps, xmp)


def _xmp_position(xmp: XmpValues) -> tuple[float, float] | None:
    latitude = _xmp_degrees(xmp.first("exif:GPSLatitude"), 90)
    longitude = _xmp_degrees(xmp.first("exif:GPSLongitude"), 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None
    return latitude, longitude


def _degrees(parts: Value | None, hemisphere: Value | None, limit: int) -> float | None:
    if isinstance(parts, str):
        return _xmp_degrees(f"{parts}{hemisphere if isinstance(hemisphere, str) else ''}", limit)
    if not parts:
        return None
    # Some write degrees with fractions, or degrees and minutes, and 0/0 for what they leave out.
    numbers = [0.0 if index and math.isnan(part) else part for index, part in enumerate(parts[:3])]
    value = sum(part / 60**index for index, part in enumerate(numbers))
    if isinstance(hemisphere, tuple):  # some write the letter as a number
        hemisphere = "".join(chr(int(number)) for number in hemisphere if 0 < number < 128)
    letter = hemisphere.strip()[:1].upper() if hemisphere else ""
    return _signed(value, letter, limit)


def _xmp_degrees(text: str | None, limit: int) -> float | None:
    """Read "48,51.5N", "48,51,30N", "48.8583" and their relatives."""
    match = re.fullmatch(
        r"\s*(-?[\d.]+)(?:[,° ]\s*([\d.]+))?(?:[,' ]\s*([\d.]+))?[\"' ]*([A-Za-z]*)\s*", text or ""
    )
    if match is None:
        return None
    try:
        numbers = [float(part or 0) for part in match.groups()[:3]]
    except ValueError:
        return None
    value = math.copysign(abs(numbers[0]) + numbers[1] / 60 + numbers[2] / 3600, numbers[0])
    return _signed(value, match[4][:1].upper(), limit)


def _signed(value: float, letter: str, limit: int) -> float | None:
    if not math.isfinite(value) or abs(value) > limit:
        return None
    # "O" is west in Spanish, French and Italian ("Oeste", "Ouest", "Ovest").
    return -abs(round(value, 7)) if letter in ("S", "W", "O") else round(value, 7)


def _altitude(gps: object, xmp: XmpValues) -> float | None:
    values = gps.get(6) if isinstance(gps, dict) else None
    below = gps.get(5) if isinstance(gps, dict) else None
    height: float | None = None
    sinks = isinstance(below, tuple) and bool(below) and below[0] in (1, 3)
    if isinstance(values, tuple) and values:
        height = values[0]
    else:
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?)(?:/(\d+))?", xmp.first("exif:GPSAltitude") or "")
        if match is not None and match[2] != "0":
            height = float(match[1]) / float(match[2] or 1)
            sinks = xmp.first("exif:GPSAltitudeRef") == "1"
    if height is None or not math.isfinite(height) or abs(height) > 100_000:
        return None
    return round(-abs(height) if sinks else height, 2)


def merged(first: ExifTags, others: Sequence[ExifTags]) -> ExifTags:
    """Join tags that a file keeps in several blocks; the first one is believed."""
    image, shot, position = dict(first.image), dict(first.shot), dict(first.position)
    for other in others:
        image = {**other.image, **image}
        shot = {**other.shot, **shot}
        position = {**other.position, **position}
    return ExifTags(image, shot, position)
