"""Output of values: JSON documents, and text that cannot control the terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vitsearch.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from vitsearch.records import UnreadableFile

_SHOWN_REASONS = 20
_SHOWN_EXAMPLES = 2


def say(text: str, *, err: bool = False) -> None:
    """Print one line. Control characters and line breaks inside the text are escaped.

    Line breaks around the text are the command's own, and kept.
    """
    line = text.strip("\n")
    before, after = text[: len(text) - len(text.lstrip("\n"))], text[len(text.rstrip("\n")) :] if line else ""
    # A progress bar puts itself in the place of stderr, to print lines above it: click alone would write past it.
    click.echo(f"{before}{shown(line)}{after}", file=sys.stderr if err else None, err=err)


def print_paths(paths: Iterable[Path], *, nul: bool = False) -> None:
    """Print bare paths, one per line: as raw bytes to a pipe, escaped to a terminal.

    With `nul`, each path ends with a NUL byte, because a file name may contain line breaks.
    """
    for path in paths:
        if nul:
            click.echo(os.fsencode(path) + b"\0", nl=False)
        elif sys.stdout.isatty():
            say(str(path))
        else:
            click.echo(os.fsencode(path))


def say_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does, with control characters escaped: it may quote file names."""
    for part in traceback.format_exception(kind, error, trace):
        for line in part.splitlines():
            say(line, err=True)


def say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - Python's own function has these too
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Print a library's warning as one line."""
    say(f"{filename}:{lineno}: {category.__name__}: {message}", err=True)


class SafeFormatter(logging.Formatter):
    """A log formatter that escapes control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return "\n".join(map(shown, super().format(record).splitlines()))


def print_json(value: object) -> None:
    """Print one JSON document; file names that are not UTF-8 are escaped."""
    click.echo(json.dumps(to_jsonable(value), indent=2))


def shown(text: str) -> str:
    """Escape control characters, and bytes that are not UTF-8, so that a name is safe to print."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Format a count with its noun: "1 photo", "1,204 photos". `many` is the plural if it is irregular."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {many or noun + 's'}"


def photos_and_sidecars(files: Iterable[Path]) -> str:
    """Count the files that a plan moves: "12 photos", "249 photos and 15 sidecars"."""
    from vitsearch.photos.formats import EXTENSIONS

    paths = list(files)
    photos = sum(path.suffix.casefold() in EXTENSIONS for path in paths)
    said = plural(photos, "photo")
    return said if photos == len(paths) else f"{said} and {plural(len(paths) - photos, 'sidecar')}"


def size(count: int) -> str:
    """Format a number of bytes: "75.2 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Format a duration: "1 s", "12 min", "3.4 h", "2.5 days"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def print_unreadable(unreadable: Sequence[UnreadableFile], *, all_with: str = "--json") -> None:
    """List unreadable files with reasons on stderr; if there are many, some of each kind.

    `all_with` names the option that lists all of them.
    """
    if unreadable:
        print_failed(f"{plural(len(unreadable), 'file')} could not be read", unreadable, all_with=all_with)


def print_failed(said: str, failed: Sequence[UnreadableFile], *, all_with: str = "--json") -> None:
    """Print a message on stderr and list files with reasons, as `print_unreadable` does."""
    say(f"{said}:", err=True)
    if len(failed) <= _SHOWN_REASONS:
        for item in failed:
            say(f"  {shown(str(item.path))}: {shown(item.reason)}", err=True)
        return
    kinds: dict[str, list[UnreadableFile]] = defaultdict(list)
    for item in failed:
        kinds[item.reason.partition(" (")[0]].append(item)
    for kind, items in sorted(kinds.items(), key=lambda each: (-len(each[1]), each[0])):
        say(f"  {len(items):,}: {shown(kind)}", err=True)
        for item in items[:_SHOWN_EXAMPLES]:
            say(f"    {shown(str(item.path))}", err=True)
    say(f"  (all with {all_with})", err=True)


@contextmanager
def hidden_native_messages() -> Iterator[None]:
    """Suppress what native libraries write to stderr; Python can still write to it.

    Native code, and the processes it starts, write to the file descriptor itself.
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
