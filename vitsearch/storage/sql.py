"""Questions to SQLite about many ids at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]


@overload
def in_parts(ids: Sequence[int] | Ids) -> Iterator[list[int]]: ...
@overload
def in_parts(ids: Sequence[bytes]) -> Iterator[list[bytes]]: ...
def in_parts(ids: Sequence[int] | Ids | Sequence[bytes]) -> Iterator[list[int]] | Iterator[list[bytes]]:
    """Split ids or hashes so that each part fits SQLite's limit on parameters."""
    values: Any = [one if isinstance(one, bytes) else int(one) for one in ids]
    return (values[start : start + 900] for start in range(0, len(values), 900))


def contained(some: Ids, others: Ids) -> npt.NDArray[np.bool_]:
    """Whether each of some ids (n,) is among the others (m,), both ascending: (n,) bool.

    NumPy's own sets would sort all of them again.
    """
    if not len(others):
        return np.zeros(len(some), dtype=bool)
    at = np.minimum(np.searchsorted(others, some), len(others) - 1)
    found: npt.NDArray[np.bool_] = others[at] == some
    return found
