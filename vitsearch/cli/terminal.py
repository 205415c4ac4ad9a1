"""What the terminal can show: colours, links, its width. Pipes get plain text."""

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
    """The output of a command. `columns` counts cells; wide characters take two."""

    is_terminal: bool
    colours: bool
    links: bool
    columns: int

    @classmethod
    def of(cls, stream: TextIO | None = None) -> Terminal:
        """Examine a stream, by default standard output, and the environment: `NO_COLOR` and `TERM` are respected."""
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
        """Return the text as "bold" or "faint", if the terminal has colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colours and text else text

    def link(self, text: str, path: Path) -> str:
        """Return the text as a link to a file (OSC 8), if the terminal supports links."""
        if not self.links:
            return text
        import socket  # most answers are short of links, or go into a pipe

        # With the machine's name, as `ls --hyperlink` writes it: over ssh the file is not on this side.
        host = "" if os.name == "nt" else quote(socket.gethostname())
        return f"\x1b]8;;file://{host}{path.as_uri().removeprefix('file://')}\x1b\\{text}\x1b]8;;\x1b\\"


def cells(text: str) -> int:
    """Return how many terminal columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, room: int) -> str:
    """Shorten a text in the middle to at most `room` columns, so that both ends of a path stay visible."""
    if cells(text) <= room:
        return text
    keep = len(text)
    shortened = text
    while cells(shortened) > room and keep > 2:
        keep -= 1
        tail = (keep * 2) // 3  # the file's name stands at the end
        shortened = f"{text[: keep - tail]}…{text[len(text) - tail :]}"
    return shortened
