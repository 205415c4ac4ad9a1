"""Does a part of a photo find the photo it was cut from? Boxes and uploads as searches frame them, and as before.

usage: python benchmarks/framing.py FOLDER [--photos N] [--model NAME]

The library stores centre crops. A photo's outer 30 %, and a fifth of its area at a random place, are asked for as
boxes; so is, as an upload, a copy of it that lost a border and was saved again. "before" frames the
query as the library frames photos. Intervals are paired bootstraps of the difference in recall@1.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from vitsearch.evaluation.framings import parts
from vitsearch.library import Library
from vitsearch.searching.matches import MatchOptions
from vitsearch.storage.filters import ALL_PHOTOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitsearch.records import SearchResult

K = 10


def encoded(image: Image.Image) -> io.BytesIO:
    """Save an image as a JPEG of quality 80."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    stream.seek(0)
    return stream


def rank(result: SearchResult, path: Path) -> int:
    """Return how far down the answer the photo stands, from 1, or 0 if it is not there."""
    return next((at for at, match in enumerate(result.results, 1) if match.path == path), 0)


def asked(library: Library, path: Path, generator: np.random.Generator) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each query of a photo, and its rank before and now."""
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    space = library.existing_space()
    assert space is not None
    backbone = library.backbone(space)
    options = MatchOptions(k=K, criteria=ALL_PHOTOS)

    def before(image: Image.Image) -> int:
        vector = backbone.embed_batch(backbone.prepare(image)[None]).rows[0]
        return rank(library.search_by_vectors([vector], options=options), path)

    for name, box in zip(("edge", "fifth"), parts(*upright.size, generator), strict=True):
        left, top, right, bottom = box
        region = (left, top, right - left, bottom - top)
        now = rank(library.search(str(path), crop=region, k=K), path)
        yield f"{name}, box", before(upright.crop(box)), now
    w, h = upright.size
    copy = upright.crop((w // 20, h // 20, w - w // 20, h - h // 20))
    yield "copy without its border, upload", before(copy), rank(library.search(encoded(copy), k=K), path)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    every = sorted(path.resolve() for path in options.folder.rglob("*.jpg"))
    chosen = sorted(generator.choice(len(every), min(options.photos, len(every)), replace=False))
    ranks: dict[str, list[tuple[int, int]]] = {}
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "library") as library:
        report = library.index([options.folder], model=options.model)
        print(f"{report.photos} photos, {len(chosen)} asked for, {options.model}")
        for number in chosen:
            for name, old, new in asked(library, every[number], generator):
                ranks.setdefault(name, []).append((old, new))
    print("| query | recall@1 before | now | difference | recall@5 before | now |\n|---|---|---|---|---|---|")
    for name, pairs in ranks.items():
        table = np.array(pairs)
        first = table == 1
        five = (table >= 1) & (table <= 5)
        difference = first[:, 1].astype(float) - first[:, 0]
        means = [
            difference[generator.integers(len(difference), size=len(difference))].mean() for _ in range(2000)
        ]
        low, high = np.quantile(means, [0.025, 0.975])
        print(
            f"| {name} | {first[:, 0].mean():.3f} | {first[:, 1].mean():.3f} | {difference.mean():+.3f} "
            f"[{low:+.3f}, {high:+.3f}] | {five[:, 0].mean():.3f} | {five[:, 1].mean():.3f} |"
        )


if __name__ == "__main__":
    main()
