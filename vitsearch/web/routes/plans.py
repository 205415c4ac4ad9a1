"""Clean-up plans: made from decisions on groups, looked at, carried out, and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.duplicates.cleanup.applying import ChangedFiles, apply_plan, undo_plan
from vitsearch.duplicates.cleanup.planning import plan_for, planned_file, planned_parts
from vitsearch.duplicates.cleanup.plans import PlannedGroup
from vitsearch.duplicates.cleanup.putting_back import Outcome
from vitsearch.errors import PlanError
from vitsearch.paths import is_offline
from vitsearch.storage.write_lock import photos_lock
from vitsearch.web.responses import Answer, Conflict, Name, NotFound
from vitsearch.web.server import Served, Server
from vitsearch.web.services.duplicate_search import group_version
from vitsearch.web.services.placed_files import PlacedFile, placed_files
from vitsearch.web.services.plan_store import DamagedPlan, PlanAnswer, PlanPlace

if TYPE_CHECKING:
    from vitsearch.duplicates.cleanup.plans import Plan
    from vitsearch.library import Library

router = APIRouter(prefix="/api/plans", tags=["duplicates"])

Position = Annotated[int, Field(ge=0, lt=100_000)]


class Decision(BaseModel):
    """Which file of a group of the latest search is kept and which go, by their positions in its `files`.

    `version` is that of the group when this was decided: where a later search has found other files, it is refused.
    """

    group: Annotated[str, Field(pattern=r"^[0-9]+(-[0-9]+)*$", max_length=100_000)]
    version: Annotated[str | None, Field(max_length=100)] = None
    keep: Position
    files: Annotated[list[Position], Field(min_length=1, max_length=100_000)]


class NewPlan(BaseModel):
    """What is to be done with the files that go. `destination` belongs to the action move."""

    groups: Annotated[list[Decision], Field(min_length=1, max_length=100_000)]
    action: Literal["trash", "move", "hardlink", "symlink"] = "trash"
    destination: Annotated[str | None, Field(max_length=4096)] = None


class PlaceNumber(BaseModel):
    """One of a plan's places, counted from 0."""

    place: Annotated[int, Field(ge=0, lt=1000)]


@dataclass(frozen=True, slots=True)
class PlacesAnswer:
    """Where the files of a plan would go."""

    places: tuple[PlanPlace, ...]


@dataclass(frozen=True, slots=True)
class PlanPhotos:
    """The photos of a plan's files."""

    photos: tuple[PlacedFile, ...]


@dataclass(frozen=True, slots=True)
class PlansAnswer:
    """All plans that were made on the page, the newest first; apart from them those whose files are damaged."""

    plans: tuple[PlanAnswer, ...]
    damaged: tuple[DamagedPlan, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a plan and of each of its files."""

    state: Literal["made", "applied", "partly", "undone"]
    outcomes: tuple[Outcome, ...]


@router.get("", response_model=PlansAnswer)
def plans(server: Served) -> Response:
    """List the plans that were made on the page."""
    described, damaged = server.plans.describe_all()
    return Answer(PlansAnswer(described, damaged))


@router.post("", response_model=PlanAnswer, status_code=201)
def make(server: Served, new: Annotated[NewPlan, Body()]) -> Response:
    """Make a plan from decisions. No file is touched."""
    return Answer(server.plans.describe(server.plans.add(_planned_anew(server, new))), status_code=201)


def _planned_anew(server: Server, new: NewPlan) -> Plan:
    roots = tuple(filterfalse(is_offline, _roots(server)))
    if new.destination is not None and "\0" in new.destination:
        raise PlanError("no folder has such a name")
    with server.libraries.library() as library:
        groups = [part for decision in new.groups for part in _parts(server, library, decision)]
    destination = Path(new.destination) if new.destination else None
    return plan_for(groups, new.action, roots=roots, destination=destination)


@router.post("/preview", response_model=PlacesAnswer)
def preview(server: Served, new: Annotated[NewPlan, Body()]) -> Response:
    """Say where the files of a plan would go. Nothing is made."""
    return Answer(PlacesAnswer(server.plans.places(_planned_anew(server, new))))


@router.get("/{name}", response_model=PlanAnswer)
def plan(server: Served, name: Name) -> Response:
    """Show a plan."""
    return Answer(server.plans.describe(name))


@router.get("/{name}/photos", response_model=PlanPhotos)
def photos(server: Served, name: Name) -> Response:
    """Return the photos of a plan's files, as far as the library knows them."""
    described = server.plans.describe(name)
    paths = [file.path for group in described.groups for file in (group.keep, *group.files) if file]
    with server.libraries.library() as library:
        return Answer(PlanPhotos(tuple(placed_files(library, paths).values())))


@router.post("/{name}/reveal", status_code=204)
def reveal(server: Served, name: Name, which: Annotated[PlaceNumber, Body()]) -> Response:
    """Show a folder that files of the plan are in now, in the file manager of the server's machine."""
    if server.reveal is None:
        raise Conflict("the files are on another machine than this browser")
    places = server.plans.describe(name).places
    if which.place >= len(places) or not places[which.place].folder.is_dir():
        raise NotFound("that folder is not there now")
    server.reveal(places[which.place].folder)
    return Response(status_code=204)


@router.delete("/{name}", status_code=204)
def delete(server: Served, name: Name) -> Response:
    """Throw a plan away that was not carried out, or was undone."""
    server.plans.delete(name)
    return Response(status_code=204)


@router.post("/{name}/apply", response_model=Done)
def apply(server: Served, name: Name) -> Response:
    """Carry a plan out. Nothing is deleted; a file that has changed since stops it before it begins (409)."""
    path = server.plans.path(name)
    try:
        with photos_lock(server.settings.folder):
            outcomes = apply_plan(path, roots=_roots(server))
    except ChangedFiles as error:
        return Answer({"error": str(error), "changed": error.changed}, status_code=409)
    return _done(server, name, outcomes)


@router.post("/{name}/undo", response_model=Done)
def undo(server: Served, name: Name) -> Response:
    """Put back everything that the plan has moved."""
    path = server.plans.path(name)
    with photos_lock(server.settings.folder):
        outcomes = undo_plan(path)
    return _done(server, name, outcomes)


def _done(server: Server, name: str, outcomes: list[Outcome]) -> Response:
    server.index_runs.start(tuple(filterfalse(is_offline, _roots(server))))
    return Answer(Done(server.plans.describe(name).state, tuple(outcomes)))


def _roots(server: Server) -> list[Path]:
    with server.libraries.library() as library:
        return [root.path for root in library.catalog.roots()]


def _parts(server: Server, library: Library, decision: Decision) -> list[PlannedGroup]:
    found = server.duplicates.group(library, decision.group)
    if decision.version not in (None, group_version(found)):
        raise Conflict(
            f"the latest search has found other files in the group {decision.group[:100]}: decide about it again"
        )
    chosen = [decision.keep, *decision.files]
    if len(set(chosen)) < len(chosen) or max(chosen) >= len(found.files):
        raise PlanError(f"the group {decision.group[:100]} has no such files, or one of them twice")
    keep, *files = (found.files[position] for position in chosen)
    if decision.keep == 0:
        return planned_parts(found, files)
    going = tuple(map(planned_file, files))
    return [PlannedGroup(planned_file(keep), going, found.tier, round(found.score, 4), "chosen by hand")]
