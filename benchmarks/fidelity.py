"""How near the fast path comes to the careful one: `python benchmarks/fidelity.py --photos FOLDER [--model NAME]`.

The fast path decodes at a reduced scale and runs an OpenVINO graph in the precision of this processor. The careful one
decodes in full and runs float32 torch. FOLDER holds one subfolder a label, at any depth; its photos are enlarged first,
so that there is something to reduce. The accuracy is that of the nearest other photo's label.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from machine import print_machine
from photo_sets import make_photos

from vitsearch.backbones import load_backbone
from vitsearch.photos import read_photo
from vitsearch.scan import FoundFile, walk

if TYPE_CHECKING:
    from vitsearch.backbones.backbone import Backbone


def embed(backbone: Backbone, photos: list[Path], *, min_side: int | None) -> np.ndarray:
    """Embed photos in batches: (n, d) float32, unit rows."""
    rows = []
    for start in range(0, len(photos), backbone.batch_size):
        images = [
            read_photo(path).pixels(min_side=min_side) for path in photos[start : start + backbone.batch_size]
        ]
        rows.append(backbone.embed_batch(np.stack([backbone.prepare(image) for image in images])).rows)
    return np.concatenate(rows)


def nearest(rows: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest other rows of each row, (n, k)."""
    scores = rows @ rows.T
    np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1)[:, :k]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--megapixels", type=float, default=3)
    parser.add_argument("--every", type=int, default=1, help="only each so manieth photo")
    parser.add_argument("--made", type=Path, help="where the enlarged photos are kept for the next run")
    arguments = parser.parse_args()
    print_machine("vitsearch", "torch", "openvino", "pillow")
    cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
    labels = np.array(
        [found.path.parent.name for found in walk(arguments.photos) if isinstance(found, FoundFile)]
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.made or Path(scratch)
        made = make_photos(arguments.photos, folder, count=len(labels), megapixels=arguments.megapixels)
        photos, labels = made[:: arguments.every], labels[:: arguments.every]
        graph = load_backbone(arguments.model, cache=cache, runtime="openvino")
        fast = embed(graph, photos, min_side=graph.space.preprocessing.decode_side)
        careful = embed(load_backbone(arguments.model, cache=cache, runtime="torch"), photos, min_side=None)
    print(f"{arguments.model}, {len(photos)} photos of {arguments.megapixels:g} MP")
    ideal = nearest(careful, 10)
    for name, rows in (
        ("fast path", fast),
        ("careful path", careful),
    ):
        cosines, found = (rows * careful).sum(axis=1), nearest(rows, 10)
        overlap = np.mean([len(np.intersect1d(*pair)) for pair in zip(found, ideal, strict=True)]) / 10
        print(
            f"{name:<24} cosine {cosines.mean():.5f}, 1st percentile {np.percentile(cosines, 1):.5f}, top-10 overlap "
            f"{overlap:.4f}, nearest neighbour right {(labels[found[:, 0]] == labels).mean():.4f}"
        )


if __name__ == "__main__":
    main()
