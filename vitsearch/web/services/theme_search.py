"""Computes themes in a worker process; the latest ones are available meanwhile."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Literal

from vitsearch.records import Progress
from vitsearch.themes import contents, known_themes
from vitsearch.web.services.jobs import Job
from vitsearch.web.services.work import look_for_themes

if TYPE_CHECKING:
    from vitsearch.library import Library
    from vitsearch.themes import Themes
    from vitsearch.web.services.events import Events
    from vitsearch.web.settings import LibrarySettings

State = Literal["none", "running", "done", "failed"]


class ThemeSearch:
    """The themes of a library, and the active computation."""

    def __init__(self, settings: LibrarySettings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._lock = threading.Lock()
        self._job: Job[Themes] | None = None

    def state(self, found: Themes | None) -> State:
        """The state of the computation, or whether there are themes."""
        job = self._job
        if job is not None and job.state in ("running", "failed"):
            return "running" if job.state == "running" else "failed"
        return "none" if found is None else "done"

    @property
    def progress(self) -> Progress | None:
        """The progress of the active computation."""
        job = self._job
        return job.progress if job is not None and job.state == "running" else None

    @property
    def error(self) -> str | None:
        """Why the latest computation failed."""
        return None if self._job is None else self._job.error

    def start(self) -> None:
        """Start computing themes, unless a computation is active."""
        with self._lock:
            if self._job is None or self._job.state != "running":
                self._job = Job(partial(look_for_themes, self._settings), self._changed)

    def known(self, library: Library) -> tuple[Themes | None, bool]:
        """Return the latest themes, and whether photos were added or removed since."""
        found = known_themes(library)
        return found, found is not None and found.contents != contents(library)

    def close(self) -> None:
        """Stop for good."""
        if self._job is not None and self._job.state == "running":
            self._job.end()

    def _changed(self, job: Job[Themes]) -> None:
        if job.state != "running":
            self._events.publish("themes", {"state": job.state, "error": job.error})
