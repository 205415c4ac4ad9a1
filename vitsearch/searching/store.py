"""The protocol of stores that answer searches instead of the library, such as Milvus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vitsearch.errors import BadQuery
from vitsearch.storage.filters import IN_STORES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from vitsearch.records import Match
    from vitsearch.searching.matches import MatchOptions
    from vitsearch.space import Space
    from vitsearch.storage.filters import Filter


def check_held(where: Filter) -> None:
    """Raise `BadQuery` for a filter on a field that stores do not hold, instead of ignoring it silently."""
    for name in where.asked():
        if name not in IN_STORES:
            option = f"--{name.replace('_', '-')}"
            raise BadQuery(
                f"a store does not hold what {option} asks for: search the library, or leave {option} away"
            )


class SearchStore(Protocol):
    """A searchable store of the embeddings of one space."""

    @property
    def searched_space(self) -> Space:
        """The space of the embeddings."""

    def vector(self, photo_hash: bytes) -> npt.NDArray[np.float32] | None:
        """Return the stored unit row (d,) float32 of a photo, or None."""

    def find(
        self,
        query: npt.NDArray[np.float32],
        own: Sequence[bytes],
        options: MatchOptions,
        *,
        offline: Collection[Path] = (),
    ) -> tuple[tuple[Match, ...], float | None]:
        """Return the matches of a unit query (d,), best first, and the score above which photos stand out.

        `own`: hashes of the query's own photos, which are left out. Files in `offline` folders are left out.
        """
