"""Confine a process that reads untrusted files: a memory limit, no core dumps, no windows, private pipes."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from vitsearch.decoding.messages import OUT_OF_MEMORY, receive, send

if TYPE_CHECKING:
    from collections.abc import Callable

    Answerer = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], list[bytes]]]

_WATCH_SECONDS = 0.05
# mallopt(3): from which size on a piece of memory is mapped by itself; how much may lie free at the end of the rest.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT, _MOST_KEPT = 64 << 20, 96 << 20


def answer_requests(memory: int, made: Callable[[], Answerer], *, most: int = 0) -> NoReturn:
    """Answer requests on standard input, each limited in bytes, until it is closed; then exit.

    The object that answers is created after the process is confined.
    """
    requests, answers = _own_pipes()
    _limit_process(memory)
    send(answers, {"ready": True})
    answer = made()
    # Not by returning: what a damaged decoder left behind must not run at an orderly exit.
    with suppress(EOFError, OSError):
        while True:
            request, data = receive(requests, most=most)
            fields, parts = answer(request, data)
            send(answers, fields, *parts)
    os._exit(0)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Detach standard input and output from everything else, so that output of libraries is not taken for responses."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 0)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def watch_memory(memory: int) -> None:
    """Exit this process soon after it uses `memory` bytes more than now; for systems without an enforced limit.

    Use by a decoder that holds the interpreter's lock is only noticed when it releases it.
    """
    import resource
    import threading

    def held() -> int:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    # Not from zero: what the parent held may count for a process that it started.
    most = held() + memory

    def watch() -> None:
        while held() <= most:
            time.sleep(_WATCH_SECONDS)
        os._exit(OUT_OF_MEMORY)

    threading.Thread(target=watch, daemon=True).start()


@cache
def keep_memory() -> None:
    """Let this process keep up to 96 MB of freed memory for the next large file; glibc only.

    glibc otherwise returns all blocks of more than 32 MB at once, and a file of 50 MB then waits longer for memory
    than for its bytes.
    """
    with suppress(ImportError, OSError, AttributeError, TypeError):
        import ctypes

        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        library.mallopt(_TRIM_THRESHOLD, _MOST_KEPT)


def _limit_process(memory: int) -> None:
    # NumPy, where a photo needs it at all, is not to start threads.
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "win32":
        import msvcrt

        # No dialogue that waits for somebody to press a button.
        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)
    else:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "darwin":
            watch_memory(memory)  # its kernel takes limits on address space and does not keep to them
        else:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Where all memory is used up, Linux ends this process and not the run.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
