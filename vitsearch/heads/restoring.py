"""Restore heads from a backup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.errors import HeadError
from vitsearch.heads.files import load_head
from vitsearch.heads.head import check_name
from vitsearch.heads.store import HeadStore
from vitsearch.storage import atomic
from vitsearch.storage.backup import heads_in

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.library import Library


@dataclass(frozen=True, slots=True)
class RestoredHeads:
    """The names of restored heads, of existing ones that were kept, and of unusable ones."""

    restored: tuple[str, ...]
    kept: tuple[str, ...]
    refused: tuple[str, ...]


def restore_heads(library: Library, backup: Path) -> RestoredHeads:
    """Restore the heads of a backup whose names do not exist in this library.

    Raises:
        LibraryError: the file is not a backup, or is damaged.
        HeadError: a head cannot be saved, for example because the disk is full.

    """
    head_store = HeadStore(library)
    restored, kept, refused = [], [], []
    for name, content in heads_in(backup):
        if name in head_store.names():
            kept.append(name)
            continue
        new = library.layout.temporary("head")
        try:
            atomic.write(new, content, durable=False, private=True)
            if _can_be_used(name, new):
                # That one cannot be saved here says nothing of the head.
                head_store.load(new, name=name)
                restored.append(name)
            else:
                refused.append(name)
        finally:
            new.unlink(missing_ok=True)
    return RestoredHeads(tuple(restored), tuple(kept), tuple(refused))


def _can_be_used(name: str, file: Path) -> bool:
    try:
        check_name(name)
        load_head(file)
    except HeadError:
        return False
    return True
