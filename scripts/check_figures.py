"""Say which figures are older than the code they measure: `python -m scripts.check_figures`.

The figures are the charts of `docs/benchmarks.md` and the tables of `docs/measurements.md`. Each has a date and a
command; `docs/charts/figures.toml` names the code that each command measures, and git knows when that last changed.
Days are compared, so that a figure counts as current on the day of a change. Exit status 1 if any is older.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.figures import ROOT, Source, measured_by, read_figures, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """A figure that is older than code that it measures, and when that code last changed."""

    source: Source
    command: str
    changed: dt.date


def last_change(paths: Iterable[str], *, repository: Path = ROOT) -> dt.date | None:
    """Return the day of the last commit to any of these paths; None where no commit knows them."""
    words = ["git", "log", "-1", "--format=%cs", "--", *paths]
    day = subprocess.run(words, cwd=repository, check=True, capture_output=True, text=True).stdout.strip()
    return dt.date.fromisoformat(day) if day else None


def outdated(
    figures: Iterable[Source], code: Mapping[str, Iterable[str]], *, repository: Path = ROOT
) -> list[Outdated]:
    """Return the figures that are older than code that they measure, one for each such command."""
    changes = {command: last_change(paths, repository=repository) for command, paths in code.items()}
    found = []
    for source in figures:
        for command in dict.fromkeys(measured_by(each) for each in source.commands):
            changed = changes.get(command)
            if changed is not None and changed > source.date:
                found.append(Outdated(source=source, command=command, changed=changed))
    return found


def main() -> int:
    """Print the report; return the exit status."""
    figures = read_figures()
    shown = sources(figures)
    found = outdated(shown, figures.code)
    for each in found:
        print(
            f"{each.source.date}  {each.source.what}\n            {each.command}: its code changed on {each.changed}"
        )
    old = len({id(each.source) for each in found})
    print(f"{old} of {len(shown)} charts, facts and tables are older than the code they measure")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
