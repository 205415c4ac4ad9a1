"""A comparison of two models as one self-contained HTML page: figures, similarities, and both models' answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

from vitsearch.decoding.decoders import Decoders
from vitsearch.pages.results import picture_address
from vitsearch.pages.templating import template
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vitsearch.estimates import Estimate
    from vitsearch.evaluation.compare import Answers, Comparison, Distribution, ModelScores

_QUERIES = 24
_SIDE = 120
_PLOT_WIDTH, _PLOT_HEIGHT = 460, 130


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table: a figure of both models, and which of them is the better one (None: neither)."""

    name: str
    texts: tuple[str, ...]
    best: int | None


@dataclass(frozen=True, slots=True)
class _Plot:
    """The distributions of one model's similarities, as SVG outlines."""

    model: str
    width: int
    height: int
    outlines: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """One photo that a model found."""

    place: int
    cosine: float
    label: str
    kind: str
    mark: str
    shared: bool


@dataclass(frozen=True, slots=True)
class _Side:
    """What one model found."""

    model: str
    note: str
    answers: tuple[_Answer, ...]


@dataclass(frozen=True, slots=True)
class _Query:
    """One query with both models' answers."""

    place: int
    caption: str
    sides: tuple[_Side, ...]


def write_comparison_page(comparison: Comparison, file: Path, *, force: bool = False) -> None:
    """Write a comparison as one HTML file: the queries on which the models differ most, first.

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    output = Output(file, "page", force=force)
    output.check()
    both = comparison.models
    bins = _plotted(both)
    with Decoders() as decoders:
        picture = lru_cache(maxsize=None)(partial(picture_address, decoders=decoders, side=_SIDE))
        page = template("comparison.html").render(
            title=f"{both[0].model} and {both[1].model} on {comparison.photos:,} photos",
            verdict=verdict(comparison),
            models=[side.model for side in both],
            rows=_figure_rows(both),
            overlap=f"Of the ten nearest photos, {_range(comparison.overlap)} are the same with both.",
            plots=[_plot(side, bins) for side in both],
            plots_note=_plots_note(both[0].same_label is not None),
            queries=[_query(comparison, answers) for answers in comparison.answers[:_QUERIES]],
            answers_note=_answers_note(comparison),
            files=comparison.files,
            picture=picture,
        )
    output.write_text(page)


def verdict(comparison: Comparison) -> str:
    """Say in a sentence which model is better, by what, and how sure that is."""
    difference = comparison.difference
    size = abs(difference.value)
    low, high = sorted((abs(difference.low), abs(difference.high)))
    if not comparison.clear:
        return (
            f"No clear difference by {comparison.ranked_by}: {difference.value:+.3f} for "
            f"{comparison.models[0].model} ({difference.low:+.3f} to {difference.high:+.3f})."
        )
    return (
        f"{comparison.first} is better by {comparison.ranked_by}: by {size:.3f} ({low:.3f} to {high:.3f}) on the "
        "same queries."
    )


def _figure_rows(both: Sequence[ModelScores]) -> list[_Row]:
    rows: list[_Row] = []

    def add(name: str, texts: Sequence[str], values: Sequence[float] = (), *, more: bool = True) -> None:
        best = None
        if len(set(values)) == 2:
            best = values.index(max(values) if more else min(values))
        rows.append(_Row(name, tuple(texts), best))

    def add_estimates(name: str, pick: Callable[[ModelScores], Estimate | None]) -> None:
        found = [pick(side) for side in both]
        values = [estimate.value for estimate in found if estimate is not None]
        texts = ["-" if estimate is None else _range(estimate) for estimate in found]
        add(name, texts, values if len(values) == len(both) else ())

    first = both[0]
    for place, row in enumerate(first.labels.knn if first.labels else ()):
        add_estimates(f"{row.k}-NN accuracy", _knn(place))
    if first.labels is not None:
        add_estimates("mean average precision", _of_labels("mean_average_precision"))
        add_estimates("linear probe accuracy", _of_labels("linear_probe"))
    for place, family in enumerate(first.copies):
        add_estimates(f"original of a copy is first: {family.family}", _copies(place))
    separations = [side.separation for side in both if side.separation is not None]
    if len(separations) == len(both):
        name = "a pair with one label is more similar than one with two"
        add(name, [f"{value:.3f}" for value in separations], separations)
    add("mean cosine of two photos", [f"{side.cosines.mean:.3f}" for side in both])
    times = [1000 * side.seconds for side in both]
    add("time for a photo here", [f"{value:.0f} ms" for value in times], times, more=False)
    add("parameters", [f"{side.parameters / 1e6:.1f} million" for side in both])
    add("weights on disk", [f"{side.weights_bytes / 1e6:.0f} MB" for side in both])
    add("vector", [f"{side.dimension} numbers, {side.vector_bytes:,} bytes" for side in both])
    return rows


def _knn(place: int) -> Callable[[ModelScores], Estimate | None]:
    return lambda side: side.labels.knn[place].accuracy if side.labels is not None else None


def _of_labels(
    name: Literal["mean_average_precision", "linear_probe"],
) -> Callable[[ModelScores], Estimate | None]:
    return lambda side: getattr(side.labels, name)


def _copies(place: int) -> Callable[[ModelScores], Estimate | None]:
    return lambda side: side.copies[place].first


def _range(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _plots_note(labelled: bool) -> str:  # noqa: FBT001 - read where it is called
    if not labelled:
        return "Cosine similarities of all pairs of photos."
    return (
        "Cosine similarities of pairs with the same label (green) and with different ones (grey), each to its own "
        "height: the less they overlap, the better a search can tell what belongs together."
    )


def _answers_note(comparison: Comparison) -> str:
    shown = min(_QUERIES, len(comparison.answers))
    note = f"The {shown} of {len(comparison.answers):,} queries on which the two differ most, best matches first."
    if comparison.labels:
        note += " ✓ has the query's label, ✗ has another one."
    return f"{note} = is found by both."


def _plotted(both: Sequence[ModelScores]) -> tuple[int, int]:
    """The bins that the plots show: all with a pair in them, of both models, so that they compare."""
    used = [place for side in both for place, count in enumerate(side.cosines.histogram) if count]
    return min(used), max(used) + 1


def _plot(side: ModelScores, bins: tuple[int, int]) -> _Plot:
    if side.same_label is not None and side.other_label is not None:
        kinds = [("other", side.other_label), ("same", side.same_label)]
    else:
        kinds = [("other", side.cosines)]
    count = len(side.cosines.histogram)
    low, high = (2 * edge / count - 1 for edge in bins)
    return _Plot(
        model=side.model,
        width=_PLOT_WIDTH,
        height=_PLOT_HEIGHT,
        outlines=tuple((kind, _outline(distribution, bins)) for kind, distribution in kinds),
        ticks=tuple(
            (round(_PLOT_WIDTH * (value - low) / (high - low)), f"{value:.1f}")
            for value in (step / 5 for step in range(-5, 6))
            if low + 0.02 < value < high - 0.02
        ),
    )


def _outline(found: Distribution, bins: tuple[int, int]) -> str:
    counts = found.histogram[bins[0] : bins[1]]
    step, top = _PLOT_WIDTH / len(counts), max(counts)
    points = [f"M0 {_PLOT_HEIGHT}"]
    for place, count in enumerate(counts):
        points.append(f"V{_PLOT_HEIGHT * (1 - count / top):.1f}H{(place + 1) * step:.1f}")
    return "".join(points) + f"V{_PLOT_HEIGHT}Z"


def _query(comparison: Comparison, answers: Answers) -> _Query:
    caption = comparison.files[answers.query].name
    if comparison.labels:
        caption = f"{comparison.labels[answers.query]} · {caption}"
    return _Query(answers.query, caption, tuple(_side(comparison, answers, place) for place in (0, 1)))


def _side(comparison: Comparison, answers: Answers, place: int) -> _Side:
    labels = comparison.labels
    nearest, cosines = answers.nearest[place], answers.cosines[place]
    others = set(answers.nearest[1 - place])
    right = [bool(labels) and labels[photo] == labels[answers.query] for photo in nearest]
    return _Side(
        model=comparison.models[place].model,
        note=f"{sum(right)} of {len(nearest)} have its label" if labels else "",
        answers=tuple(
            _Answer(
                place=photo,
                cosine=cosine,
                label=labels[photo] if labels else "",
                kind=("right" if is_right else "wrong") if labels else "",
                mark=("✓" if is_right else "✗") if labels else "",
                shared=photo in others,
            )
            for photo, cosine, is_right in zip(nearest, cosines, right, strict=True)
        ),
    )
