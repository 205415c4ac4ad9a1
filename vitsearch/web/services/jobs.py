"""Long operations in worker processes: a crash there does not affect the server.

A worker is spawned, never forked. It reports through a pipe, and stops when it is told to or when the server is gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from vitsearch.errors import VitsearchError
from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    Report = Callable[[Progress], None]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
State = Literal["running", "done", "stopped", "failed"]
_LOG = logging.getLogger(__name__)
# The page answers while this works.
_NICENESS = 10
_PATIENCE = 10.0


class Work(Protocol[T_co]):
    """A module-level function that takes a progress callback; it is passed to the worker by name."""

    def __call__(self, report: Report) -> T_co:
        """Run it."""


class Job(Generic[T]):
    """A long operation in a worker process. `state`, `progress`, `result` and `error` may be read at any time."""

    def __init__(self, work: Work[T], on_change: Callable[[Job[T]], None]) -> None:
        self.state: State = "running"
        self.progress = Progress("start", 0, None)
        self.result: T | None = None
        self.error: str | None = None
        self._on_change = on_change
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        # Not a daemon: those may not have children, and photos are decoded in children.
        self._process = context.Process(target=_child, args=(end, work), name="vitsearch-job")
        self._process.start()
        end.close()
        self._listener = threading.Thread(target=self._listen, name="vitsearch-job", daemon=True)
        self._listener.start()

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does: finished work is kept. Returns at once."""
        try:
            self._pipe.send("stop")
        except OSError:
            return  # it has just ended

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        self._listener.join(timeout)
        return not self._listener.is_alive()

    def end(self) -> None:
        """Stop it, by force if necessary."""
        self.stop()
        if not self.wait(_PATIENCE):
            self._process.terminate()
            self.wait(_PATIENCE)

    def _listen(self) -> None:
        ended: State = "failed"
        with suppress(EOFError, OSError):
            while True:
                kind, value = self._pipe.recv()
                if kind != "progress":
                    break
                self.progress = value
                self._on_change(self)
            ended = kind
            if kind == "done":
                self.result = value
            else:
                self.error = value
        self._process.join()
        self._pipe.close()
        if ended == "failed" and self.error is None:
            code = self._process.exitcode
            self.error = (
                f"the process that did this ended with status {code}: what it had stored is kept, try again"
            )
        self.state = ended  # last: who sees it finds everything else in place
        self._on_change(self)


def _child(pipe: Connection, work: Work[T]) -> None:
    # Ctrl-C in the server's terminal comes here too, at any moment; and the server may be gone by then.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        # A server that a script started in the background ignores Ctrl-C, and so would its children; stopping needs it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(os, "nice"):
            os.nice(_NICENESS)
        threading.Thread(target=_obey, args=(pipe,), daemon=True).start()
        pipe.send(_outcome(pipe, work))


def _outcome(pipe: Connection, work: Work[T]) -> tuple[str, object]:
    def report(step: Progress) -> None:
        pipe.send(("progress", step))

    try:
        return "done", work(report)
    except KeyboardInterrupt:
        return "stopped", None
    except VitsearchError as error:
        return "failed", str(error)
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it ends the job and not the server
        _LOG.exception("a job failed")
        return "failed", "something went wrong inside; the server's terminal says what"


def _obey(pipe: Connection) -> None:
    """Wait for the order to stop, or for the end of the server, and interrupt the work as Ctrl-C does."""
    with suppress(EOFError, OSError):
        pipe.recv()
    # A real signal wakes the main thread also where it waits.
    if os.name == "nt":
        signal.raise_signal(signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)
