"""Photos as other tools see them: facts beside exiftool's, pixels beside libvips's and ImageMagick's.

    python benchmarks/other_tools.py FOLDER... [--pixels]

exiftool, vips and convert must be there. Every file below the folders that both can read is compared; what differs is
named.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.formats import EXTENSIONS
from vitsearch.photos.photo import PhotoFile, read_photo

_TAGS = (
    "-DateTimeOriginal", "-CreateDate", "-XMP:DateCreated", "-XMP:DateTimeDigitized", "-Model", "-IFD0:Orientation",
    "-Composite:GPSLatitude", "-Composite:GPSLongitude",
)  # fmt: skip
_DATES = (
    "ExifIFD:DateTimeOriginal", "IFD0:DateTimeOriginal", "ExifIFD:CreateDate", "XMP-exif:DateTimeOriginal",
    "XMP-photoshop:DateCreated", "XMP-exif:DateTimeDigitized", "XMP-xmp:CreateDate",
)  # fmt: skip
_ALIKE = 0.995
_SECONDS = 20


def main() -> None:
    """Compare, and print a line for each difference and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--pixels", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    files = [
        path
        for folder in given.folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS and path.is_file()
    ]
    count: Counter[str] = Counter()
    told = {} if given.pixels else facts_of_exiftool(files)
    with tempfile.TemporaryDirectory() as scratch:
        for path in files:
            try:
                photo = read_photo(path)
                if given.pixels:
                    compare_pixels(path, photo, Path(scratch), count)
                else:
                    compare_facts(path, photo, told.get(str(path), {}), count)
            except UnreadablePhoto:
                count["not read"] += 1
    print(dict(count))


def facts_of_exiftool(files: list[Path]) -> dict[str, dict[str, Any]]:
    """Ask exiftool about files, a few hundred at a time."""
    told: dict[str, dict[str, Any]] = {}
    for start in range(0, len(files), 200):
        command = ["exiftool", "-j", "-n", "-G1", *_TAGS, *map(str, files[start : start + 200])]
        done = subprocess.run(command, capture_output=True, check=False)
        told |= {each["SourceFile"]: each for each in json.loads(done.stdout or b"[]")}
    return told


def compare_facts(path: Path, photo: PhotoFile, told: dict[str, Any], count: Counter[str]) -> None:
    """Count date, position, camera and orientation as equal or not."""
    facts = photo.facts
    position = (told.get("Composite:GPSLatitude"), told.get("Composite:GPSLongitude"))
    ours = (facts.latitude, facts.longitude)
    words = re.sub(r"\W", "", str(told.get("IFD0:Model") or "")).lower()
    pairs: dict[str, tuple[object, object]] = {
        "date": (facts.taken, next(filter(None, (as_iso(told.get(name)) for name in _DATES)), None)),
        "position": (None if None in ours else near(ours), near(position)),
    }
    if words:
        pairs["camera"] = (words in re.sub(r"\W", "", facts.camera or "").lower(), True)
    if facts.format not in ("HEIF", "AVIF", "JXL"):  # their boxes count, and not their EXIF
        pairs["orientation"] = (photo._orientation, told.get("IFD0:Orientation") or 1)  # noqa: SLF001
    if facts.taken_from == "name" or pairs["date"][1] is None:
        del pairs["date"]
    for name, (mine, theirs) in pairs.items():
        if mine or theirs:
            count[f"{name} {'equal' if mine == theirs else 'differs'}"] += 1
        if mine != theirs:
            print(f"{name}: {path}: {mine}, exiftool {theirs}")


def as_iso(text: object) -> str | None:
    """Return a date as exiftool gives it in ISO 8601, or None where it is none."""
    match = re.match(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", str(text or ""))
    if match is None or match[1] < "1826" or match[2] == "00":
        return None
    return "{}-{}-{}T{}:{}:{}".format(*match.groups(default="00"))


def near(place: tuple[object, object]) -> tuple[float, float] | None:
    """Round a position to a metre; the point without a position, 0 and 0, is none."""
    if not all(isinstance(part, int | float) for part in place) or not any(place):
        return None
    return round(float(str(place[0])), 5), round(float(str(place[1])), 5)


def compare_pixels(path: Path, photo: PhotoFile, scratch: Path, count: Counter[str]) -> None:
    """Count a photo as shown alike by one of the others or not; both are scaled to 64 x 64."""
    mine = photo.pixels()
    best, by = -1.0, ""
    for name, show in (("libvips", by_vips), ("ImageMagick", by_imagemagick)):
        other = show(path, scratch)
        if other is not None and best < _ALIKE:
            cosine = likeness(mine, other)
            best, by = (cosine, name) if cosine > best else (best, by)
    if not by:
        count["shown by us alone"] += 1
        return
    count[f"cosine {'at least' if best >= _ALIKE else 'below'} {_ALIKE}"] += 1
    if best < _ALIKE:
        print(f"{best:.4f} {path} ({by})", flush=True)


def likeness(one: Image.Image, two: Image.Image) -> float:
    """The cosine of two pictures at 64 x 64."""
    first, second = (
        np.asarray(image.convert("RGB").resize((64, 64)), np.float64).ravel() for image in (one, two)
    )
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else float(np.array_equal(first, second))


def by_vips(path: Path, scratch: Path) -> Image.Image | None:
    """Upright, in sRGB, on white."""
    step = [scratch / f"{number}.v" for number in range(4)]
    profile = scratch / "srgb.icc"
    profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if not ran("vips", "autorot", path, step[0]):
        return None
    way = ("--embedded", "--intent", "relative", "--black-point-compensation")
    if not ran("vips", "icc_transform", step[0], step[1], profile, *way):
        ran("vips", "colourspace", step[0], step[1], "srgb")
    flat = ran("vips", "flatten", step[1], step[2], "--background", "255 255 255")
    shown = scratch / "vips.png"
    return Image.open(shown) if ran("vips", "cast", step[2 if flat else 1], shown, "uchar") else None


def by_imagemagick(path: Path, scratch: Path) -> Image.Image | None:
    """Upright, in sRGB, on white."""
    shown, start = scratch / "im.png", ("convert", f"{path}[0]", "-auto-orient")
    end = ("-background", "white", "-flatten", "-depth", "8", f"PNG24:{shown}")
    followed = ran(*start, "-profile", scratch / "srgb.icc", *end)
    return Image.open(shown) if followed or ran(*start, "-colorspace", "sRGB", *end) else None


def ran(*command: object) -> bool:
    """Whether a command ended well in time."""
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
