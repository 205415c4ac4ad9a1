"""Which kernels FAISS multiplies matrices with."""

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
    """Tell the OpenBLAS that is about to be loaded what NumPy's has found the processor to be.

    The wheels of FAISS bring OpenBLAS 0.3.15 of May 2021. It does not know Intel's Xeons of 2023, for one, and
    multiplies there as for a Pentium of 2004: k-means takes three and a half times as long. The variable is its own
    (https://www.openmathlib.org/OpenBLAS/docs/runtime_variables/), and whoever sets it is believed.
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
    """The processor in the words of NumPy's OpenBLAS, or "" where NumPy multiplies with something else."""
    from threadpoolctl import threadpool_info

    found = (one for one in threadpool_info() if one["internal_api"] == "openblas")
    return next((one.get("architecture") or "" for one in found), "")
