"""The search for duplicates that the page starts and whose groups a person then decides on."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from vitsearch.duplicates.find import group_name
from vitsearch.duplicates.tables import dismissed_pairs
from vitsearch.web.responses import Conflict, NotFound
from vitsearch.web.services.jobs import Job, JobProgress
from vitsearch.web.services.work import look_for_duplicates

if TYPE_CHECKING:
    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.duplicates.group.grouping import DuplicateGroup
    from vitsearch.library import Library
    from vitsearch.storage.catalog import Catalog
    from vitsearch.web.services.events import Events
    from vitsearch.web.settings import LibrarySettings

Contents = tuple[object, ...]
State = Literal["none", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Found:
    """A finished search, and what the library held when it began."""

    report: DuplicateReport
    contents: Contents


class DuplicateSearch:
    """The latest search for duplicates of one library, in a process of its own. What it found is kept in memory."""

    def __init__(self, settings: LibrarySettings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._lock = threading.Lock()
        self._job: Job[DuplicateReport] | None = None
        self._begun: Contents = ()
        self._before: Found | None = None

    @property
    def found(self) -> Found | None:
        """What the latest finished search found."""
        job = self._job
        return self._before if job is None or job.result is None else Found(job.result, self._begun)

    @property
    def state(self) -> State:
        """What the latest search does; `stopped` ones count as none."""
        job = self._job
        if job is None or job.state == "stopped":
            return "none" if self.found is None else "done"
        return job.state

    @property
    def progress(self) -> JobProgress | None:
        """How far the search is that is on."""
        job = self._job
        return job.progress if job is not None and job.state == "running" else None

    @property
    def error(self) -> str | None:
        """Why the latest search failed."""
        return None if self._job is None else self._job.error

    def start(self, library: Library) -> None:
        """Look for duplicates (again), unless a search is on."""
        with self._lock:
            if self._job is not None and self._job.state == "running":
                return
            self._before, self._begun = self.found, contents(library.catalog)
            self._job = Job(partial(look_for_duplicates, self._settings), self._changed)

    def groups(self, library: Library) -> list[DuplicateGroup]:
        """Return the groups that are still to be decided on: not told apart, and with two files that are there."""
        found = self.found
        if found is None:
            return []
        apart = dismissed_pairs(library.catalog)
        return [
            group
            for group in found.report.groups
            if not _is_apart(group, apart) and sum(os.path.lexists(file.path) for file in group.files) > 1
        ]

    def group(self, name: str) -> DuplicateGroup:
        """Return a group of the latest search by its name.

        Raises:
            Conflict: there was no search yet.
            NotFound: it found no such group.

        """
        found = self.found
        if found is None:
            raise Conflict("look for duplicates first: this server has not done so since it was started")
        for group in found.report.groups:
            if group_name(group) == name:
                return group
        raise NotFound(f"there is no group {name[:100]} in the latest search for duplicates")

    def close(self) -> None:
        """Stop for good."""
        if self._job is not None and self._job.state == "running":
            self._job.end()

    def _changed(self, job: Job[DuplicateReport]) -> None:
        if job.state != "running":
            self._events.publish("duplicates", {"state": self.state, "error": job.error})


def contents(catalog: Catalog) -> Contents:
    """Return what a search for duplicates rests on: another value once photos or their places have changed."""
    active = catalog.active_space()
    files = catalog.database.rows("SELECT count(*), sum(missing), sum(id) FROM files WHERE photo IS NOT NULL")
    return (None if active is None else catalog.generation(active[0]), *files)


def _is_apart(group: DuplicateGroup, apart: frozenset[tuple[int, int]]) -> bool:
    keep, *others = (file.photo for file in group.files)
    return all((min(keep, other), max(keep, other)) in apart for other in others)
