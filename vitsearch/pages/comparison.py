"""A comparison of two models as one self-contained HTML page: figures, similarities, and both models' answers."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

from vitsearch.decoding.decoders import Decoders
from vitsearch.pages.markup import in_markup
from vitsearch.pages.results import picture_address
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vitsearch.estimates import Estimate
    from vitsearch.evaluation.compare import Answers, Comparison, Distribution, ModelScores

_QUERIES = 24
_SIDE = 120
_PLOT_WIDTH, _PLOT_HEIGHT = 460, 130

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="generator" content="vitsearch">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --right: #1a7f37; --wrong: #cf222e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --right: #3fb950; --wrong: #ff7b72; }} }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 86rem; }}
h1 {{ font-size: 1.35rem; }}
h2 {{ font-size: 1.1rem; margin-top: 2.2rem; }}
h3 {{ font-size: .9rem; margin: 0 0 .2rem; font-weight: 600; overflow-wrap: anywhere; }}
h3 span, .faint {{ font-weight: 400; opacity: .75; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .2rem 1.4rem .2rem 0; text-align: left; border-bottom: 1px solid #8884; font-weight: 400; }}
td {{ font-variant-numeric: tabular-nums; }}
td.best {{ font-weight: 700; }}
.plots {{ display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }}
svg {{ display: block; max-width: 100%; height: auto; font: 11px system-ui, sans-serif; }}
svg text {{ fill: currentColor; }}
.same {{ fill: var(--right); fill-opacity: .5; }}
.other {{ fill: #8a8f98; fill-opacity: .55; }}
.query {{ display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: .4rem 1.2rem; padding: 1rem 0;
  border-top: 1px solid #8884; }}
@media (max-width: 44rem) {{ .query {{ grid-template-columns: minmax(0, 1fr); }} }}
figure {{ margin: 0; font-size: .8em; overflow-wrap: anywhere; }}
.query > figure img {{ width: 9.5rem; height: 9.5rem; }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(5.2rem, 1fr)); gap: .4rem; margin: 0 0 .8rem;
  padding: 0; list-style: none; max-width: 64rem; }}
img {{ display: block; width: 100%; height: 5.2rem; object-fit: contain; background: #8881; border-radius: .3rem; }}
ol figure {{ border-bottom: 3px solid #8886; padding-bottom: .1rem; }}
ol .right figure {{ border-color: var(--right); }}
ol .wrong figure {{ border-color: var(--wrong); border-bottom-style: dashed; }}
.mark {{ font-weight: 700; }}
.right .mark {{ color: var(--right); }}
.wrong .mark {{ color: var(--wrong); }}
</style>
<h1>{title}</h1>
<p>{verdict}</p>
<table>
<thead><tr><th></th>{heads}</tr></thead>
<tbody>
{figures}
</tbody>
</table>
<p class="faint">Figures with their 95 % confidence intervals; the better one is bold. {overlap}</p>
<h2>How similar photos are</h2>
<p class="faint">{plots_note}</p>
<div class="plots">
{plots}
</div>
<h2>What they find</h2>
<p class="faint">{answers_note}</p>
{answers}
</html>
"""


def write_comparison_page(comparison: Comparison, file: Path, *, force: bool = False) -> None:
    """Write a comparison as one HTML file: the queries on which the models differ most, first.

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    output = Output(file, "page", force=force)
    output.check()
    both = comparison.models
    with Decoders() as decoders:
        photos = _Photos(comparison, decoders)
        drawn = "\n".join(photos.section(answers) for answers in comparison.answers[:_QUERIES])
    page = _PAGE.format(
        title=in_markup(f"{both[0].model} and {both[1].model} on {comparison.photos:,} photos"),
        verdict=in_markup(verdict(comparison)),
        heads="".join(f"<th scope=col>{in_markup(side.model)}</th>" for side in both),
        figures="\n".join(_figure_rows(both)),
        overlap=in_markup(f"Of the ten nearest photos, {_range(comparison.overlap)} are the same with both."),
        plots="\n".join(_plot(side, _plotted(both)) for side in both),
        plots_note=in_markup(_plots_note(both[0].same_label is not None)),
        answers=drawn,
        answers_note=in_markup(_answers_note(comparison)),
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


def _figure_rows(both: Sequence[ModelScores]) -> list[str]:
    rows: list[str] = []

    def add(name: str, texts: Sequence[str], values: Sequence[float] = (), *, more: bool = True) -> None:
        best = None
        if len(set(values)) == 2:
            best = max(values) if more else min(values)
        cells = [
            f"<td{' class=best' if values and values[place] == best else ''}>{in_markup(text)}</td>"
            for place, text in enumerate(texts)
        ]
        rows.append(f"<tr><th scope=row>{in_markup(name)}</th>{''.join(cells)}</tr>")

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


def _plot(side: ModelScores, bins: tuple[int, int]) -> str:
    if side.same_label is not None and side.other_label is not None:
        kinds = [("other", side.other_label), ("same", side.same_label)]
    else:
        kinds = [("other", side.cosines)]
    paths = "".join(f'<path class="{kind}" d="{_outline(found, bins)}"/>' for kind, found in kinds)
    count = len(side.cosines.histogram)
    low, high = (2 * edge / count - 1 for edge in bins)
    ticks = "".join(
        f'<text x="{_PLOT_WIDTH * (value - low) / (high - low):.0f}" y="{_PLOT_HEIGHT + 14}" '
        f'text-anchor="middle">{value:.1f}</text>'
        for value in (step / 5 for step in range(-5, 6))
        if low + 0.02 < value < high - 0.02
    )
    title = in_markup(side.model)
    return (
        f"<figure><figcaption>{title}</figcaption>"
        f'<svg role="img" aria-label="Cosine similarities with {title}" width="{_PLOT_WIDTH}" '
        f'height="{_PLOT_HEIGHT + 20}" viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT + 20}">{paths}'
        f'<path stroke="currentColor" stroke-opacity=".4" d="M0 {_PLOT_HEIGHT}H{_PLOT_WIDTH}"/>{ticks}</svg></figure>'
    )


def _outline(found: Distribution, bins: tuple[int, int]) -> str:
    counts = found.histogram[bins[0] : bins[1]]
    step, top = _PLOT_WIDTH / len(counts), max(counts)
    points = [f"M0 {_PLOT_HEIGHT}"]
    for place, count in enumerate(counts):
        points.append(f"V{_PLOT_HEIGHT * (1 - count / top):.1f}H{(place + 1) * step:.1f}")
    return "".join(points) + f"V{_PLOT_HEIGHT}Z"


class _Photos:
    """Draws queries and answers; each photo is read once."""

    def __init__(self, comparison: Comparison, decoders: Decoders) -> None:
        self.comparison = comparison
        self.picture = lru_cache(maxsize=None)(partial(picture_address, decoders=decoders, side=_SIDE))

    def section(self, answers: Answers) -> str:
        """One query with both models' answers."""
        comparison, query = self.comparison, answers.query
        caption = comparison.files[query].name
        if comparison.labels:
            caption = f"{comparison.labels[query]} · {caption}"
        sides = "".join(self._side(answers, place) for place in (0, 1))
        return (
            f'<section class="query"><figure>{self._image(query)}<figcaption>{in_markup(caption)}</figcaption></figure>'
            f"<div>{sides}</div></section>"
        )

    def _side(self, answers: Answers, place: int) -> str:
        labels = self.comparison.labels
        nearest, cosines = answers.nearest[place], answers.cosines[place]
        others = set(answers.nearest[1 - place])
        right = [bool(labels) and labels[found] == labels[answers.query] for found in nearest]
        note = f"{sum(right)} of {len(nearest)} have its label" if labels else ""
        items = "".join(
            self._answer(found, cosine, is_right=is_right, shared=found in others)
            for found, cosine, is_right in zip(nearest, cosines, right, strict=True)
        )
        model = in_markup(self.comparison.models[place].model)
        return f"<h3>{model} <span>{note}</span></h3><ol>{items}</ol>"

    def _answer(self, found: int, cosine: float, *, is_right: bool, shared: bool) -> str:
        kind, mark = "", ""
        if self.comparison.labels:
            kind, mark = ("right", "✓") if is_right else ("wrong", "✗")
        label = self.comparison.labels[found] if self.comparison.labels else ""
        return (
            f'<li class="{kind}"><figure>{self._image(found)}<figcaption><span class="mark">{mark}</span> '
            f"{cosine:.2f}{' =' if shared else ''} {in_markup(label)}</figcaption></figure></li>"
        )

    def _image(self, place: int) -> str:
        path = self.comparison.files[place]
        return f'<img alt="{in_markup(path.name)}" title="{in_markup(str(path))}" src="{self.picture(path)}">'
