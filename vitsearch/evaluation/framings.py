"""Compare embeddings of the centre crop with embeddings that include the whole frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.backbones.backbone import Embeddings
from vitsearch.backbones.preprocessing import prepare, with_fit
from vitsearch.backbones.two_framings import first_framing
from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import LibraryError
from vitsearch.estimates import Estimate
from vitsearch.evaluation.evaluate import decoded, present_photos, sampled, score_labels
from vitsearch.evaluation.rankings import score_queries
from vitsearch.heads.examples import read_label_csv, read_label_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.backbones import Backbone
    from vitsearch.library import Library
    from vitsearch.records import Progress
    from vitsearch.space import Space

    Rows = npt.NDArray[np.float32]
    Box = tuple[int, int, int, int]
    Photo = tuple[Sequence[Path], str | None]
    OnProgress = Callable[[Progress], None]

_FEWEST_PHOTOS = 3
_EDGE = 0.3
_PART = 0.2
_BORDER = 0.05
# Photos whose views wait for one another: backbones embed many at a time.
_TOGETHER = 8
_MOST_NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class FramingFigure:
    """A figure for centre-cropped photos, and for the same photos with the whole frame included.

    `difference` is the gain from the whole frame over the same photos; None if it was not estimated.
    """

    name: str
    cut: Estimate
    whole: Estimate
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Framings:
    """The figures of both framings. `is_whole`: whether the library's own framing includes the whole frame."""

    model: str
    photos: int
    is_whole: bool
    found: tuple[FramingFigure, ...]
    labels: tuple[FramingFigure, ...]
    left_out: int


def compare_framings(
    library: Library,
    *,
    sample: int = 200,
    source: Path | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Framings:
    """Embed a sample of a library's photos, or of labelled ones, in both framings, and search for parts of them.

    Queries are a strip at the edge and a fifth of the area, as regions, and a copy without its border, as a file. With
    `source`, a folder whose subfolders are labels or a CSV file (path,label), k-NN accuracy is measured as well.

    Raises:
        LibraryMissing: nothing has been indexed yet.
        LibraryError: the model has no centre crop, or fewer than three of the photos can be read.
        HeadError: the labels are not usable.

    """
    _, space = library.catalog.require_space()
    cut = first_framing(space)
    if cut.preprocessing.fit != "crop":
        raise LibraryError(f"{space.model} sees photos whole as it is: there are no two framings to compare")
    photos = _labelled(source, sample) if source else _of_library(library, sample)
    names: list[str | None] = []
    rows: list[Rows] = []
    for embedded, told in _embedded(library.backbone(cut), photos, on_progress):
        rows.append(embedded)
        names.append(told)
    if len(rows) < _FEWEST_PHOTOS:
        raise LibraryError(
            f"only {len(rows)} of {len(photos)} photos can be read: mount their drive, or try more with --sample"
        )
    views = np.stack(rows)
    centre, mean = views[:, 0], _unit(views[:, 0] + views[:, 1])
    queries = {
        "a strip at its edge": views[:, 2],
        "a fifth of it": views[:, 3],
        "a copy without border": _unit(views[:, 4] + views[:, 5]),
    }
    labels = [name for name in names if name is not None]
    return Framings(
        model=space.model,
        photos=len(views),
        is_whole=space != cut,
        found=tuple(_found(name, asked, centre, mean) for name, asked in queries.items()),
        labels=_told_apart(centre, mean, labels, cut) if len(labels) == len(views) else (),
        left_out=len(photos) - len(views),
    )


def parts(width: int, height: int, generator: np.random.Generator) -> tuple[Box, Box]:
    """Return (left, top, right, bottom) of a strip at a random end of the longer side, and of a random fifth."""
    side = int(generator.integers(2))
    if width >= height:
        strip = max(1, round(_EDGE * width))
        left = side * (width - strip)
        edge = (left, 0, left + strip, height)
    else:
        strip = max(1, round(_EDGE * height))
        top = side * (height - strip)
        edge = (0, top, width, top + strip)
    scale = math.sqrt(_PART)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = int(generator.integers(width - w + 1)), int(generator.integers(height - h + 1))
    return edge, (left, top, left + w, top + h)


def _of_library(library: Library, sample: int) -> list[Photo]:
    present = present_photos(library)
    rows = library.catalog.photos(present[sampled(len(present), sample)].tolist())
    return [(row.paths, None) for row in rows.values()]


def _labelled(source: Path, sample: int) -> list[Photo]:
    files = read_label_folders(source) if source.is_dir() else read_label_csv(source)
    labelled = [file for file in files if file.label is not None]
    return [
        ((labelled[place].path,), labelled[place].label) for place in sampled(len(labelled), sample).tolist()
    ]


def _embedded(
    backbone: Backbone, photos: Sequence[Photo], on_progress: OnProgress
) -> Iterator[tuple[Rows, str | None]]:
    """Yield the unit rows of each photo's views, (6, d), and its label; unreadable photos are left out."""
    from vitsearch.records import Progress

    waiting: list[npt.NDArray[np.uint8]] = []
    names: list[str | None] = []

    def embedded() -> Iterator[tuple[Rows, str | None]]:
        found = backbone.embed_batch(np.concatenate(waiting)).rows
        yield from zip(found.reshape(len(names), -1, found.shape[1]), names, strict=True)
        waiting.clear()
        names.clear()

    with Decoders() as decoders:
        for place, (paths, name) in enumerate(photos):
            on_progress(Progress("embed", place, len(photos)))
            image = decoded(paths, decoders)
            if image is None:
                continue
            waiting.append(_views(image, backbone, np.random.default_rng(place)))
            names.append(name)
            if len(names) == _TOGETHER:
                yield from embedded()
        if names:
            yield from embedded()


def _views(image: Image, backbone: Backbone, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Prepare a photo cropped and whole, two parts of it whole, and its inside without the border cropped and whole."""
    cut = backbone.space.preprocessing
    whole = with_fit(cut, "squeeze")
    strip, part = parts(*image.size, generator)
    across, down = round(_BORDER * image.width), round(_BORDER * image.height)
    inner = image.crop((across, down, image.width - across, image.height - down))
    seen = [(image, cut), (image, whole), (image.crop(strip), whole), (image.crop(part), whole)]
    return np.stack([prepare(*view) for view in [*seen, (inner, cut), (inner, whole)]])


def _unit(rows: Rows) -> Rows:
    return Embeddings.from_raw(rows).rows


def _found(name: str, queries: Rows, centre: Rows, mean: Rows) -> FramingFigure:
    """Return the share of queries (n, d) that find the photo of their own row first, among rows of either framing."""
    own = np.arange(len(queries))
    first = [(queries @ rows.T).argmax(axis=1) == own for rows in (centre, mean)]
    return FramingFigure(
        name, Estimate.of_share(first[0]), Estimate.of_share(first[1]), _difference(first[0], first[1])
    )


def _told_apart(centre: Rows, mean: Rows, labels: Sequence[str], space: Space) -> tuple[FramingFigure, ...]:
    numbers = np.unique(np.array(labels, dtype=object), return_inverse=True)[1]
    scores = [score_labels(rows, labels, space=space) for rows in (centre, mean)]
    votes = [score_queries(rows, numbers, np.arange(len(rows))).right for rows in (centre, mean)]
    figures = [
        FramingFigure(
            f"{k}-NN accuracy",
            Estimate.of_share(votes[0][k]),
            Estimate.of_share(votes[1][k]),
            _difference(votes[0][k], votes[1][k]),
        )
        for k in votes[0]
        if k <= _MOST_NEIGHBOURS
    ]
    probes = scores[0].linear_probe, scores[1].linear_probe
    if probes[0] is not None and probes[1] is not None:
        figures.append(FramingFigure("linear probe accuracy", probes[0], probes[1], None))
    return tuple(figures)


def _difference(cut: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> Estimate:
    return Estimate.of_difference(whole.astype(np.float64), cut.astype(np.float64))
