"""The figures that the documentation quotes: `docs/charts/figures.toml`, and the tables of `docs/measurements.md`."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "charts" / "figures.toml"
TABLES = ROOT / "docs" / "measurements.md"
KINDS = ("ours", "other", "limit")
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: `written` is what stands at it, `share` what part of the limit it is."""

    key: str
    name: str
    value: float
    written: str
    kind: str
    ratio: str = ""
    share: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a figure comes from: the commands that made it, the day, and what it stands for in a report."""

    what: str
    commands: tuple[str, ...]
    date: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart, with the sentence that it illustrates."""

    name: str
    title: str
    measure: str
    shorter: bool
    says: str
    against: str
    machine: str
    details: str
    source: Source
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A figure that needs no chart."""

    says: str
    machine: str
    details: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that the data file holds; `code` says which paths each script measures."""

    charts: tuple[Chart, ...]
    facts: tuple[Fact, ...]
    readme: dict[str, Any]
    code: dict[str, tuple[str, ...]]


def read_figures(path: Path = DATA) -> Figures:
    """Return what the data file says, with ratios and shares computed from the values."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Figures(
        charts=tuple(_chart(each) for each in data["chart"]),
        facts=tuple(
            Fact(
                says=each["says"],
                machine=each["machine"],
                details=each["details"],
                source=_source(each["says"].partition(":")[0], each),
            )
            for each in data["fact"]
        ),
        readme=data["readme"],
        code={command: tuple(paths) for command, paths in data["code"].items()},
    )


def sources(figures: Figures) -> list[Source]:
    """Return where each chart, each fact and each table comes from."""
    shown = [*(chart.source for chart in figures.charts), *(fact.source for fact in figures.facts)]
    return shown + tables(TABLES.read_text(encoding="utf-8"))


def tables(page: str) -> list[Source]:
    """Return the source of each table of a page: the paragraph below it, which begins with "Measured" and a date.

    Raises ValueError with the table's first line where there is none.
    """
    found, section = [], ""
    blocks = [block.strip() for block in page.split("\n\n")]
    for block, after in zip(blocks, [*blocks[1:], ""], strict=True):
        if block.startswith("#"):
            section = block.lstrip("# ")
        if not block.startswith("|"):
            continue
        said = re.match(r"Measured (\d{4}-\d\d-\d\d)\b", after)
        commands = commands_in(after)
        if said is None or not commands:
            raise ValueError(f'no "Measured DATE … `COMMAND`" below the table {block.splitlines()[0]}')
        what = f"{section}: {block.splitlines()[0].strip('| ')[:60]}"
        found.append(Source(what=what, commands=commands, date=dt.date.fromisoformat(said.group(1))))
    return found


def commands_in(text: str) -> tuple[str, ...]:
    """Return the commands that stand in backticks in a text."""
    return tuple(re.findall(r"`((?:python|vitsearch|make|pytest) [^`]+)`", text))


def measured_by(command: str) -> str:
    """Return what a command runs, as the data file's `code` table names it: a script, or a command of vitsearch."""
    program, *words = command.split()
    if program == "python":
        return words[0]
    if program == "pytest":
        return next(word for word in words if word.startswith("tests/"))
    return f"{program} {words[0]}"


def _source(what: str, data: dict[str, Any]) -> Source:
    return Source(what=what, commands=(data["command"],), date=data["date"])


def _chart(data: dict[str, Any]) -> Chart:
    values = {bar["key"]: float(bar["value"]) for bar in data["bars"]}
    shorter = data["better"] == "shorter"
    return Chart(
        name=data["name"],
        title=data["title"],
        measure=data["measure"],
        shorter=shorter,
        says=data["says"],
        against=data["against"],
        machine=data["machine"],
        details=data["details"],
        source=_source(data["title"], data),
        bars=tuple(
            _bar(bar, values, shorter=shorter, form=data["form"], times=data.get("times", TIMES))
            for bar in data["bars"]
        ),
    )


def _bar(data: dict[str, Any], values: dict[str, float], *, shorter: bool, form: str, times: str) -> Bar:
    value = values[data["key"]]
    ratio = share = ""
    if "times" in data:
        plain = values[data["times"]]
        ratio = f"{_short(plain / value if shorter else value / plain)} {times}"
    if "share_of" in data:
        limit = values[data["share_of"]]
        share = f"{100 * (limit / value if shorter else value / limit):.0f} %"
    return Bar(
        key=data["key"],
        name=data["name"],
        value=value,
        written=data.get("written", form.format(value)),
        kind=data.get("kind", "other"),
        ratio=ratio,
        share=share,
    )


def _short(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.1f}"
