"""The frozen values that travel between modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING, Literal, NamedTuple

# By a name of its own, so that whoever asks for the records has this one too.
from vitsearch.photo_facts import DateSource as DateSource
from vitsearch.photo_facts import PhotoFacts as PhotoFacts

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something long is. `stage` says what is being done; `total` is None while it is unknown."""

    stage: str
    done: int
    total: int | None


class FoundFile(NamedTuple):
    """A file that a walk came upon: where it is and what `stat` says of it.

    `relative` is the path below `root`, as text that may hold surrogates where the name is not UTF-8. `sidecars` is
    another number whenever the sidecars of a photo are others, and 0 where it has none. (A named
    tuple because a walk makes a hundred thousand of them, in a third of a dataclass's time.)
    """

    root: Path
    relative: str
    size: int
    mtime_ns: int
    sidecars: int = 0

    @property
    def path(self) -> Path:
        """The absolute path."""
        return self.root / self.relative


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file with an image's name or content that could not be read, and why."""

    path: Path
    reason: str


LeftOutKind = Literal[
    "video",
    "sound",
    "raw file beside its photo",
    "image of a kind that is not read",
    "file that is no image",
]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files of one kind that a run came upon and did not take: how many, and some of them.

    `formats` are the endings of images that are not read, the most frequent first: "EPS", "PCX".
    """

    kind: LeftOutKind
    count: int
    examples: tuple[Path, ...]
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlsoReport:
    """What an index run did for a space beside the main one: vectors that it added, photos that are still left."""

    model: str
    embedded: int
    left: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index run found and did.

    `photos`: distinct readable photos now present under the folders; `files`: their files; `embedded`: vectors
    computed in this run; `unchanged`: readable files skipped by size and time; `moved`: files recognised by content at
    a new path; `copies`: further files of photos that were known by then; `reread`: files that changed and hold the
    same photo, tagged for example; `missing`: files known but not there; `pruned_files`: those of them that were
    forgotten in this run, and `pruned` the photos that were nowhere else; `offline`: files on roots, or on drives
    inside of them, that are not there now, left as they are; `left_out`: files that are no photos; `remarks`: photos of
    this run with notes that could not be read, or with a high dynamic range, which is not kept; `also`: what was done
    for spaces beside the main one, which the other figures do not count; `newly_unreadable`: those of the `unreadable`
    files that no earlier run has named for the same reason.
    """

    photos: int
    files: int
    embedded: int
    unchanged: int
    moved: int
    missing: int
    pruned: int
    offline: int
    offline_roots: tuple[Path, ...]
    unreadable: tuple[UnreadableFile, ...]
    model: str
    seconds: float
    interrupted: bool = False
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[UnreadableFile, ...] = ()
    also: tuple[AlsoReport, ...] = ()
    copies: int = 0
    reread: int = 0
    newly_unreadable: tuple[UnreadableFile, ...] = ()
    pruned_files: int = 0
    arrived: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to a query.

    `score` is the cosine similarity, higher is better. `percentile` (0 to 100) is the share of the library's own
    background that scores lower against the same query. `other_paths` are further copies of the same photo. `taken`
    is ISO 8601 text, `latitude` and `longitude` are degrees; None where the photo does not say. `present`: whether the
    file was there when the library answered; what a store says is not looked at.
    """

    path: Path
    score: float
    percentile: float
    photo: int
    width: int
    height: int
    taken: str | None
    camera: str | None
    other_paths: tuple[Path, ...] = ()
    latitude: float | None = None
    longitude: float | None = None
    present: bool = True


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A query and its matches, best first. `query` repeats what was asked, in words.

    Where nothing but filters was asked, matches come newest first, and are not `scored`.
    """

    query: tuple[str, ...]
    model: str
    results: tuple[Match, ...]
    matches_above: float | None = None
    scored: bool = True


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """Files and the photos that they hold, all embedded in one space; what could not be read is listed apart."""

    space: int
    photos: Mapping[Path, int]
    unreadable: tuple[UnreadableFile, ...]


@dataclass(frozen=True, slots=True)
class RootInfo:
    """A folder that the library knows, with its counts.

    `offline`: files of a drive or network inside the folder that is not there now. A folder that is not `online` is
    absent, or `empty`: so looks one whose drive is not mounted, too. `to_come`: how many files, at most, the last
    index run has found there and not looked at, 0 if it did not get so far; None if it has ended.
    """

    id: int
    path: Path
    online: bool
    files: int
    missing: int
    unreadable: int
    offline: int = 0
    empty: bool = False
    to_come: int | None = None


@dataclass(frozen=True, slots=True)
class UsedSpace:
    """A space that is in use: the main one, or one beside it; `left` photos are not embedded in it yet."""

    model: str
    dimension: int
    main: bool
    reads_text: bool
    vectors: int
    left: int


@dataclass(frozen=True, slots=True)
class WordsStep:
    """What makes words work in a library that cannot answer them.

    `command` is for a terminal; an index run that is given `model` as its `also` does the same. It embeds so many
    `photos` in about so many `seconds`, which is None where nothing was measured on this machine.
    """

    model: str
    command: str
    photos: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The state of a library: what it holds, how large it is, and whether its caches are current.

    `model`, `dimension` and `vectors` are those of the main space; `spaces` are all that are in use. `words_step` is
    there where none of them reads text. `thumbnails_bytes` is None where they were not counted.
    """

    folder: Path
    model: str | None
    dimension: int | None
    photos: int
    files: int
    missing: int
    unreadable: int
    vectors: int
    roots: tuple[RootInfo, ...] = field(default=())
    database_bytes: int = 0
    neighbours_bytes: int = 0
    thumbnails_bytes: int | None = None
    cache_current: bool = True
    spaces: tuple[UsedSpace, ...] = ()
    reads_text: bool = False
    words_step: WordsStep | None = None
