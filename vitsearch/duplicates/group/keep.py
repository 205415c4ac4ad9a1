"""Which file of a group to keep, and why: an original is what the others were made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vitsearch.duplicates.group.sidecars import VIDEO
from vitsearch.duplicates.verify.editors import first_editor
from vitsearch.photos.details import FileDetails
from vitsearch.photos.formats import RAW_EXTENSIONS, Fidelity, format_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Rule = Callable[[Sequence["Candidate"]], tuple[list["Candidate"], str]]

# Sizes this close count as equal: a border or a trimmed edge must not outweigh everything that follows.
_SAME_SIZE = 0.9
# A file with so many times the true pixels of another one holds clearly more.
_CLEARLY_LARGER = 6.25
_SAME_QUALITY, _SAME_BYTES = 3, 0.8
# What programs and people add to the names of copies.
_COPY_NAME = re.compile(
    r"\(\d+\)$|\bcop(y|ie)\b|\bkopie\b|\bcopia\b|[-_ ]edit(ed)?[-_ ]?\d*\b|\bbearbeitet\b|[-_ ]resized?\b|[-_ ]small\b|"
    r"[-_ ]thumb(nail)?\b|~\d+$|^copy of ",
    re.IGNORECASE,
)
_CAMERAS_FORMATS = frozenset(("JPEG", "MPO", "HEIF", "TIFF"))
# Before the first digital cameras a capture date is a wrong clock, or what someone wrote of a print.
_FIRST_YEAR = 1990
_ALL_EQUAL = "all are equal: the shortest path"
# One bulk copy sets the times of all its files: closer together, they say nothing.
_ONE_RUN_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that might be kept.

    `file_hash` is the hash of the whole file; `photo` the id of what it shows. `taken`, `camera`, `software`, `located`
    (whether it says where), `caption`, `keywords` and `rating` are noted in the file itself, and not in a sidecar,
    which stays or moves. `mtime_ns` is the file's own time. `quality` is a JPEG's, 1 to 100. `share` of its frame holds
    something (the rest is a plain border); `part` says that another file of the group shows more of the same shot;
    `added` that something was drawn over it or set around it. `details`: what it holds. `grey`: without colours of
    its own. `saved_again`: made from another JPEG of the group; `enlarged_from`: the pixels of what it was made from;
    `resized`: its notes say the size of another file of the group, and not its own.
    `damaged`: it is another one of them, some bytes of which have changed; `perhaps_damaged`: it, or its copy.
    `sidecars`: the files that belong to it. `stays`: a person named its folder as the one in which nothing goes.
    `burnt`: its highlights are gone, and another file of the group still has them; `blurred`: so is its fine detail.
    `finer`: whether a crop has
    detail that the whole photos of the group do not have, None where that was not measured.
    """

    path: Path
    photo: int
    file_hash: bytes
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
    located: bool = False
    caption: str | None = None
    keywords: tuple[str, ...] = ()
    rating: int | None = None
    details: FileDetails = FileDetails()  # noqa: RUF009 - frozen
    added: bool = False
    grey: bool = False
    saved_again: bool = False
    enlarged_from: int | None = None
    resized: bool = False
    damaged: bool = False
    perhaps_damaged: bool = False
    stays: bool = False
    burnt: bool = False
    blurred: bool = False
    finer: bool | None = None

    @property
    def true_pixels(self) -> float:
        """The pixels that show something, without those that enlarging made up."""
        pixels = self.width * self.height * self.share
        return pixels if self.enlarged_from is None else min(pixels, self.enlarged_from)


def choose(candidates: Sequence[Candidate], *, prefer: Sequence[Path] = ()) -> tuple[Candidate, str]:
    """Choose the file to keep: each rule in turn leaves only the best; return it with the rules that decided.

    What stays in any case comes first. It is not damaged; it holds more (frames, pages, video, depth, transparency,
    far more pixels, a colour profile); it shows the whole frame; nothing was added; the camera's own data; not edited;
    detail of its own; colour; raw, resolution, a camera's format, format and quality; notes; the preferred folders in
    their order; its name; the capture date; at last the file's time.

    Raises:
        ValueError: there is nothing to choose from.

    """
    if not candidates:
        raise ValueError("there is no file to keep")
    left, reasons = _narrowed(candidates, _rules(prefer))
    left.sort(key=lambda file: (len(file.path.parts), len(str(file.path)), str(file.path)))
    return left[0], "; ".join(reasons) or _ALL_EQUAL


def why_kept(
    keep: Candidate, others: Sequence[Candidate], *, prefer: Sequence[Path] = (), chosen: str
) -> str:
    """Say why a file stays rather than each of these: the same of two files, whatever else is looked at with them.

    `chosen` is what decided among all that it was chosen from; it is returned where two by two say otherwise.
    """
    rules = tuple(_rules(prefer))
    found: dict[str, int] = {}
    has_equals = False
    for other in others:
        pair = [keep, other]
        for number, rule in enumerate(rules):
            kept, reason = rule(pair)
            if keep not in kept:
                return chosen
            if len(kept) == 1:
                found.setdefault(reason, number)
                break
        else:
            has_equals = True
    reasons = sorted(found, key=lambda reason: found[reason])
    if not reasons:
        return _ALL_EQUAL
    return "; ".join([*reasons, "of equal ones, the shortest path"] if has_equals else reasons)


def _rules(prefer: Sequence[Path]) -> Iterable[Rule]:
    return (_staying, *_OF_WORTH, lambda files: _preferred(files, prefer), _named, _taken_first, _oldest)


def why_better(file: Candidate, other: Candidate) -> str | None:
    """Say why a file is worth more than another one by what it holds and shows; None where it is not."""
    left, reasons = _narrowed([file, other], _OF_WORTH)
    return "; ".join(reasons) if left == [file] else None


def _narrowed(candidates: Sequence[Candidate], rules: Iterable[Rule]) -> tuple[list[Candidate], list[str]]:
    """Let each rule in turn leave only the best, and say which of them decided."""
    left, reasons = list(candidates), []
    for rule in rules:
        if len(left) == 1:
            break
        kept, reason = rule(left)
        if len(kept) < len(left):
            reasons.append(reason)
        left = kept
    return left, reasons


def _undamaged(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.damaged] or list(files), "the other one is damaged"


def _staying(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if file.stays] or list(files), "in the folder that was named first"


def _best(
    files: Sequence[Candidate], worth: Callable[[Candidate], float | tuple[float, ...]]
) -> tuple[list[Candidate], Candidate]:
    values = [worth(file) for file in files]
    best = max(values)
    kept = [file for file, value in zip(files, values, strict=True) if value == best]
    return kept, kept[0]


def _holds_more(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    left, reasons = list(files), []
    for worth, words in (
        (lambda file: file.details.frames, "{0.details.frames} pictures in one file"),
        (_has_video, "holds the video of its moment"),
        (lambda file: file.details.depth, "{0.details.depth} bits a channel"),
        (lambda file: file.details.alpha, "its background is transparent"),
        (lambda file: file.details.behind_bytes > 0, "holds data behind its picture"),
    ):
        kept, first = _best(left, worth)
        if len(kept) < len(left):
            reasons.append(words.format(first))
        left = kept
    # Parts, and what something was added to, are left to the next rules, however large they are.
    whole = [file for file in left if not file.part and not file.added] or left
    largest = max(file.true_pixels for file in whole)
    kept = [file for file in left if file not in whole or file.true_pixels * _CLEARLY_LARGER >= largest]
    if len(kept) < len(left):
        best = max(whole, key=lambda file: file.true_pixels)
        reasons.append(f"highest resolution ({best.width} x {best.height})")
    with_profile = [file for file in kept if file.details.profile]
    if with_profile and len(with_profile) < len(kept) and len({_shape(file) for file in kept}) == 1:
        kept = with_profile
        reasons.append("has its own colour profile")
    return kept, "; ".join(reasons)


def _has_video(file: Candidate) -> bool:
    """Whether it is a motion photo, or a Live Photo with its video beside it."""
    return file.details.video_bytes > 0 or any(path.suffix.casefold() in VIDEO for path in file.sidecars)


def _shape(file: Candidate) -> tuple[int, int]:
    return file.width, file.height


def _whole(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.part] or list(files), "shows the whole frame"


def _nothing_added(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.added] or list(files), "nothing drawn over it or around it"


def _cameras_own(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """Whether a camera's notes are there at all: programs add a place or a lens to a copy, and leave out others."""
    kept = [file for file in files if file.camera is not None or file.details.exposure]
    return kept or list(files), "has the camera's own data"


def _annotated(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """Of equally good files, the one that says most: what people wrote counts before the camera's notes."""

    def notes(file: Candidate) -> tuple[int, int]:
        peoples = (file.caption is not None, file.rating is not None, bool(file.keywords))
        cameras = (file.taken is not None, file.located, file.details.lens, file.details.exposure)
        return sum(peoples), sum(cameras)

    return _best(files, notes)[0], "says more of the photo"


def _unedited(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not _is_edited(file)] or list(files), "not saved by an editor"


def _is_edited(file: Candidate) -> bool:
    return first_editor(file.software, *file.details.programs) is not None


def _not_enlarged(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if file.enlarged_from is None] or list(files), "not enlarged"


def _of_noted_size(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    kept = [file for file in files if not file.resized]
    return kept or list(files), "of the size that the camera noted"


def _sharp(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.blurred] or list(files), "sharper"


def _saved_first(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.saved_again] or list(files), "saved first"


def _with_lights(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.burnt] or list(files), "its highlights are not burnt out"


def _colour(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not file.grey] or list(files), "in colour"


def _raw(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    raw = [
        file
        for file in files
        if any(path.suffix.casefold() in RAW_EXTENSIONS for path in (file.path, *file.sidecars))
    ]
    return raw or list(files), "best format (raw)"


def _largest(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    best = max(files, key=lambda file: file.true_pixels)
    kept = [file for file in files if file.true_pixels >= _SAME_SIZE * best.true_pixels]
    return kept, f"highest resolution ({best.width} x {best.height})"


def _cameras_format(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """Of what has a camera's notes: cameras write no WebP or PNG; whoever made one of a photo copied its notes."""
    if any(file.camera is None for file in files):
        return list(files), ""
    kept = [file for file in files if _is_cameras(file.format)]
    return kept or list(files), "in the format of a camera"


def _is_cameras(name: str) -> bool:
    known = format_named(name)
    return known is not None and (known.is_raw or known.name in _CAMERAS_FORMATS)


def _best_format(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    kept, best = _best(files, _format_rank)
    return kept, f"best format ({best.format})"


def _format_rank(file: Candidate) -> int:
    known = format_named(file.format)
    return int(known.fidelity) if known is not None else 0


def _best_quality(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    known = [file.quality for file in files if file.quality is not None]
    if not known and len({(file.format, *_shape(file)) for file in files}) == 1 and _is_lossy(files[0]):
        # They say nothing of their quality; what was saved with far fewer bytes was saved worse.
        most = max(file.size for file in files)
        return [file for file in files if file.size >= _SAME_BYTES * most], "saved with the most data"
    if len(known) < len(files):
        return list(files), ""
    kept = [file for file in files if file.quality is not None and file.quality >= max(known) - _SAME_QUALITY]
    return kept, f"highest JPEG quality ({max(known)})"


def _is_lossy(file: Candidate) -> bool:
    known = format_named(file.format)
    return known is not None and known.fidelity in (Fidelity.LOSSY, Fidelity.NEWER_LOSSY)


def _preferred(files: Sequence[Candidate], prefer: Iterable[Path]) -> tuple[list[Candidate], str]:
    for folder in prefer:
        kept = [file for file in files if file.path.is_relative_to(folder)]
        if kept:
            return kept, f"in the preferred folder {folder}"
    return list(files), ""


def _named(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    return [file for file in files if not _COPY_NAME.search(file.path.stem)] or list(
        files
    ), "not named as a copy"


def _taken_first(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    known = [file.taken for file in files if file.taken is not None and _may_be_true(file.taken)]
    if len(known) < len(files):
        return list(files), ""
    return [file for file in files if file.taken == min(known)], "the earliest capture date"


def _may_be_true(taken: str) -> bool:
    """Whether a camera can have taken a photo then: a wrong clock decides nothing."""
    # Clocks run ahead by a day at most where zones differ.
    latest = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    return str(_FIRST_YEAR) <= taken[:10] <= latest


def _oldest(files: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    times = [file.mtime_ns for file in files]
    if max(times) - min(times) <= _ONE_RUN_NS:
        return list(files), ""
    return [file for file in files if file.mtime_ns == min(times)], "the oldest file"


# By what a file holds and shows, apart from its name, its place and its time.
_OF_WORTH: tuple[Rule, ...] = (
    _undamaged,
    _holds_more,
    _whole,
    _nothing_added,
    _cameras_own,
    _unedited,
    _not_enlarged,
    _of_noted_size,
    _sharp,
    _saved_first,
    _with_lights,
    _colour,
    _raw,
    _largest,
    _cameras_format,
    _best_format,
    _best_quality,
    _annotated,
)
