"""Draw the charts, and write `docs/benchmarks.md` and the README's figures: `python -m scripts.draw_charts`.

All of it comes from `docs/charts/figures.toml`. To put in a new figure, change it there and run this again.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.figures import DATA, ROOT, Bar, Chart, Figures, read_figures

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
# What stands between these two lines of the README is written here.
BEGIN = "<!-- Figures: written by scripts/draw_charts.py from docs/charts/figures.toml -->"
END = "<!-- End of figures -->"

# A phone shows 360 units in their own size; GitHub's page is wider than the chart.
WIDTH = 480
MARGIN = 20
FIRST_ROW = 68
ROW = 47
GAP = 8
# Upper bounds of the width of a character of the value (14 units, semibold) and of the ratio beside it (13 units).
VALUE_CHARACTER = 8.4
RATIO_CHARACTER = 7.6

_TEMPLATES = Path(__file__).parent / "templates"


def drawn(chart: Chart) -> str:
    """Return a chart as SVG: bars from zero, the longest as long as leaves room for all values."""
    room = WIDTH - 2 * MARGIN
    scale = min((room - _written_width(bar)) / bar.value for bar in chart.bars if bar.value)
    rows = [
        {
            "bar": bar,
            "top": FIRST_ROW + ROW * number,
            "length": f"{bar.value * scale:.2f}",
            "end": f"{MARGIN + bar.value * scale + GAP:.2f}",
        }
        for number, bar in enumerate(chart.bars)
    ]
    height = FIRST_ROW + ROW * len(rows) + 8
    template = _environment(escape=True).get_template("chart.svg")
    return template.render(
        chart=chart,
        rows=rows,
        width=WIDTH,
        height=height,
        margin=MARGIN,
        description=description(chart),
    )


def description(chart: Chart) -> str:
    """Return a chart in words, for those who do not see it."""
    bars = []
    for bar in chart.bars:
        share = f"{bar.share} of the limit" if bar.share else ""
        bars.append(f"{bar.name} {', '.join(part for part in (bar.written, bar.ratio, share) if part)}")
    return f"{chart.measure[0].upper()}{chart.measure[1:]}: {'; '.join(bars)}."


def page(figures: Figures) -> str:
    """Return `docs/benchmarks.md`."""
    template = _environment(escape=False).get_template("benchmarks.md")
    return template.render(charts=figures.charts, facts=figures.facts, description=description, anchor=anchor)


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def readme(text: str, figures: Figures) -> str:
    """Return the README with its figures as the data file has them."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has no lines {BEGIN} and {END}")
    values = {chart.name.replace("-", "_"): {bar.key: bar for bar in chart.bars} for chart in figures.charts}
    environment = _environment(escape=False)

    def filled(words: str) -> str:
        return environment.from_string(words).render(values)

    rows = ["| | vitsearch | otherwise |", "|---|---|---|"]
    rows += [
        f"| {row['what']} | {filled(row['ours'])} | {filled(row['otherwise'])}".rstrip() + " |"
        for row in figures.readme["row"]
    ]
    paragraphs = [figures.readme["before"].strip(), "\n".join(rows), filled(figures.readme["after"]).strip()]
    return "".join([before, BEGIN, "\n\n", "\n\n".join(paragraphs), "\n\n", END, after])


def main() -> None:
    """Write everything that the data file decides."""
    figures = read_figures()
    for old in DATA.parent.glob("*.svg"):
        old.unlink()
    for chart in figures.charts:
        (DATA.parent / f"{chart.name}.svg").write_text(drawn(chart), encoding="utf-8")
    PAGE.write_text(page(figures), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8"), figures), encoding="utf-8")
    print(f"{len(figures.charts)} charts, {PAGE.name} and the figures of {README.name} are written")


def _environment(*, escape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _written_width(bar: Bar) -> float:
    ratio = GAP + RATIO_CHARACTER * len(bar.ratio) if bar.ratio else 0
    return GAP + VALUE_CHARACTER * len(bar.written) + ratio


if __name__ == "__main__":
    main()
