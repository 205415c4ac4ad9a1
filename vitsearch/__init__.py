"""vitsearch: search your own photos by what is in them.

`vitsearch.embed("photos")` turns photos into vectors. `Library.open()` opens the library of the command line, or
`Library.open(folder)` any other; `library.index([...])` looks at photo folders; `library.search(image, k=10)` finds
what is like an image. All public names are in `docs/python.md`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError
from vitsearch.version import VERSION

if TYPE_CHECKING:
    from vitsearch.duplicates.group.grouping import DuplicateGroup
    from vitsearch.heads.labelling import LabelledPhoto
    from vitsearch.notebook.answers import EmbeddedPhotos, SearchResult, StoredVectors
    from vitsearch.notebook.duplicates import DuplicateReport
    from vitsearch.notebook.embedding import embed
    from vitsearch.notebook.heads import Heads, LabelResult
    from vitsearch.notebook.library import Library
    from vitsearch.records import IndexReport, LibraryStatus, Match
    from vitsearch.storage.filters import Filter

__all__ = [
    "DuplicateGroup",
    "DuplicateReport",
    "EmbeddedPhotos",
    "Filter",
    "Heads",
    "IndexReport",
    "LabelResult",
    "LabelledPhoto",
    "Library",
    "LibraryStatus",
    "Match",
    "SearchResult",
    "StoredVectors",
    "VitsearchError",
    "__version__",
    "embed",
]

__version__ = VERSION

# Lazy, so that `import vitsearch` and the command line's --help stay light.
_HOMES = {
    "DuplicateGroup": "vitsearch.duplicates.group.grouping",
    "DuplicateReport": "vitsearch.notebook.duplicates",
    "EmbeddedPhotos": "vitsearch.notebook.answers",
    "Filter": "vitsearch.storage.filters",
    "Heads": "vitsearch.notebook.heads",
    "IndexReport": "vitsearch.records",
    "LabelResult": "vitsearch.notebook.heads",
    "LabelledPhoto": "vitsearch.heads.labelling",
    "Library": "vitsearch.notebook.library",
    "LibraryStatus": "vitsearch.records",
    "Match": "vitsearch.records",
    "SearchResult": "vitsearch.notebook.answers",
    "StoredVectors": "vitsearch.notebook.answers",
    "embed": "vitsearch.notebook.embedding",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
