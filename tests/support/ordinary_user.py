"""Root that permissions stop: what root may do beyond an ordinary user is given up by one thread, and taken back.

Unlike a change of user, which the C library carries to all threads, capabilities are a thread's own (capabilities(7)):
no thread of a runtime is interrupted, and files that belong to root, its own Python among them, stay readable.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2
_PR_GET_SECUREBITS, _PR_SET_SECUREBITS = 27, 28
# A program that root starts gets no capabilities, and `access` asks for those in effect.
_NOROOT, _NO_SETUID_FIXUP = 1 << 0, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Have permissions stop this thread, and the threads and processes that it starts, until the block ends.

    Raises:
        OSError: the system does not let root give this up, or is not Linux.

    """
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        raise OSError("only Linux lets root be stopped by permissions")
    libc = ctypes.CDLL(None, use_errno=True)

    def call(function: str, *arguments: object) -> int:
        result = getattr(libc, function)(*arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")
        return int(result)

    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    call("capget", ctypes.byref(header), sets)
    effective = sets[0].effective
    securebits = call("prctl", _PR_GET_SECUREBITS, 0, 0, 0, 0)
    call("prctl", _PR_SET_SECUREBITS, securebits | _NOROOT | _NO_SETUID_FIXUP, 0, 0, 0)
    try:
        sets[0].effective = effective & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
        call("capset", ctypes.byref(header), sets)
        yield
    finally:
        sets[0].effective = effective
        call("capset", ctypes.byref(header), sets)
        call("prctl", _PR_SET_SECUREBITS, securebits, 0, 0, 0)
