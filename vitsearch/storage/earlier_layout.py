"""Libraries of earlier versions kept caches beside the database; they are moved into the private folder, once.

Those folders may hold files of a person too (`uploads/` is a name for photos as well). So only what carries a name
that vitsearch alone gives is moved, and nothing is deleted.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.storage.layout import (
    LIBRARY_FILE,
    SEARCH_CACHE_FILES,
    SHARD_FILES,
    THUMBNAIL_FILES,
    UPLOAD_FILES,
    Layout,
    made_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Earlier versions wrote heads and counts without a lock, within milliseconds: a young file may still be at work.
_YOUNG_SECONDS = 60.0
_TEMPORARY_HEADS = re.compile(r"\.[0-9a-f]{16}\.tmp")
_PARTIAL_FILES = re.compile(
    rf"{re.escape(LIBRARY_FILE)}\.(salvage|format-\d+\.backup|counts-[0-9a-f]{{8}})\.partial"
)
_COUNTS, _CUTOFFS = "counts.json", "duplicate-cutoffs.json"


def adopt_earlier_files(layout: Layout) -> None:
    """Move what an earlier version kept beside the database into the private folder. Needs the write lock.

    What cannot be moved stays where it is: it is a cache, and is made again.
    """
    home = layout.home
    if home == layout.private:
        return
    _move_caches(home / "neighbours", layout)
    _move_thumbnails(home / "thumbnails", layout)
    _move_files(_uploads(home / "uploads"), layout.uploads)
    _move_files(made_files(home / "shards", SHARD_FILES), layout.shards)
    for name, fields in ((_COUNTS, {"sum", "state", "photos"}), (_CUTOFFS, {"version", "entries"})):
        if _is_note(home / name, fields):
            _move_files([home / name], layout.private)
    left = [*made_files(home, _PARTIAL_FILES), *made_files(layout.heads, _TEMPORARY_HEADS)]
    for path in left:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _YOUNG_SECONDS:
                path.rename(layout.temporary(path.name.strip(".")))
    for name in ("neighbours", "thumbnails", "uploads", "shards"):
        with suppress(OSError):  # it holds something of a person, or is not there
            (home / name).rmdir()


def _move_caches(folder: Path, layout: Layout) -> None:
    for space in _folders(folder, re.compile(r"\d+")):
        files = made_files(space, SEARCH_CACHE_FILES)
        if any(path.name == "manifest.json" for path in files):
            _move_files(files, layout.search_caches / space.name)
            with suppress(OSError):
                space.rmdir()


def _move_thumbnails(folder: Path, layout: Layout) -> None:
    for part in _folders(folder, re.compile(r"[0-9a-f]{2}")):
        _move_files(made_files(part, THUMBNAIL_FILES), layout.thumbnails / part.name)
        with suppress(OSError):
            part.rmdir()


def _uploads(folder: Path) -> list[Path]:
    """The images that were dropped on the page: each is named by the hash of what is in it."""
    from blake3 import blake3

    found = []
    for path in made_files(folder, UPLOAD_FILES):
        with suppress(OSError):
            if path.suffix or blake3(path.read_bytes()).hexdigest()[:32] == path.name:
                found.append(path)
    return found


def _folders(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _move_files(paths: Iterable[Path], target: Path) -> None:
    for path in paths:
        with suppress(OSError):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(target / path.name):
                path.rename(target / path.name)


def _is_note(path: Path, fields: set[str]) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and fields <= content.keys()
