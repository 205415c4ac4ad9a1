"""Apply heads to a library: label its photos, find them by label, and choose the most useful ones to label next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import BadQuery, HeadError, LibraryMissing
from vitsearch.folders.scan import Skipped, walk
from vitsearch.heads.active_learning import next_to_label
from vitsearch.heads.gathering import embed_present
from vitsearch.heads.head import LabelProbability
from vitsearch.heads.store import no_such_label
from vitsearch.paths import REPLACED, real_path
from vitsearch.records import FoundFile, SearchResult, UnreadableFile
from vitsearch.searching.matches import as_match, looked_at, placed
from vitsearch.storage.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.heads.active_learning import Question
    from vitsearch.heads.head import Head, Labelling
    from vitsearch.heads.store import HeadStore
    from vitsearch.records import EmbeddedFiles, Match, Progress
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]
    Vectors = npt.NDArray[np.float32]
    OnProgress = Callable[[Progress], None]

_PHOTOS_AT_ONCE = 4096
# Searches by label find what was stored: a few labels more than are shown by default.
_STORED_LABELS = 5
# Of each part of a large library, this many times the photos asked for stay in the choice of what to label next.
_SPARE_QUESTIONS = 5


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A file and its predicted labels, best first.

    - `abstained`: the head is too unsure of its labels, or the photo shows none of them.
    - `none`: the photo shows none of the labels.
    - `by_person`: a person chose these labels, so the head was not used. They may be new to the head; empty means that
      none applies.
    """

    path: Path
    labels: tuple[LabelProbability, ...]
    abstained: bool
    none: bool
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The predictions of a head for many files.

    - `unreadable`: the files that could not be read, each with a reason.
    - `offline`: how many photos of the library are on drives that are not mounted.
    - `lacks`: what the head would need to recognise photos that show none of its labels, or None if it can.
    """

    head: str
    version: int
    model: str
    labels: tuple[LabelledPhoto, ...]
    unreadable: tuple[UnreadableFile, ...] = ()
    offline: int = 0
    lacks: str | None = None


@dataclass(frozen=True, slots=True)
class NextPhoto:
    """A photo worth labelling, with the head's best label and its probability."""

    path: Path
    label: str
    probability: float
    photo: int


class Labeller:
    """Applies one head to the photos of a library. Predictions are stored with the head's version."""

    def __init__(
        self, head_store: HeadStore, name: str, *, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.head: Head = head_store.get(name)
        self._library = head_store.library
        self._tables = head_store.tables
        self._on_progress = on_progress

    def label(self, paths: Sequence[Path] = (), *, k: int = 5) -> LabelResult:
        """Predict the k best labels of these files, of the photos in these folders, or of the whole library.

        Files that the head's model has not embedded yet are embedded first.

        Raises:
            HeadError: a file or folder does not exist.
            LibraryMissing: no paths are given and the library is empty.

        """
        if paths:
            return self._label_files(paths, k)
        return self._label_library(k)

    def search(
        self,
        label: str,
        *,
        k: int = 10,
        criteria: Filter | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> SearchResult:
        """Find the photos of the library that have a label, most probable first; `score` is the probability.

        Unless the head abstains, a photo has its best label and every label with a probability of at least 0.5.
        Corrections by a person have the probability 1. Photos that this version of the head has not seen are labelled
        first.

        Raises:
            HeadError: the head has no such label.

        """
        if k < 1:
            raise BadQuery(f"k is {k}: ask for at least one match")
        found = self.photos_with(label, notice=notice)
        kept = criteria or Filter()
        wanted = set(self._catalog.select(kept).tolist())
        matches = self._matches(
            [(photo, score) for photo, score in found if photo in wanted], label, k, kept.places
        )
        return SearchResult((label,), self.head.space.model, tuple(matches))

    def photos_with(
        self, label: str, *, notice: Callable[[str], None] = lambda _: None
    ) -> list[tuple[int, float]]:
        """Return the ids and probabilities of the photos that have a label, as `search` finds them.

        Raises:
            HeadError: the head has no such label.

        """
        if label not in self.head.labels:
            raise no_such_label(self.head, label)
        self.ask_about_new(notice=notice)
        return self._tables.photos_with(self.head.name, self.head.version, label)

    def ask_about_new(self, *, notice: Callable[[str], None] = lambda _: None) -> None:
        """Label the embedded photos that this version of the head has not seen yet."""
        present = self._catalog.select(Filter())
        embedded = np.intersect1d(present, self._catalog.embedded_ids(self._space_id()))
        if len(embedded) < len(present):
            notice(
                f"{len(present) - len(embedded):,} photos are not embedded for this head yet: run "
                f"`vitsearch label --head {self.head.name}`"
            )
        known = self._tables.labelled_ids(self.head.name, self.head.version)
        for _ in self._said_of(np.setdiff1d(embedded, known), k=_STORED_LABELS):
            pass

    def next(self, count: int = 20) -> tuple[NextPhoto, ...]:
        """Return the photos that would teach the head most, least certain first and no two alike.

        Photos that it was trained or corrected on are left out.
        """
        present, _ = self._present()
        known = np.array(sorted(self._tables.examples(self.head.name)), np.int64)
        photos = np.setdiff1d(np.array(sorted(present), np.int64), known)
        embed_present(self._library, self.head.space, photos, self._on_progress)
        # The least sure of each part first, so that memory stays at a part's rows; then the least sure of those.
        parts = [self._questions(*part, _SPARE_QUESTIONS * count) for part in self._embeddings(photos)]
        left = np.array(sorted(question.photo for part in parts for question in part), np.int64)
        if not len(left):
            return ()
        space = self.head.space
        ids, rows, norms = self._catalog.embeddings(self._space_id(), space.dimension, left)
        return tuple(
            NextPhoto(present[each.photo][0], each.label, round(each.probability, 6), each.photo)
            for each in self._questions(ids, rows, norms, count)
        )

    def _questions(self, ids: Ids, rows: Vectors, norms: Vectors, count: int) -> tuple[Question, ...]:
        return next_to_label(self.head, ids, rows, norms, count=count)

    @property
    def _catalog(self) -> Catalog:
        return self._library.catalog

    def _space_id(self) -> int:
        return self._catalog.add_space(self.head.space)

    def _label_files(self, paths: Sequence[Path], k: int) -> LabelResult:
        files, skipped = _expanded(paths)
        embedded: EmbeddedFiles = self._library.embed_files(
            files, space=self.head.space, on_progress=self._on_progress
        )
        places = [(file, embedded.photos.get(real_path(file))) for file in files]
        said = dict(self._said_of(np.unique(np.array(list(embedded.photos.values()), np.int64)), k=k))
        told = self._told()
        labelled = [
            _labelled(file, said[photo], k, told.get(photo)) for file, photo in places if photo in said
        ]
        return self._result(labelled, (*skipped, *embedded.unreadable))

    def _label_library(self, k: int) -> LabelResult:
        present, offline = self._present()
        if not present and not offline:
            raise LibraryMissing(
                f"the library in {self._library.folder} holds no photos yet: name files or folders, or run "
                "`vitsearch index FOLDER`"
            )
        photos = np.array(sorted(present), np.int64)
        unreadable = embed_present(self._library, self.head.space, photos, self._on_progress)
        said = self._said_of(photos, k=k)
        told = self._told()
        # What is said of a photo is not said of another one that has its name by now.
        replaced = self._catalog.replaced_files(photos)
        labelled = [
            _labelled(path, labelling, k, told.get(photo))
            for photo, labelling in said
            for path in present[photo]
            if path not in replaced
        ]
        known = {item.path for item in unreadable}
        unreadable += tuple(UnreadableFile(path, REPLACED) for path in sorted(replaced - known))
        return self._result(sorted(labelled, key=lambda each: each.path), unreadable, offline)

    def _told(self) -> dict[int, _Told]:
        """Return the labels that a person chose, by photo id."""
        alone, whole = self._tables.words_on_labels(self.head.name), self._tables.whole_words(self.head.name)
        told = {photo: _Told(dict(said)) for photo, said in alone.items()}
        return told | {
            photo: _Told(dict.fromkeys(labels, True), is_all=True) for photo, labels in whole.items()
        }

    def _result(
        self, labelled: Sequence[LabelledPhoto], unreadable: tuple[UnreadableFile, ...], offline: int = 0
    ) -> LabelResult:
        head = self.head
        return LabelResult(
            head.name,
            head.version,
            head.space.model,
            tuple(labelled),
            unreadable,
            offline=offline,
            lacks=head.lacks,
        )

    def _present(self) -> tuple[Mapping[int, tuple[Path, ...]], int]:
        """Return the paths of the library's photos by id, and how many photos are offline."""
        ids = self._catalog.select(Filter()).tolist()
        places = {photo: row.paths for photo, row in self._catalog.photos(ids).items() if row.paths}
        return places, len(ids) - len(places)

    def _said_of(self, photos: Ids, *, k: int) -> Iterator[tuple[int, Labelling]]:
        """Label embedded photos in batches, store the predictions, and yield them batch by batch."""
        for ids, rows, norms in self._embeddings(photos):
            top = self.head.top(rows, norms, k=max(k, _STORED_LABELS))
            said = list(zip(ids.tolist(), top, strict=True))
            self._tables.put_labels(self.head.name, self.head.version, said)
            yield from said

    def _embeddings(self, photos: Ids) -> Iterator[tuple[Ids, Vectors, Vectors]]:
        space_id, dimension = self._space_id(), self.head.space.dimension
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            part = self._catalog.embeddings(space_id, dimension, photos[start : start + _PHOTOS_AT_ONCE])
            if len(part[0]):
                yield part

    def _matches(
        self, found: Sequence[tuple[int, float]], label: str, k: int, places: Sequence[Path]
    ) -> list[Match]:
        head = self.head
        asked = len(self._tables.labelled_ids(head.name, head.version))
        all_scores = self._tables.probabilities(head.name, head.version, label)
        matches: list[Match] = []
        for start in range(0, len(found), _PHOTOS_AT_ONCE):
            part = found[start : start + _PHOTOS_AT_ONCE]
            rows = self._catalog.photos([photo for photo, _ in part])
            for photo, score in part:
                if len(matches) == k:
                    return matches
                row = placed(rows[photo], places)
                if not row.paths:
                    continue
                at_least = len(all_scores) - int(np.searchsorted(all_scores, score, side="left"))
                percentile = 100.0 * (asked - at_least) / max(1, asked)
                matches.append(looked_at(as_match(row, score, percentile)))
        return matches


@dataclass(frozen=True, slots=True)
class _Told:
    """The labels that a person gave or denied a photo, and whether the list is complete."""

    labels: dict[str, bool]
    is_all: bool = False


def _labelled(path: Path, labelling: Labelling, k: int, told: _Told | None) -> LabelledPhoto:
    """Build the result for a photo; what a person said takes precedence over the head."""
    guessed = [LabelProbability(each.label, round(each.probability, 6)) for each in labelling.labels]
    if told is None:
        return LabelledPhoto(path, tuple(guessed[:k]), labelling.abstained, labelling.none)
    named = [LabelProbability(label, 1.0) for label, has in told.labels.items() if has]
    # Where a person has said all that there is, nothing is guessed: a photo of none of the labels has none.
    left = [] if told.is_all else [each for each in guessed if each.label not in told.labels]
    best = tuple((named + left)[:k])
    if named:
        return LabelledPhoto(path, best, abstained=False, none=False, by_person=True)
    none = told.is_all or labelling.none
    best_is_denied = bool(guessed) and told.labels.get(guessed[0].label) is False
    return LabelledPhoto(
        path, best, none or labelling.abstained or best_is_denied, none, by_person=told.is_all
    )


def _expanded(paths: Sequence[Path]) -> tuple[list[Path], list[UnreadableFile]]:
    """Expand files and folders into unique absolute files, and the paths that cannot be entered."""
    files: list[Path] = []
    skipped: list[UnreadableFile] = []
    for path in (given.absolute() for given in paths):
        if path.is_dir():
            for found in walk(path):
                if isinstance(found, FoundFile):
                    files.append(found.path)
                elif isinstance(found, Skipped):
                    skipped.append(UnreadableFile(found.path, found.reason))
        elif path.exists():
            files.append(path)
        else:
            raise HeadError(f"there is no file or folder {path}: check its name")
    return list(dict.fromkeys(files)), skipped
