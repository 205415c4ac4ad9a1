"""The protocol of engines, which receive copies of a library's photos and answer searches; one per URL scheme."""

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
    """The result of an export to an engine; `photos` is how many photos of this selection the collection now holds."""

    to: str
    photos: int
    written: int
    removed: int
    unchanged: int
    model: str
    seconds: float


class Engine(Protocol):
    """Stores collections, each at an address `SCHEME://…`. `token`: the user's name and password, or key."""

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
        """Make the collection hold these photos; `whole` deletes its other photos.

        Repeating the call after an interruption must complete it. All errors are `StoreError`s of one line.
        """

    def open(self, address: str, *, token: str | None) -> AbstractContextManager[SearchStore]:
        """Open a collection for searches. Raises `StoreError`."""


@runtime_checkable
class LabelStore(Protocol):
    """A store that can also find photos by label."""

    def find_label(
        self, head: str, label: str, *, k: int, criteria: Filter, offline: Collection[Path] = ()
    ) -> SearchResult:
        """Find the photos that have a label, most probable first, as they were labelled at the time of the export."""


@runtime_checkable
class ExampleStore(Protocol):
    """A store that accepts one of its own photos as a query, without the file."""

    def example(self, photo: int) -> tuple[bytes, npt.NDArray[np.float32]] | None:
        """Return the hash and the unit row (d,) of a photo, by its id in earlier matches, or None."""
