"""Small JSON files in the cache folder, with results that need not be computed again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vitsearch.storage import atomic

if TYPE_CHECKING:
    from pathlib import Path


def read_note(path: Path) -> dict[str, Any]:
    """Return the content of a file, or an empty one if it is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Write a file atomically; errors are ignored, because it can be computed again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(content).encode(), durable=False)
