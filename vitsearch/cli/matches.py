"""Search results as lines: plain paths for pipes; short paths, links and dates for people."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import say, shown
from vitsearch.cli.preview import shown_pictures
from vitsearch.cli.terminal import Terminal, cells, fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vitsearch.records import Match, SearchResult

# How wide lines begin: with score and share, or with date and time.
_SCORES, _DATE = 17, 18
_GAP = 2
_LEAST_FOR_A_PATH = 20


def print_matches(
    result: SearchResult, *, roots: Iterable[Path], preview: bool = False, terminal: Terminal | None = None
) -> None:
    """Print one line per match, best first. A pipe gets full paths and no decoration.

    With `preview`, each match is printed below its picture.
    """
    terminal = terminal or Terminal.of()
    if not terminal.is_terminal:
        for match in result.results:
            say(f"{_lead(match, scored=result.scored)}  {shown(str(match.path))}{_copies(match)}")
        return
    start = _SCORES if result.scored else _DATE
    room = terminal.columns - start
    names = [shown(name) for name in short_paths([match.path for match in result.results], roots)]
    facts = _facts_with_room(result.results, names, room, dated=result.scored)
    floor = result.matches_above
    ended = floor is None or not result.results or result.results[0].score < floor
    pictures = shown_pictures([match.path for match in result.results]) if preview else repeat(None)
    for match, name, fact, show in zip(result.results, names, facts, pictures, strict=False):
        weak = floor is not None and match.score < floor
        if weak and not ended:
            ended = True
            click.echo(terminal.styled(f"{'':{start}}(from here on nothing stands out)", "faint"))
        if show is not None:
            show()
        copies = _copies(match)
        width = max(_LEAST_FOR_A_PATH, room - cells(copies) - (cells(fact) + _GAP if fact else 0))
        path = fitted(name, width)
        lead = _lead(match, scored=result.scored)
        line = f"{terminal.styled(lead, 'faint' if weak else 'bold')}  "
        line += terminal.link(path, match.path) + terminal.styled(copies, "faint")
        if fact:
            line += " " * (room - cells(path) - cells(copies) - cells(fact)) + terminal.styled(fact, "faint")
        # Made of parts that `shown` has made harmless, and of escapes of our own.
        click.echo(line, color=terminal.colours or terminal.links or None)


def short_paths(paths: Sequence[Path], roots: Iterable[Path]) -> list[str]:
    """Shorten paths: relative to the working directory, or from the name of the indexed folder on.

    If two indexed folders have the same name, their paths are printed in full.
    """
    known = list(roots)
    here = Path.cwd()
    names = [root.name for root in known]
    return [_short(path, here, [root for root in known if names.count(root.name) == 1]) for path in paths]


def _short(path: Path, here: Path, roots: Sequence[Path]) -> str:
    if path.is_relative_to(here) and here != Path(here.anchor):
        return str(path.relative_to(here))
    for root in roots:
        if path.is_relative_to(root) and root.name:
            return str(Path(root.name) / path.relative_to(root))
    return str(path)


def _lead(match: Match, *, scored: bool) -> str:
    """Return the start of a line: the score and percentage, or the date if photos are only listed."""
    if scored:
        return f"{match.score:6.3f}  {match.percentile:5.1f} %"
    return f"{(match.taken or 'no date')[:16].replace('T', ' '):{_DATE - _GAP}}"


def _copies(match: Match) -> str:
    """Return the note after a path: the number of other copies, or that no copy is present."""
    if not match.present:
        return "  (not there now)"
    return f"  (+{len(match.other_paths)} more)" if match.other_paths else ""


def _facts_with_room(matches: Sequence[Match], names: Sequence[str], room: int, *, dated: bool) -> list[str]:
    """Return the end of each line: date and place, only the date, or nothing, the same for all lines.

    Lines that begin with the date are not `dated` again.
    """
    widest = max(
        (cells(name) + cells(_copies(each)) for name, each in zip(names, matches, strict=True)), default=0
    )
    dates = [(match.taken or "")[:10] if dated else "" for match in matches]
    places = [_place(match) for match in matches]
    both = [
        f"{date:10}  {place:>17}" if any(places) else date for date, place in zip(dates, places, strict=True)
    ]
    for facts in (both, dates):
        if any(fact.strip() for fact in facts) and widest + _GAP + max(map(cells, facts)) <= room:
            return facts
    return [""] * len(matches)


def _place(match: Match) -> str:
    if match.latitude is None or match.longitude is None:
        return ""
    north, east = "NS"[match.latitude < 0], "EW"[match.longitude < 0]
    return f"{abs(match.latitude):.2f}°{north} {abs(match.longitude):.2f}°{east}"
