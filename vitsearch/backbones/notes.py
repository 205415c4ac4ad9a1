"""Small JSON notes in the cache folder: what was computed once, so that it need not be computed again."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def read_note(path: Path) -> dict[str, Any]:
    """Return a note's content, or an empty one if it is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Keep a note, whole or not at all; that it cannot be kept is no failure, for it can be made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(name).replace(path)
    except OSError:
        return
