"""The photos that match filters, newest first, for searches without an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.records import SearchResult
from vitsearch.searching.matches import as_match, looked_at, placed
from vitsearch.storage.listing import Listing

if TYPE_CHECKING:
    from vitsearch.records import Match
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.filters import Filter

_AT_ONCE = 500


def newest_photos(catalog: Catalog, where: Filter, *, k: int) -> tuple[SearchResult, int]:
    """Return the k newest photos that match a filter, and how many match in all.

    Photos without a date come last, by file time. Missing photos, and those only on drives that are not mounted, are
    left out.

    Raises:
        LibraryMissing: nothing has been indexed yet.
        LibraryError: a folder of the filter is not part of an indexed folder.

    """
    _, space = catalog.require_space()
    ids = Listing(catalog).grid("date", among=catalog.select(where)).ids.tolist()
    places = where.places
    matches: list[Match] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        rows = catalog.photos(part)
        located = (placed(rows[photo], places) for photo in part if photo in rows)
        matches += [as_match(photo, 1.0, 100.0) for photo in located if photo.paths]
        if len(matches) >= k:
            break
    return SearchResult((), space.model, tuple(map(looked_at, matches[:k])), scored=False), len(ids)
