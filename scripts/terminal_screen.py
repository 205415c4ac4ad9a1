"""Programs run in a terminal of their own: what they send to it, and what a person then sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE = re.compile(
    r"\x1b\](?P<osc>.*?)(?:\x1b\\|\x07)|\x1b\[(?P<numbers>[0-9;?]*)(?P<letter>[A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>78]",
    re.S,
)


@dataclass
class Session:
    """What a program sent to its terminal, and how it ended."""

    status: int
    sent: str
    columns: int

    @property
    def lines(self) -> list[str]:
        """The lines that stand on the screen at the end, without what came after the last one."""
        return screen(self.sent, columns=self.columns)

    @property
    def links(self) -> list[tuple[str, str]]:
        """The links: where each leads, and the text that is clicked."""
        found = re.findall(r"\x1b\]8;;([^\x1b]+)\x1b\\(.*?)\x1b\]8;;\x1b\\", self.sent, re.S)
        return [(address, text) for address, text in found]


def on_terminal(
    command: list[object],
    *,
    columns: int = 100,
    cwd: str | os.PathLike[str] | None = None,
    **environment: str,
) -> Session:
    """Run a program whose input, output and errors are one terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")
    }
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**inherited, "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    sent = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not block:
            break
        sent += block
    os.close(ours)
    return Session(process.wait(), sent.decode("utf-8", "replace"), columns)


@dataclass
class _Screen:
    columns: int
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0

    def put(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self.column + width > self.columns:
            self.down()
            self.column = 0
        line = self.rows[self.row]
        line.extend(" " * (self.column + width - len(line)))
        line[self.column : self.column + width] = [character, *[""] * (width - 1)]
        self.column += width

    def down(self) -> None:
        self.row += 1
        while self.row >= len(self.rows):
            self.rows.append([])

    def obey(self, numbers: str, letter: str) -> None:
        count = int(numbers) if numbers.isdigit() else 0
        if letter == "A":
            self.row = max(0, self.row - max(1, count))
        elif letter == "B":
            self.row = min(len(self.rows) - 1, self.row + max(1, count))
        elif letter == "G":
            self.column = max(0, count - 1)
        elif letter == "K":
            line = self.rows[self.row]
            if count == 2:
                line.clear()
            elif count == 0:
                del line[self.column :]


def screen(sent: str, *, columns: int) -> list[str]:
    """Return the lines that a person sees after all of this was sent: movements obeyed, colours and links left out."""
    shown = _Screen(columns)
    for _ in _drawn(shown, sent):
        pass
    lines = ["".join(row).rstrip() for row in shown.rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def lines_drawn(sent: str, *, columns: int) -> Iterator[str]:
    """Yield after each character and each movement the line where the cursor is, as it stands then."""
    shown = _Screen(columns)
    for row in _drawn(shown, sent):
        yield "".join(row)


def _drawn(shown: _Screen, sent: str) -> Iterator[list[str]]:
    place = 0
    while place < len(sent):
        match = _SEQUENCE.match(sent, place)
        if match:
            if match["letter"]:
                shown.obey(match["numbers"], match["letter"])
            place = match.end()
        else:
            character = sent[place]
            place += 1
            if character == "\r":
                shown.column = 0
            elif character == "\n":
                shown.down()
            elif character.isprintable():
                shown.put(character)
        yield shown.rows[shown.row]
