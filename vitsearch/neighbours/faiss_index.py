"""FAISS over the rows of a search cache: exact search, and approximate search for large libraries.

Rows are identified by slot, their position in the rows file.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.neighbours.files import OperatingPoint, cheapest
from vitsearch.neighbours.flat import (
    BLAS_QUERIES,
    ROUNDING,
    SETTLE_ROWS,
    import_faiss,
    multiplied,
    needs_faiss,
    probing,
    search_blocks,
    threads_for,
    view,
)
from vitsearch.neighbours.row_files import expect_single_rows
from vitsearch.neighbours.single import MOST_CANDIDATES
from vitsearch.neighbours.sizing import NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from vitsearch.neighbours.cells import Cells
    from vitsearch.neighbours.single import SingleSearch

    Slots = npt.NDArray[np.int64]
    Half = npt.NDArray[np.float16]
    Single = npt.NDArray[np.float32]
    Found = tuple[Single, Slots]
    Find = Callable[[Single, int], Found]


# Copying rows out pays off where at most this share of them is kept; else FAISS skips over the others.
GATHER_SHARE = 1 / 16


class Subset:
    """The slots among `total` that may be found, given as `slots` (count,), ascending, or as `mask` (total,) bool."""

    def __init__(
        self, total: int, *, slots: Slots | None = None, mask: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.total = total
        self._slots = slots
        self._mask = mask
        self.count = int(np.count_nonzero(mask)) if slots is None and mask is not None else len(self.slots)
        self._tail: Subset | None = None

    @property
    def slots(self) -> Slots:
        """The slots that may be found: (count,), ascending."""
        if self._slots is None:
            assert self._mask is not None
            self._slots = np.flatnonzero(self._mask)
        return self._slots

    @cached_property
    def selector(self) -> Any:  # noqa: ANN401
        """The same as a FAISS selector."""
        faiss = import_faiss()
        if self._mask is None:
            self._mask = np.zeros(self.total, dtype=bool)
            self._mask[self.slots] = True
        self._bits = np.packbits(self._mask, bitorder="little")  # FAISS keeps only a pointer
        return faiss.IDSelectorBitmap(len(self._bits), faiss.swig_ptr(self._bits))

    def tail(self, start: int) -> Subset:
        """Return the subset of the slots from `start` on, renumbered from 0."""
        if self._tail is None or self._tail.total != self.total - start:
            slots = self.slots[np.searchsorted(self.slots, start) :] - start
            self._tail = Subset(self.total - start, slots=slots)
        return self._tail


class RowIndex:
    """Rows (n, d) float16, searched in place, with their photo ids (n,), and the cells that contain them, if any."""

    def __init__(self, rows: Half, ids: Slots, cells: Cells | None) -> None:
        self.rows = rows
        self.ids = ids
        self.cells = cells
        # A program that asks once, as `vitsearch search` does, need not import FAISS for a small library.
        self._is_new = not needs_faiss(rows)

    @cached_property
    def _flat(self) -> Any:  # noqa: ANN401
        return view(self.rows)

    @cached_property
    def _refined(self) -> Any:  # noqa: ANN401
        assert self.cells is not None
        return import_faiss().IndexRefine(self.cells.index, view(self.rows[: self.cells.count]))

    @cached_property
    def _alone(self) -> SingleSearch:
        assert self.cells is not None
        return self.cells.single_search(self.rows[: self.cells.count])

    @cached_property
    def _tail(self) -> RowIndex:
        assert self.cells is not None
        return RowIndex(self.rows[self.cells.count :], self.ids[self.cells.count :], None)

    def search(self, queries: Single, k: int, kept: Subset | None, *, recall: float | None) -> Found:
        """Find the k best rows of each query: scores (q, k) float32 and slots (q, k) int64.

        Best first; equal scores are sorted by id. k is at most the number of rows that may be found. `recall` chooses
        the operating point of the cells; the search is exact if it is None.
        """
        is_first, self._is_new = self._is_new, False
        if is_first and recall is None and len(queries) == 1:
            limit = len(self.rows) if kept is None else kept.count
            members = None if kept is None else kept.slots

            def products(some: Single, wanted: int) -> Found:
                return multiplied(self.rows, some, wanted, members)

            return self._ranked(products, queries, k, limit)
        with threads_for(len(queries)):
            return self._search(queries, k, kept, recall)

    def _search(self, queries: Single, k: int, kept: Subset | None, recall: float | None) -> Found:
        limit = len(self.rows) if kept is None else kept.count

        def exact(some: Single, wanted: int) -> Found:
            return self.exact(some, wanted, kept)

        if self.cells is None or recall is None:
            return self._ranked(exact, queries, k, limit)
        point = cheapest(self.cells.points, recall)

        def approximate(some: Single, wanted: int) -> Found:
            return self._approximate(some, wanted, kept, point)

        scores, slots = self._ranked(approximate, queries, k, limit)
        if len(queries) == 1 and slots[0, k - 1] >= 0:
            return scores, slots
        short = np.flatnonzero(slots[:, k - 1] < 0)
        if len(short):
            scores[short], slots[short] = self._ranked(exact, queries[short], k, limit)
        return scores, slots

    def exact(self, queries: Single, k: int, kept: Subset | None) -> Found:
        """Find the k best rows of each query, as `search` does, but nearly equal scores may be in any order."""
        gathers = kept is not None and kept.count < GATHER_SHARE * len(self.rows)
        expect_single_rows(self.rows, single=gathers)
        if len(queries) >= BLAS_QUERIES:
            return search_blocks(self.rows, queries, k, None if kept is None else kept.slots)
        if kept is None:
            scores, slots = self._flat.search(queries, k)
        elif gathers:
            scores, places = view(self.rows[kept.slots]).search(queries, k)
            slots = kept.slots[places]
        else:
            parameters = import_faiss().SearchParameters(sel=kept.selector)
            scores, slots = self._flat.search(queries, k, params=parameters)
        return scores, slots

    def _approximate(self, queries: Single, k: int, kept: Subset | None, point: OperatingPoint) -> Found:
        """Find about the k best rows, with exact scores. If the visited cells hold too few, the last slots are -1."""
        assert self.cells is not None
        expect_single_rows(self.rows, single=True)
        nprobe, selector = point.nprobe, None
        if kept is not None:
            # As many rows that may be found are visited as there were without the filter.
            nprobe = min(self.cells.size, round(nprobe * kept.total / kept.count))
            selector = kept.selector
        candidates = point.factor * max(k, NEIGHBOURS)
        if len(queries) == 1 and candidates <= MOST_CANDIDATES:
            scores, slots = self._alone.search(
                queries, k, nprobe=nprobe, candidates=candidates, selector=selector
            )
        else:
            parameters = import_faiss().IndexRefineSearchParameters(
                k_factor=candidates / k, base_index_params=probing(nprobe, selector)
            )
            scores, slots = self._refined.search(queries, k, params=parameters)
        covered = self.cells.count
        rest = None if kept is None or covered == len(self.rows) else kept.tail(covered)
        width = min(k, len(self.rows) - covered if rest is None else rest.count)
        if width:
            more_scores, more = self._tail.exact(queries, width, rest)
            scores, slots = np.hstack([scores, more_scores]), np.hstack([slots, more + covered])
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, slots = np.take_along_axis(scores, best, axis=1), np.take_along_axis(slots, best, axis=1)
        return scores, slots

    def _ranked(self, find: Find, queries: Single, k: int, limit: int) -> Found:
        """Sort the results of `find` as `search` promises.

        FAISS returns any of the rows that tie for the last place, so more are requested until the last place is no
        tie.
        """
        wanted = min(k + 1, limit)
        wide_scores, wide = find(queries, wanted)
        if _are_apart(wide_scores):
            return wide_scores[:, :k], wide[:, :k]
        left = np.flatnonzero(_are_tied(wide_scores, wide, k, limit))
        scores, slots = self._settled(queries, wide_scores, wide, k)
        while len(left):
            wanted = min(4 * wanted, limit)
            wide_scores, wide = find(queries[left], wanted)
            tied = _are_tied(wide_scores, wide, k, limit)
            scores[left], slots[left] = self._settled(queries[left], wide_scores, wide, k)
            left = left[tied]
        return scores, slots

    def _settled(self, queries: Single, scores: Single, slots: Slots, k: int) -> Found:
        """Return the best k; nearly equal scores are computed exactly and sorted by score, then by id."""
        close = _are_close(scores) & (slots[:, 1:] >= 0)
        if close.any():
            near = np.zeros(scores.shape, dtype=bool)
            near[:, 1:] = close
            near[:, :-1] |= close
            which, place = np.nonzero(near)
            for start in range(0, len(which), SETTLE_ROWS):
                query, column = which[start : start + SETTLE_ROWS], place[start : start + SETTLE_ROWS]
                rows = self.rows[slots[query, column]].astype(np.float64)
                scores[query, column] = np.einsum("nd,nd->n", rows, queries[query].astype(np.float64))
            order = np.lexsort((self.ids[slots], -scores))
            scores = np.take_along_axis(scores, order, axis=1)
            slots = np.take_along_axis(slots, order, axis=1)
        return scores[:, :k], slots[:, :k]


def _are_apart(scores: Single) -> bool:
    """Return whether no two consecutive scores (q, k) could be equal."""
    if len(scores) == 1:  # NumPy takes longer than Python for so few
        return all(after < before - ROUNDING for before, after in pairwise(scores[0].tolist()))
    return not _are_close(scores).any()


def _are_close(scores: Single) -> npt.NDArray[np.bool_]:
    """Return which scores (q, k - 1), from the second on, could be equal to the previous one."""
    close: npt.NDArray[np.bool_] = scores[:, 1:] >= scores[:, :-1] - ROUNDING
    return close


def _are_tied(scores: Single, slots: Slots, k: int, limit: int) -> npt.NDArray[np.bool_]:
    """Return for which queries (q,) the last result could tie with the k-th, so that further rows could as well."""
    if slots.shape[1] == limit:
        return np.zeros(len(slots), dtype=bool)
    tied: npt.NDArray[np.bool_] = (slots[:, -1] >= 0) & (scores[:, -1] >= scores[:, k - 1] - ROUNDING)
    return tied
