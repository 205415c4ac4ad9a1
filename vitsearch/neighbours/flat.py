"""What all uses of FAISS share, and exact search over rows in place, for one query or many.

Only this module imports FAISS.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.neighbours.kernels import processor_known
from vitsearch.neighbours.row_files import give_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Slots = npt.NDArray[np.int64]
    Half = npt.NDArray[np.float16]
    Single = npt.NDArray[np.float32]
    Found = tuple[Single, Slots]

# Scores closer than this may be equal: kernels add up in different orders (measured: 4e-7 at 1,536 dimensions).
ROUNDING = 1e-6
SETTLE_ROWS = 4096

# From this many queries on, widening the rows for BLAS is faster than FAISS's float16 kernel, which takes queries one
# by one.
BLAS_QUERIES = 64
BLOCK_ROWS = 32768
# Up to this many numbers, multiplying one query without FAISS is faster than importing FAISS in a new process.
FEW_NUMBERS = 1 << 24


def import_faiss() -> Any:  # noqa: ANN401
    """Import FAISS when it is first needed. It is untyped here, because its stubs are incomplete."""
    if "faiss" not in sys.modules:
        with processor_known():
            import faiss
    import faiss

    return faiss


@contextmanager
def threads_for(tasks: int) -> Iterator[None]:
    """Limit FAISS's threads to the number of tasks; a query is one task, because FAISS runs each in one thread.

    Waiting for idle threads costs milliseconds on a busy machine. OpenMP keeps this setting per calling thread, so no
    other caller is affected.
    """
    faiss = import_faiss()
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(tasks, usual)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


def view(rows: Half) -> Any:  # noqa: ANN401
    """Create a FAISS flat index over rows without copying them."""
    faiss = import_faiss()
    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes = rows.reshape(-1).view(np.uint8)
    nobody = index.codes.owner  # a new index owns nothing: the array is kept alive below instead
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.nbytes, nobody)
    index.ntotal = len(rows)
    index.referenced_objects = [rows]
    return index


def probing(nprobe: int, selector: Any = None) -> Any:  # noqa: ANN401
    """Create FAISS's parameters for a search of `nprobe` cells."""
    faiss = import_faiss()
    cells = faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
    return faiss.SearchParametersPreTransform(index_params=cells)


def needs_faiss(rows: Half) -> bool:
    """Return whether FAISS is worth its import time for the first query over these rows."""
    return rows.size > FEW_NUMBERS


def multiplied(rows: Half, query: Single, k: int, members: Slots | None) -> Found:
    """Find the k best rows of one query (1, d) without FAISS, best first."""
    count = len(rows) if members is None else len(members)
    scores = np.empty(count, np.float32)
    for start in range(0, count, SETTLE_ROWS):
        part = slice(start, start + SETTLE_ROWS)
        block = rows[part] if members is None else rows[members[part]]
        scores[part] = block.astype(np.float32) @ query[0]
    best = np.argpartition(scores, count - k)[count - k :]
    best = best[np.argsort(-scores[best], kind="stable")]
    slots = best if members is None else members[best]
    return scores[best][None], slots[None].astype(np.int64, copy=False)


def search_blocks(rows: Half, queries: Single, k: int, members: Slots | None) -> Found:
    """Search many queries at once: blocks of rows are converted to float32, which FAISS multiplies with BLAS."""
    faiss = import_faiss()
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for start in range(0, len(rows) if members is None else len(members), BLOCK_ROWS):
        if members is None:
            block = rows[start : start + BLOCK_ROWS]
            slots = np.arange(start, start + len(block))
        else:
            slots = members[start : start + BLOCK_ROWS]
            block = rows[slots]
        width = min(k, len(block))
        scores, places = faiss.knn(
            queries, block.astype(np.float32), width, metric=faiss.METRIC_INNER_PRODUCT
        )
        best.add_result(scores, slots[places])
        give_back(rows)
    best.finalize()
    return best.D, best.I
