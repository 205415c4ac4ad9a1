"""The peak memory of an index run beside that of its model: `python benchmarks/index_memory.py FOLDER [--model NAME]`.

Memory is the proportional set size of the program and its decoding processes together, as Linux counts it, looked at
every 20 ms. The model alone is a process that loads it and embeds batches until it has settled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import print_machine

MODEL_ALONE = """
import sys
import numpy as np
import platformdirs
from vitsearch.backbones import load_backbone
backbone = load_backbone(sys.argv[1], cache=platformdirs.user_cache_path("vitsearch", appauthor=False))
pre = backbone.space.preprocessing
for _ in range(9):
    backbone.embed_batch(np.zeros((backbone.batch_size, pre.height, pre.width, 3), np.uint8))
"""


def peak_of(command: list[str]) -> float:
    """Run a program to its end and return the peak of its memory and its children's, in MB."""
    process, peak = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), 0.0
    while process.poll() is None:
        peak = max(peak, sum(_proportional_set(pid) for pid in _family(process.pid)))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{command} ended with status {process.returncode}")
    return peak


def _family(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(child))]


def _proportional_set(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration):
        return 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    arguments = parser.parse_args()
    print_machine("vitsearch", "openvino")
    alone = peak_of([sys.executable, "-c", MODEL_ALONE, arguments.model])
    with tempfile.TemporaryDirectory() as library:
        program = [sys.executable, "-m", "vitsearch", "--library", library]
        whole = peak_of([*program, "index", str(arguments.folder), "--model", arguments.model])
    print(
        f"{arguments.model}: {whole:.0f} MB the index run, {alone:.0f} MB its model alone, in every setting"
    )


if __name__ == "__main__":
    main()
