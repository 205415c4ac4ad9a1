"""A family's photos of many years, made of the samples: scenes, edits of them, copies in backups, damaged files."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(__file__).parents[2] / "sample_images"
FILES = 2500
DAMAGED = ("cut.jpg", "empty.jpg", "text.jpg")
_COLUMNS, _ROWS = 3, 1
_CAMERAS = ("Canon EOS R5", "NIKON Z 9")
_EXIF_MODEL, _EXIF_DATE = 0x0110, 0x0132


@dataclass(frozen=True, slots=True)
class Collection:
    """Where it lies; `scenes` are the originals, the other files of one are named alike in other folders."""

    folder: Path
    scenes: tuple[Path, ...]

    def versions(self, scene: Path) -> set[Path]:
        """All files that show a scene."""
        return {path for path in self.folder.rglob(f"{scene.stem}.*") if path.stem == scene.stem}


def family(path: Path) -> str:
    """Return which photo a file was made of: some samples are crops of one photo, by SOURCES.md."""
    return _sources()[path.name.split("_")[0]]


@cache
def _sources() -> dict[str, str]:
    text = (SAMPLES / "SOURCES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \w+/([\w-]+)\.jpg \| ([^|]+) \| `([^`]+)` \|", text, re.MULTILINE)
    return {name: f"{package} {file}" for name, package, file in rows}


def make_collection(folder: Path) -> Collection:
    """Write `FILES` photos and the damaged files below a folder."""
    scenes = tuple(_scenes(folder / "scenes"))
    made = [*scenes]
    for number, scene in enumerate(scenes):
        with Image.open(scene) as image:
            image.load()
        width, height = image.size
        small = image.resize((round(width * 0.7), round(height * 0.7)), Image.Resampling.LANCZOS)
        made.append(_saved(small, folder / "phone" / scene.name, quality=85))
        if number % 3 == 0:
            made.append(_saved(image, folder / "mailed" / scene.name, quality=60))
        if number % 3 == 1:
            made.append(_saved(ImageOps.grayscale(image), folder / "edited" / scene.name, quality=90))
        if number % 6 == 2:
            made.append(_saved(image, folder / "scans" / f"{scene.stem}.png"))
    originals = tuple(made)
    backup = 0
    while len(made) < FILES:
        backup += 1
        for path in originals[: FILES - len(made)]:
            copy = folder / f"backup-{backup}" / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            made.append(Path(shutil.copy2(path, copy)))
    damaged = folder / "damaged"
    damaged.mkdir()
    (damaged / "cut.jpg").write_bytes(scenes[0].read_bytes()[:900])
    (damaged / "empty.jpg").touch()
    (damaged / "text.jpg").write_text("no photo")
    return Collection(folder, scenes)


def _scenes(folder: Path) -> Iterator[Path]:
    """Three parts of each sample; every second one knows when and with which camera it was taken."""
    samples = sorted(path for path in SAMPLES.rglob("*.jpg") if path.parent.name != "copies")
    for number, sample in enumerate(samples):
        with Image.open(sample) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        width, height = image.width // _COLUMNS, image.height // _ROWS
        for part in range(_COLUMNS * _ROWS):
            row, column = divmod(part, _COLUMNS)
            box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
            tile = image.crop(box)
            tile.thumbnail((320, 320))
            exif = Image.Exif()
            if part % 2:
                exif[_EXIF_MODEL] = _CAMERAS[number % 2]
                exif[_EXIF_DATE] = f"{2015 + number % 10}:{1 + part:02}:10 {number % 24:02}:{part:02}:00"
            target = folder / sample.stem.split("-")[0] / f"{sample.stem}_{part}.jpg"
            yield _saved(tile, target, quality=92, exif=exif)


def _saved(image: Image.Image, target: Path, **options: Any) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target, **options)
    return target
