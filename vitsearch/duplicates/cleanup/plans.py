"""A clean-up plan: which files of each group of duplicates would go, where to, and which one stays.

A person may have edited it, so it is checked as a whole before anything happens: every path is absolute, lies in a
folder that the plan names as a root (links in the path followed), and is mentioned once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from blake3 import blake3

from vitsearch.errors import PlanError
from vitsearch.paths import real_path

if TYPE_CHECKING:
    from pathlib import Path

Action = Literal["trash", "move", "hardlink", "symlink"]

_CHUNK = 1 << 20


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
    `edits` are files that a person made of the kept one: they stay, too.
    """

    keep: PlannedFile | None
    files: tuple[PlannedFile, ...]
    tier: str = ""
    score: float = 0.0
    reason: str = ""
    sidecars: tuple[Path, ...] = ()
    moves: tuple[PlannedFile, ...] = ()
    edits: tuple[Path, ...] = ()

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
