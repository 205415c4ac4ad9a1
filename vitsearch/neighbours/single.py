"""A fast path for a single query over the cells of an approximate index.

FAISS rotates a query with a matrix product, compares it with all centroids and reads the candidates' rows one by one,
costs that only many queries share. What remains is mostly memory latency, including that of the interpreter: each
NumPy or Python step between two FAISS calls costs several times what it would in a tight loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.neighbours.flat import import_faiss, view

if TYPE_CHECKING:
    import numpy.typing as npt

    Slots = npt.NDArray[np.int64]
    Half = npt.NDArray[np.float16]
    Single = npt.NDArray[np.float32]
    Found = tuple[Single, Slots]

# The rows of this many candidates of a query are copied together: a megabyte at 512 dimensions.
MOST_CANDIDATES = 1024
# This many centroids of the shortlist are compared per requested cell, and at least `LEAST_LOOKED_AT`.
LOOKED_AT = 16
LEAST_LOOKED_AT = 192
# Where more of the centroids than this share were compared, comparing all is faster.
SHORTLIST_SHARE = 1 / 4


class SingleSearch:
    """Finds the candidates of one query in the cells, and their exact scores among the rows (n, d) float16.

    `index` and `shortlist` are those of the cells. Threads may search at the same time.
    """

    def __init__(self, index: Any, shortlist: Any, rows: Half) -> None:  # noqa: ANN401
        faiss = import_faiss()
        self._index = index
        self._shortlist = shortlist
        self._rows = np.asarray(rows)  # the same memory, without what `np.memmap` does for every piece of it
        self._rotation = faiss.downcast_VectorTransform(index.chain.at(0))
        self._turn = self._rotation.A.data()
        self._codes = faiss.downcast_index(index.index)
        self._centroids = faiss.downcast_index(self._codes.quantizer)
        self._size = int(self._codes.nlist)
        self._probing: dict[int, Any] = {}
        self._looks: dict[int, Any] = {}
        self._idle: list[_Copies] = []

    def search(self, query: Single, k: int, *, nprobe: int, candidates: int, selector: Any) -> Found:  # noqa: ANN401
        """Find approximately the k best rows of a query (1, d): exact scores (1, k) and slots (1, k), best first.

        Compares the rows of up to `candidates` (at most `MOST_CANDIDATES`) from `nprobe` cells. If the cells hold
        fewer than k rows that the selector accepts, the last slots are -1.
        """
        found = self._candidates(query, candidates, nprobe, selector)
        try:
            copies = self._idle.pop()
        except IndexError:
            copies = _Copies(self._rows.shape[1])
        try:
            return copies.best(self._rows, found, query, k)
        finally:
            self._idle.append(copies)

    def _candidates(self, query: Single, count: int, nprobe: int, selector: Any) -> Slots:  # noqa: ANN401
        """Return up to `count` slots with the best scores according to the codes."""
        faiss = import_faiss()
        pointer = faiss.swig_ptr
        dimension = query.shape[1]
        turned = np.empty((1, dimension), np.float32)
        turned_pointer = pointer(turned)
        faiss.fvec_inner_products_ny(turned_pointer, pointer(query), self._turn, dimension, dimension)
        levels, cells = self._nearest(turned_pointer, nprobe)
        scores, slots = np.empty(count, np.float32), np.empty(count, np.int64)
        if selector is None:
            parameters = self._probing.get(nprobe)
            if parameters is None:
                parameters = self._probing[nprobe] = faiss.SearchParametersIVF(nprobe=nprobe)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
        self._codes.search_preassigned_c(
            1,
            turned_pointer,
            count,
            pointer(cells),
            pointer(levels),
            pointer(scores),
            pointer(slots),
            False,  # noqa: FBT003 - slots, not places in lists
            parameters,
        )
        return slots if slots[-1] >= 0 else slots[slots >= 0]

    def _nearest(self, turned: Any, nprobe: int) -> tuple[Single, Slots]:  # noqa: ANN401
        """Return the scores and numbers of the cells nearest to a rotated query, given by its pointer."""
        pointer = import_faiss().swig_ptr
        levels, cells = np.empty(nprobe, np.float32), np.empty(nprobe, np.int64)
        parameters = self._looking(nprobe)
        if parameters is None:
            self._centroids.search_c(1, turned, nprobe, pointer(levels), pointer(cells))
        else:
            self._shortlist.search_c(1, turned, nprobe, pointer(levels), pointer(cells), parameters)
        return levels, cells

    def _looking(self, nprobe: int) -> Any:  # noqa: ANN401
        """Return FAISS's parameters for the shortlist, or None if comparing all centroids is faster."""
        count = max(LEAST_LOOKED_AT, LOOKED_AT * nprobe)
        if self._shortlist is None or count > SHORTLIST_SHARE * self._size:
            return None
        parameters = self._looks.get(nprobe)
        if parameters is None:
            faiss = import_faiss()
            parameters = self._looks[nprobe] = faiss.IndexRefineSearchParameters(k_factor=count / nprobe)
        return parameters


class _Copies:
    """A contiguous buffer for the rows of candidates, where FAISS's kernel is fastest."""

    def __init__(self, dimension: int) -> None:
        self._rows = np.empty((MOST_CANDIDATES, dimension), np.float16)
        self._index = view(self._rows)

    def best(self, rows: Half, candidates: Slots, query: Single, k: int) -> Found:
        """Return exact scores (1, k) and slots (1, k) of the k best candidates (m,); the last are -1 if m < k."""
        pointer = import_faiss().swig_ptr
        count = len(candidates)
        scores, places = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
        # No slot is out of bounds, but only with this mode does NumPy copy each row once.
        np.take(rows, candidates, axis=0, out=self._rows[:count], mode="clip")
        self._index.ntotal = count
        self._index.search_c(1, pointer(query), k, pointer(scores), pointer(places))
        if count >= k:
            return scores, candidates[places]
        slots = np.full((1, k), -1, np.int64)
        slots[:, :count] = candidates[places[:, :count]]
        return scores, slots
