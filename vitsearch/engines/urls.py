"""Index photos behind URLs of any kind that fsspec supports."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.photos.formats import EXTENSIONS
from vitsearch.records import FoundFile, IndexReport, UnreadableFile
from vitsearch.searching.fetching import why_unreachable
from vitsearch.storage.rows import HAS_NO_VECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vitsearch.engines.ray.embedding import RayEmbedder, RayEngine
    from vitsearch.indexing.engine import Target
    from vitsearch.library import Library
    from vitsearch.records import Progress
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.rows import Root


def index_urls(
    library: Library,
    urls: Sequence[str],
    engine: RayEngine,
    *,
    model: str | None = None,
    change_model: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> IndexReport:
    """Index the photos below these URLs (of any kind that fsspec supports).

    A URL becomes an offline root: searches return its photos once `roots relocate` says where they are mounted. Photos
    that were deleted there are not marked as missing.

    Raises:
        LibraryError: a URL cannot be listed.

    """
    started = time.monotonic()
    # Before a library is made: an address that is wrong leaves none behind.
    found = {url: _listed(url) for url in urls}
    with library.receiving_files(model=model, change_model=change_model, on_progress=on_progress) as target:
        return _indexed(target, found, engine.open(target), started)


def _indexed(
    target: Target, listed: Mapping[str, Sequence[FoundFile]], embedder: RayEmbedder, started: float
) -> IndexReport:
    catalog = target.catalog
    named: set[UnreadableFile] = set()
    run = catalog.begin_run()
    todo: list[tuple[int | None, FoundFile]] = []
    unchanged = 0
    roots = []
    for url, files in listed.items():
        root, below = catalog.add_root(Path(url))
        if below:
            raise LibraryError(f"{url} lies in {root.path}, which was indexed: name that")
        roots.append(root)
        named.update(_unreadable(catalog, root))
        known = catalog.known_files(root.id, "", target.space_id)
        for found in files:
            file = known.get(found.relative)
            if file is None or file[3:5] != (found.size, found.mtime_ns) or file[6] & HAS_NO_VECTOR:
                todo.append((root.id, found))
            else:
                unchanged += 1
    embedder.run(run, todo, urls={Path(url): url.rstrip("/") for url in listed})
    counts = [catalog.counts(root.id, "") for root in roots]
    unreadable = [file for root in roots for file in _unreadable(catalog, root)]
    return IndexReport(
        photos=catalog.count_photos([(root.id, "") for root in roots]),
        files=sum(count.files for count in counts),
        embedded=embedder.embedded,
        unchanged=unchanged,
        moved=0,
        missing=sum(count.missing for count in counts),
        pruned=0,
        offline=0,
        offline_roots=(),
        unreadable=tuple(unreadable),
        newly_unreadable=tuple(file for file in unreadable if file not in named),
        model=target.space.model,
        seconds=time.monotonic() - started,
    )


def _unreadable(catalog: Catalog, root: Root) -> list[UnreadableFile]:
    return [UnreadableFile(root.path / path, reason) for path, reason in catalog.unreadable(root.id, "")]


def _listed(url: str) -> list[FoundFile]:
    """Return the photos below a URL, sorted by path."""
    import fsspec

    try:
        system, base = fsspec.core.url_to_fs(url)
        entries = system.find(base, detail=True)
    except ImportError as error:
        raise LibraryError(
            f"cannot list {url}: {error}: install that with pip, or mount the place and index its folder"
        ) from error
    except FileNotFoundError as error:
        raise LibraryError(f"cannot list {url}: there is nothing of that name: check the address") from error
    except (OSError, ValueError) as error:
        raise LibraryError(
            f"cannot list {url}: {why_unreachable(error)}: check the address, your network and what you may read there"
        ) from error
    found = []
    for name, told in entries.items():
        path = PurePosixPath(name[len(base) :].lstrip("/"))
        hidden = any(part.startswith(".") for part in path.parts)
        if told.get("type") == "file" and path.suffix.lower() in EXTENSIONS and not hidden:
            changed = next(
                (told[key] for key in ("mtime", "LastModified", "last_modified", "updated") if key in told), 0
            )
            seconds = changed.timestamp() if hasattr(changed, "timestamp") else changed
            usable = isinstance(seconds, (int, float))
            found.append(
                FoundFile(
                    Path(url), str(path), int(told.get("size") or 0), int(seconds * 1e9) if usable else 0
                )
            )
    if not found:
        raise LibraryError(f"there are no photos below {url}: check the address")
    return sorted(found, key=lambda each: each.relative)
