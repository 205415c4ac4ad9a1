"""Make `sample_images/copies/`: the copies of photos that pile up in real folders, and two broken files.

Each is made from an original of `sample_images/`; `SOURCES.md` has a line on each. pi-heif, which vitsearch
reads HEIC with, cannot write it, so this script needs pillow-heif, in an environment of its own:

    python -m venv heif && heif/bin/pip install pillow pillow-heif && heif/bin/python scripts/make_copies.py

Everything but the HEIC comes out the same, byte for byte, from the same release of Pillow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE_IMAGES = Path(__file__).resolve().parent.parent / "sample_images"


def reencode(source: Path, target: Path) -> None:
    """Save at JPEG quality 40, as a messenger does."""
    with Image.open(source) as photo:
        photo.save(target, quality=40, exif=photo.getexif())


def to_webp(source: Path, target: Path) -> None:
    """Save as WebP."""
    with Image.open(source) as photo:
        photo.save(target, quality=75)


def resize(source: Path, target: Path) -> None:
    """Scale down to half the size."""
    with Image.open(source) as photo:
        photo.reduce(2).save(target, quality=85)


def crop(source: Path, target: Path) -> None:
    """Cut a tenth off each side."""
    with Image.open(source) as photo:
        across, down = photo.width // 10, photo.height // 10
        photo.crop((across, down, photo.width - across, photo.height - down)).save(target, quality=85)


def turn_by_exif(source: Path, target: Path) -> None:
    """Store the pixels a quarter turn to the left, with the EXIF orientation (6) that turns them upright."""
    with Image.open(source) as photo:
        exif = photo.getexif()
        exif[ExifTags.Base.Orientation] = 6
        photo.transpose(Image.Transpose.ROTATE_90).save(target, quality=85, exif=exif)


def mirror(source: Path, target: Path) -> None:
    """Swap left and right."""
    with Image.open(source) as photo:
        ImageOps.mirror(photo).save(target, quality=85)


def grey(source: Path, target: Path) -> None:
    """Take the colours out."""
    with Image.open(source) as photo:
        ImageOps.grayscale(photo).save(target, quality=85)


def border(source: Path, target: Path) -> None:
    """Put a white frame around it."""
    with Image.open(source) as photo:
        ImageOps.expand(photo, border=photo.width // 16, fill="white").save(target, quality=85)


def to_heic(source: Path, target: Path) -> None:
    """Save as HEIC, camera and date kept."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    with Image.open(source) as photo:
        photo.save(target, format="HEIF", quality=60, exif=photo.getexif())


def truncate(source: Path, target: Path) -> None:
    """Keep the first half of the file, as a copy that was broken off leaves it."""
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])


def misname(source: Path, target: Path) -> None:
    """Save as PNG under a JPEG's name."""
    with Image.open(source) as photo:
        photo.save(target, format="PNG", optimize=True)


COPIES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "copies/bee-1-reencoded.jpg": ("nature/bee-1.jpg", reencode),
    "copies/bird-1-bordered.jpg": ("animals/bird-1.jpg", border),
    "copies/bridge-1.heic": ("travel/bridge-1.jpg", to_heic),
    "copies/castle-1-resized.jpg": ("travel/castle-1.jpg", resize),
    "copies/castle-3-grey.jpg": ("travel/castle-3.jpg", grey),
    "copies/cat-1-mirrored.jpg": ("animals/cat-1.jpg", mirror),
    "copies/dog-1-orientation-6.jpg": ("animals/dog-1.jpg", turn_by_exif),
    "copies/fruit-4.webp": ("things/fruit-4.jpg", to_webp),
    "copies/mountain-3-cropped.jpg": ("nature/mountain-3.jpg", crop),
    "copies/pyramid-1-truncated.jpg": ("travel/pyramid-1.jpg", truncate),
    "copies/windmill-1-really-a-png.jpg": ("travel/windmill-1.jpg", misname),
}
"""Copy, relative to `sample_images/`: the original that it is made from, and how."""


def make_copy(name: str, folder: Path) -> Path:
    """Write one of `COPIES` under `folder` and return its path."""
    original, make = COPIES[name]
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    make(SAMPLE_IMAGES / original, target)
    return target


if __name__ == "__main__":
    for copy in COPIES:
        make_copy(copy, SAMPLE_IMAGES)
