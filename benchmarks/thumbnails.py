"""What thumbnails made in passing cost an index run: `python benchmarks/thumbnails.py FOLDER [--repeats 4]`.

The photos of FOLDER are indexed into new libraries, with and without thumbnails in turns; medians.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import mean, median

import platformdirs
from machine import print_machine

from vitsearch.backbones import load_backbone
from vitsearch.library import Library


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    print_machine("vitsearch", "openvino", "pillow")
    backbone = load_backbone(options.model, cache=platformdirs.user_cache_path("vitsearch", appauthor=False))

    def index(*, with_thumbnails: bool) -> tuple[float, float, list[int]]:
        with tempfile.TemporaryDirectory() as folder:
            clock, processor = time.perf_counter(), sum(os.times()[:4])
            with Library.open(folder, backbone=backbone) as library:
                library.index([options.folder], thumbnails=with_thumbnails)
            spent = time.perf_counter() - clock, sum(os.times()[:4]) - processor
            thumbnails = Path(folder, ".vitsearch", "thumbnails").rglob("*.jpg")
            return *spent, [path.stat().st_size for path in thumbnails]

    index(with_thumbnails=False)
    taken: dict[bool, list[tuple[float, float, list[int]]]] = {False: [], True: []}
    for turn in range(options.repeats):
        for with_thumbnails in (False, True) if turn % 2 == 0 else (True, False):
            taken[with_thumbnails].append(index(with_thumbnails=with_thumbnails))
    clock = [median(run[0] for run in taken[which]) for which in (False, True)]
    processor = [median(run[1] for run in taken[which]) for which in (False, True)]
    for name, (without, with_them) in (("by the clock", clock), ("processor time", processor)):
        print(f"{name:<15} {without:6.2f} s without, {with_them:6.2f} s with: {with_them / without - 1:+.1%}")
    sizes = taken[True][0][2]
    print(f"{len(sizes)} thumbnails of {mean(sizes) / 1000:.1f} kB")


if __name__ == "__main__":
    main()
