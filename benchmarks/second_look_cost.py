"""What the second look costs where nothing has a copy: `python benchmarks/second_look_cost.py FOLDER SCRATCH`.

The originals of `benchmarks/copy_set.py FOLDER SCRATCH` are compared among themselves, files decoded anew, as a search
for duplicates does; that and embedding such photos are given as processor time, all threads together.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import platformdirs
from copy_set import MODEL, halves
from machine import print_machine

from vitsearch import Library
from vitsearch.backbones import load_backbone
from vitsearch.duplicates.propose.candidates import pairs_by_embedding, pairs_by_hash, united, walking_order
from vitsearch.duplicates.tables import hashes_of, present_photos
from vitsearch.duplicates.verify.verifier import Verifier, verifying_threads
from vitsearch.photos.photo import read_photo

_SIDE = 224


def processor_time() -> float:
    """Seconds that this process and the decoding processes that have ended took of all cores."""
    return sum(os.times()[:4])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("vitsearch", appauthor=False)
    )
    parser.add_argument("--embedded", type=int, default=256)
    options = parser.parse_args()
    print_machine("numpy", "opencv-python-headless", "openvino")
    half, _ = halves(options.folder, options.scratch)
    with Library.open(half.library, cache=options.cache) as library:
        backbone = load_backbone(MODEL, cache=options.cache)
        photos = half.originals[: options.embedded]
        start = processor_time()
        for first in range(0, len(photos), backbone.batch_size):
            part = photos[first : first + backbone.batch_size]
            prepared = [backbone.prepare(read_photo(path).pixels(min_side=_SIDE)) for path in part]
            backbone.embed_batch(np.stack(prepared))
        embedding = (processor_time() - start) / len(photos) * 1000

        ids = present_photos(library.catalog, (half.copies("originals").resolve(),))
        neighbours = library.neighbours()
        neighbours.rows(ids)
        start = processor_time()
        pairs = united(
            [pairs_by_embedding(ids, neighbours), pairs_by_hash(*hashes_of(library.catalog, ids))], neighbours
        )
        proposing = (processor_time() - start) / len(ids) * 1000
        verifier = Verifier(library.catalog)
        start = processor_time()
        verifier.prepare(ids.tolist())
        order = walking_order(pairs)
        with verifying_threads(verifier) as pool:
            links = list(
                pool.map(
                    verifier.verify,
                    pairs.first[order].tolist(),
                    pairs.second[order].tolist(),
                    pairs.cosines[order].tolist(),
                )
            )
        looking = (processor_time() - start) / len(ids) * 1000
    found = sum(link is not None for link in links)
    print(f"{len(ids)} photos, {len(pairs) / len(ids):.1f} pairs a photo, {found} of them confirmed")
    print(
        f"CPU a photo: embedding {embedding:.1f} ms, proposing {proposing:.1f} ms, second look {looking:.1f} ms: "
        f"{(proposing + looking) / embedding:.2f} of the embedding"
    )


if __name__ == "__main__":
    main()
