"""Evaluate a library's model and index: k-NN accuracy on labels, recall of the index, synthetic edited copies."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import HeadError, UnreadablePhoto
from vitsearch.estimates import Estimate
from vitsearch.evaluation.rankings import SHOWN, score_queries
from vitsearch.heads.examples import LabelledRows, labels_by_photo, read_label_csv, read_label_folders
from vitsearch.heads.folds import near_duplicate_groups
from vitsearch.storage.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.backbones import Backbone, Space
    from vitsearch.library import Library
    from vitsearch.neighbours.neighbours import Neighbours
    from vitsearch.records import Progress, UnreadableFile

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    OnProgress = Callable[[Progress], None]

# Ranking all photos takes quadratic time; with this many queries the confidence interval is about one point.
_MOST_QUERIES = 5000
_INDEX_QUERIES = 256
_INDEX_K = 10
# Kernels add up in different orders: neighbours whose scores differ by less are as good as each other.
_ROUNDING = 2e-6
# Copies are made of photos of this size: smaller than a camera's, and a hundred of them are edited in a minute.
_EDITED_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The accuracy of a k-NN vote weighted by similarity."""

    k: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class LabelScores:
    """How well embeddings separate labels. Each photo in turn is the query among all others.

    - `mean_average_precision`: over those of the `queries` whose label another photo has.
    - `linear_probe`: the cross-validated accuracy of a linear head, or None for the reason in `no_probe`.
    - `near_duplicates`: how many photos have a near duplicate among the others. They make k-NN figures too high; the
      linear probe keeps them in the same fold.
    """

    photos: int
    labels: int
    queries: int
    knn: tuple[Neighbourhood, ...]
    mean_average_precision: Estimate | None
    linear_probe: Estimate | None
    no_probe: str
    near_duplicates: int


@dataclass(frozen=True, slots=True)
class FamilyScores:
    """How often the original of an edited photo is the first match, and among the first ten.

    `copies`: the number of edited copies; `cosine`: the mean similarity of a copy to its original.
    """

    family: str
    copies: int
    first: Estimate
    in_ten: Estimate
    cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class CopyRanks:
    """The ranks of the originals of edited photos.

    - `families`: (m,), the kinds of edits.
    - `ranks`: (m,) from 0; 10 if the original was not among the first ten.
    - `cosines`: (m,) float32, the similarity of copy and original.
    """

    families: tuple[str, ...]
    ranks: Ids
    cosines: Rows


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a library. `index_recall` is the recall@10 of a search."""

    model: str
    photos: int
    index_recall: Estimate | None
    labels: LabelScores | None = None
    copies: tuple[FamilyScores, ...] = ()
    unlabelled: int = 0
    unreadable: tuple[UnreadableFile, ...] = ()


def evaluate_labels(
    library: Library, source: Path, *, on_progress: OnProgress = lambda _: None
) -> Evaluation:
    """Evaluate a library's model on labelled photos: a folder whose subfolders are labels, or a CSV file (path,label).

    Photos in the library are not embedded again; others are embedded and stored without being indexed.

    Raises:
        LibraryMissing: nothing has been indexed yet.
        HeadError: the labels are not usable.

    """
    space_id, space = library.catalog.require_space()
    files = read_label_folders(source) if source.is_dir() else read_label_csv(source)
    embedded = library.embed_files([file.path for file in files], space=space, on_progress=on_progress)
    photos = {
        file.path: embedded.photos[path] for file in files if (path := file.path.resolve()) in embedded.photos
    }
    given = labels_by_photo(files, photos, several_labels=False)
    ids, rows, _ = library.catalog.embeddings(
        space_id, space.dimension, np.array([photo for photo, labels in given.items() if labels], np.int64)
    )
    names = tuple(given[photo][0] for photo in ids.tolist())
    return Evaluation(
        model=space.model,
        photos=len(present_photos(library)),
        index_recall=index_recall(library.neighbours()),
        labels=score_labels(rows, names, space=space),
        unlabelled=sum(not labels for labels in given.values()),
        unreadable=embedded.unreadable,
    )


def evaluate_library(
    library: Library, *, sample: int = 50, on_progress: OnProgress = lambda _: None
) -> Evaluation:
    """Evaluate a library without labels: its index, and how well edited copies of `sample` photos find their originals.

    Raises:
        LibraryMissing: nothing has been indexed yet.

    """
    _, space = library.catalog.require_space()
    present = present_photos(library)
    rows = library.catalog.photos(present[sampled(len(present), sample)].tolist())
    photos = [(photo, row.paths) for photo, row in rows.items()]
    return Evaluation(
        model=space.model,
        photos=len(present),
        index_recall=index_recall(library.neighbours()),
        copies=family_scores(rank_copies(library, library.backbone(space), photos, on_progress=on_progress)),
    )


def score_labels(rows: Rows, labels: Sequence[str], *, space: Space) -> LabelScores:
    """Measure how well unit rows (n, d) separate their labels.

    Raises:
        HeadError: there are fewer than two photos or labels.

    """
    names, numbers = np.unique(np.array(labels, dtype=object), return_inverse=True)
    if len(rows) < 2 or len(names) < 2:
        raise HeadError(
            f"{len(rows)} photos with {len(names)} different labels cannot be told apart: label at least two of each"
        )
    queries = sampled(len(rows), _MOST_QUERIES)
    scores = score_queries(rows, numbers, queries)
    found = scores.precision[~np.isnan(scores.precision)]
    probe, why = _linear_probe(rows, labels, space)
    _, sizes = np.unique(near_duplicate_groups(rows), return_counts=True)
    return LabelScores(
        photos=len(rows),
        labels=len(names),
        queries=len(queries),
        knn=tuple(Neighbourhood(k, Estimate.of_share(right)) for k, right in scores.right.items()),
        mean_average_precision=Estimate.of_mean(found) if len(found) else None,
        linear_probe=probe,
        no_probe=why,
        near_duplicates=int(sizes[sizes > 1].sum()),
    )


def index_recall(neighbours: Neighbours) -> Estimate | None:
    """Measure the recall@10 of a search on a sample of the library's photos."""
    ids = neighbours.ids()
    if len(ids) < 2:
        return None
    queries = ids[sampled(len(ids), _INDEX_QUERIES)]
    rows = neighbours.rows(queries)
    k = min(_INDEX_K, len(ids) - 1)
    # The query itself is in the index, too: one more result is requested, and the query removed.
    exact = _without_self(*neighbours.search(rows, k + 1, exact=True), queries)
    found = _without_self(*neighbours.search(rows, k + 1), queries)
    hits = found[:, :k] >= exact[:, k - 1 : k] - _ROUNDING
    return Estimate.of_mean(hits.mean(axis=1))


def rank_copies(
    library: Library,
    backbone: Backbone,
    photos: Sequence[tuple[int, Sequence[Path]]],
    *,
    on_progress: OnProgress = lambda _: None,
) -> CopyRanks:
    """Edit photos (given by id with their files) once per family of edits, and search for the originals.

    The edits are deterministic. Photos that cannot be read are left out.
    """
    from vitsearch.records import Progress

    neighbours = library.neighbours()
    families: list[str] = []
    ranks: list[int] = []
    cosines: list[float] = []
    with Decoders() as decoders:
        for place, (photo, paths) in enumerate(photos):
            on_progress(Progress("embed", place, len(photos)))
            image = decoded(paths, decoders)
            if image is None:
                continue
            copies = make_copies(image, Random(place))  # noqa: S311 - chance, not secrets
            rows = backbone.embed_batch(np.stack([backbone.prepare(copy) for copy in copies.values()])).rows
            _, found = neighbours.search(rows, SHOWN)
            is_original = found == photo
            families += copies
            ranks += np.where(is_original.any(axis=1), is_original.argmax(axis=1), SHOWN).tolist()
            cosines += (rows @ neighbours.rows(np.array([photo]))[0]).tolist()
    return CopyRanks(tuple(families), np.array(ranks, np.int64), np.array(cosines, np.float32))


def family_scores(copies: CopyRanks) -> tuple[FamilyScores, ...]:
    """Summarise how often copies found their originals, by family of edits."""
    families = np.array(copies.families, dtype=object)
    scores = []
    for family in dict.fromkeys(copies.families):
        ranks, cosines = copies.ranks[families == family], copies.cosines[families == family]
        scores.append(
            FamilyScores(
                family=family,
                copies=len(ranks),
                first=Estimate.of_share(ranks == 0),
                in_ten=Estimate.of_share(ranks < SHOWN),
                cosine=float(cosines.mean()),
            )
        )
    return tuple(scores)


def make_copies(image: Image, rng: Random) -> Mapping[str, Image]:
    """Edit an image once per family of edits, chosen at random; return the copies by family."""
    from vitsearch.duplicates.calibrate.edits import EDITS

    families: dict[str, list[int]] = {}
    for number, edit in enumerate(EDITS):
        families.setdefault(edit.family, []).append(number)
    return {family: EDITS[rng.choice(numbers)].apply(image, rng) for family, numbers in families.items()}


def sampled(count: int, most: int) -> Ids:
    """Draw a fixed random sample of at most `most` numbers below `count`: ascending (m,) int64."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def present_photos(library: Library) -> Ids:
    """Return the ids of the embedded photos with present files: (n,) int64, ascending."""
    return np.intersect1d(library.catalog.select(Filter()), library.neighbours().ids())


def _linear_probe(rows: Rows, labels: Sequence[str], space: Space) -> tuple[Estimate | None, str]:
    from vitsearch.heads.training import train

    try:
        report = train("probe", LabelledRows(rows, tuple((label,) for label in labels)), space=space).report
    except HeadError as error:
        return None, str(error)
    return Estimate(report.accuracy, *report.interval), ""


def _without_self(scores: Rows, ids: Ids, queries: Ids) -> Rows:
    """Remove each query from its own results, or the last result if it is not among them: (q, k - 1) scores."""
    is_self = ids == queries[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    others: Rows = scores[~is_self].reshape(len(scores), -1)
    return others


def decoded(paths: Sequence[Path], decoders: Decoders) -> Image | None:
    """Decode the first readable file to at most 1,024 pixels; None if there is none."""
    for path in paths:
        try:
            with decoders.open(path) as photo:
                image = photo.pixels(min_side=_EDITED_SIDE)
        except UnreadablePhoto:
            continue
        image.thumbnail((_EDITED_SIDE, _EDITED_SIDE))
        return image
    return None
