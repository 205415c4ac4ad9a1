"""Duplicates: look for them, show the groups with their evidence, and remember what are none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.duplicates.documents import apart_document, group_document, thresholds_document
from vitsearch.duplicates.tables import check_dismissible, dismiss, files_of, restore
from vitsearch.duplicates.tiers import Tier
from vitsearch.jsonable import to_jsonable
from vitsearch.records import Progress, UnreadableFile
from vitsearch.web.responses import Answer, Limit, Offset
from vitsearch.web.server import Served
from vitsearch.web.services.duplicate_search import contents, group_version
from vitsearch.web.services.placed_files import PlacedFile, placed_files

if TYPE_CHECKING:
    from vitsearch.duplicates.group.grouping import DuplicateGroup
    from vitsearch.library import Library

router = APIRouter(prefix="/api/duplicates", tags=["duplicates"])


@dataclass(frozen=True, slots=True)
class FileInGroup:
    """A file of a group: what the command line says of it, and its photo's facts.

    `edit`: what tells that a person edited the kept one into it, so that it stays; `copy_of`: the edit that it is a
    copy of. The last six say what was seen when it was compared with the kept file, which has none.
    """

    path: Path
    photo: int
    content: str
    tier: Tier
    score: float
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    format: str | None = None
    taken: str | None = None
    edit: str | None = None
    copy_of: Path | None = None
    transform: str | None = None
    cosine: float | None = None
    hash_distance: int | None = None
    inliers: int | None = None
    share: float | None = None
    closeness: float | None = None


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """Files that show the same shot. The one to keep is first, for the reason given.

    `version` is another one when a later search finds other files, or another order, under the same name.
    """

    group: str
    version: str
    tier: Tier
    score: float
    keep: Path
    reason: str
    files: tuple[FileInGroup, ...]


@dataclass(frozen=True, slots=True)
class DuplicatesAnswer:
    """A part of the groups that are still to be decided on. `stale`: the library has changed since they were found."""

    state: Literal["none", "running", "done", "failed"]
    progress: Progress | None
    error: str | None
    stale: bool
    total: int
    counts: dict[str, int]
    groups: tuple[GroupAnswer, ...]
    photos: int
    pairs: int
    cutoffs: dict[str, object] | None
    skipped: tuple[UnreadableFile, ...]
    alike: tuple[dict[str, object], ...]
    contains: tuple[dict[str, object], ...]


@dataclass(frozen=True, slots=True)
class BesideAnswer:
    """Two files that are no duplicates although they show the same in part; `reason` says why both stay."""

    first: PlacedFile
    second: PlacedFile
    reason: str


@dataclass(frozen=True, slots=True)
class BesidesAnswer:
    """What is in no group: files that contain others (collages, panoramas), and what differs in a detail or colour."""

    contains: tuple[BesideAnswer, ...]
    alike: tuple[BesideAnswer, ...]


@dataclass(frozen=True, slots=True)
class ToldApart:
    """How many pairs of photos that changed."""

    pairs: int


class Photos(BaseModel):
    """The photos of a group. A single one says that its copies are wanted."""

    photos: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=500)]


@router.get("", response_model=DuplicatesAnswer)
def duplicates(
    server: Served,
    tier: Annotated[list[Tier], Query()] = [],  # noqa: B006 - FastAPI copies it
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """Return what the latest search found and is still to be decided on; at once, whatever its state is."""
    search = server.duplicates
    with server.libraries.library() as library:
        groups = search.groups(library)
        counts = Counter(group.tier for group in groups)
        chosen = [group for group in groups if not tier or group.tier in tier]
        shown = _documents(library, chosen[offset : offset + limit])
        stale = search.found is not None and search.found.contents != contents(library.catalog)
    report = None if search.found is None else search.found.report
    return Answer(
        {
            "state": search.state,
            "progress": search.progress,
            "error": search.error,
            "stale": stale,
            "total": len(chosen),
            "counts": dict(counts),
            "groups": shown,
            "photos": 0 if report is None else report.photos,
            "pairs": 0 if report is None else report.pairs,
            "cutoffs": None if report is None else thresholds_document(report.calibrated),
            "skipped": () if report is None else report.skipped,
            **({"alike": (), "contains": ()} if report is None else apart_document(report)),
        }
    )


@router.get("/beside", response_model=BesidesAnswer)
def beside(server: Served, offset: Offset = 0, limit: Limit = 200) -> Response:
    """Return what the latest search kept apart from all groups: nothing of it is ever part of a plan."""
    found = server.duplicates.found
    if found is None:
        return Answer(BesidesAnswer((), ()))
    contains = [(one.path, one.other, one.lost) for one in found.report.contains]
    alike = [(pair.first, pair.second, f"alike, but {pair.reason}") for pair in found.report.alike]
    with server.libraries.library() as library:
        return Answer(
            BesidesAnswer(
                _beside(library, contains[offset : offset + limit]),
                _beside(library, alike[offset : offset + limit]),
            )
        )


@router.post("/find", status_code=202)
def find(server: Served) -> Response:
    """Look for duplicates, in a process of its own."""
    with server.libraries.library() as library:
        server.duplicates.start(library)
    return Answer({"state": server.duplicates.state}, status_code=202)


@router.post("/not-duplicates", response_model=ToldApart)
def not_duplicates(server: Served, told: Annotated[Photos, Body()]) -> Response:
    """Remember that no two of these photos are duplicates; no search shows them as such again."""
    with server.libraries.library() as library:
        check_dismissible(library.catalog, told.photos)
        return Answer(ToldApart(dismiss(library.catalog, told.photos)))


@router.post("/not-duplicates/undo", response_model=ToldApart)
def undo(server: Served, told: Annotated[Photos, Body()]) -> Response:
    """Take that back."""
    with server.libraries.library() as library:
        return Answer(ToldApart(restore(library.catalog, told.photos)))


def _documents(library: Library, groups: list[DuplicateGroup]) -> list[object]:
    photos = {file.photo for group in groups for file in group.files}
    known = {file.path: file for file in files_of(library.catalog, photos)}
    shown: list[object] = []
    for group in groups:
        document = group_document(group)
        files: list[object] = []
        for file, described in zip(group.files, _list(document["files"]), strict=True):
            facts = known.get(file.path)
            if facts is not None:
                described |= {
                    "width": facts.width,
                    "height": facts.height,
                    "bytes": facts.size,
                    "format": facts.format,
                    "taken": facts.taken,
                }
            files.append(described)
        shown.append(to_jsonable({**document, "version": group_version(group), "files": files}))
    return shown


def _beside(library: Library, pairs: list[tuple[Path, Path, str]]) -> tuple[BesideAnswer, ...]:
    """Pairs whose files are both in the library still."""
    placed = placed_files(library, {path for first, second, _ in pairs for path in (first, second)})
    return tuple(
        BesideAnswer(placed[first], placed[second], reason)
        for first, second, reason in pairs
        if first in placed and second in placed
    )


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
