"""Make and index a copy-detection set: `python benchmarks/copy_set.py FOLDER SCRATCH [--cache DIR] [--edit NAME]`.

FOLDER holds real photos in `train/` and `validation/`, one subfolder a class. SCRATCH gets two libraries: one that
is reported on (`train/`: 500 originals with copies, the others without) and one that cut-offs are chosen on
(`validation/`). Each edit's copies are files of their own below it. What is there already is not made again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from random import Random

import platformdirs
from PIL import Image, ImageOps

from vitsearch import Library
from vitsearch.duplicates.calibrate.edits import EDITS

MODEL = "clip-vit-base-patch16-int8"
COPIED = {"reported": 500, "chosen": 100}
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


@dataclass(frozen=True)
class Half:
    """One half of the set: its originals, and which of them have copies; names are unique."""

    name: str
    folder: Path
    originals: list[Path]
    copied: int

    @property
    def library(self) -> Path:
        """Where its library is."""
        return self.folder / "library"

    def copies(self, edit: str) -> Path:
        """The folder with the copies of one edit."""
        return self.folder / edit


def halves(photos: Path, scratch: Path) -> tuple[Half, Half]:
    """Return what is reported on and what cut-offs are chosen on."""
    reported, chosen = (evenly(photos / name) for name in ("train", "validation"))
    return (
        Half("reported", scratch / "reported", reported, COPIED["reported"]),
        Half("chosen", scratch / "chosen", chosen, COPIED["chosen"]),
    )


def evenly(folder: Path) -> list[Path]:
    """The photos of a folder of classes, one of each class in turn."""
    classes = [
        sorted(path for path in below.iterdir() if path.is_file()) for below in sorted(folder.iterdir())
    ]
    return [files[turn] for turn in range(max(map(len, classes))) for files in classes if turn < len(files)]


def make_copies(half: Half, edit_name: str) -> None:
    """Write the copies of one edit; `originals` writes the originals themselves."""
    folder = half.copies(edit_name)
    folder.mkdir(parents=True, exist_ok=True)
    if edit_name == "originals":
        for path in half.originals:
            target = folder / path.name
            if not target.exists():
                target.write_bytes(path.read_bytes())
        return
    edit = next(edit for edit in EDITS if edit.name == edit_name)
    for number, path in enumerate(half.originals[: half.copied]):
        target = folder / f"{path.stem}{_SUFFIXES[edit.kind]}"
        if not target.exists():
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
            target.write_bytes(edit.file(upright, Random(number)))


def main() -> None:
    """Make and index what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("vitsearch", appauthor=False)
    )
    parser.add_argument("--edit", action="append", help="only this one, or `originals`")
    options = parser.parse_args()
    for half in halves(options.folder, options.scratch):
        with Library.open(half.library, cache=options.cache) as library:
            for name in options.edit or ["originals", *(edit.name for edit in EDITS)]:
                make_copies(half, name)
                report = library.index([half.copies(name)], model=MODEL)
                print(f"{half.name} {name}: {report.embedded} embedded, {report.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
