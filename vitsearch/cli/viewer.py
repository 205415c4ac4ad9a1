"""The system's file viewer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from pathlib import Path

# A launcher that has not failed by then has found a viewer, which may stay open for as long as a person looks.
_SECONDS = 3.0


def show_file(path: Path) -> None:
    """Open a file with the system's default viewer.

    Raises:
        VitsearchError: no viewer was found.

    """
    refusal = VitsearchError(
        f"no viewer could be started for {path}: open it yourself, or draw the answer with --sheet or --html"
    )
    # The answer of a store may name anything: an option, a URL.
    if not (path.is_absolute() and path.is_file()):
        raise refusal
    if sys.platform == "win32":
        import os

        try:
            os.startfile(path)  # noqa: S606 - the system's viewer for a photo of the library
        except OSError as error:
            raise refusal from error
        return
    import subprocess  # next to no search opens a viewer

    program = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        started = subprocess.Popen(  # noqa: S603 - a fixed program; the path begins with a slash and is no option
            [program, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        failed = started.wait(timeout=_SECONDS) != 0
    except subprocess.TimeoutExpired:
        started.returncode = 0  # it goes on without us
        return
    except OSError:
        failed = True
    if failed:
        raise refusal
