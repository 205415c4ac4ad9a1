"""A plan as a JSON file: written for a person to read and edit, and read back with care."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from vitsearch.duplicates.cleanup.drives import drive_of
from vitsearch.duplicates.cleanup.plans import Action, Plan, PlannedFile, PlannedGroup, check_plan
from vitsearch.errors import OutputError, PlanError, in_words
from vitsearch.storage.outputs import Output

VERSION = 1
_MAX_BYTES = 1 << 30
_WHAT_IS_ONE = ": name the file that `vitsearch duplicates --plan FILE` has written"
_IS_JSON = re.compile(rb"\s*\{\s*\"")


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
                **({"edits_that_stay": [str(path) for path in group.edits]} if group.edits else {}),
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
                edits=tuple(parsed_path(path) for path in group.get("edits_that_stay", ())),
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
