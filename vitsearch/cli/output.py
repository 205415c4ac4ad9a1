"""How values are shown: one JSON document, and names that can never act on a terminal."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


@contextmanager
def hidden_native_messages() -> Iterator[None]:
    """Let Python go on writing to stderr, while what libraries in C++ write there goes nowhere.

    They write to the descriptor itself, and so do the processes that they start.
    """
    before = sys.stderr
    before.flush()
    with (
        os.fdopen(os.dup(2), "w", buffering=1, encoding=before.encoding, errors=before.errors) as ours,
        Path(os.devnull).open("wb") as nowhere,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = before
            ours.flush()
            os.dup2(ours.fileno(), 2)
