"""Make the photos of `sample_images/` again, from the packages that `SOURCES.md` names.

Unpack the packages side by side, each under its own name:

    apt-get download gcompris-qt-data palapeli-data lomiri-wallpapers-16.04
    for p in gcompris-qt-data palapeli-data lomiri-wallpapers-16.04; do dpkg -x ${p}_*.deb unpacked/$p; done
    pip download --no-deps scikit-image==0.26.0 scikit-learn==1.9.1
    unzip scikit_image-*.whl -d unpacked/scikit-image && unzip scikit_learn-*.whl -d unpacked/scikit-learn

Then run `python scripts/make_originals.py unpacked`, and `python scripts/make_copies.py` after it.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageCms, ImageOps

SAMPLE_IMAGES = Path(__file__).resolve().parent.parent / "sample_images"
LONGEST_SIDE = 800
QUALITY = 85


@dataclass(frozen=True)
class Original:
    """One row of the first table of `SOURCES.md`."""

    file: str
    package: str
    member: str
    """Path inside the package; for a Qt resource archive, `archive.rcc:/path/inside`."""
    view: tuple[int, int, int, int] | None
    """Left, top, right, bottom in pixels of the packaged picture, or None for the whole of it."""


def read_sources(text: str) -> list[Original]:
    """Return the rows of the table of originals in the text of `SOURCES.md`."""
    section = text.split("## Originals", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return [
        Original(file, package, member.strip("`"), parse_view(view))
        for file, package, member, view, *_ in rows[2:]
    ]


def parse_view(text: str) -> tuple[int, int, int, int] | None:
    """Return the four numbers of a view, or None for `whole`."""
    if text == "whole":
        return None
    left, top, right, bottom = map(int, text.split())
    return left, top, right, bottom


def read_member(package: Path, member: str) -> bytes:
    """Return the bytes of a file of an unpacked package, also from inside a Qt resource archive."""
    archive, _, inside = member.partition(":")
    data = (package / archive).read_bytes()
    return read_qt_resource(data, inside) if inside else data


def read_qt_resource(rcc: bytes, path: str) -> bytes:
    """Return one file of a Qt binary resource (`.rcc`), whose layout is that of Qt's qresource.cpp."""
    version, tree, data, names = struct.unpack(">4x4i", rcc[:20])
    node_size = 14 if version == 1 else 22
    node = 0
    for part in path.strip("/").split("/"):
        count, first = struct.unpack_from(">2i", rcc, tree + node * node_size + 6)
        for child in range(first, first + count):
            name = names + struct.unpack_from(">i", rcc, tree + child * node_size)[0]
            length = struct.unpack_from(">H", rcc, name)[0]
            if rcc[name + 6 : name + 6 + 2 * length].decode("utf-16-be") == part:
                node = child
                break
        else:
            raise FileNotFoundError(path)
    flags, start = struct.unpack_from(">H4xi", rcc, tree + node * node_size + 4)
    size = struct.unpack_from(">I", rcc, data + start)[0]
    content = rcc[data + start + 4 : data + start + 4 + size]
    return zlib.decompress(content[4:]) if flags & 1 else content


def camera_facts(exif: Image.Exif) -> Image.Exif:
    """Return only the camera and the date taken: the rest describes the large picture."""
    facts = Image.Exif()
    for tag in (ExifTags.Base.Make, ExifTags.Base.Model):
        if tag in exif:
            facts[tag] = exif[tag].strip()
    taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    if taken:
        facts.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    return facts


def to_srgb(photo: Image.Image) -> Image.Image:
    """Return the photo in sRGB, so that it needs no colour profile."""
    profile = photo.info.get("icc_profile")
    if not profile:
        return photo
    converted = ImageCms.profileToProfile(photo, io.BytesIO(profile), ImageCms.createProfile("sRGB"))
    assert converted is not None  # it is None only when asked to work in place
    return converted


def make_original(original: Original, unpacked: Path) -> None:
    """Write one photo: its view, at most 800 pixels long, as a JPEG in sRGB."""
    with Image.open(io.BytesIO(read_member(unpacked / original.package, original.member))) as packaged:
        exif = camera_facts(packaged.getexif())
        photo = to_srgb(ImageOps.exif_transpose(packaged).convert("RGB"))
    if original.view:
        photo = photo.crop(original.view)
    photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    target = SAMPLE_IMAGES / original.file
    target.parent.mkdir(parents=True, exist_ok=True)
    photo.save(target, quality=QUALITY, optimize=True, exif=exif, icc_profile=None)


if __name__ == "__main__":
    for row in read_sources((SAMPLE_IMAGES / "SOURCES.md").read_text(encoding="utf-8")):
        make_original(row, Path(sys.argv[1]))
