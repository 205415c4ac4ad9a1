"""A decoding process: started on demand, asked one thing at a time, replaced when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitsearch.decoding.messages import OUT_OF_MEMORY, needs_memory, receive, send
from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_LARGEST_MEMORY = 4 << 30
_NONSENSE = "the decoder crashed on it (its answer makes no sense)"
_KILLED = 9  # SIGKILL, which Windows does not have
# How much later than a process itself its owner notices that it takes too long; and how long one may take to start.
_GRACE_SECONDS = 2.0
_START_SECONDS = 60.0
_PIPE_SIZE = 1 << 20
_TIMED_OUT = 1  # the exit status that Python's watchdog gives


def _memory_limit() -> int:
    """Return 4 GB, or half of the machine's memory: the largest photo within the limits needs 3 GB."""
    try:
        return min(_LARGEST_MEMORY, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    except (AttributeError, ValueError, OSError):
        return _LARGEST_MEMORY


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one photo: seconds of wall-clock time, and bytes of memory.

    The operating system enforces the memory limit on Linux; on macOS, the process checks itself 20 times per second.
    On Windows, only the limit on pixels applies.
    """

    seconds: float = 60.0
    memory: int = field(default_factory=_memory_limit)


class ProcessDied(Exception):
    """A decoding process died during a request; `reason` says why, in terms of its photo.

    `by_system`: the system killed it, for example because memory ran short, so the photo is not to blame.
    """

    def __init__(self, status: int, *, seconds: float, limits: Limits, reason: str | None = None) -> None:
        self.timed_out = status == _TIMED_OUT and seconds >= limits.seconds
        self.by_system = status == -_KILLED
        self.reason = reason or _reason(status, limits, timed_out=self.timed_out)
        super().__init__(self.reason)


class ProcessStopped(Exception):
    """The process was stopped by its owner."""


class DecodingProcess:
    """A worker process and its requests; any thread may end it, but only one at a time may send requests.

    `program` names the module whose `main(seconds, memory)` the process runs.
    """

    def __init__(self, limits: Limits, *, program: str) -> None:
        self._limits = limits
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._ended = False
        self._lock = threading.Lock()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it."""
        with self._lock:
            if self._ended:
                raise ProcessStopped
            if self._process is None:
                self._ready = False
                try:
                    self._process = self._started()
                except OSError as error:
                    raise VitsearchError(
                        f"cannot start the process that decodes photos ({error}): check the installation of Python"
                    ) from error
            return self._process

    def ask(
        self, request: dict[str, Any], data: bytes = b"", *, most: int, more_seconds: float = 0.0
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for the response, limited in bytes.

        The process enforces its own time limit; if it cannot, because it was stopped, it is killed soon after.
        `more_seconds` are added to the limit for this request.

        Raises:
            ProcessDied: the process died, or its response was malformed.
            ProcessStopped: `end` was called.

        """
        begun = time.monotonic()
        pipes = self._pipes(self.start())
        try:
            with self._patience(self._limits.seconds + more_seconds) as ran_out:
                send(pipes[0], request, data)
                return receive(pipes[1], most=most)
        except (EOFError, OSError):
            status = self._discard(patience=0.5)
            if self._ended:
                raise ProcessStopped from None
            status = _TIMED_OUT if ran_out.is_set() else status
            raise ProcessDied(status, seconds=time.monotonic() - begun, limits=self._limits) from None
        except ValueError:
            raise self.distrusted() from None
        except BaseException:
            # Half an answer may be in the pipe.
            self._discard(patience=0)
            raise

    def distrusted(self) -> ProcessDied:
        """Kill a process whose response is malformed, and return the error to raise."""
        return self.replaced(_NONSENSE)

    def replaced(self, reason: str) -> ProcessDied:
        """Kill the process, so that the next request starts a new one, and return the error to raise."""
        self._discard(patience=0)
        return ProcessDied(0, seconds=0, limits=self._limits, reason=reason)

    def end(self) -> None:
        """Kill the process, whatever it is doing, for good. Call `release` afterwards."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def release(self) -> None:
        """Free the resources of a process that was ended, when no thread is using it any more."""
        self._discard(patience=0)

    def _pipes(self, process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
        assert process.stdin is not None
        assert process.stdout is not None
        if not self._ready:
            try:
                with self._patience(_START_SECONDS):
                    receive(process.stdout, most=0)
            except (EOFError, OSError, ValueError):
                status = self._discard(patience=0.5)
                if self._ended:
                    raise ProcessStopped from None
                raise VitsearchError(
                    f"the process that decodes photos does not start (status {status}): try `{sys.executable} -c "
                    f"'import {self._program}'` to see why"
                ) from None
            self._ready = True
        return process.stdin, process.stdout

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[threading.Event]:
        """Kill the process if the block takes too long; yields an event that is set in that case."""
        ran_out = threading.Event()
        process = self._process

        def run_out() -> None:
            ran_out.set()
            if process is not None:
                process.kill()

        timer = threading.Timer(seconds + _GRACE_SECONDS, run_out)
        timer.daemon = True
        timer.start()
        try:
            yield ran_out
        finally:
            timer.cancel()

    def _started(self) -> subprocess.Popen[bytes]:
        # Not by `multiprocessing`: it would run a caller's script once more in the process, and wants semaphores.
        # -S and -I leave out what only costs time, as the path is given.
        paths = [*sys.path, str(Path(__file__).parents[2])]
        code = (
            f"import sys; sys.path[:] = {paths!a}; import {self._program} as program; "
            f"program.main({self._limits.seconds}, {self._limits.memory})"
        )
        options = ["-I", "-S", "-B", "-W", "ignore", "-X", f"utf8={sys.flags.utf8_mode}"]
        command = [sys.executable, *options, "-c", code]
        try:
            return _popen(command, pipesize=_PIPE_SIZE)
        except PermissionError:
            # Linux gives each user so many large pipes (64 MB of them by default), and smaller ones do too.
            return _popen(command, pipesize=-1)

    def _discard(self, *, patience: float) -> int:
        """Wait briefly for a dying process, otherwise kill it; return its exit status."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return 0
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        return status


def _popen(command: list[str], *, pipesize: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libtiff writes what it thinks of a damaged file there
        # Ctrl-C and Ctrl-Z in a terminal are for the run; a closed pipe tells the process when that is gone.
        process_group=None if sys.platform == "win32" else 0,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        pipesize=pipesize,
    )


def _reason(status: int, limits: Limits, *, timed_out: bool) -> str:
    if timed_out:
        return f"it took longer than {limits.seconds:g} seconds to decode"
    if status == OUT_OF_MEMORY:
        return needs_memory(limits.memory)
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"status {status}"
    if name == "SIGKILL":
        return "the system ended the decoder on it, as when there is too little memory"
    return f"the decoder crashed on it ({name})"
