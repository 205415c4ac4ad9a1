"""The search for duplicates that the page starts and whose groups a person then decides on."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from vitsearch.duplicates.find import group_name
from vitsearch.duplicates.group.grouping import DuplicateGroup
from vitsearch.duplicates.tables import dismissed_pairs
from vitsearch.duplicates.tiers import TIERS
from vitsearch.records import Progress
from vitsearch.web.responses import Conflict, NotFound
from vitsearch.web.services.jobs import Job
from vitsearch.web.services.work import look_for_duplicates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.duplicates.group.grouping import GroupedFile
    from vitsearch.library import Library
    from vitsearch.storage.catalog import Catalog
    from vitsearch.web.services.events import Events
    from vitsearch.web.settings import LibrarySettings

Contents = tuple[object, ...]
State = Literal["none", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class FinishedSearch:
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
        self._before: FinishedSearch | None = None

    @property
    def found(self) -> FinishedSearch | None:
        """What the latest finished search found."""
        job = self._job
        return self._before if job is None or job.result is None else FinishedSearch(job.result, self._begun)

    @property
    def state(self) -> State:
        """What the latest search does; `stopped` ones count as none."""
        job = self._job
        if job is None or job.state == "stopped":
            return "none" if self.found is None else "done"
        return job.state

    @property
    def progress(self) -> Progress | None:
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
        return [
            group
            for group in self._undecided(library)
            if sum(os.path.lexists(file.path) for file in group.files) > 1
        ]

    def group(self, library: Library, name: str) -> DuplicateGroup:
        """Return a group that is still to be decided on by its name.

        Raises:
            Conflict: there was no search yet.
            NotFound: it found no such group.

        """
        if self.found is None:
            raise Conflict("look for duplicates first: this server has not done so since it was started")
        for group in self._undecided(library):
            if group_name(group) == name:
                return group
        raise NotFound(f"there is no group {name[:100]} in the latest search for duplicates")

    def _undecided(self, library: Library) -> Iterator[DuplicateGroup]:
        found = self.found
        apart = dismissed_pairs(library.catalog)
        for group in () if found is None else found.report.groups:
            yield from without_dismissed(group, apart)

    def close(self) -> None:
        """Stop for good."""
        if self._job is not None and self._job.state == "running":
            self._job.end()

    def _changed(self, job: Job[DuplicateReport]) -> None:
        if job.state != "running":
            self._events.publish("duplicates", {"state": self.state, "error": job.error})


def group_version(group: DuplicateGroup) -> str:
    """Return another text for a group of the same name whose files, or their order, are others."""
    files = repr([(os.fsencode(file.path), file.file_hash) for file in group.files])
    return blake2b(files.encode(), digest_size=8).hexdigest()


def contents(catalog: Catalog) -> Contents:
    """Return what a search for duplicates rests on: another value once photos or their places have changed."""
    active = catalog.active_space()
    files = catalog.database.rows("SELECT count(*), sum(missing), sum(id) FROM files WHERE photo IS NOT NULL")
    return (None if active is None else catalog.generation(active[0]), *files)


def without_dismissed(group: DuplicateGroup, apart: frozenset[tuple[int, int]]) -> tuple[DuplicateGroup, ...]:
    """Return what is left of a group without the pairs of photos that a person has told apart, as a new search would.

    A photo that was told apart from the kept one leaves; copies of one photo stay together, unless they are wanted.
    """
    keep, *others = group.files
    stay, leave = [keep], defaultdict[int, list["GroupedFile"]](list)
    for file in others:
        if (min(keep.photo, file.photo), max(keep.photo, file.photo)) not in apart:
            stay.append(file)
        elif file.photo != keep.photo:
            leave[file.photo].append(file)
    left = (
        [group if len(stay) == len(group.files) else _regrouped(stay, group.reason)] if len(stay) > 1 else []
    )
    left += [
        _regrouped(files, "all are equal")
        for photo, files in leave.items()
        if len(files) > 1 and (photo, photo) not in apart
    ]
    return tuple(left)


def _regrouped(files: list[GroupedFile], reason: str) -> DuplicateGroup:
    keep = files[0]
    others = [
        file
        if file.photo != keep.photo
        else replace(
            file,
            tier="exact" if file.file_hash == keep.file_hash else "pixels",
            score=1.0,
            evidence=None,
            edit="",
            copy_of=None,
        )
        for file in files[1:]
    ]
    tier = max((file.tier for file in others), key=TIERS.index)
    first = replace(keep, tier="exact", score=1.0, evidence=None, edit="", copy_of=None)
    return DuplicateGroup(tier, min(file.score for file in others), keep.path, reason, (first, *others))
