"""What the terminal that a person looks at can show: colours, links, and how wide it is. A pipe gets plain text."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

# Terminals that print the escapes of a link instead of making one.
_WITHOUT_LINKS = ("dumb", "linux")
_STYLES = {"bold": "1", "faint": "2"}


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command prints. `columns` counts cells; wide characters take two."""

    is_terminal: bool
    colours: bool
    links: bool
    columns: int

    @classmethod
    def of(cls, stream: TextIO | None = None) -> Terminal:
        """Ask a stream (standard output by default) and the environment: `NO_COLOR` and `TERM` are respected."""
        stream = stream or sys.stdout
        kind = os.environ.get("TERM", "")
        is_terminal = stream is not None and stream.isatty()
        return cls(
            is_terminal,
            is_terminal and kind != "dumb" and not os.environ.get("NO_COLOR"),
            is_terminal and kind not in _WITHOUT_LINKS,
            shutil.get_terminal_size((100, 24)).columns,
        )

    def styled(self, text: str, style: str) -> str:
        """Return a text that is shown "bold" or "faint", where the terminal has colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colours and text else text

    def link(self, text: str, path: Path) -> str:
        """Return a text that opens a file when it is clicked (OSC 8), where the terminal makes links."""
        if not self.links:
            return text
        import socket  # most answers are short of links, or go into a pipe

        # With the machine's name, as `ls --hyperlink` writes it: over ssh the file is not on this side.
        host = "" if os.name == "nt" else quote(socket.gethostname())
        return f"\x1b]8;;file://{host}{path.as_uri().removeprefix('file://')}\x1b\\{text}\x1b]8;;\x1b\\"


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, room: int) -> str:
    """Shorten a text in its middle until it takes at most `room` columns: both ends of a path matter."""
    if cells(text) <= room:
        return text
    keep = len(text)
    shortened = text
    while cells(shortened) > room and keep > 2:
        keep -= 1
        tail = (keep * 2) // 3  # the file's name stands at the end
        shortened = f"{text[: keep - tail]}…{text[len(text) - tail :]}"
    return shortened
