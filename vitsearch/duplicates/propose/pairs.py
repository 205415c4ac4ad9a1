"""All pairs of unit rows whose cosine reaches a cut-off: exactly, in blocks, within bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]
    Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]
    Floats = npt.NDArray[np.float32]

# One block of products takes 64 MB, two blocks of 768 dimensions 25 MB.
BLOCK = 4096
# Pairs that may wait before those beyond `most` are dropped: 20 bytes each.
_WAITING = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of rows. `first` < `second`: (m,) int64 places; `cosines`: (m,) float32, nan where they are not known."""

    first: Ids
    second: Ids
    cosines: Floats

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Put pairs behind each other, in the order in which they come."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(part.first for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.second for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.cosines for part in parts)]),
        )

    def chosen(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Pairs:
        """Return some of the pairs: those of a mask, or those at these places in their order."""
        return Pairs(self.first[which], self.second[which], self.cosines[which])


def near_pairs(
    rows: Rows,
    cutoff: float,
    *,
    against: Rows | None = None,
    most: int | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Pairs:
    """Find all pairs i < j with `rows[i] @ against[j] >= cutoff`, sorted; `against` is `rows` itself if not given.

    `rows`, `against`: (n, d) float32 or float16, unit rows; a memory-mapped array is read in blocks. With `most`,
    a pair is kept only if it is among the `most` best of one of its two rows, so that a crowd of look-alikes costs
    bounded memory: that of `n * most` pairs and 0.4 GB come on top of the rows. `on_progress` is told after each
    block the share that is done, 0 to 1.
    """
    waiting: list[Pairs] = []
    count = 0
    for found in _blocks_of_pairs(rows, rows if against is None else against, cutoff, on_progress):
        waiting.append(found)
        count += len(found)
        if most is not None and count > _WAITING + most * len(rows):
            waiting = [_best(Pairs.joined(waiting), len(rows), most)]
            count = len(waiting[0])
    pairs = Pairs.joined(waiting)
    if most is not None:
        pairs = _best(pairs, len(rows), most)
    return pairs.chosen(np.lexsort((pairs.second, pairs.first)))


def _blocks_of_pairs(
    rows: Rows, against: Rows, cutoff: float, on_progress: Callable[[float], None]
) -> Iterator[Pairs]:
    blocks = -(-len(rows) // BLOCK)
    done, total = 0, max(1, blocks * (blocks + 1) // 2)
    limit = np.float32(cutoff)
    products = np.empty(BLOCK * BLOCK, dtype=np.float32)
    for top in range(0, len(rows), BLOCK):
        left = _as_float32(rows[top : top + BLOCK])
        for start in range(top, len(against), BLOCK):
            right = _as_float32(against[start : start + BLOCK])
            block = products[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=block)
            places = np.flatnonzero(block.reshape(-1) >= limit)
            done += 1
            on_progress(done / total)
            if not len(places):
                continue
            first, second = np.divmod(places, len(right))
            cosines = block.reshape(-1)[places]
            if start == top:
                above = first < second
                first, second, cosines = first[above], second[above], cosines[above]
            yield Pairs(first + top, second + start, cosines)


def _as_float32(rows: Rows) -> Floats:
    return np.ascontiguousarray(rows, dtype=np.float32)


def _best(pairs: Pairs, rows: int, most: int) -> Pairs:
    """Keep the pairs that are among the `most` best of one of their rows; a later pair cannot bring one back."""
    ends = np.concatenate([pairs.first, pairs.second])
    order = np.lexsort((-np.tile(pairs.cosines, 2), ends))
    starts = np.searchsorted(ends[order], np.arange(rows))
    rank = np.empty(len(ends), dtype=np.int64)
    rank[order] = np.arange(len(ends)) - starts[ends[order]]
    kept = np.minimum(rank[: len(pairs)], rank[len(pairs) :]) < most
    return pairs.chosen(kept)
