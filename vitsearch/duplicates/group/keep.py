"""Which file of a group to keep, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.photos.formats import RAW_EXTENSIONS, Fidelity, format_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Rule = Callable[[Sequence["Candidate"]], tuple[list["Candidate"], str]]

# Sizes this close count as equal: a border or a trimmed edge must not outweigh everything that follows.
_SAME_SIZE = 0.9
_SAME_QUALITY = 3
_EDITORS = (
    "photoshop", "lightroom", "gimp", "snapseed", "picasa", "affinity", "pixelmator", "darktable", "paint", "vsco",
    "instagram", "canva", "imagemagick", "photoscape", "rawtherapee", "luminar",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that might be kept.

    `content` is the hash of the whole file; `photo` the id of what it shows. `share` of its frame holds something
    (the rest is a plain border), `part` says that another file of the group shows more of the same shot. `quality`
    is a JPEG's, 1 to 100, where known. `taken` and `software` are EXIF's; `mtime_ns` is the file's own time.
    `sidecars`: the raw file or the video that belong to it.
    """

    path: Path
    photo: int
    content: bytes
    size: int
    mtime_ns: int
    format: str
    width: int
    height: int
    taken: str | None = None
    camera: str | None = None
    software: str | None = None
    quality: int | None = None
    share: float = 1.0
    part: bool = False
    sidecars: tuple[Path, ...] = ()


def choose(candidates: Sequence[Candidate], *, prefer: Sequence[Path] = ()) -> tuple[Candidate, str]:
    """Choose the file to keep: each rule in turn leaves only the best; return it with the rules that decided.

    The rules: it shows the whole frame, resolution, format and quality, an original before an edited copy, the
    preferred folders in their order, the older file; at last the shorter path, so that the choice never wavers.

    Raises:
        ValueError: there is nothing to choose from.

    """
    if not candidates:
        raise ValueError("there is no file to keep")
    left = list(candidates)
    reasons = []
    rules: tuple[Rule, ...] = (
        _whole,
        _largest,
        _best_format,
        _best_quality,
        _original,
        lambda files: _preferred(files, prefer),
        _oldest,
    )
    for rule in rules:
        if len(left) == 1:
            break
        kept, reason = rule(left)
        if len(kept) < len(left):
            reasons.append(reason)
        left = kept
    left.sort(key=lambda file: (len(file.path.parts), len(str(file.path)), str(file.path)))
    return left[0], "; ".join(reasons) or "all are equal: the shortest path"


def _whole(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.part] or list(files), "shows the whole frame"


def _largest(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    best = max(files, key=_pixels)
    kept = [file for file in files if _pixels(file) >= _SAME_SIZE * _pixels(best)]
    return kept, f"highest resolution ({best.width} x {best.height})"


def _pixels(file: Candidate) -> float:
    return file.width * file.height * file.share


def _best_format(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    best = max(files, key=_format_rank)
    name = "raw" if _format_rank(best) == Fidelity.SENSOR else best.format
    return [file for file in files if _format_rank(file) == _format_rank(best)], f"best format ({name})"


def _format_rank(file: Candidate) -> int:
    if any(path.suffix.casefold() in RAW_EXTENSIONS for path in (file.path, *file.sidecars)):
        return Fidelity.SENSOR
    known = format_named(file.format)
    return known.fidelity if known is not None else 0


def _best_quality(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    known = [file.quality for file in files if file.quality is not None]
    if len(known) < len(files):
        return list(files), ""
    kept = [file for file in files if file.quality is not None and file.quality >= max(known) - _SAME_QUALITY]
    return kept, f"highest JPEG quality ({max(known)})"


def _original(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    marks = {
        id(file): (file.camera is not None)
        + (file.taken is not None)
        + bool(file.sidecars)
        - 2 * _is_edited(file)
        for file in files
    }
    best = max(marks.values())
    return [file for file in files if marks[id(file)] == best], "camera's own data, not an edited copy"


def _is_edited(file: Candidate) -> bool:
    software = (file.software or "").casefold()
    return any(editor in software for editor in _EDITORS)


def _preferred(files: Sequence[Candidate], prefer: Iterable[Path]) -> tuple[list[Candidate], str]:
    for folder in prefer:
        kept = [file for file in files if file.path.is_relative_to(folder)]
        if kept:
            return kept, f"in the preferred folder {folder}"
    return list(files), ""


def _oldest(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    oldest = min(file.mtime_ns for file in files)
    return [file for file in files if file.mtime_ns == oldest], "the oldest file"
