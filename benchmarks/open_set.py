"""Heads that know when to be silent: how many strangers get a label, beside the textbook's methods.

    python benchmarks/open_set.py --data FOLDER --library FOLDER --strangers FOLDER... [--kinds FOLDER] [--vectors FILE]

The data hold `train/` and `validation/`, each with one subfolder a label. The library's photos and the strangers show
none of the labels and come from different sources. `--kinds` is a folder with many subfolders, of one source: some
become labels, the others are strangers of the same source. With --vectors, embeddings are computed once and kept.
With --only and --photos, a part of the tables is made.

Every method earns its cut on held-out photos of the labels, of which 95 % are to stay: cuts never see a stranger.
"""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from machine import print_machine
from sklearn.linear_model import LogisticRegression

from vitsearch.backbones import Space, load_backbone
from vitsearch.folders.scan import walk
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.few_shot import from_examples
from vitsearch.heads.folds import assign_folds, near_duplicate_groups
from vitsearch.heads.training import train
from vitsearch.photos.photo import read_photo
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.heads.head import Head, TopLabels

    Score = Callable[[np.ndarray], np.ndarray]

_KEPT = 0.95
_DRAWS = 4
_FEW = 10
# The estimate is of kinds of which the library holds as many photos as four folds of five have of a label.
_FOLDS_HELD = 4 / 5
_PARTS = ("whole", "far", "near", "source", "estimate", "hidden", "cost")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a head is made of, what the library holds, and what it is asked about then."""

    examples: LabelledRows
    library: np.ndarray
    known: LabelledRows
    strangers: np.ndarray


class Photos:
    """Embeddings by path, of a file that an earlier run kept or computed now."""

    def __init__(self, model: str, vectors: Path | None) -> None:
        self._vectors = vectors
        self._cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
        self._model = model
        self._rows: dict[str, np.ndarray] = {}
        self._space: Space | None = None
        if vectors is not None and vectors.exists():
            with np.load(vectors) as kept:
                self._rows = dict(zip(kept["paths"].tolist(), kept["rows"], strict=True))
                self._space = Space.from_json(str(kept["space"]))

    @property
    def space(self) -> Space:
        """The space of the embeddings."""
        if self._space is None:
            self._space = load_backbone(self._model, cache=self._cache).space
        return self._space

    def of(self, folder: Path) -> tuple[list[Path], np.ndarray]:
        """Return the photos below a folder and their rows, rounded as a library stores them."""
        files = [found.path for found in walk(folder) if isinstance(found, FoundFile)]
        keys = [str(file.resolve()) for file in files]
        missing = [file for file, key in zip(files, keys, strict=True) if key not in self._rows]
        if missing:
            backbone = load_backbone(self._model, cache=self._cache)
            for start in range(0, len(missing), 32):
                part = missing[start : start + 32]
                pixels = np.stack([backbone.prepare(read_photo(file).pixels()) for file in part])
                rows = backbone.embed_batch(pixels).rows.astype(np.float16).astype(np.float32)
                self._rows |= {str(file.resolve()): row for file, row in zip(part, rows, strict=True)}
            if self._vectors is not None:
                paths, stored = np.array(list(self._rows)), np.stack(list(self._rows.values()))
                np.savez(self._vectors, paths=paths, rows=stored, space=np.array(self.space.to_json()))
        return files, np.stack([self._rows[key] for key in keys])

    def labelled(self, folder: Path) -> LabelledRows:
        """Return the photos of a folder whose subfolders are labels."""
        files, rows = self.of(folder)
        return LabelledRows(rows, tuple((file.relative_to(folder).parts[0],) for file in files))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--strangers", type=Path, nargs="+", required=True)
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument(
        "--only", nargs="+", choices=_PARTS, default=list(_PARTS), help="Leave out the others."
    )
    parser.add_argument("--photos", nargs="+", type=int, default=[5, 20, 80], help="How many a label.")
    arguments = parser.parse_args()
    print_machine("numpy", "scikit-learn")
    photos = Photos(arguments.model, arguments.vectors)
    training, validation = (photos.labelled(arguments.data / part) for part in ("train", "validation"))
    library = photos.of(arguments.library)[1]
    strangers = np.concatenate([photos.of(folder)[1] for folder in arguments.strangers])
    space = photos.space
    print(
        f"{space.model}: {len(training.rows)} photos to train, {len(validation.rows)} to validate, "
        f"{len(library)} of the library, {len(strangers)} strangers\n"
    )
    parts = {
        "whole": lambda: measure_whole(space, training, validation, library, strangers),
        "far": lambda: measure_methods(
            "far",
            space,
            [(n, far(training, validation, library, strangers, n)) for n in arguments.photos],
        ),
        "near": lambda: measure_methods(
            "5 of 10", space, [(n, half_known(training, validation, library, n)) for n in arguments.photos]
        ),
        "source": lambda: measure_source(photos, arguments.kinds, library, arguments.photos),
        "estimate": lambda: measure_estimate(photos, training, arguments.kinds, library, arguments.photos),
        "hidden": lambda: measure_hidden(space, training, validation, library, strangers),
        "cost": lambda: measure_cost(space, training, library),
    }
    for name in arguments.only:
        parts[name]()


def measure_source(photos: Photos, folder: Path | None, library: np.ndarray, numbers: list[int]) -> None:
    """Print the table of half of the kinds of one source, where there is one."""
    if folder is not None:
        kinds = photos.labelled(folder)
        most = min(kinds.membership(kinds.names()).sum(axis=0)) * 3 // 4
        cases = [(n, same_source(kinds, library, n)) for n in numbers if n <= most]
        measure_methods("same source", photos.space, cases)


def measure_whole(
    space: Space, training: LabelledRows, validation: LabelledRows, library: np.ndarray, strangers: np.ndarray
) -> None:
    """Print what the head made of all examples does, beside what its report foretold."""
    made = train("benchmark", training, space=space, background=library)
    gate = made.report.gate
    assert gate is not None
    kept, right = judged(made.head, validation)
    print(f"all photos: report {gate}")
    print(f"  validation: kept {kept:.3f}, right {right:.3f}; accuracy of all {made.report.accuracy:.3f}")
    print(f"  strangers that get a label: {through(made.head, strangers):.4f}")
    sure = ~top(made.head, validation.rows).abstained
    print(f"  sure of {sure.mean():.3f}, right {correct(made.head, validation)[sure].mean():.3f}")
    unsure = top(made.head, strangers)
    print(f"  strangers that get a sure label: {1 - unsure.abstained.mean():.4f}\n")


def measure_methods(name: str, space: Space, cases: list[tuple[int, list[Case]]]) -> None:
    """Print one table: each method's share of strangers labelled, and its share of known photos kept."""
    print(f"{name}: strangers labelled / known kept" + "".join(f"  {n:>3} a label " for n, _ in cases))
    figures: dict[str, list[str]] = {}
    foretold: list[str] = []
    for _, draws in cases:
        results: dict[str, list[tuple[float, float]]] = {}
        estimates = []
        for case in draws:
            for method, accepts in methods(space, case).items():
                results.setdefault(method, []).append(
                    (float(accepts(case.strangers).mean()), float(accepts(case.known.rows).mean()))
                )
            if len(case.examples.rows) >= _FEW * len(case.examples.names()):
                gate = train("x", case.examples, space=space, background=case.library).report.gate
                if gate is not None and gate.strangers is not None:
                    estimates.append(gate.strangers.value)
        for method, pairs in results.items():
            labelled, kept = np.mean(pairs, axis=0)
            figures.setdefault(method, []).append(f"{labelled:6.3f} /{kept:6.3f}")
        foretold.append(f"{np.mean(estimates):6.3f}        " if estimates else "               ")
    for method, cells in figures.items():
        print(f"  {method:<32}" + "  ".join(cells))
    print(f"  {'foretold by the report':<32}" + "  ".join(foretold) + "\n")


def measure_estimate(
    photos: Photos, training: LabelledRows, folder: Path | None, library: np.ndarray, numbers: list[int]
) -> None:
    """Print what reports foretell, and what becomes of kinds of which the library holds so many photos."""
    print("the report's estimate: strangers labelled / foretold, means of 8 draws")
    sets = {"5 of 10": training} | ({} if folder is None else {"same source": photos.labelled(folder)})
    for name, kinds in sets.items():
        smallest = min(kinds.membership(kinds.names()).sum(axis=0))
        for n in (n for n in numbers if n >= _FEW and n <= smallest * 3 // 4):
            held = round(_FOLDS_HELD * n)
            for of_each in sorted({max(1, held // 4), held, smallest // 2}):
                pairs = []
                for seed in range(2 * _DRAWS):
                    case = kinds_held(kinds, library, n, of_each, seed)
                    trained = train("x", case.examples, space=photos.space, background=case.library)
                    gate = trained.report.gate
                    assert gate is not None
                    assert gate.strangers is not None
                    pairs.append((through(trained.head, case.strangers), gate.strangers.value, gate.held))
                measured, foretold, said = np.mean(pairs, axis=0)
                print(
                    f"  {name}, {n} a label, {of_each} of each other kind in the library: "
                    f"{measured:.3f} / {foretold:.3f} (of kinds with {said:.0f} there)"
                )
    print()


def measure_hidden(
    space: Space, training: LabelledRows, validation: LabelledRows, library: np.ndarray, strangers: np.ndarray
) -> None:
    """Print what photos of the labels do that lie in the library without one."""
    print("hidden photos of the labels in the library's sample: strangers labelled / known kept")
    for photos in (5, 20):
        for share in (0.0, 0.1, 0.2, 0.3):
            pairs = []
            for seed in range(_DRAWS):
                examples, rest = drawn(training, photos, seed)
                count = round(share / (1 - share) * len(library))
                hidden, known = rest.rows[:count], part(rest, np.arange(len(rest.rows)) >= count)
                head = made(space, examples, np.concatenate([library, hidden]))
                pairs.append((through(head, strangers), through(head, known.rows)))
            labelled, kept = np.mean(pairs, axis=0)
            print(f"  {photos:2} a label, {share:.0%} hidden: {labelled:.3f} / {kept:.3f}")
    nothing = np.empty((0, library.shape[1]), np.float32)
    head = made(space, training, nothing)
    print(
        f"  a library of nothing but the examples: {through(head, strangers):.3f} / "
        f"{through(head, validation.rows):.3f}\n"
    )


def measure_cost(space: Space, training: LabelledRows, library: np.ndarray) -> None:
    """Print how long a fit takes with a full sample, and the labels of 100,000 photos."""
    random = np.random.default_rng(0)
    sample = library[random.integers(0, len(library), 4096)] + 0.03 * random.standard_normal(
        (4096, library.shape[1])
    )
    sample = (sample / np.linalg.norm(sample, axis=1, keepdims=True)).astype(np.float32)
    fitted = train("benchmark", training, space=space, background=sample)
    print(f"a fit on {len(training.rows)} photos and a sample of 4,096: {fitted.report.seconds:.2f} s")
    for name, source in (("strangers", sample), ("photos of the labels", training.rows)):
        rows = source[random.integers(0, len(source), 100_000)]
        norms = np.ones(len(rows), np.float32)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            fitted.head.top(rows, norms, k=5)
            seconds.append(time.perf_counter() - start)
        print(f"100,000 {name} labelled: {np.median(seconds):.2f} s")


def far(
    training: LabelledRows, validation: LabelledRows, library: np.ndarray, strangers: np.ndarray, photos: int
) -> list[Case]:
    """All labels known; strangers of other sources."""
    return [Case(drawn(training, photos, seed)[0], library, validation, strangers) for seed in range(_DRAWS)]


def half_known(
    training: LabelledRows, validation: LabelledRows, library: np.ndarray, photos: int
) -> list[Case]:
    """Half of the labels known; of the other half, the library holds one part and the other part is asked about."""
    cases = []
    names = np.array(training.names())
    for seed in range(_DRAWS):
        known = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())
        is_known = np.array([label in known for (label,) in training.labels])
        unknown = np.random.default_rng(seed).permutation(training.rows[~is_known])
        half = len(unknown) // 2
        examples, rest = drawn(part(training, is_known), photos, seed)
        asked = part(validation, np.array([label in known for (label,) in validation.labels]))
        asked = LabelledRows(np.concatenate([asked.rows, rest.rows]), asked.labels + rest.labels)
        cases.append(Case(examples, np.concatenate([library, unknown[:half]]), asked, unknown[half:]))
    return cases


def same_source(kinds: LabelledRows, library: np.ndarray, photos: int) -> list[Case]:
    """Half of the kinds known, ten at most, the others not; the library holds a part of these."""
    cases = []
    names = np.array(kinds.names())
    for seed in range(_DRAWS):
        known = set(np.random.default_rng(seed).permutation(names)[: min(10, len(names) // 2)].tolist())
        is_known = np.array([label in known for (label,) in kinds.labels])
        unknown = np.random.default_rng(seed).permutation(kinds.rows[~is_known])
        half = len(unknown) // 2
        examples, rest = drawn(part(kinds, is_known), photos, seed)
        cases.append(Case(examples, np.concatenate([library, unknown[:half]]), rest, unknown[half:]))
    return cases


def kinds_held(kinds: LabelledRows, library: np.ndarray, photos: int, of_each: int, seed: int) -> Case:
    """Half of the kinds known, ten at most; the library holds so many of each other, but half of them at most."""
    random = np.random.default_rng(seed)
    names = random.permutation(kinds.names())
    known = set(names[: min(10, len(names) // 2)].tolist())
    labels = np.array([label for (label,) in kinds.labels])
    examples, rest = drawn(part(kinds, np.isin(labels, list(known))), photos, seed)
    held, strangers = [], []
    for name in names[len(known) :]:
        rows = random.permutation(kinds.rows[labels == name])
        half = len(rows) // 2
        held.append(rows[: min(of_each, half)])
        strangers.append(rows[half:])
    return Case(examples, np.concatenate([library, *held]), rest, np.concatenate(strangers))


def methods(space: Space, case: Case) -> dict[str, Score]:
    """Return what each method accepts, with cuts that were earned out of fold."""
    rows = case.examples.rows
    truth = case.examples.membership(case.examples.names()).argmax(axis=1)
    folds = assign_folds(truth, near_duplicate_groups(rows), count=5, seed=0)
    scores: dict[str, Callable[[np.ndarray, np.ndarray], Score]] = {
        "max softmax": max_softmax,
        "energy (Liu et al. 2020)": energy,
        "1-NN (Sun et al. 2022)": nearest,
        "Mahalanobis (Lee et al. 2018)": mahalanobis,
    }
    accepted: dict[str, Score] = {}
    for name, fit in scores.items():
        held_out = np.empty(len(rows))
        for fold in np.unique(folds):
            out = folds == fold
            held_out[out] = fit(rows[~out], truth[~out])(rows[out])
        score, cut = fit(rows, truth), np.quantile(held_out, 1 - _KEPT)
        accepted[name] = functools.partial(is_above, score, cut)
    plain = made(space, case.examples, None)
    accepted["confidence alone (before the gate)"] = lambda asked: ~top(plain, asked).abstained
    gated = made(space, case.examples, case.library)
    accepted["vitsearch"] = lambda asked: ~top(gated, asked).none
    return accepted


def is_above(score: Score, cut: float, asked: np.ndarray) -> np.ndarray:
    """Return which rows score as high as the photos of the labels mostly do."""
    return score(asked) >= cut


def max_softmax(rows: np.ndarray, truth: np.ndarray) -> Score:
    """Score by the probability of the best label."""
    model = fitted(rows, truth)
    return lambda asked: model.predict_proba(scaled(rows, asked)).max(axis=1)


def energy(rows: np.ndarray, truth: np.ndarray) -> Score:
    """Score by the logsumexp of the logits."""
    model = fitted(rows, truth)
    return lambda asked: np.logaddexp.reduce(model.decision_function(scaled(rows, asked)), axis=1)


def nearest(rows: np.ndarray, truth: np.ndarray) -> Score:  # noqa: ARG001 - one signature for all
    """Score by the similarity to the nearest example."""
    return lambda asked: (asked @ rows.T).max(axis=1)


def mahalanobis(rows: np.ndarray, truth: np.ndarray) -> Score:
    """Score by the distance to the nearest label's mean, in units of the shared covariance."""
    means = np.stack([rows[truth == label].mean(axis=0) for label in np.unique(truth)])
    within = rows - means[np.searchsorted(np.unique(truth), truth)]
    covariance = within.T @ within / len(rows)
    covariance[np.diag_indices(len(covariance))] += 0.1 * np.trace(covariance) / len(covariance)
    inverse = np.linalg.inv(covariance)

    def score(asked: np.ndarray) -> np.ndarray:
        return np.asarray(
            np.max([-np.einsum("nd,de,ne->n", d, inverse, d) for d in (asked - m for m in means)], axis=0)
        )

    return score


def fitted(rows: np.ndarray, truth: np.ndarray) -> LogisticRegression:
    """Fit the plain head that two of the methods score with."""
    return LogisticRegression(C=100, max_iter=300, tol=1e-3, class_weight="balanced").fit(
        scaled(rows, rows), truth
    )


def scaled(of: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Centre and scale rows as those `of` which a head is fitted."""
    centre = of.mean(axis=0)
    return np.asarray((rows - centre) / np.sqrt(((of - centre) ** 2).sum(axis=1).mean()))


def made(space: Space, examples: LabelledRows, background: np.ndarray | None) -> Head:
    """Make a head as a person would: of few photos from examples, of more by training."""
    if len(examples.rows) < _FEW * len(examples.names()):
        return from_examples("benchmark", examples, space=space, background=background)
    return train("benchmark", examples, space=space, background=background).head


def top(head: Head, rows: np.ndarray) -> TopLabels:
    """Ask a head for its best label."""
    return head.top(rows, np.ones(len(rows), np.float32), k=1)


def through(head: Head, rows: np.ndarray) -> float:
    """Return the share of rows that get a label."""
    return float(1 - top(head, rows).none.mean())


def correct(head: Head, known: LabelledRows) -> np.ndarray:
    """Return which known photos' best label is right."""
    members = known.membership(head.labels)
    return np.asarray(members[np.arange(len(members)), top(head, known.rows).indices[:, 0]])


def judged(head: Head, known: LabelledRows) -> tuple[float, float]:
    """Return the share of known photos that are kept, and the accuracy on those."""
    kept = ~top(head, known.rows).none
    return float(kept.mean()), float(correct(head, known)[kept].mean())


def part(rows: LabelledRows, chosen: np.ndarray) -> LabelledRows:
    """Return the chosen rows."""
    return LabelledRows(
        rows.rows[chosen],
        tuple(l for l, c in zip(rows.labels, chosen, strict=True) if c),  # noqa: E741
    )


def drawn(rows: LabelledRows, photos: int, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Draw some photos of each label, and return them and the others, in random order."""
    order = np.random.default_rng(seed).permutation(len(rows.rows))
    labels = np.array([label for (label,) in rows.labels])[order]
    turn = np.array([int((labels[:place] == label).sum()) for place, label in enumerate(labels)])
    shuffled = LabelledRows(rows.rows[order], tuple((str(label),) for label in labels))
    return part(shuffled, turn < photos), part(shuffled, turn >= photos)


if __name__ == "__main__":
    main()
