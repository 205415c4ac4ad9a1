"""What an engine is: it takes copies of a library's photos, and answers searches. One for each scheme of addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from vitsearch.engines.portable import Selection
    from vitsearch.library import Library
    from vitsearch.records import SearchResult
    from vitsearch.searching.store import SearchStore
    from vitsearch.storage.filters import Filter


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What an export to an engine did; `photos` is how many the collection holds of this selection now."""

    to: str
    photos: int
    written: int
    removed: int
    unchanged: int
    model: str
    seconds: float


class Engine(Protocol):
    """Keeps collections, each at an address `SCHEME://…`. `token`: what a person gave as user and password."""

    def export(
        self,
        address: str,
        library: Library,
        selection: Selection,
        *,
        whole: bool,
        token: str | None,
        on_progress: Callable[[int, int], None],
    ) -> StoreReport:
        """Make the collection hold these photos; with `whole` its other photos are deleted.

        Raises `StoreError`, one line, for all that goes wrong. The same call again must mend what broke off.
        """

    def open(self, address: str, *, token: str | None) -> AbstractContextManager[SearchStore]:
        """Open a collection for searches, or raise `StoreError`."""


@runtime_checkable
class LabelStore(Protocol):
    """A store that finds photos by label, too."""

    def find_label(
        self, head: str, label: str, *, k: int, criteria: Filter, offline: Collection[Path] = ()
    ) -> SearchResult:
        """Find the photos that have a label, most probable first, as they were labelled when they were exported."""


@runtime_checkable
class ExampleStore(Protocol):
    """A store that takes a photo of its own as a query, where no file of it is at hand."""

    def example(self, photo: int) -> tuple[bytes, npt.NDArray[np.float32]] | None:
        """Return the hash of a photo and its unit row (d,), by the id that matches name it by, or None."""
