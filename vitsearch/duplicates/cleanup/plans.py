"""A clean-up plan: a JSON file that says what would be done, for a person to read and edit.

A plan is input like any other. It is checked as a whole before anything happens: every path is absolute, lies in a
folder that the plan names as a root (links in the path followed), and is mentioned once.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from blake3 import blake3

from vitsearch.duplicates.cleanup.drives import drive_of
from vitsearch.duplicates.group.sidecars import NOTES, Sidecars, lacking_sidecars, same_sidecars
from vitsearch.duplicates.tiers import COPIES, RECORDS
from vitsearch.errors import OutputError, PlanError, in_words
from vitsearch.paths import real_path
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vitsearch.duplicates.group.grouping import DuplicateGroup

Action = Literal["trash", "move", "hardlink", "symlink"]

VERSION = 1
_MAX_BYTES = 1 << 30
_CHUNK = 1 << 20
_WHAT_IS_ONE = ": name the file that `vitsearch duplicates --plan FILE` has written"
_IS_JSON = re.compile(rb"\s*\{\s*\"")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file as it was when the plan was made; `file_hash` is the BLAKE3 of the whole file in hex.

    `to` is the name that it gets instead of going, for a sidecar that the kept file lacks.
    """

    path: Path
    file_hash: str
    to: Path | None = None


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """The file that stays and those that go. The other fields are there for the reader.

    Nothing stays (`keep` is None) of photos that a person chose to remove.

    `sidecars` belong to files that go, and stay where they are, because the kept file has another one of their kind.
    `moves` are sidecars of files that go which the kept file lacks: they are put beside it, under its name.
    """

    keep: PlannedFile | None
    files: tuple[PlannedFile, ...]
    tier: str = ""
    score: float = 0.0
    reason: str = ""
    sidecars: tuple[Path, ...] = ()
    moves: tuple[PlannedFile, ...] = ()

    @property
    def leaving(self) -> tuple[PlannedFile, ...]:
        """All files that leave their places."""
        return self.files + self.moves

    @property
    def kept(self) -> tuple[PlannedFile, ...]:
        """The file that stays, if any does."""
        return () if self.keep is None else (self.keep,)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the files of each group that are not kept.

    `trash` moves them to the trash of their file system, `move` to `destination`; `hardlink` and `symlink` put them
    into the trash too and leave a link to the kept file in their place. No file outside `roots` is touched.
    """

    action: Action
    roots: tuple[Path, ...]
    groups: tuple[PlannedGroup, ...]
    destination: Path | None = None
    # The file system that the destination was on when the plan was made, as far as that is known.
    drive: str | None = field(default=None, repr=False, compare=False)
    # What the roots are once links are followed: looked up once, and what they mean for this plan from then on.
    _real_roots: tuple[Path, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_real_roots", tuple(map(real_path, self.roots)))

    def root_of(self, path: Path) -> Path:
        """Return the innermost root that a path lies in.

        Raises:
            PlanError: it lies in none, as it is written or after links in it are followed.

        """
        return self.root_at(path, real_place(path))

    def root_at(self, path: Path, real: Path) -> Path:
        """Return what `root_of` does for a path of which `real_place` is known. Raises `PlanError` likewise."""
        written = [root for root in self.roots if path.is_relative_to(root)]
        if not written or ".." in path.parts:
            raise PlanError(f"the plan names {path}, which is in none of its roots: nothing was done")
        if not any(map(real.is_relative_to, self._real_roots)):
            raise PlanError(
                f"the plan names {path}, which leads out of its roots to {real}: nothing was done"
            )
        return max(written, key=lambda root: len(root.parts))


def make_plan(
    groups: Iterable[DuplicateGroup],
    action: Action,
    *,
    roots: Sequence[Path],
    destination: Path | None = None,
    notice: Callable[[Path, str], None] = lambda _file, _reason: None,
) -> Plan:
    """Plan to keep one file of each group; bursts are no duplicates and are left out.

    A raw file or a video that belongs to a copy goes with it, as a group of its own, where the same bytes belong to
    the kept file, and is moved to the kept file's name where it has none of that kind; links leave something in the
    copy's place, so that its sidecars stay. A file that lies behind a
    link out of the roots is left out, and `notice` is told, with the reason.

    Raises:
        PlanError: `move` without a destination.

    """
    reach = Plan(action, tuple(roots), (), destination)
    planned = []
    for group in groups:
        files = _within_reach(group, reach, notice) if group.tier in COPIES else []
        if len(files) > 1 and files[0].path == group.keep:
            keep, *others = files
            planned.append(PlannedGroup(keep, tuple(others), group.tier, round(group.score, 4), group.reason))
    return plan_for(planned, action, roots=roots, destination=destination)


def plan_for(
    groups: Iterable[PlannedGroup],
    action: Action,
    *,
    roots: Sequence[Path],
    destination: Path | None = None,
) -> Plan:
    """Plan what `make_plan` does for groups that a person may have decided on, with the sidecars of their files.

    Raises:
        PlanError: as `make_plan`, or a group is a burst.

    """
    planned = list(groups)
    for group in planned:
        record = next((record for tier, record in RECORDS.items() if tier == group.tier), None)
        if record is not None and not record.are_copies:
            raise PlanError(f"{group.files[0].path} and those beside it {record.why_unplanned}")
    sidecars = Sidecars()
    if action in ("trash", "move"):
        gone = {file.path for group in planned for file in group.files}
        with_them = [with_it for group in planned for with_it in _sidecars(group, sidecars, gone)]
        planned = [_moving_sidecars(group, sidecars, gone) for group in planned]
        gone |= {file.path for group in planned for file in group.moves}
        planned = [_naming_sidecars(group, sidecars, gone) for group in planned] + with_them
    plan = Plan(action, tuple(roots), tuple(planned), destination)
    check_plan(plan)
    return plan


def plan_to_remove(
    files: Mapping[Path, str],
    action: Action,
    *,
    roots: Sequence[Path],
    destination: Path | None = None,
) -> Plan:
    """Plan to move away files that a person chose, with no file kept in their stead; `trash` and `move` only.

    `files`: each with the BLAKE3 of what it held when it was indexed, in hex: what a person has seen of it.
    Sidecars stay where they are, and are named in the plan.

    Raises:
        PlanError: a file cannot be read, holds something else or lies outside of the roots, or `move` has no
            destination.

    """
    groups = []
    sidecars = Sidecars()
    gone = set(files)
    for path, known in files.items():
        try:
            content = content_hash(path)
        except OSError as error:
            raise PlanError(f"cannot read {path}: {error.strerror or error}") from error
        if content != known:
            raise PlanError(
                f"{path} has changed since it was indexed: run `vitsearch index`, and choose again"
            )
        left = tuple(sorted(one for one in sidecars.all_of(path) if one not in gone))
        groups.append(
            PlannedGroup(None, (PlannedFile(path, content),), "chosen", 1.0, "chosen by hand", left)
        )
    plan = Plan(action, tuple(roots), tuple(groups), destination)
    check_plan(plan)
    return plan


def write_plan(plan: Plan, path: Path, *, private: bool = False) -> None:
    """Write a plan as indented JSON; a file that is there already stays; a `private` one is its owner's alone.

    Raises:
        PlanError: the file exists, or cannot be written.

    """
    document = {
        "version": VERSION,
        "action": plan.action,
        "destination": None if plan.destination is None else str(plan.destination),
        **_drives(plan.destination),
        "roots": [str(root) for root in plan.roots],
        "groups": [
            {
                "tier": group.tier,
                "score": group.score,
                "reason": group.reason,
                "keep": None
                if group.keep is None
                else {"path": str(group.keep.path), "content": group.keep.file_hash},
                "files": [{"path": str(file.path), "content": file.file_hash} for file in group.files],
                **(
                    {
                        "sidecars_that_move": [
                            {"path": str(file.path), "content": file.file_hash, "to": str(file.to)}
                            for file in group.moves
                        ]
                    }
                    if group.moves
                    else {}
                ),
                **({"sidecars_that_stay": [str(path) for path in group.sidecars]} if group.sidecars else {}),
            }
            for group in plan.groups
        ],
    }
    # Names that are not UTF-8 hold surrogates, which JSON's escapes carry.
    text = json.dumps(document, indent=2, ensure_ascii=True)
    try:
        Output(path, "plan", private=private).write_text(text + "\n")
    except OutputError as error:
        raise PlanError(str(error)) from error


def read_plan(path: Path) -> Plan:
    """Read and check a plan, which a person may have edited.

    Raises:
        PlanError: it cannot be read, is no plan, or names something it may not.

    """
    try:
        if path.suffix == ".journal":
            raise PlanError(f"{path} is not a plan, but the journal of one: name {path.with_suffix('')}")
        if path.stat().st_size > _MAX_BYTES:
            raise PlanError(f"{path} is too large for a plan")
        text = path.read_bytes()
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror or error}") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(_why_no_plan(path, text, error)) from error
    if not isinstance(document, dict) or not {"version", "action"} & document.keys():
        raise PlanError(f"{path} is not a plan{_WHAT_IS_ONE}")
    try:
        plan = _parsed(document)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise PlanError(f"{path} is not a plan that this version understands: {_hint(error)}") from error
    check_plan(plan)
    return plan


def _why_no_plan(path: Path, text: bytes, error: Exception) -> str:
    """Say what is wrong with a file that is no JSON: a plan with a slip of the pen in it, or another kind of file."""
    if _IS_JSON.match(text):
        return f"{path} is not a plan, or was edited so that it is no JSON any more ({in_words(error)}){_WHAT_IS_ONE}"
    return f"{path} is not a plan{_WHAT_IS_ONE}"


def check_plan(plan: Plan) -> None:
    """Check that a plan is sound in itself; no file is opened.

    Raises:
        PlanError: a path is not absolute, leaves the roots, or has two parts to play.

    """
    if (plan.destination is None) == (plan.action == "move"):
        raise PlanError(
            "a plan with the action move needs a destination folder"
            if plan.action == "move"
            else f"a plan with the action {plan.action} has no destination"
        )
    named = [*plan.roots, *([plan.destination] if plan.destination else [])]
    for folder in named:
        if not folder.is_absolute() or ".." in folder.parts:
            raise PlanError(f"the plan names {folder}, which is not an absolute path: nothing was done")
    seen: set[Path] = set()
    folders: dict[Path, Path] = {}
    for group in plan.groups:
        # Of a group whose files a person has taken out, nothing is left to do.
        if group.keep is None and group.files and plan.action not in ("trash", "move"):
            raise PlanError(
                f"{group.files[0].path} has no kept file that a link could stand for: use trash or move"
            )
        named_files = [file.path for file in (*group.kept, *group.leaving)]
        for path in (*named_files, *(file.to for file in group.moves if file.to is not None)):
            if path.parent not in folders:
                folders[path.parent] = real_path(path.parent)
            real = folders[path.parent] / path.name
            plan.root_at(path, real)
            if real in seen:
                raise PlanError(f"the plan names {path} twice: it can only be kept or go once")
            seen.add(real)


def _within_reach(
    group: DuplicateGroup, reach: Plan, notice: Callable[[Path, str], None]
) -> list[PlannedFile]:
    files = []
    for file in group.files:
        try:
            reach.root_of(file.path)
        except PlanError:
            notice(file.path, "it lies outside of the indexed folders, behind a link")
        else:
            files.append(PlannedFile(file.path, file.file_hash.hex()))
    return files


def _moving_sidecars(group: PlannedGroup, sidecars: Sidecars, gone: set[Path]) -> PlannedGroup:
    moves: dict[Path, PlannedFile] = {}
    if group.keep is None:
        return group
    for file in group.files:
        for sidecar, target in lacking_sidecars(group.keep.path, file.path, sidecars):
            if sidecar in gone or target in moves or os.path.lexists(target):
                continue
            # A photo of its name that stays, or the raw file that it is about, must not lose it.
            if sidecars.belongs_to_another(sidecar, gone):
                continue
            try:
                moves[target] = PlannedFile(sidecar, content_hash(sidecar), target)
            except OSError:
                continue
            # It may belong to two files of one name that go, in a folder where the kept one has another name.
            gone.add(sidecar)
    return replace(group, moves=tuple(moves.values()))


def _naming_sidecars(group: PlannedGroup, sidecars: Sidecars, gone: set[Path]) -> PlannedGroup:
    kept = {*(one for file in group.kept for one in sidecars.all_of(file.path)), *gone}
    left = {one for file in group.files for one in sidecars.all_of(file.path) if one not in kept}
    return replace(group, sidecars=tuple(sorted(left)))


def _sidecars(group: PlannedGroup, sidecars: Sidecars, gone: set[Path]) -> Iterator[PlannedGroup]:
    """The sidecars that go with their photos, which are `gone` from then on."""
    if group.keep is None:
        return
    twins: dict[Path, list[Path]] = {}
    for file in group.files:
        for twin, other in same_sidecars(group.keep.path, file.path, sidecars):
            twins.setdefault(twin, []).append(other)
    for twin, others in sorted(twins.items(), key=lambda pair: pair[0].suffix.casefold() in NOTES):
        try:
            content = content_hash(twin)
            same = [
                other
                for other in others
                if content_hash(other) == content and not sidecars.belongs_to_another(other, gone)
            ]
        except OSError:
            continue
        gone.update(same)
        if same:
            yield PlannedGroup(
                PlannedFile(twin, content),
                tuple(PlannedFile(other, content) for other in same),
                tier="exact",
                score=1.0,
                reason=f"belongs to {group.keep.path.name}",
            )


def content_hash(path: Path) -> str:
    """Return the BLAKE3 of a file in hex, read in pieces."""
    digest = blake3()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def real_place(path: Path) -> Path:
    """Follow the links on the way to a file, but not the file itself."""
    return real_path(path.parent) / path.name


def _parsed(document: Any) -> Plan:  # noqa: ANN401 - whatever JSON holds
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}")
    return Plan(
        action=one_of(document["action"], Action),
        roots=tuple(parsed_path(root) for root in document["roots"]),
        groups=tuple(
            PlannedGroup(
                keep=None if group["keep"] is None else _file(group["keep"]),
                files=tuple(_file(file) for file in group["files"]),
                tier=str(group.get("tier", "")),
                score=_finite(group.get("score", 0)),
                reason=str(group.get("reason", "")),
                sidecars=tuple(parsed_path(path) for path in group.get("sidecars_that_stay", ())),
                moves=tuple(
                    replace(_file(file), to=parsed_path(file["to"]))
                    for file in group.get("sidecars_that_move", ())
                ),
            )
            for group in document["groups"]
        ),
        destination=None if document.get("destination") is None else parsed_path(document["destination"]),
        drive=_drive(document),
    )


def _drives(destination: Path | None) -> dict[str, Any]:
    """What a plan says of the drive of its destination: by its path, which a person may change."""
    drive = None if destination is None else drive_of(destination)
    return {} if drive is None else {"drives": {str(destination): drive}}


def _drive(document: dict[str, Any]) -> str | None:
    drive = document.get("drives", {}).get(document.get("destination"))
    return None if drive is None else str(drive)


def _file(value: Any) -> PlannedFile:  # noqa: ANN401 - whatever JSON holds
    return PlannedFile(parsed_path(value["path"]), parsed_hash(value["content"]))


def one_of(value: Any, literal: Any) -> Any:  # noqa: ANN401 - whatever JSON holds, and one of its type's words
    """Return a value that is one of the words of a `Literal`. Raises `ValueError` if it is none."""
    if value not in get_args(literal):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(literal))}")
    return value


def parsed_hash(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return a BLAKE3 in hex. Raises `ValueError` if it is none."""
    if not isinstance(value, str) or len(bytes.fromhex(value)) != 32:
        raise ValueError(f"content {value!r} is not a hash")
    return value.lower()


def _finite(value: Any) -> float:  # noqa: ANN401 - whatever JSON holds
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def parsed_path(value: Any) -> Path:  # noqa: ANN401 - whatever JSON holds
    """Return a path. Raises `ValueError` if it is none."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r} is not a path")
    return Path(value)


def _hint(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
