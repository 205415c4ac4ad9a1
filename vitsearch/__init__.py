"""vitsearch: search your own photos by what is in them.

`Library.open(folder)` opens a library; `library.index([...])` looks at photo folders; `library.search(image, k=10)`
finds what is like an image. What they return are the frozen records of `vitsearch.records`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from vitsearch.library import Library
    from vitsearch.records import IndexReport, LibraryStatus, Match, SearchResult
    from vitsearch.storage.filters import Filter

__all__ = [
    "Filter",
    "IndexReport",
    "Library",
    "LibraryStatus",
    "Match",
    "SearchResult",
    "VitsearchError",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Lazy, so that `import vitsearch` and the command line's --help stay light.
    if name == "Library":
        from vitsearch.library import Library

        return Library
    if name == "Filter":
        from vitsearch.storage.filters import Filter

        return Filter
    if name in ("IndexReport", "LibraryStatus", "Match", "SearchResult"):
        from vitsearch import records

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
