"""Compare two models on the same photos, each in its own space: search quality and cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import HeadError, LibraryError
from vitsearch.estimates import Estimate
from vitsearch.evaluation.evaluate import family_scores, rank_copies, sampled, score_labels
from vitsearch.evaluation.rankings import agreement, overlap, score_queries
from vitsearch.folders.scan import walk
from vitsearch.heads.examples import LabelledFile, labels_by_photo
from vitsearch.library import Library
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones import Backbone
    from vitsearch.evaluation.evaluate import CopyRanks, FamilyScores, LabelScores
    from vitsearch.evaluation.rankings import QueryScores
    from vitsearch.records import Progress, UnreadableFile

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Values = npt.NDArray[np.float64]
    OnProgress = Callable[[Progress], None]

T = TypeVar("T", int, float)

_FEWEST_PHOTOS = 3
_MOST_PAIRS = 2000
_BINS = 100
_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
_TIMED_PHOTOS, _TIMED_ROUNDS = 16, 5
_COPIED_PHOTOS = 30
_BYTES_PER_NUMBER = 2  # vectors are stored as float16


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to compare, with the `parameters` of its image tower and the size of its weights on disk."""

    backbone: Backbone
    parameters: int
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Cosine similarities of many pairs: percentiles 1, 5, 25, 50, 75, 95, 99, and counts in 100 bins from -1 to 1."""

    pairs: int
    mean: float
    deviation: float
    percentiles: tuple[float, ...]
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The figures of one model in a comparison.

    - `separation`: how often a pair of photos with the same label is more similar than one with different labels (0.5
      is chance).
    - `vector_bytes`: the size of an embedding.
    - `seconds`: the time to prepare and embed one photo.
    """

    model: str
    dimension: int
    readout: str
    parameters: int
    weights_bytes: int
    vector_bytes: int
    seconds: float
    labels: LabelScores | None
    copies: tuple[FamilyScores, ...]
    cosines: Distribution
    same_label: Distribution | None
    other_label: Distribution | None
    separation: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """The results of both models for one query: rows of `Comparison.files`, best first, with their cosines.

    `agreement`: how similar the two rankings are, 0 to 1, with more weight on the first places.
    """

    query: int
    agreement: float
    nearest: tuple[tuple[int, ...], tuple[int, ...]]
    cosines: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same photos, in the given order.

    - `first`: the better model by `ranked_by`.
    - `difference`: the first model's figure minus the second's over the same queries, with its confidence interval;
      `clear` is false if that includes 0.
    - `overlap`: the share of the ten nearest photos that both find.
    - `answers`: all queries, starting with those on which the models differ most.
    """

    photos: int
    models: tuple[ModelScores, ModelScores]
    first: str
    ranked_by: str
    difference: Estimate
    clear: bool
    overlap: Estimate
    files: tuple[Path, ...]
    labels: tuple[str, ...]
    answers: tuple[Answers, ...]
    unreadable: tuple[UnreadableFile, ...]


def find_photos(folder: Path, *, most: int, use_labels: bool = True) -> tuple[LabelledFile, ...]:
    """Return the photos of a folder, or a fixed random sample of at most `most`.

    If all of them are in two or more subfolders, these are their labels.

    Raises:
        LibraryError: the folder does not exist, or has no photos.

    """
    if not folder.is_dir():
        raise LibraryError(f"{folder} is not a folder: name one with photos")
    paths = [found.path for found in walk(folder) if isinstance(found, FoundFile)]
    if not paths:
        raise LibraryError(f"there are no photos in {folder}: name a folder with some")
    inner = [path.relative_to(folder).parts for path in paths]
    names = [parts[0] if len(parts) > 1 else None for parts in inner]
    labelled = use_labels and None not in names and len(set(names)) > 1
    chosen = sampled(len(paths), most).tolist()
    return tuple(LabelledFile(paths[place], names[place] if labelled else None) for place in chosen)


def compare(
    candidates: tuple[Candidate, Candidate],
    files: Sequence[LabelledFile],
    scratch: Path,
    *,
    on_progress: OnProgress = lambda _: None,
) -> Comparison:
    """Embed the same photos with two models and compare them. `scratch` is an empty folder for temporary files.

    Raises:
        LibraryError: fewer than three of the photos can be read.
        HeadError: a photo has two labels.

    """
    libraries = [
        Library.open(scratch / str(place), backbone=candidate.backbone)
        for place, candidate in enumerate(candidates)
    ]
    try:
        return _compare(candidates, libraries, files, on_progress)
    finally:
        for library in libraries:
            library.close()


def _compare(
    candidates: tuple[Candidate, Candidate],
    libraries: Sequence[Library],
    files: Sequence[LabelledFile],
    on_progress: OnProgress,
) -> Comparison:
    paths = [file.path for file in files]
    embedded = [library.embed_files(paths, on_progress=on_progress) for library in libraries]
    photos = {path: photo for path in paths if (photo := embedded[0].photos.get(path.resolve())) is not None}
    try:
        given = labels_by_photo(files, photos, several_labels=False)
    except HeadError as error:
        raise HeadError(f"{error}; or compare with --no-labels") from error
    # The same photo in two files is one photo here.
    places = {photo: path for path, photo in reversed(photos.items())}
    chosen = tuple(places[photo] for photo in given)
    if len(chosen) < _FEWEST_PHOTOS:
        raise LibraryError(
            f"only {len(chosen)} different photos can be read here: compare models on more of them"
        )
    rows = [
        _rows(library, [known.photos[path.resolve()] for path in chosen])
        for library, known in zip(libraries, embedded, strict=True)
    ]
    labels = _usable_labels(list(given.values()))
    numbers = np.unique(np.array(labels, dtype=object), return_inverse=True)[1] if labels else None
    found = [score_queries(side, numbers, np.arange(len(chosen))) for side in rows]
    copies: list[CopyRanks] = []
    if labels:
        ranked_by, figures = "mean average precision", [side.precision for side in found]
    else:
        ranked_by = "copies found first"
        copied = [chosen[place] for place in sampled(len(chosen), _COPIED_PHOTOS).tolist()]
        copies = [
            rank_copies(
                library,
                candidate.backbone,
                [(known.photos[path.resolve()], (path,)) for path in copied],
                on_progress=on_progress,
            )
            for library, candidate, known in zip(libraries, candidates, embedded, strict=True)
        ]
        # The copies of one photo succeed and fail together: the photo is the trial.
        each = len(set(copies[0].families))
        figures = [(side.ranks == 0).reshape(-1, each).mean(axis=1) for side in copies]
    # A photo that is the only one of its label has no precision, with either model.
    difference = Estimate.of_difference(*(side[~np.isnan(side)] for side in figures))
    families = [family_scores(side) for side in copies] or [(), ()]
    scores = [
        _model_scores(*side, labels)
        for side in zip(candidates, rows, families, seconds_a_photo(candidates, chosen), strict=True)
    ]
    return Comparison(
        photos=len(chosen),
        models=(scores[0], scores[1]),
        first=scores[0 if difference.value >= 0 else 1].model,
        ranked_by=ranked_by,
        difference=difference,
        clear=difference.low > 0 or difference.high < 0,
        overlap=Estimate.of_mean(overlap(found[0].nearest, found[1].nearest)),
        files=chosen,
        labels=labels,
        answers=_answers(rows, found, numbers),
        unreadable=embedded[0].unreadable,
    )


def seconds_a_photo(candidates: Sequence[Candidate], files: Sequence[Path]) -> tuple[float, ...]:
    """Measure the time per photo to prepare and embed with each model: the median of a few rounds.

    The models take turns, so that other load on the machine affects both alike.
    """
    images = []
    with Decoders() as decoders:
        for path in files[:_TIMED_PHOTOS]:
            with decoders.open(path) as photo:
                images.append(photo.pixels())
    taken = np.empty((_TIMED_ROUNDS + 1, len(candidates)))
    for round_times in taken:
        for place, candidate in enumerate(candidates):
            backbone, started = candidate.backbone, time.perf_counter()
            backbone.embed_batch(np.stack([backbone.prepare(image) for image in images]))
            round_times[place] = time.perf_counter() - started
    # The first round warms up.
    return tuple((np.median(taken[1:], axis=0) / len(images)).tolist())


def distribution(cosines: Values) -> Distribution:
    """Summarise the cosine similarities (n,) of pairs, n > 0."""
    counts, _ = np.histogram(cosines, bins=_BINS, range=(-1, 1))
    return Distribution(
        pairs=len(cosines),
        mean=float(cosines.mean()),
        deviation=float(cosines.std()),
        percentiles=tuple(np.percentile(cosines, _PERCENTS).tolist()),
        histogram=tuple(counts.tolist()),
    )


def separation(same: Values, other: Values) -> float:
    """Return how often a value of `same` (n,) exceeds one of `other` (m,); ties count half.

    The Mann-Whitney statistic as a share, equal to the area under the ROC curve (Hanley and McNeil 1982).
    """
    ordered = np.sort(other)
    below, above = (np.searchsorted(ordered, same, side=side).mean() for side in ("left", "right"))
    return float((below + above) / 2 / len(ordered))


def _rows(library: Library, photos: Sequence[int]) -> Rows:
    active = library.catalog.require_space()
    ids, rows, _ = library.catalog.embeddings(active.id, active.space.dimension, np.array(photos, np.int64))
    order = {photo: place for place, photo in enumerate(ids.tolist())}
    return rows[[order[photo] for photo in photos]]


def _usable_labels(given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return one label per photo; empty if a photo has none, or if the labels define no pairs."""
    labels = tuple(found[0] for found in given if found)
    few = len(set(labels)) < 2 or len(set(labels)) == len(labels)
    return () if few or len(labels) < len(given) else labels


def _model_scores(
    candidate: Candidate,
    rows: Rows,
    copies: tuple[FamilyScores, ...],
    seconds: float,
    labels: Sequence[str],
) -> ModelScores:
    space = candidate.backbone.space
    chosen = sampled(len(rows), _MOST_PAIRS)
    first, second = np.triu_indices(len(chosen), 1)
    cosines = (rows[chosen] @ rows[chosen].T)[first, second].astype(np.float64)
    same: Values | None = None
    other: Values | None = None
    if labels:
        numbers = np.unique(np.array(labels, dtype=object), return_inverse=True)[1][chosen]
        alike = numbers[first] == numbers[second]
        if alike.any() and not alike.all():
            same, other = cosines[alike], cosines[~alike]
    return ModelScores(
        model=space.model,
        dimension=space.dimension,
        readout=space.readout,
        parameters=candidate.parameters,
        weights_bytes=candidate.weights_bytes,
        vector_bytes=_BYTES_PER_NUMBER * space.dimension,
        seconds=seconds,
        labels=score_labels(rows, labels, space=space) if labels else None,
        copies=copies,
        cosines=distribution(cosines),
        same_label=None if same is None else distribution(same),
        other_label=None if other is None else distribution(other),
        separation=None if same is None or other is None else separation(same, other),
    )


def _answers(rows: Sequence[Rows], found: Sequence[QueryScores], numbers: Ids | None) -> tuple[Answers, ...]:
    alike = agreement(found[0].nearest, found[1].nearest)
    gained = np.zeros(len(alike))
    if numbers is not None:
        right = [(numbers[side.nearest] == numbers[:, None]).sum(axis=1) for side in found]
        gained = np.abs(right[0] - right[1])
    cosines = [
        np.take_along_axis(side @ side.T, scored.nearest, axis=1)
        for side, scored in zip(rows, found, strict=True)
    ]
    return tuple(
        Answers(
            query=int(query),
            agreement=float(alike[query]),
            nearest=_both(side.nearest[query].tolist() for side in found),
            cosines=_both(side[query].tolist() for side in cosines),
        )
        for query in np.lexsort((-gained, alike))
    )


def _both(sides: Iterable[list[T]]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    first, second = (tuple(side) for side in sides)
    return first, second
