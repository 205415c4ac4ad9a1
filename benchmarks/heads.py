"""Linear heads on a folder of labelled photos: accuracy, honesty of the estimate, calibration, time.

    python benchmarks/heads.py --data FOLDER [--model NAME] [--vectors FILE.npz]

FOLDER holds `train/` and `validation/`, each with one subfolder a label. With --vectors, embeddings are computed once
and kept. They are rounded to float16, as a library stores them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from machine import print_machine

from vitsearch.backbones import Space, load_backbone
from vitsearch.heads.evaluation import calibration_error
from vitsearch.heads.examples import LabelledRows, read_label_folders
from vitsearch.heads.few_shot import from_examples
from vitsearch.heads.training import train
from vitsearch.photos.photo import read_photo

if TYPE_CHECKING:
    from vitsearch.heads.head import Head

_DRAWS = 10
_KEPT_ACCURACY = 0.95
_LIBRARY_OF = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The labelled embeddings of one folder, with their norms."""

    examples: LabelledRows
    norms: np.ndarray

    def part(self, chosen: np.ndarray) -> Split:
        """Keep the chosen photos (n,) bool."""
        labels = tuple(of for of, its in zip(self.examples.labels, chosen, strict=True) if its)
        return Split(LabelledRows(self.examples.rows[chosen], labels), self.norms[chosen])

    def drawn(self, photos: int, seed: int) -> LabelledRows:
        """Draw some photos of each label."""
        random = np.random.default_rng(seed)
        labels = np.array([label for (label,) in self.examples.labels])
        rows = np.concatenate(
            [random.permutation(np.flatnonzero(labels == label))[:photos] for label in np.unique(labels)]
        )
        return LabelledRows(self.examples.rows[rows], tuple((str(label),) for label in labels[rows]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    print_machine("numpy", "scikit-learn", "scipy")
    space, training, validation = load_splits(arguments.data, arguments.model, arguments.vectors)
    print(f"{space.model}: {len(training.norms)} photos to train, {len(validation.norms)} to validate\n")
    head = measure_training(space, training, validation)
    measure_sure(head, space, training, validation)
    measure_examples(space, training, validation)
    measure_application(head)


def measure_training(space: Space, training: Split, validation: Split) -> Head:
    """Train three times with folds of their own and compare the estimate with the validation photos."""
    print(
        "heads train  seconds    CPU  estimate (95 %)         validation  ECE out-of-fold  ECE validation  C     kept"
    )
    for seed in range(3):
        start = time.process_time()
        fitted = train("benchmark", training.examples, space=space, seed=seed)
        busy = time.process_time() - start
        report = fitted.report
        accuracy, error, kept, kept_accuracy = judge(fitted.head, validation)
        low, high = report.interval
        print(
            f"  folds {seed}    {report.seconds:7.2f}  {busy:5.2f}  {report.accuracy:.3f} ({low:.3f} to {high:.3f})  "
            f"{accuracy:10.3f}  {report.calibration_error:15.3f}  {error:14.3f}  {report.c:4.0f}  "
            f"{kept:.0%}, {kept_accuracy:.3f} of them right"
        )
    return fitted.head


def measure_sure(head: Head, space: Space, training: Split, validation: Split) -> None:
    """Print how right the sure labels are in other divisions of the photos, and how many could be kept at 0.95."""
    best = head.top(validation.examples.rows, validation.norms, k=1)
    members = validation.examples.membership(head.labels)
    right = members[np.arange(len(members)), best.indices[:, 0]]
    order = np.argsort(-best.probabilities[:, 0], kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    most = (np.flatnonzero(accuracy >= _KEPT_ACCURACY)[-1] + 1) / len(order)
    print(f"\nin hindsight {_KEPT_ACCURACY} of the surest {most:.3f} of the validation photos are right")
    together = Split(
        LabelledRows(
            np.concatenate([training.examples.rows, validation.examples.rows]),
            training.examples.labels + validation.examples.labels,
        ),
        np.concatenate([training.norms, validation.norms]),
    )
    labels = np.array([label for (label,) in together.examples.labels])
    sizes = {label: training.examples.labels.count((label,)) for label in np.unique(labels).tolist()}
    figures = []
    for seed in range(_DRAWS):
        turns = np.random.default_rng(seed).permutation(len(labels))
        learned = np.zeros(len(labels), bool)
        for label, size in sizes.items():
            learned[turns[labels[turns] == label][:size]] = True
        fitted = train("benchmark", together.part(learned).examples, space=space)
        of_all, _, kept, kept_accuracy = judge(fitted.head, together.part(~learned))
        figures.append((of_all, kept, kept_accuracy))
    means, spread = np.mean(figures, axis=0), np.std(figures, axis=0)
    print(
        f"{_DRAWS} other divisions: accuracy {means[0]:.3f} ± {spread[0]:.3f}, sure of {means[1]:.3f} ± "
        f"{spread[1]:.3f}, of those {means[2]:.3f} ± {spread[2]:.3f} right"
    )


def measure_examples(space: Space, training: Split, validation: Split) -> None:
    """Make heads from a few examples, in ten draws each."""
    print("\nheads from-examples  validation accuracy, ten draws")
    for photos in (1, 2, 3, 5, 10, 20):
        draws = [
            judge(from_examples("benchmark", training.drawn(photos, seed), space=space), validation)[0]
            for seed in range(_DRAWS)
        ]
        print(f"  {photos:2} photos a label   {np.mean(draws):.3f} ± {np.std(draws):.3f}")


def measure_application(head: Head) -> None:
    """Label as many rows as a large library has."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((_LIBRARY_OF, head.space.dimension), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    norms = np.ones(_LIBRARY_OF, np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        head.top(rows, norms, k=5)
        seconds.append(time.perf_counter() - start)
    print(
        f"\nthe five best of {len(head.labels)} labels for {_LIBRARY_OF:,} photos: {np.median(seconds):.3f} s"
    )


def judge(head: Head, split: Split) -> tuple[float, float, float, float]:
    """Return accuracy, calibration error, the share not abstained from, and the accuracy of those."""
    best = head.top(split.examples.rows, split.norms, k=1)
    members = split.examples.membership(head.labels)
    right = members[np.arange(len(members)), best.indices[:, 0]]
    kept = ~best.abstained
    error = calibration_error(best.probabilities[:, 0], right)
    return float(right.mean()), error, float(kept.mean()), float(right[kept].mean())


def load_splits(data: Path, model: str, vectors: Path | None) -> tuple[Space, Split, Split]:
    """Embed the photos, or take their embeddings from the file that an earlier run kept."""
    if vectors is not None and vectors.exists():
        with np.load(vectors) as kept:
            space = Space.from_json(str(kept["space"]))
            splits = [
                Split(
                    LabelledRows(kept[f"{name}_rows"], _tuples(kept[f"{name}_labels"])), kept[f"{name}_norms"]
                )
                for name in ("train", "validation")
            ]
        return space, splits[0], splits[1]
    backbone = load_backbone(model, cache=platformdirs.user_cache_path("vitsearch", appauthor=False))
    arrays: dict[str, np.ndarray] = {"space": np.array(backbone.space.to_json())}
    splits = []
    for name in ("train", "validation"):
        files = read_label_folders(data / name)
        parts = [
            backbone.embed_batch(
                np.stack(
                    [backbone.prepare(read_photo(file.path).pixels()) for file in files[start : start + 32]]
                )
            )
            for start in range(0, len(files), 32)
        ]
        rows = np.concatenate([part.rows for part in parts]).astype(np.float16).astype(np.float32)
        norms = np.concatenate([part.norms for part in parts])
        labels = np.array([file.label for file in files])
        arrays |= {f"{name}_rows": rows, f"{name}_norms": norms, f"{name}_labels": labels}
        splits.append(Split(LabelledRows(rows, _tuples(labels)), norms))
    if vectors is not None:
        np.savez(vectors, allow_pickle=False, **arrays)
    return backbone.space, splits[0], splits[1]


def _tuples(labels: np.ndarray) -> tuple[tuple[str, ...], ...]:
    return tuple((str(label),) for label in labels)


if __name__ == "__main__":
    main()
