"""Make and index a copy-detection set: `python benchmarks/copy_set.py SCRATCH --photos FOLDER...`.

SCRATCH gets a library of real photos (`originals/`), of documents that have no copies (`documents/`), and of edited
copies of some of the photos, a folder an edit: the 39 of `vitsearch.duplicates.calibrate.edits`, and the twelve of
`CLASSIC`, which nothing in the program was chosen on. `kept/` holds copies such as people and programs leave beside a
camera's file, to see which one is kept. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import platformdirs
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from vitsearch import Library
from vitsearch.duplicates.calibrate.edits import EDITS, Edit
from vitsearch.errors import UnreadablePhoto
from vitsearch.folders.scan import walk
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL = "clip-vit-base-patch16-int8"
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
# Larger ones would take most of the time.
_MOST_PIXELS, _LEAST_SIDE = 4_000_000, 128
_OLD, _NEW = 1_200_000_000, 1_700_000_000


def _half_each_way(image: Image.Image, rng: Random) -> Image.Image:
    width, height = image.width // 2, image.height // 2
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


CLASSIC: tuple[Edit, ...] = (
    Edit("classic-jpeg", "codec", lambda image, _: image, quality=30),
    Edit("classic-png", "codec", lambda image, _: image, "PNG"),
    Edit("classic-webp", "codec", lambda image, _: image, "WEBP", quality=50),
    Edit("classic-half-size", "resize", lambda image, _: image.reduce(2)),
    Edit("classic-brightness", "light", lambda image, _: ImageEnhance.Brightness(image).enhance(1.7)),
    Edit("classic-contrast", "light", lambda image, _: ImageEnhance.Contrast(image).enhance(1.8)),
    Edit("classic-grey", "light", lambda image, _: ImageOps.grayscale(image).convert("RGB")),
    Edit(
        "classic-blur",
        "light",
        lambda image, _: image.filter(ImageFilter.GaussianBlur(min(image.size) / 100)),
    ),
    Edit("classic-crop", "crop", _half_each_way),
    Edit("classic-border", "border", lambda image, _: ImageOps.expand(image, min(image.size) // 10, "white")),
    Edit("classic-turn", "turn", lambda image, _: image.transpose(Image.Transpose.ROTATE_90)),
    Edit("classic-mirror", "turn", lambda image, _: ImageOps.mirror(image)),
)
ALL = EDITS + CLASSIC


def photos_below(folders: list[Path], count: int) -> list[Path]:
    """Up to `count` photos of these folders, as many of each, evenly chosen, of a size that is worth it."""
    chosen: list[Path] = []
    for number, folder in enumerate(folders):
        found = [one.path for one in walk(folder.resolve()) if isinstance(one, FoundFile)]
        wanted = (count - len(chosen)) // (len(folders) - number)
        fit: list[Path] = []
        for path in Random(0).sample(found, len(found)):
            if len(fit) == wanted:
                break
            try:
                with Image.open(path) as image:
                    if image.width * image.height <= _MOST_PIXELS and min(image.size) >= _LEAST_SIDE:
                        image.load()
                        fit.append(path)
            except (OSError, ValueError, SyntaxError):
                continue
        chosen += fit
    return Random(1).sample(chosen, len(chosen))


def copy_all(photos: list[Path], folder: Path) -> None:
    """Copy photos under names of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(photos):
        target = folder / f"{number:04}{path.suffix.lower()}"
        if not target.exists():
            target.write_bytes(path.read_bytes())


def upright(path: Path) -> Image.Image:
    """Decode a photo as people see it."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def make_edits(scratch: Path, copied: list[Path], edits: Sequence[Edit]) -> None:
    """Write the copies of each edit."""
    for edit in edits:
        folder = scratch / edit.name
        folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(copied):
            target = folder / f"{path.stem}{_SUFFIXES[edit.kind]}"
            if not target.exists():
                target.write_bytes(edit.file(upright(path), Random(number)))


def _camera_file(image: Image.Image, quality: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Canon", "Canon EOS 80D", "2023:06:11 10:20:30"
    exif.get_ifd(0x8769).update({0x9003: "2023:06:11 10:20:30", 0x829D: 5.6, 0x8827: 200})
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def _saved(image: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def _captioned(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, round(image.height * 0.86), image.width, image.height), fill="black")
    draw.text((image.width * 0.05, image.height * 0.88), "greetings", fill="white")
    return image


def _made_from(image: Image.Image, rng: Random) -> dict[str, bytes]:
    """What people and programs make of a photo; each says of itself what it is."""
    double = image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)
    third = (image.width // 6, image.height // 6, image.width * 5 // 6, image.height * 5 // 6)
    made = {
        "export.png": _saved(image, "PNG"),
        "export-98.jpg": _saved(image, quality=98),
        "double.jpg": _saved(double, quality=92),
        "grey.jpg": _saved(ImageOps.grayscale(image).convert("RGB"), quality=96),
        "cropped.jpg": _saved(image.crop(third), quality=97),
        "framed.jpg": _saved(ImageOps.expand(image, min(image.size) // 12, "white"), quality=97),
        "captioned.jpg": _saved(_captioned(image), quality=97),
        "small.jpg": _saved(image.reduce(2), quality=95),
        "bright.jpg": _saved(ImageEnhance.Brightness(image).enhance(1.25), quality=97),
    }
    return {name: made[name] for name in rng.sample(sorted(made), 3)}


def make_kept(scratch: Path, photos: list[Path]) -> None:
    """Write groups: a camera's file and three that were made from it, all of which look older by their file times.

    Half of the camera's files have lost their notes, as those that come through a messenger.
    """
    for number, path in enumerate(photos):
        folder = scratch / "kept" / path.stem
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        rng, image = Random(number), upright(path)
        image.thumbnail((1200, 1200))
        quality = rng.choice((75, 82, 88, 93))
        original = _camera_file(image, quality) if number % 2 else _saved(image, quality=quality)
        (folder / "z-original.jpg").write_bytes(original)
        with Image.open(io.BytesIO(original)) as opened:
            made = _made_from(opened.convert("RGB"), rng)
        for name, data in made.items():
            (folder / name).write_bytes(data)
        for place, file in enumerate(sorted(folder.iterdir())):
            time = _NEW if file.stem == "z-original" else _OLD + place * 100_000
            os.utime(file, (time, time))


def main() -> None:
    """Make and index what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--documents", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=500, help="how many photos")
    parser.add_argument("--copied", type=int, default=50, help="how many of them have edited copies")
    parser.add_argument("--document-count", type=int, default=100)
    parser.add_argument("--edits", choices=["all", "twelve"], default="all", help="`twelve`: only those")
    parser.add_argument("--kept", type=int, help="how many groups to choose a file of [default: as --copied]")
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("vitsearch", appauthor=False)
    )
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    if not (scratch / "originals").exists():
        copy_all(photos_below(options.photos, options.count), scratch / "originals")
        copy_all(photos_below(options.documents, options.document_count), scratch / "documents")
    originals = sorted((scratch / "originals").iterdir())
    edits = ALL if options.edits == "all" else CLASSIC
    kept = options.copied if options.kept is None else options.kept
    make_edits(scratch, originals[: options.copied], edits)
    # Of photos that have no other copies, as long as there are enough.
    make_kept(scratch, (originals[options.copied :] + originals[: options.copied])[:kept])
    with Library.open(scratch / "library", cache=options.cache) as library:
        for name in ("originals", "documents", "kept", *(edit.name for edit in edits)):
            report = library.index([scratch / name], model=MODEL)
            print(f"{name}: {report.embedded} embedded, {report.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UnreadablePhoto as error:
        raise SystemExit(str(error)) from error
