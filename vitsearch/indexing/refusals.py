"""Requests that an index run refuses before anything is loaded, stored or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.paths import identity, real_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.storage.rows import Root


def check_folders(roots: Sequence[Root], folders: Sequence[Path]) -> None:
    """Check the folders of a run before anything is loaded or stored; `roots` are the indexed ones.

    Raises:
        LibraryError: a folder is a file; or it does not exist and belongs to no offline root; or it would absorb an
            offline root, whose files would then count as missing; or it is an indexed folder under another path, so
            that each of its photos would be indexed twice.

    """
    named = [root.path for root in roots]
    for folder in map(real_path, folders):
        root = next((root for root in roots if folder.is_relative_to(root.path)), None)
        if folder.is_file():
            raise LibraryError(f"{folder} is a file: give the folder that it is in")
        if root is None and not folder.exists():
            raise LibraryError(f"{folder} does not exist: check the spelling, or mount its drive")
        if root is not None and not folder.exists() and not root.is_offline():
            raise LibraryError(f"{folder} does not exist: index {root.path} to record what has gone")
        for inner in roots:
            if root is None and inner.path.is_relative_to(folder) and inner.is_offline():
                raise LibraryError(
                    f"{inner.path} in {folder} is absent or empty, perhaps an unmounted drive: mount it first, or use "
                    "`vitsearch roots forget`"
                )
        for known in named:
            if _overlap_by_another_name(folder, known):
                raise LibraryError(f"{folder} is in {known} or around it by another name: name it as there")
        named.append(folder)


def _overlap_by_another_name(one: Path, two: Path) -> bool:
    """Return whether two folders are the same, or one contains the other, although their paths do not show it.

    This happens on file systems that ignore case, and if a folder is mounted twice.
    """
    if one.is_relative_to(two) or two.is_relative_to(one):
        return False
    return _identity(two) in map(_identity, (one, *one.parents)) or _identity(one) in map(
        _identity, two.parents
    )


def _identity(folder: Path) -> tuple[int, int] | str:
    try:
        status = folder.stat()
    except OSError:
        return str(folder)
    return identity(folder, status)


def refuse_to_prune(offline: Sequence[Root], away: Sequence[Path]) -> None:
    """Raise `LibraryError` if a root is offline, or a link leads to an offline folder."""
    if offline:
        raise LibraryError(
            f"{offline[0].path} is absent or empty, perhaps an unmounted drive: nothing was pruned. If it is "
            "gone for good, use `vitsearch roots forget`"
        )
    for link in away:
        if link.is_symlink():
            raise LibraryError(
                f"{link} leads to {real_path(link)}, which is absent or empty, perhaps an unmounted drive: "
                "nothing was pruned. If it is gone for good, remove the link"
            )
