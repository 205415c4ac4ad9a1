"""Is the drive there on which a folder was? A mount point without its drive is an empty folder of another file system.

What is put there is hidden as soon as the drive is mounted again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vitsearch.errors import PlanError
from vitsearch.folders.file_system import FileSystems

if TYPE_CHECKING:
    from pathlib import Path


def drive_of(folder: Path) -> str | None:
    """Return what names the file system that a folder is on, or would be made on; None where nothing is known of it."""
    return FileSystems().of(os.path.realpath(_nearest(folder)))


def check_destination(folder: Path | None, drive: str | None) -> None:
    """Check that the destination of a plan is on the drive that it was on when the plan was made, if both are known.

    Raises:
        PlanError: it is on another one.

    """
    if folder is None or drive is None:
        return
    now = drive_of(folder)
    if now is not None and now != drive:
        raise PlanError(
            f"{folder} is on another drive than when the plan was made: nothing was done. Mount that drive, "
            "or make the plan again"
        )


def why_away(folder: Path, drive: str | None) -> str | None:
    """Say that the drive is not there that a folder was on, or None if it may be."""
    if drive is None or (folder.is_dir() and any(folder.iterdir())):
        return None
    now = drive_of(folder)
    if now is None or now == drive:
        return None
    return (
        f"the drive of {folder} is not mounted: mount it and undo again, or, if another one has taken its place, put "
        "some file into that folder first"
    )


def _nearest(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
