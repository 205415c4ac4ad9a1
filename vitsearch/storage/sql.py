"""SQL queries for many ids at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy.typing as npt

    from vitsearch.storage.database import Database, Value

    Ids = npt.NDArray[np.int64]


@overload
def in_parts(ids: Sequence[int] | Ids) -> Iterator[list[int]]: ...
@overload
def in_parts(ids: Sequence[bytes]) -> Iterator[list[bytes]]: ...
@overload
def in_parts(ids: Sequence[int] | Sequence[bytes] | Ids) -> Iterator[list[int]] | Iterator[list[bytes]]: ...
def in_parts(ids: Sequence[int] | Sequence[bytes] | Ids) -> Iterator[list[int]] | Iterator[list[bytes]]:
    """Split ids or hashes into lists that fit SQLite's limit on parameters."""
    values: Any = [one if isinstance(one, bytes) else int(one) for one in ids]
    return (values[start : start + 900] for start in range(0, len(values), 900))


def marks(values: Collection[object]) -> str:
    """Return a comma-separated question mark for each value, for an IN clause."""
    return ",".join("?" * len(values))


def rows_in(
    database: Database,
    sql: str,
    ids: Sequence[int] | Sequence[bytes] | Ids,
    *,
    before: Sequence[Value] = (),
    after: Sequence[Value] = (),
) -> Iterator[tuple[Any, ...]]:
    """Run a query for many ids or hashes in parts; `(?*)` in it is replaced by a list of parameters.

    `before` and `after` are the parameters before and after that list. Columns have the types of the schema.
    """
    for part in in_parts(ids):
        yield from database.rows(sql.replace("(?*)", f"({marks(part)})"), [*before, *part, *after])


def contained(some: Ids, others: Ids) -> npt.NDArray[np.bool_]:
    """Return which of some ids (n,) are among the others (m,), both ascending: (n,) bool.

    NumPy's set functions would sort all of them again.
    """
    if not len(others):
        return np.zeros(len(some), dtype=bool)
    at = np.minimum(np.searchsorted(others, some), len(others) - 1)
    found: npt.NDArray[np.bool_] = others[at] == some
    return found
