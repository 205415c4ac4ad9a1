"""What one search costs a new process.

    python benchmarks/cold_search.py --photo FILE [--photos 10000] [--base FILE.npy]

`vitsearch search FILE` in a library of so many photos, none of which is FILE, so that it has to be embedded, and in
one that knows it; against a script that does the same through torch and transformers and compares with vectors of a
.npy file. "The model alone" is the limit of any search for a new photo in this runtime: a script that does nothing but
open the model's graph and put the two views of a photo through it. All start from nothing, in turns. Memory is the
largest resident set, files that are mapped included. Vectors are real embeddings, (m, d), widened with noise
(`widening.py`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from machine import medians, print_machine
from synthetic_library import make_library
from widening import Widening, read_base

from vitsearch.backbones import load_backbone
from vitsearch.backbones.weights import obtain
from vitsearch.library import Library

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = """
import sys
import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionModelWithProjection

folder, vectors, photo = sys.argv[1:]
is_clip = AutoConfig.from_pretrained(folder).model_type == "clip_vision_model"
model = (CLIPVisionModelWithProjection if is_clip else AutoModel).from_pretrained(folder).eval()
image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
inputs = AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")
with torch.inference_mode():
    output = model(**inputs)
row = (output.image_embeds if is_clip else output.last_hidden_state[:, 0]).numpy()[0]
scores = np.load(vectors, mmap_mode="r") @ (row / np.linalg.norm(row))
print(np.argsort(-scores)[:10])
"""

MODEL_ALONE = """
import os
import sys
from pathlib import Path
import numpy as np
from vitsearch.backbones.opening import Options, open_ready, silent
from vitsearch.space import Space

space = Space.from_json(sys.argv[1])
backbone = open_ready(space, Options(Path(sys.argv[2]), "cpu", None, "auto", silent))
print(backbone.embed_batch(np.zeros((2, *space.preprocessing.shape), np.uint8)).rows.shape, flush=True)
os._exit(0)
"""

RESIDENT = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--made", type=Path, help="where the library is kept for the next run")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print_machine("vitsearch", "torch", "transformers", "openvino", "faiss-cpu")
    cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.made or Path(scratch)) / f"{arguments.photos}-photos"
        vectors = folder / "vectors.npy"
        if not folder.exists():
            space = load_backbone(arguments.model, cache=cache).space
            widening = Widening(read_base(arguments.base, space.dimension))
            make_library(folder, arguments.photos, widening, space=space)
            np.save(
                vectors, np.concatenate([block for _, block in widening.blocks(arguments.photos, seed=1)])
            )
            with Library.open(folder) as library:
                library.search(arguments.photo)  # builds the neighbours, as the end of an index run does
        known = folder.with_name(f"{folder.name}-and-it")
        if not known.exists():
            shutil.copytree(folder, known)
            photos = folder.with_name(f"{folder.name}-one-more")
            photos.mkdir(exist_ok=True)
            shutil.copy(arguments.photo, photos)
            with Library.open(known) as library:
                library.index([photos])
                library.search(arguments.photo)
        with Library.open(folder) as library:
            space = library.catalog.require_space().space
        weights = obtain(arguments.model, cache=cache, notice=print).folder
        ours = [sys.executable, "-m", "vitsearch", "--library", str(folder), "search", str(arguments.photo)]
        commands = {
            "vitsearch search": ours,
            "the model alone": [sys.executable, "-c", MODEL_ALONE, space.to_json(), str(cache)],
            "a known photo": [*ours[:4], str(known), *ours[5:]],
            "torch and transformers": [
                sys.executable,
                "-c",
                PLAIN,
                str(weights),
                str(vectors),
                str(arguments.photo),
            ],
            "vitsearch --help": [sys.executable, "-m", "vitsearch", "--help"],
        }
        runs = {name: _runner(command) for name, command in commands.items()}
        for run in runs.values():
            run()
        seconds = medians(runs, repeats=arguments.repeats)
        memory = {name: _largest_resident(command) for name, command in commands.items()}
    print(f"{arguments.model}, {arguments.photos:,} photos, median of {arguments.repeats} processes")
    for name, value in seconds.items():
        times = seconds["torch and transformers"] / value
        print(f"{name:<24} {value:6.2f} s  {times:6.1f} x  {memory[name]:5.0f} MB")


def _runner(command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, capture_output=True)


def _largest_resident(command: list[str]) -> float:
    """Return the megabytes of a command at its largest. A small process asks: children begin as large as it is."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, *command], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1000


if __name__ == "__main__":
    main()
