"""The heads of a library: how they are trained, saved, corrected and deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path  # noqa: TC003 - the HTTP API describes HeadSummary from its annotations
from typing import TYPE_CHECKING

from vitsearch.errors import HeadError, HeadMissing
from vitsearch.heads.examples import listing
from vitsearch.heads.files import head_to_bytes, load_head, save_head
from vitsearch.heads.gathering import Gathered, gather, labels_of_source
from vitsearch.heads.head import check_labels, check_name
from vitsearch.heads.tables import HeadTables
from vitsearch.storage.backup import back_up, back_up_daily
from vitsearch.storage.layout import Layout
from vitsearch.storage.outputs import Output
from vitsearch.storage.private import make_folder
from vitsearch.storage.write_lock import heads_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vitsearch.heads.evaluation import Report
    from vitsearch.heads.head import Head
    from vitsearch.library import Library
    from vitsearch.records import Progress, UnreadableFile
    from vitsearch.space import Space

    OnProgress = Callable[[Progress], None]

_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """A head as `heads list` shows it.

    - `examples`, `corrections`: how many photos it was trained on, and how many a person has corrected.
    - `accuracy`: the cross-validated share of photos with the right labels, or None if it was not measured.
    - `interval`: the 95 % confidence interval of `accuracy`.
    """

    name: str
    labels: tuple[str, ...]
    origin: str
    kind: str
    model: str
    version: int
    created: str
    examples: int
    corrections: int
    accuracy: float | None
    interval: tuple[float, float] | None
    path: Path


@dataclass(frozen=True, slots=True)
class WaitingLabel:
    """A label that was not trained because corrections left it with too few photos, and those photos."""

    label: str
    photos: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """A head that was just trained, with how it was trained.

    - `photos`: how many photos it was trained on.
    - `report`: the cross-validation, or None if there was none.
    - `unreadable`: examples that could not be read.
    - `left_out`: how many stored examples have no embedding any more.
    - `embedding_seconds`: the time before the fit.
    - `waiting`: labels with too few photos, which were not trained.
    """

    head: Head
    photos: int
    report: Report | None
    unreadable: tuple[UnreadableFile, ...]
    left_out: int
    embedding_seconds: float
    waiting: tuple[WaitingLabel, ...] = ()


class HeadStore:
    """The heads of a library by name. Creating a head under a name that exists makes a new version of it."""

    def __init__(self, library: Library) -> None:
        self.library = library

    @property
    def tables(self) -> HeadTables:
        """The stored examples, corrections and predictions of the heads."""
        return HeadTables(self.library.catalog.database)

    def names(self) -> tuple[str, ...]:
        """Return the names of all heads, sorted; empty if the library does not exist."""
        return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}")))

    def get(self, name: str) -> Head:
        """Return a head.

        Raises:
            HeadMissing: no head has this name.
            HeadError: its file is damaged.

        """
        path = self._existing(name)
        return replace(load_head(path), name=name)

    def describe(self, name: str) -> HeadSummary:
        """Return a summary of a head, as `heads list` shows it.

        Raises:
            HeadMissing: no head has this name.
            HeadError: its file is damaged.

        """
        head = self.get(name)
        examples, corrections = self.tables.examples(name), self.tables.examples(name, only_corrected=True)
        measured = head.accuracy
        return HeadSummary(
            name,
            head.labels,
            head.origin,
            head.kind,
            head.space.model,
            head.version,
            head.created,
            len(examples),
            len(corrections),
            measured.accuracy if measured else None,
            measured.interval if measured else None,
            self._path(name),
        )

    def train(
        self,
        name: str,
        *,
        folder: Path | None = None,
        csv: Path | None = None,
        photos: Mapping[int, tuple[str, ...]] | None = None,
        multi: bool = False,
        on_progress: OnProgress = lambda _: None,
    ) -> TrainedHead:
        """Train a head on labelled photos and cross-validate it.

        Without `folder`, `csv` or `photos`, it is trained again on its stored examples. Corrections always count. A
        label that corrections leave with too few photos is not trained yet; the result lists it as waiting.

        - `folder`: a folder whose subfolders are the labels.
        - `csv`: a CSV file with the columns path,label.
        - `photos`: the labels of the library's photos by photo id; () means that no label applies.
        - `multi`: a photo may have several labels, even if no example does.

        Raises:
            HeadError: there are too few examples.

        """
        from vitsearch.heads.training import train

        gathered = self._gather(name, folder, csv, on_progress, photos=photos)
        training = train(
            name,
            gathered.examples,
            space=gathered.space,
            background=gathered.background,
            multi=multi or (gathered.again and self._is_multi(name)),
            may_wait=gathered.corrected,
        )
        if gathered.again:
            self._check_keeps_labels(name, training.head.labels)
        made = self._made(training.head, gathered, training.report)
        waiting = tuple(self._waiting(label, gathered) for label in training.waiting)
        return replace(made, photos=training.photos, waiting=waiting)

    def from_examples(
        self,
        name: str,
        *,
        folder: Path | None = None,
        csv: Path | None = None,
        on_progress: OnProgress = lambda _: None,
    ) -> TrainedHead:
        """Create a head from one or a few example photos per label, given as for `train`.

        Raises:
            HeadError: there are too few examples.

        """
        from vitsearch.heads.few_shot import from_examples

        gathered = self._gather(name, folder, csv, on_progress)
        head = from_examples(name, gathered.examples, space=gathered.space, background=gathered.background)
        return self._made(head, gathered, None)

    def from_text(
        self,
        name: str,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = (),
        model: str | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Head:
        """Create a head from label names alone, with the text tower of `model`, by default the library's own.

        `templates` are prompts such as "a photo of a {}.".

        Raises:
            NoTextTower: the model has no text tower.
            HeadError: a label or template is not valid.

        """
        from vitsearch.backbones import pull
        from vitsearch.heads.zero_shot import TEMPLATES, head_from_text

        check_name(name)
        check_labels(labels)
        cache = self.library.cache_folder
        space = self._own_space() if model is None else pull(model, cache=cache, notice=notice).spec.space
        backbone = self.library.backbone(space)
        return self._put(
            head_from_text(name, labels, backbone, cache=cache, templates=templates or TEMPLATES)
        )

    def import_classifier(
        self, name: str, model: str, *, notice: Callable[[str], None] = lambda _: None
    ) -> Head:
        """Create a head from the classifier of a checkpoint.

        Raises:
            HeadError: the checkpoint has no classifier that can be imported.
            UnknownModel: no model has this name.
            WeightsUnavailable: the weights cannot be downloaded, or fail verification.

        """
        from vitsearch.heads.from_checkpoint import import_head

        check_name(name)
        return self._put(import_head(name, model, cache=self.library.cache_folder, notice=notice))

    def load(self, file: Path, *, name: str | None = None) -> Head:
        """Load a head that `export` wrote, under its own name or another.

        Raises:
            HeadError: the file is not a head, or the name is taken.

        """
        head = load_head(file)
        head = replace(head, name=name or head.name)
        if self._path(head.name).exists():
            raise HeadError(
                f"there is a head {head.name!r} already: delete it, or load this one under another --name"
            )
        return self._put(head)

    def export(self, name: str, file: Path, *, examples: bool = True, force: bool = False) -> Head:
        """Write a head to a safetensors file and return the head as written.

        With `examples=False`, the file holds no embeddings of the photos it was trained on. `force` overwrites a file
        of another program, or another head.

        Raises:
            HeadError: the file has another extension, or holds another head.
            OutputError: the file cannot be written.

        """
        if file.suffix != _SUFFIX:
            raise HeadError(f"{file} does not end in {_SUFFIX}: a head is exported to such a file only")
        head = self.get(name)
        if not examples and head.gate is not None:
            head = replace(head, gate=head.gate.without_examples())
        other = None if force else _head_in(file)
        if other not in (None, name):
            raise HeadError(f"{file} holds the head {other!r}: choose another name, or add --force")
        Output(file, "head", force=force).write(head_to_bytes(head))
        return head

    def delete(self, name: str) -> None:
        """Delete a head with its examples, corrections and predictions.

        Raises:
            HeadMissing: no head has this name.

        """
        self._existing(name)
        with heads_lock(self.library.folder):
            path = self._existing(name)
            back_up(self.library.catalog.database, self.library.layout)
            self.tables.forget(name)
            path.unlink()

    def correct(self, name: str, file: Path, labels: Sequence[str]) -> tuple[str, ...]:
        """Correct the labels of a photo; the next `train` learns from it. Returns labels that are new to the head.

        No labels means that none applies. If the head's labels exclude each other, at most one may be given.

        Raises:
            HeadError: a label is not valid.
            UnreadablePhoto: the photo cannot be read.

        """
        from vitsearch.errors import UnreadablePhoto

        self._check_correction(name, labels)
        found = self.library.embed_files([file])
        for failed in found.unreadable:
            raise UnreadablePhoto(failed.path, failed.reason)
        (photo,) = found.photos.values()
        back_up_daily(self.library.catalog.database)
        return self.correct_photos(name, [photo], labels)

    def correct_photos(self, name: str, photos: Sequence[int], labels: Sequence[str]) -> tuple[str, ...]:
        """Correct the labels of photos in the library, given by id, as `correct` does.

        Raises:
            HeadError: a label is not valid.

        """
        head = self._check_correction(name, labels)
        given = tuple(dict.fromkeys(labels))
        self.tables.correct_all(name, photos, given)
        return tuple(label for label in given if label not in head.labels)

    def set_label(self, name: str, photos: Sequence[int], label: str, *, has: bool) -> int:
        """Add a label to photos given by id, or with `has=False` remove it. Returns how many photos changed.

        Other labels of a photo stay undecided, unless the person has labelled it completely or it is a training
        example.

        Raises:
            HeadError: the label is not valid.

        """
        head = self.get(name)
        if has:
            check_labels([label])
        return self.tables.set_label(
            name, head.version, photos, label, has=has, exclusive=head.kind == "softmax"
        )

    def _check_correction(self, name: str, labels: Sequence[str]) -> Head:
        head = self.get(name)
        given = tuple(dict.fromkeys(labels))
        if given:
            check_labels(given)
        if head.kind == "softmax" and len(given) > 1:
            raise HeadError(f"the labels of {name!r} exclude each other: give one, or none of them")
        return head

    def _gather(
        self,
        name: str,
        folder: Path | None,
        csv: Path | None,
        on_progress: OnProgress,
        *,
        photos: Mapping[int, tuple[str, ...]] | None = None,
    ) -> Gathered:
        check_name(name)
        started = time.perf_counter()
        again = photos is None and folder is None and csv is None
        unreadable: tuple[UnreadableFile, ...] = ()
        if photos is not None:
            labels = photos
        elif again:
            labels = self._stored_examples(name)
            known = {label for given in self.tables.examples(name).values() for label in given}
            self._check_keeps_labels(name, known)
        else:
            labels, unreadable = labels_of_source(self.library, folder, csv, on_progress)
        gathered = gather(self.library, name, labels, on_progress=on_progress)
        return replace(gathered, again=again, unreadable=unreadable, seconds=time.perf_counter() - started)

    def _waiting(self, label: str, gathered: Gathered) -> WaitingLabel:
        rows = self.library.catalog.photos(gathered.having(label))
        return WaitingLabel(label, tuple(row.paths[0] for row in rows.values() if row.paths))

    def _is_multi(self, name: str) -> bool:
        return name in self.names() and self.get(name).kind == "sigmoid"

    def _stored_examples(self, name: str) -> dict[int, tuple[str, ...]]:
        if not self.tables.examples(name):
            raise HeadError(
                f"{name!r} has no examples to learn from: give --from FOLDER with a subfolder a label, or --csv FILE"
            )
        return self.tables.given_examples(name)

    def _check_keeps_labels(self, name: str, known: Collection[str]) -> None:
        """Refuse to train a text or imported head on corrections that cover only some of its labels."""
        if name not in self.names() or (head := self.get(name)).origin not in ("text", "imported"):
            return
        lost = [label for label in head.labels if label not in known]
        if lost:
            raise HeadError(
                f"{name!r} was not learned from photos, and trained on its corrections alone it would lose "
                f"{listing(lost)}: correct several photos of each first, or train another head"
            )

    def _made(self, head: Head, gathered: Gathered, report: Report | None) -> TrainedHead:
        with heads_lock(self.library.folder):
            given = self.tables.given_examples(head.name)
            if any(set(gathered.labels.get(photo, ())) != set(labels) for photo, labels in given.items()):
                # Examples that somebody chose are about to go.
                back_up(self.library.catalog.database, self.library.layout)
            # The head first: where it cannot be saved, nothing has changed.
            saved = self._saved(head)
            self.tables.replace_examples(head.name, gathered.labels)
        return TrainedHead(
            saved,
            len(gathered.examples.labels),
            report,
            gathered.unreadable,
            gathered.left_out,
            gathered.seconds,
        )

    def _put(self, head: Head) -> Head:
        """Save a head, as a new version if it exists, and add its space to the library."""
        self.library.ensure_space(head.space)
        with heads_lock(self.library.folder):
            return self._saved(head)

    def _saved(self, head: Head) -> Head:
        self.library.ensure_space(head.space)
        back_up_daily(self.library.catalog.database)
        path = self._path(head.name)
        least = self.get(head.name).version + 1 if path.exists() else head.version
        head = replace(head, version=self.tables.new_version(head.name, least))
        make_folder(self._folder)
        save_head(head, path)
        return head

    def _own_space(self) -> Space:
        """Return the space that the library searches; creates a library with the default model if there is none."""
        return self.library.ensure_space().space

    @property
    def _folder(self) -> Path:
        return Layout.of(self.library.folder).heads

    def _path(self, name: str) -> Path:
        check_name(name)
        return self._folder / f"{name}{_SUFFIX}"

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if name not in self.names():
            near = get_close_matches(name, self.names(), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see `vitsearch heads list`"
            raise HeadMissing(f"there is no head {name!r}: {hint}")
        return path


def _head_in(file: Path) -> str | None:
    """Return the name of the head in a file, or None if the file is not a readable head."""
    try:
        return load_head(file).name if file.is_file() else None
    except HeadError:
        return None


def no_such_label(head: Head, label: str) -> HeadError:
    """Build the error for a label that a head does not have."""
    near = get_close_matches(label, head.labels, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {listing(head.labels)}"
    return HeadError(f"the head {head.name!r} has no label {label[:40]!r}: {hint}")
