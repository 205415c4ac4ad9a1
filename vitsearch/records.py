"""Frozen records that modules exchange."""

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
    """The progress of a long operation. `stage` names the current step; `total` is None while it is unknown."""

    stage: str
    done: int
    total: int | None


class FoundFile(NamedTuple):
    """A file found by a walk, with its `stat` data.

    `relative` is the path below `root`; it contains surrogates if the name is not UTF-8. `sidecars` is a fingerprint
    that changes when the photo's sidecars change, 0 if it has none. (A named tuple, because a walk creates hundreds of
    thousands of them and a dataclass takes three times as long.)
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
    """A file with the name or content of an image that could not be read, and the reason."""

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
    """Files of one kind that a run skipped: how many, and some examples.

    `formats` are the extensions of unsupported image formats, most frequent first: "EPS", "PCX".
    """

    kind: LeftOutKind
    count: int
    examples: tuple[Path, ...]
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlsoReport:
    """What an index run did for an additional space: the embeddings it added, and how many photos are still missing."""

    model: str
    embedded: int
    left: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index run found and did.

    - `photos`: distinct readable photos now present in the folders.
    - `files`: their files.
    - `embedded`: embeddings computed in this run.
    - `unchanged`: readable files skipped because size and time are the same.
    - `moved`: files recognised by content at a new path.
    - `copies`: new files of photos that were already known.
    - `reread`: changed files that still hold the same photo, for example after tagging.
    - `missing`: known files that no longer exist.
    - `pruned_files`: missing files that this run removed from the library.
    - `pruned`: photos removed because they had no other file.
    - `offline`: files on drives or in folders that are not accessible now; they stay in the library.
    - `offline_roots`: the indexed folders that are not accessible now.
    - `unreadable`: files that could not be read, each with a reason.
    - `newly_unreadable`: those that no earlier run reported for the same reason.
    - `left_out`: files that are not photos.
    - `remarks`: photos of this run with damaged metadata, or with a high dynamic range, which is not preserved.
    - `model`: the model of the main space.
    - `seconds`: how long the run took.
    - `interrupted`: whether the run was stopped before it was complete.
    - `also`: the work done for additional spaces, which the other counts leave out.
    - `arrived`: photos embedded earlier, as examples of heads, that are now in an indexed folder.
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
    """A photo that matches a query.

    - `path`: a file of the photo, and `other_paths`: its other files.
    - `score`: the cosine similarity, or for searches by label the probability.
    - `percentile`: the share of the library's reference sample (0 to 100) with a lower score for the same query.
    - `photo`: the photo's id.
    - `width`, `height`: the size of the upright image in pixels.
    - `taken`: the capture date as ISO 8601 text, or None if the photo has none.
    - `camera`: the camera, or None.
    - `latitude`, `longitude`: the location in degrees, or None.
    - `present`: whether the file existed when the query was answered; matches from a store are not checked.
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
    """The matches of a query, best first. `query` describes the query in words.

    `scored` is False if the query had filters only; matches are then sorted by date, newest first.
    """

    query: tuple[str, ...]
    model: str
    results: tuple[Match, ...]
    matches_above: float | None = None
    scored: bool = True


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """Files and the ids of their photos, all embedded in one space, and the files that could not be read."""

    space: int
    photos: Mapping[Path, int]
    unreadable: tuple[UnreadableFile, ...]


@dataclass(frozen=True, slots=True)
class RootInfo:
    """An indexed folder with its counts.

    - `online`: whether the folder is accessible. If not, it is absent or `empty`, as the mount point of an unmounted
      drive is.
    - `offline`: files on a drive or network inside the folder that is not mounted.
    - `to_come`: None if the last index run finished; otherwise at most how many files it left unprocessed, 0 if that
      is not known.
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
    """An embedding space in use, the main one or an additional one; `left` photos are not embedded in it yet."""

    model: str
    dimension: int
    main: bool
    reads_text: bool
    vectors: int
    left: int


@dataclass(frozen=True, slots=True)
class WordsStep:
    """What to do so that a library without a text model can answer text queries.

    - `command`: the command to run in a terminal; `Library.index` does the same with `also=model`.
    - `photos`: how many photos it embeds.
    - `seconds`: about how long that takes, or None if nothing was measured on this machine.
    """

    model: str
    command: str
    photos: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The state of a library: what it holds, its size, and whether its caches are current.

    `model`, `dimension` and `vectors` describe the main space; `spaces` lists all spaces in use. `words_step` is set
    if none of them reads text. `thumbnails_bytes` is None if thumbnails were not counted.
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
