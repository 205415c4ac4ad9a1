"""Index runs started from the page: one at a time, in a worker process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from vitsearch.records import IndexReport, Progress
from vitsearch.web.services.jobs import Job
from vitsearch.web.services.work import index_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.web.services.events import Events
    from vitsearch.web.settings import LibrarySettings


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of an index run. `total`, `rate` (files per second) and `seconds_left` are null while unknown."""

    stage: str
    done: int
    total: int | None
    rate: float | None
    seconds_left: float | None


Order = tuple[tuple["Path", ...], bool, "str | None", "str | None"]


@dataclass(frozen=True, slots=True)
class IndexState:
    """The state of the latest index run. `report` is set when it is done, `error` if it failed."""

    state: Literal["idle", "running", "done", "stopped", "failed"]
    progress: Progress | None = None
    report: IndexReport | None = None
    error: str | None = None


class IndexRuns:
    """The runs of a library, and the queue of folders still to be indexed."""

    def __init__(self, settings: LibrarySettings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._lock = threading.Lock()
        self._job: Job[IndexReport] | None = None
        self._waiting: list[Order] = []
        self._closed = False
        self._pace = _Pace()

    @property
    def running(self) -> bool:
        """Whether a run is active."""
        job = self._job
        return job is not None and job.state == "running"

    def state(self) -> IndexState:
        """Return the state of the active or latest run."""
        job = self._job
        if job is None:
            return IndexState("idle")
        stopped = job.state == "done" and job.result is not None and job.result.interrupted
        return IndexState("stopped" if stopped else job.state, job.progress, job.result, job.error)

    def progress(self) -> RunProgress | None:
        """Return the progress of the active run, or None."""
        job = self._job
        return self._pace.of(job.progress) if job is not None and job.state == "running" else None

    def start(
        self,
        folders: Sequence[Path] = (),
        *,
        retry: bool = False,
        also: str | None = None,
        model: str | None = None,
    ) -> None:
        """Index these folders, or all indexed ones, after the active run if there is one.

        `also` embeds all photos with that model too; `model` makes it the main model.
        """
        order = (tuple(folders), retry, also, model)
        with self._lock:
            if self._closed:
                return
            if self.running:
                if order not in self._waiting:
                    self._waiting.append(order)
                return
            self._begin(order)

    def stop(self) -> None:
        """Stop the run at the next photo and clear the queue. The next run continues."""
        with self._lock:
            self._waiting.clear()
            if self._job is not None and self.running:
                self._job.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the active run; return whether it has ended."""
        job = self._job
        return job is None or job.wait(timeout)

    def close(self) -> None:
        """Stop for good."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            job = self._job
        if job is not None and job.state == "running":
            job.end()

    def _begin(self, order: Order) -> None:
        folders, retry, also, model = order
        work: partial[IndexReport] = partial(index_folders, self._settings, folders, retry, also, model=model)
        self._job = Job(work, self._changed)

    def _changed(self, job: Job[IndexReport]) -> None:
        if job.state == "running":
            self._events.publish("progress", self._pace.of(job.progress))
            return
        with self._lock:
            if job is self._job and self._waiting and not self._closed:
                self._begin(self._waiting.pop(0))
        if job.result is not None:
            self._events.publish("done", job.result)
        else:
            self._events.publish("failed", {"error": job.error or "it was stopped"})


class _Pace:
    """The speed of a stage of a run since its start."""

    def __init__(self) -> None:
        self._stage = ""
        self._began = (0.0, 0)

    def of(self, progress: Progress) -> RunProgress:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._began = progress.stage, (now, progress.done)
        seconds, done = now - self._began[0], progress.done - self._began[1]
        rate = done / seconds if seconds > 0 and done > 0 else None
        left = (progress.total - progress.done) / rate if rate and progress.total is not None else None
        return RunProgress(
            progress.stage,
            progress.done,
            progress.total,
            None if rate is None else round(rate, 2),
            None if left is None else round(left, 1),
        )
