"""Watch folders of photos, and say which parts of them to index again: one batch for each burst of changes.

Built on watchfiles, which hears of changes from the operating system. A root that goes (a drive that is unmounted) is
let go of, and looked at again when it is back; what that means for its photos is the index run's to say.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.folders.scan import SYSTEM_FOLDERS
from vitsearch.paths import is_offline, real_path
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

# A burst is over when nothing has changed for so long, and is cut after so long in any case (milliseconds).
_QUIET = 700
_LONGEST = 10_000
# How often a root is looked for that has gone, and `stop` is asked (milliseconds).
_LOOK_EVERY = 1000
# With changes in more folders than this, the whole root is walked.
_MANY = 50


def watch_folders(
    roots: Callable[[], Iterable[Path]], *, library: Path, stop: threading.Event | None = None
) -> Iterator[tuple[Path, ...]]:
    """Yield the folders to index again, the smallest ones that hold all changes of a burst.

    `roots` is asked again and again: it may grow, and roots may go and come back. All roots are yielded whole as soon
    as the system watches them: what came before, while nobody looked, is found by that walk. What the library in the
    folder `library` writes for itself, and changes in hidden and system folders, count for nothing. Ends when `stop`
    is set.

    Raises:
        LibraryError: watchfiles is not installed, or the system watches no more files.

    """
    while stop is None or not stop.is_set():
        there = frozenset(root for root in map(real_path, roots()) if not is_offline(root))
        if there:
            for number, changed in enumerate(_changes(there, library, stop)):
                folders = folders_to_index(changed, there) if number else tuple(sorted(there))
                if folders:
                    yield folders
                if frozenset(root for root in map(real_path, roots()) if not is_offline(root)) != there:
                    break
        elif _pause(stop):
            return


def folders_to_index(changed: Iterable[Path], roots: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders in which these paths have changed: existing ones, none inside of another, sorted.

    What changed in a folder that has gone itself is looked for in the next one above that is there.
    """
    tops = list(roots)
    folders: set[Path] = set()
    for path in changed:
        root = next((top for top in tops if path.is_relative_to(top)), None)
        if root is None:
            continue
        folder = path if path != root and path.is_dir() else path.parent
        while folder != root and folder.is_relative_to(root) and not folder.is_dir():
            folder = folder.parent
        folders.add(folder if folder.is_relative_to(root) else root)
    if len(folders) > _MANY:
        folders = {top for top in tops if any(folder.is_relative_to(top) for folder in folders)}
    return tuple(
        sorted(folder for folder in folders if not any(parent in folders for parent in folder.parents))
    )


def _changes(roots: frozenset[Path], library: Path, stop: threading.Event | None) -> Iterator[list[Path]]:
    """Yield the changed paths of each burst, and an empty list now and then."""
    try:
        from watchfiles import watch
    except ImportError:
        raise LibraryError(
            "watching folders needs watchfiles: install it with `pip install 'vitsearch[web]'`"
        ) from None
    layout = Layout.of(real_path(library))

    def counts(_change: object, path: str) -> bool:
        changed = Path(path)
        root = next((root for root in roots if changed.is_relative_to(root)), None)
        if root is None or layout.owns(changed):
            return False
        parts = changed.relative_to(root).parts
        return not any(part.startswith(".") or part.casefold() in SYSTEM_FOLDERS for part in parts)

    try:
        for changes in watch(
            *roots,
            watch_filter=counts,
            debounce=_LONGEST,
            step=_QUIET,
            stop_event=stop,
            rust_timeout=_LOOK_EVERY,
            yield_on_timeout=True,
            raise_interrupt=True,
            ignore_permission_denied=True,
        ):
            yield [Path(path) for _, path in changes]
    except FileNotFoundError:
        return  # a root went just now
    except OSError as error:
        raise LibraryError(
            f"the system watches no more folders ({error.strerror or error}): on Linux, raise "
            "fs.inotify.max_user_watches"
        ) from error


def _pause(stop: threading.Event | None) -> bool:
    """Wait a little; whether to stop."""
    if stop is not None:
        return stop.wait(_LOOK_EVERY / 1000)
    time.sleep(_LOOK_EVERY / 1000)
    return False
