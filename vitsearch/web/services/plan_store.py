"""The clean-up plans of a library that were made on the page: files in its folder of plans."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from vitsearch.duplicates.cleanup.journal import Journal, Step, read_steps
from vitsearch.duplicates.cleanup.plan_files import read_plan, write_plan
from vitsearch.duplicates.cleanup.plans import Action, Plan
from vitsearch.duplicates.cleanup.trash import TRASH, expected_trash, trash_folder
from vitsearch.errors import PlanError
from vitsearch.storage.layout import Layout
from vitsearch.storage.private import make_folder
from vitsearch.web.responses import Conflict, NotFound

_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A file of a plan, how large it is, and where it is now if it was moved."""

    path: Path
    bytes: int
    moved_to: Path | None = None


@dataclass(frozen=True, slots=True)
class PlanSidecar:
    """A sidecar of a file that goes: `to` is the name beside the kept file that it gets, None if it stays."""

    path: Path
    bytes: int
    to: Path | None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """The file that is kept, if one is, those that go, and what becomes of their sidecars."""

    tier: str
    reason: str
    keep: PlanFile | None
    files: tuple[PlanFile, ...]
    sidecars: tuple[PlanSidecar, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanPlace:
    """A folder that files of a plan go to, or are in now, and how many. `kind` says who empties it.

    Sidecars that get the name of the kept file are "beside" it; nobody empties that.
    """

    folder: Path
    kind: Literal["desktop", "hidden", "folder", "beside"]
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """A plan and how far it was carried out. `bytes`: the size of the files that go; `places`: where to."""

    id: str
    action: Action
    destination: Path | None
    created: str
    state: Literal["made", "applied", "partly", "undone"]
    bytes: int
    groups: tuple[PlanGroup, ...]
    places: tuple[PlanPlace, ...]


@dataclass(frozen=True, slots=True)
class DamagedPlan:
    """A plan that cannot be read, or whose journal cannot: why, and which file it is."""

    id: str
    error: str


class PlanStore:
    """Plans by id; an id is when the plan was made, and something random."""

    def __init__(self, library: Path) -> None:
        self._library = library

    @property
    def _folder(self) -> Path:
        return Layout.of(self._library).plans

    def add(self, plan: Plan) -> str:
        """Keep a plan and return its id. Raises `PlanError` if it cannot be written."""
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        Layout.of(self._library).make_private()
        try:
            make_folder(self._folder)
        except OSError as error:
            raise PlanError(f"cannot make the folder {self._folder}: {error.strerror or error}") from error
        write_plan(plan, self._path(name), private=True)
        return name

    def places(self, plan: Plan) -> tuple[PlanPlace, ...]:
        """Return where the files of a plan would go."""
        return _places(plan, _groups(plan, {}), {})

    def names(self) -> list[str]:
        """Return the ids of all plans, the newest first."""
        return sorted(
            (path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem)), reverse=True
        )

    def path(self, name: str) -> Path:
        """Return where a plan is. Raises `NotFound` if there is none of this id."""
        if not _NAME.fullmatch(name) or not self._path(name).is_file():
            raise NotFound(f"there is no plan {name[:40]}")
        return self._path(name)

    def describe(self, name: str) -> PlanAnswer:
        """Return a plan as the page shows it. Raises `NotFound`, or `PlanError` if its files are damaged."""
        path = self.path(name)
        plan, steps = read_plan(path), read_steps(path)
        try:
            created = datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except ValueError as error:
            raise PlanError(f"{path} is named by no date: no plan of the page has such a name") from error
        groups = _groups(plan, steps)
        return PlanAnswer(
            name,
            plan.action,
            plan.destination,
            created.isoformat(),
            _state(list(steps.values()), sum(len(group.leaving) for group in plan.groups)),
            sum(file.bytes for group in groups for file in group.files),
            groups,
            _places(plan, groups, steps),
        )

    def describe_all(self) -> tuple[tuple[PlanAnswer, ...], tuple[DamagedPlan, ...]]:
        """Return all plans as the page shows them, the newest first, and those whose files are damaged."""
        described: list[PlanAnswer] = []
        damaged: list[DamagedPlan] = []
        for name in self.names():
            try:
                described.append(self.describe(name))
            except NotFound:  # thrown away meanwhile
                continue
            except PlanError as error:
                damaged.append(DamagedPlan(name, str(error)))
        return tuple(described), tuple(damaged)

    def delete(self, name: str) -> None:
        """Throw a plan away.

        Raises:
            Conflict: files are where it has put them.
            PlanError: a run is at work on it, or its files are damaged.

        """
        path = self.path(name)
        with Journal(path) as journal:
            if self.describe(name).state not in ("made", "undone"):
                raise Conflict(
                    "this plan was carried out: undo it first, or keep it so that it can be undone"
                )
            path.unlink(missing_ok=True)
        # A run that had read the plan before finds it gone when it gets the lock.
        for file in (journal.path, journal.lock):
            file.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _groups(plan: Plan, steps: dict[Path, Step]) -> tuple[PlanGroup, ...]:
    return tuple(
        PlanGroup(
            group.tier,
            group.reason,
            None if group.keep is None else _file(group.keep.path, None),
            tuple(_file(file.path, steps.get(file.path)) for file in group.files),
            (
                *(_sidecar(file.path, file.to, steps.get(file.path)) for file in group.moves),
                *(_sidecar(path, None, None) for path in group.sidecars),
            ),
        )
        for group in plan.groups
    )


def _sidecar(path: Path, to: Path | None, step: Step | None) -> PlanSidecar:
    file = _file(path, step)
    return PlanSidecar(path, file.bytes, to, moved=file.moved_to is not None)


def _places(plan: Plan, groups: tuple[PlanGroup, ...], steps: dict[Path, Step]) -> tuple[PlanPlace, ...]:
    known: dict[Path, Path] = {}
    found: dict[Path, list[int]] = {}
    beside: dict[Path, list[int]] = {}
    for sidecar in (sidecar for group in groups for sidecar in group.sidecars):
        if sidecar.to is not None:
            beside.setdefault(sidecar.to.parent, []).append(sidecar.bytes)
    for file in (file for group in groups for file in group.files):
        step = steps.get(file.path)
        if plan.destination is not None:
            folder = plan.destination
        elif step is not None and step.state == "done":
            folder = trash_folder(step.target) or step.target.parent
        else:  # files of one folder go the same way
            folder = file.path.parent
            if folder not in known:
                root = next((root for root in plan.roots if folder.is_relative_to(root)), folder)
                known[folder] = expected_trash(file.path, root)
            folder = known[folder]
        found.setdefault(folder, []).append(file.bytes)
    emptied = (
        PlanPlace(
            folder,
            "folder" if plan.destination is not None else "hidden" if folder.name == TRASH else "desktop",
            len(sizes),
            sum(sizes),
        )
        for folder, sizes in sorted(found.items())
    )
    return (
        *emptied,
        *(PlanPlace(folder, "beside", len(sizes), sum(sizes)) for folder, sizes in sorted(beside.items())),
    )


def _state(steps: list[Step], files: int) -> Literal["made", "applied", "partly", "undone"]:
    if not steps:
        return "made"
    if all(step.state == "undone" for step in steps):
        return "undone"
    return "applied" if sum(step.state == "done" for step in steps) == files else "partly"


def _file(path: Path, step: Step | None) -> PlanFile:
    moved = step.target if step is not None and step.state == "done" else None
    try:
        size = (moved or path).lstat().st_size
    except OSError:
        size = 0  # it has gone, as the plan will say when it is applied
    return PlanFile(path, size, moved)
