"""The BLAS kernels that FAISS uses."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What OpenBLAS calls kinds of processors, and which of those that FAISS's own, older one knows has the same kernels.
_KERNELS = {
    "Haswell": "Haswell",
    "Zen": "Zen",
    "SkylakeX": "SkylakeX",
    "Cooperlake": "SkylakeX",
    "SapphireRapids": "SkylakeX",
}
_KERNELS_VARIABLE = "OPENBLAS_CORETYPE"


@contextmanager
def processor_known() -> Iterator[None]:
    """Tell the OpenBLAS that is about to be loaded which processor NumPy's OpenBLAS has detected.

    FAISS's wheels contain OpenBLAS 0.3.15 of May 2021. It does not recognise newer processors, such as Intel's Xeons
    of 2023, and uses kernels for a Pentium of 2004 there: k-means takes 3.5 times as long. The variable is OpenBLAS's
    own (https://www.openmathlib.org/OpenBLAS/docs/runtime_variables/); a value set by the user is respected.
    """
    kernels = None if _KERNELS_VARIABLE in os.environ else _KERNELS.get(_processor())
    if kernels is None:
        yield
        return
    os.environ[_KERNELS_VARIABLE] = kernels
    try:
        yield
    finally:
        os.environ.pop(_KERNELS_VARIABLE, None)


def _processor() -> str:
    """Return the processor's name in NumPy's OpenBLAS, or "" if NumPy uses another BLAS."""
    from threadpoolctl import threadpool_info

    found = (one for one in threadpool_info() if one["internal_api"] == "openblas")
    return next((one.get("architecture") or "" for one in found), "")
