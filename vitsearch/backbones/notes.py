"""Small JSON notes in the cache folder: what was computed once, so that it need not be computed again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vitsearch.storage import atomic

if TYPE_CHECKING:
    from pathlib import Path


def read_note(path: Path) -> dict[str, Any]:
    """Return a note's content, or an empty one if it is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Keep a note, whole or not at all; that it cannot be kept is no failure, for it can be made again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(content).encode(), durable=False)
