"""Hash a copy-detection set with imagededup, in an environment of its own: `python imagededup_hashes.py SCRATCH`.

    python -m venv ELSEWHERE && ELSEWHERE/bin/pip install imagededup
    ELSEWHERE/bin/python benchmarks/imagededup_hashes.py SCRATCH

`benchmarks/copy_set.py` has made SCRATCH. The hashes stay there, a file for each edit, and
`benchmarks/copy_detection.py` compares them with the others. Nothing of vitsearch is imported: imagededup brings torch
and torchvision of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import numpy as np
from imagededup.methods import AHash, DHash, PHash, WHash

METHODS = {"phash": PHash, "dhash": DHash, "whash": WHash, "average": AHash}


def hash_folder(folder: Path) -> None:
    """Write the hashes of a folder's files, (n, 64) bool for each method, and their stems beside it, once."""
    kept = folder.with_name(f"{folder.name}.imagededup.npz")
    if kept.exists():
        return
    files = sorted(folder.iterdir())
    hashes = {}
    for name, method in METHODS.items():
        hasher = method(verbose=False)
        texts = [hasher.encode_image(image_file=file) for file in files]
        packed = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(files), -1)
        hashes[name] = np.unpackbits(packed, axis=1).astype(bool)
    partial = kept.with_suffix(".partial.npz")
    np.savez(partial, stems=np.array([file.stem for file in files]), **hashes)
    partial.rename(kept)
    print(f"{folder.parent.name} {folder.name}: {len(files)} files", flush=True)


def main() -> None:
    """Hash what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    options = parser.parse_args()
    folders = [
        folder
        for half in ("chosen", "reported")
        for folder in sorted((options.scratch / half).iterdir())
        if folder.is_dir() and folder.name != "library"
    ]
    with multiprocessing.Pool() as pool:
        pool.map(hash_folder, folders, chunksize=1)


if __name__ == "__main__":
    main()
