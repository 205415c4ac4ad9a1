"""What reports, searches and libraries say, short enough to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.storage.filters import ALL_PHOTOS

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.library import Library
    from vitsearch.records import IndexReport
    from vitsearch.storage.filters import Filter


def figures(report: IndexReport) -> dict[str, int]:
    """The numbers of an index report that are not zero."""
    names = ("photos", "files", "embedded", "unchanged", "moved", "missing", "pruned", "offline")
    counts = {name: getattr(report, name) for name in names}
    counts["unreadable"] = len(report.unreadable)
    return {name: count for name, count in counts.items() if count}


def places(library: Library, query: Path, *, where: Filter = ALL_PHOTOS) -> list[Path]:
    """Where a search finds photos, copies included, sorted."""
    matches = library.search(query, k=100, include_self=True, where=where).results
    return sorted(path for match in matches for path in (match.path, *match.other_paths))


def vectors(library):
    rows = library.catalog.database.rows(
        "SELECT p.photo_hash, v.vector, f.path FROM vectors v JOIN photos p ON p.id = v.photo "
        "JOIN files f ON f.photo = p.id ORDER BY p.photo_hash, f.path"
    )
    assert rows
    return rows
