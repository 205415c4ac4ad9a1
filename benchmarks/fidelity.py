"""How near the fast path comes to the careful one: `python benchmarks/fidelity.py --photos FOLDER [--model NAME]`.

The fast path decodes at a reduced scale and runs an OpenVINO graph in the precision of this processor. The careful one
decodes in full and runs float32 torch. FOLDER holds one subfolder a label, at any depth; its photos are enlarged first,
so that there is something to reduce. The accuracy is that of the nearest other photo's label. Two more rows say where
differences come from: the graph's precision alone (full decode), and rounding alone: the careful path whose full
decode is first halved with a Lanczos filter, so that its pixels are rounded to 8 bits once more.
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
from PIL import Image

from vitsearch.backbones import load_backbone
from vitsearch.folders.scan import walk
from vitsearch.photos.photo import read_photo
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.opening import Runtime

    Decode = Callable[[Path, Backbone], Image.Image]


def reduced(path: Path, backbone: Backbone) -> Image.Image:
    """Decode as vitsearch does."""
    return read_photo(path).pixels(min_side=backbone.space.preprocessing.decode_side)


def full(path: Path, _: Backbone) -> Image.Image:
    """Decode in full."""
    return read_photo(path).pixels()


def rounded(path: Path, backbone: Backbone) -> Image.Image:
    """Decode in full and halve with a filter that keeps all that the model's input has."""
    image = full(path, backbone)
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


WAYS: tuple[tuple[str, Runtime, Decode], ...] = (
    ("careful path", "torch", full),
    ("fast path", "openvino", reduced),
    ("precision alone", "openvino", full),
    ("rounding alone", "torch", rounded),
)


def embed(backbone: Backbone, photos: list[Path], decode: Decode) -> np.ndarray:
    """Embed photos in batches: (n, d) float32, unit rows."""
    rows = []
    for start in range(0, len(photos), backbone.batch_size):
        images = [decode(path, backbone) for path in photos[start : start + backbone.batch_size]]
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
    parser.add_argument("--made", type=Path, help="where photos and vectors are kept for the next run")
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
        rows = {}
        for name, runtime, decode in WAYS:
            kept = folder / f"{runtime}-{decode.__name__}-{arguments.every}.npy"
            if not kept.exists():
                backbone = load_backbone(arguments.model, cache=cache, runtime=runtime)
                np.save(kept, embed(backbone, photos, decode))
            rows[name] = np.load(kept)
    print(f"{arguments.model}, {len(photos)} photos of {arguments.megapixels:g} MP")
    careful = rows["careful path"]
    ideal = nearest(careful, 10)
    for name, given in rows.items():
        cosines, found = (given * careful).sum(axis=1), nearest(given, 10)
        overlap = np.mean([len(np.intersect1d(*pair)) for pair in zip(found, ideal, strict=True)]) / 10
        print(
            f"{name:<24} cosine {cosines.mean():.5f}, 1st percentile {np.percentile(cosines, 1):.5f}, top-10 overlap "
            f"{overlap:.4f}, nearest neighbour right {(labels[found[:, 0]] == labels).mean():.4f}"
        )


if __name__ == "__main__":
    main()
