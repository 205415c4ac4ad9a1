"""The photos that filters keep, newest first, where there is nothing that they could be like."""

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
    """Return the k newest photos that a filter keeps, and how many it keeps in all.

    Photos without a date come last, by the time of their files. Those that are missing, or only on drives that are not
    mounted, are left out.

    Raises:
        LibraryMissing: nothing was indexed yet.
        LibraryError: a folder of the filter is in none that was indexed.

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
