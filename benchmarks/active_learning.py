"""How many labels a good head needs: `heads suggest` beside `heads next` and photos at random.

    python benchmarks/active_learning.py --data FOLDER [--vectors FILE] [--target 0.90]

The data hold `train/`, from which photos are chosen ten at a time, and `validation/`, on which the head that they make
is judged; both have one subfolder a label. The head is made by `heads from-examples` each time. Random choice and the
first ten of `heads next` are drawn anew in each run; `heads suggest` has nine tenths of the photos to choose from,
others in each run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import print_machine
from open_set import Photos, correct

from vitsearch.heads.active_learning import next_to_label, typical_photos
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.few_shot import from_examples

_STEP = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--target", type=float, default=0.90)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--most", type=int, default=300, help="Where a run ends.")
    parser.add_argument("--strategies", nargs="+", default=["random", "next", "suggest"])
    arguments = parser.parse_args()
    print_machine("numpy", "scikit-learn")
    photos = Photos(arguments.model, arguments.vectors)
    pool, validation = (photos.labelled(arguments.data / part) for part in ("train", "validation"))
    print(
        f"{len(pool.rows)} photos to choose from, {len(validation.rows)} to judge by, {arguments.runs} runs\n"
    )
    for strategy in arguments.strategies:
        curves = np.stack(
            [
                curve(photos, strategy, pool, validation, seed, arguments.most)
                for seed in range(arguments.runs)
            ]
        )
        reached = [
            int(np.argmax(each >= arguments.target) + 1) * _STEP
            for each in curves
            if each.max() >= arguments.target
        ]
        mean = curves.mean(axis=0)
        of_mean = (
            str((int(np.argmax(mean >= arguments.target)) + 1) * _STEP)
            if mean.max() >= arguments.target
            else "more"
        )
        shown = ", ".join(f"{_STEP * (place + 1)}: {mean[place]:.3f}" for place in range(1, len(mean), 2))
        print(
            f"{strategy:<8} labels to {arguments.target}: median {np.median(reached or [0]):.0f} "
            f"({min(reached, default=0)} to {max(reached, default=0)}, {len(reached)} runs of {arguments.runs}), "
            f"the mean curve {of_mean}; {shown}",
            flush=True,
        )


def curve(
    photos: Photos, strategy: str, pool: LabelledRows, validation: LabelledRows, seed: int, most: int
) -> np.ndarray:
    """Return the accuracy after each ten photos that were chosen."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(pool.rows))
    if strategy == "suggest":
        # It has no chance of its own: another part of the photos is what makes runs differ.
        order = order[: len(order) * 9 // 10]
    chosen: list[int] = []
    accuracies = []
    while len(chosen) < most:
        left = np.array([row for row in order if row not in set(chosen)])
        chosen += left[choose(photos, strategy, pool, chosen, left)].tolist()
        head = from_examples("benchmark", taken(pool, chosen), space=photos.space)
        accuracies.append(correct(head, known_to(head.labels, validation)).sum() / len(validation.rows))
    return np.array(accuracies)


def choose(
    photos: Photos, strategy: str, pool: LabelledRows, chosen: list[int], left: np.ndarray
) -> list[int]:
    """Return the places in `left` of the next photos."""
    rows, norms = pool.rows[left], np.ones(len(left), np.float32)
    labels = {label for row in chosen for label in pool.labels[row]}
    if strategy == "random" or (strategy == "next" and not chosen):
        return list(range(_STEP))
    if strategy == "suggest" and len(chosen) < 2 * max(1, len(labels)):
        return list(typical_photos(rows, pool.rows[chosen], count=_STEP))
    head = from_examples("benchmark", taken(pool, chosen), space=photos.space)
    return [each.photo for each in next_to_label(head, np.arange(len(left)), rows, norms, count=_STEP)]


def taken(pool: LabelledRows, chosen: list[int]) -> LabelledRows:
    """Return the chosen examples."""
    return LabelledRows(pool.rows[chosen], tuple(pool.labels[row] for row in chosen))


def known_to(labels: tuple[str, ...], rows: LabelledRows) -> LabelledRows:
    """Return the rows whose label a head has: it cannot be right about the others."""
    keep = [place for place, (label,) in enumerate(rows.labels) if label in labels]
    return LabelledRows(rows.rows[keep], tuple(rows.labels[place] for place in keep))


if __name__ == "__main__":
    main()
