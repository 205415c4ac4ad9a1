"""How values are shown: one JSON document, and names that can never act on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vitsearch.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.records import UnreadableFile

_SHOWN_REASONS = 20


def print_json(value: object) -> None:
    """Print one JSON document; names that are not UTF-8 come out as escapes."""
    click.echo(json.dumps(to_jsonable(value), indent=2))


def shown(text: str) -> str:
    """Make a name harmless: control characters and bytes that are not UTF-8 become visible escapes."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: "1 photo", "1,204 photos"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Write a number of bytes as people do."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time as people do: "1 s", "12 min", "3.4 h", "2.5 days"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def print_unreadable(unreadable: Sequence[UnreadableFile]) -> None:
    """List files that could not be read, with reasons, on stderr."""
    if not unreadable:
        return
    click.echo(f"{plural(len(unreadable), 'file')} could not be read:", err=True)
    for item in unreadable[:_SHOWN_REASONS]:
        click.echo(f"  {shown(str(item.path))}: {shown(item.reason)}", err=True)
    if len(unreadable) > _SHOWN_REASONS:
        click.echo(f"  and {len(unreadable) - _SHOWN_REASONS:,} more (all with --json)", err=True)
