"""Plans are made: of groups of duplicates, or of what a person chose, with the sidecars of their files."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, check_plan, content_hash
from vitsearch.duplicates.group.sidecars import NOTES, Sidecars, lacking_sidecars, same_sidecars
from vitsearch.duplicates.tiers import COPIES, RECORDS, TIERS
from vitsearch.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vitsearch.duplicates.cleanup.plans import Action
    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile

EDIT_STAYS = "an edit: kept (--include-edits plans such files, too)"


def make_plan(
    groups: Iterable[DuplicateGroup],
    action: Action,
    *,
    roots: Sequence[Path],
    destination: Path | None = None,
    include_edits: bool = False,
    notice: Callable[[Path, str], None] = lambda _file, _reason: None,
) -> Plan:
    """Plan to keep one file of each group, and its edits; bursts are no duplicates and are left out.

    What a person made of the kept file in an editor stays, and its copies go for it: with `include_edits` all go for
    the kept file. `notice` is told of each edit that stays.

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
        if files and files[0].path == group.keep:
            edits = [] if include_edits else [file for file in files if file.edit]
            for file in edits:
                notice(file.path, EDIT_STAYS)
            reached = replace(group, files=tuple(files))
            planned += planned_parts(reached, [file for file in files[1:] if file not in edits])
    return plan_for(planned, action, roots=roots, destination=destination)


def planned_parts(group: DuplicateGroup, going: Sequence[GroupedFile]) -> list[PlannedGroup]:
    """Plan that these files of a group go: for the kept file, or for the edit that they are copies of if that stays."""
    keep = group.files[0]
    staying = {file.path: file for file in group.files if file not in going}
    parts: dict[Path, list[GroupedFile]] = {}
    for file in going:
        stays = staying.get(file.copy_of or keep.path, keep)
        parts.setdefault(stays.path, []).append(file)
    edits = tuple(sorted(path for path, file in staying.items() if file.edit))
    planned = []
    for path, files in parts.items():
        is_edit = path != keep.path
        planned.append(
            PlannedGroup(
                planned_file(staying[path]),
                tuple(map(planned_file, files)),
                max((file.tier for file in files), key=TIERS.index) if is_edit else group.tier,
                round(min(file.score for file in files) if is_edit else group.score, 4),
                f"an edit of {keep.path.name} ({staying[path].edit})" if is_edit else group.reason,
                edits=tuple(one for one in edits if one != path),
            )
        )
    return planned


def planned_file(file: GroupedFile) -> PlannedFile:
    """Return a file of a group as plans name it."""
    return PlannedFile(file.path, file.file_hash.hex())


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


def _within_reach(
    group: DuplicateGroup, reach: Plan, notice: Callable[[Path, str], None]
) -> list[GroupedFile]:
    files = []
    for file in group.files:
        try:
            reach.root_of(file.path)
        except PlanError:
            notice(file.path, "it lies outside of the indexed folders, behind a link")
        else:
            files.append(file)
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
