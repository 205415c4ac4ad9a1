"""From photo files to committed vectors, against a plain transformers loop on the same files.

    python benchmarks/index_throughput.py --photos FOLDER [--model NAME] [--megapixels 12] [--count 64]

The plain loop is what a careful person writes first: Pillow decodes in full, `AutoImageProcessor` prepares, eager
PyTorch embeds in float32 in batches of 32; a second loop does the same under bfloat16 autocast. All candidates take
turns in one run and see the same photos; the file cache is warm for all of them.

The limit of the machine is the forward pass and JPEG decoding at the reduced scale that the model needs, one after the
other on all cores, as if nothing else cost time. The core-seconds are those of the main process: decoders are others.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
from machine import medians, print_machine
from photo_sets import make_photos
from PIL import Image, ImageOps

from vitsearch.backbones import load_backbone
from vitsearch.backbones.weights import obtain
from vitsearch.library import Library


class PlainLoop:
    """The loop that vitsearch is compared with."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionModelWithProjection

        is_clip = AutoConfig.from_pretrained(folder).model_type == "clip_vision_model"
        kind = CLIPVisionModelWithProjection if is_clip else AutoModel
        self.model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.processor = AutoImageProcessor.from_pretrained(folder)

    def run(self, photos: list[Path], *, bfloat16: bool = False) -> np.ndarray:
        """Embed all photos: (n, d) float32."""
        import torch

        rows = []
        for start in range(0, len(photos), 32):
            images = [
                ImageOps.exif_transpose(Image.open(path)).convert("RGB")
                for path in photos[start : start + 32]
            ]
            inputs = self.processor(images, return_tensors="pt")
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                output = self.model(**inputs)
            row = output.image_embeds if "image_embeds" in output else output.last_hidden_state[:, 0]
            rows.append(row.float().numpy())
        return np.concatenate(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="a folder of real photos to make the sets from"
    )
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--plain-count", type=int, default=32, help="photos for the slow loops")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--made", type=Path, help="where the made photos are kept for the next run")
    arguments = parser.parse_args()
    print_machine("vitsearch", "torch", "transformers", "openvino", "pillow")
    cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.made or Path(scratch)) / f"{arguments.count}-of-{arguments.megapixels:g}"
        photos = make_photos(arguments.photos, folder, count=arguments.count, megapixels=arguments.megapixels)
        few = photos[: arguments.plain_count]
        plain = PlainLoop(obtain(arguments.model, cache=cache, notice=print).folder)
        backbone = load_backbone(arguments.model, cache=cache)
        side = backbone.space.preprocessing.decode_side
        ready = np.stack([backbone.prepare(Image.open(path).convert("RGB")) for path in few])
        forward_pixels = np.concatenate([ready] * -(-len(photos) // len(few)))[: len(photos)]
        # In its first full batches a new machine finds out how it runs the graph fastest.
        for _ in range(9):
            backbone.embed_batch(forward_pixels[: backbone.batch_size])

        def index() -> None:
            shutil.rmtree(Path(scratch) / "library", ignore_errors=True)
            with Library.open(Path(scratch) / "library", backbone=backbone) as library:
                report = library.index([folder])
            assert report.embedded == len(photos), report

        def decode(path: Path) -> None:
            with Image.open(path) as image:
                image.draft(None, (side, side))
                image.load()

        def decode_all() -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(decode, photos))

        def forward() -> None:
            for start in range(0, len(photos), backbone.batch_size):
                backbone.embed_batch(forward_pixels[start : start + backbone.batch_size])

        seconds = medians(
            {
                "plain loop, float32": lambda: plain.run(few),
                "plain loop, bfloat16": lambda: plain.run(few, bfloat16=True),
                "vitsearch index": index,
                "its forward pass alone": forward,
                "its JPEG decoding alone": decode_all,
            },
            repeats=arguments.repeats,
        )
        started = time.process_time()
        index()
        core_seconds = (time.process_time() - started) / len(photos)
    rates = {
        name: (len(few) if name.startswith("plain") else len(photos)) / value
        for name, value in seconds.items()
    }
    size = f"{arguments.megapixels:g} MP JPEGs"
    print(f"{arguments.model}, {len(photos)} {size}, median of {arguments.repeats}")
    for name, rate in rates.items():
        print(f"{name:<24} {rate:7.2f} photos/s  {rate / rates['plain loop, float32']:6.2f} x")
    limit = 1 / (1 / rates["its forward pass alone"] + 1 / rates["its JPEG decoding alone"])
    share = rates["vitsearch index"] / limit
    print(f"limit, forward pass and decoding {limit:.2f} photos/s; vitsearch reaches {share:.3f} of it")
    print(f"core-seconds per photo in the main process of vitsearch: {core_seconds:.3f}")


if __name__ == "__main__":
    main()
