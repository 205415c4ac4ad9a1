"""The messages between a decoding process and its owner: a JSON object, and bytes."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LENGTHS = struct.Struct("<II")
_MOST_TEXT = 1 << 20
OUT_OF_MEMORY = 86
"""The exit status of a process that ended itself because it held too much memory."""


# A drive that reads one megabyte a second is slow, but it does not hang.
_SLOWEST_READ = 1_000_000


def seconds_to_read(path: Path) -> float:
    """Return the time limit for reading a file. Raises `OSError`."""
    return path.stat().st_size / _SLOWEST_READ


def seconds_to_read_all(paths: Iterable[Path]) -> float:
    """Return the time limit for reading files, some of which may not exist."""
    seconds = 0.0
    for path in paths:
        with suppress(OSError):  # whoever reads it says what is wrong
            seconds += seconds_to_read(path)
    return seconds


def needs_memory(limit: int) -> str:
    """Return the reason for a photo that needs more than `limit` bytes of memory."""
    return f"it needs more memory than the limit of {limit >> 20} MB"


def send(stream: IO[bytes], fields: dict[str, Any], *parts: bytes) -> None:
    """Write one message."""
    text = json.dumps(fields).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), sum(map(len, parts))) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes], *, most: int) -> tuple[dict[str, Any], bytes]:
    """Read one message, limited in bytes.

    Raises:
        EOFError: the other side has closed the pipe.
        ValueError: it is malformed.

    """
    text_length, length = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if text_length > _MOST_TEXT or length > most:
        raise ValueError("a message that is too long")
    fields = json.loads(_exactly(stream, text_length))
    if not isinstance(fields, dict):
        raise ValueError("a message that is no object")  # noqa: TRY004 - all that is no message is one error
    return fields, _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
