"""Labelled photos: read them from folders or a CSV file, check them, and pair them with embeddings."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError, in_words
from vitsearch.folders.scan import walk
from vitsearch.heads.csv_cells import from_cell
from vitsearch.heads.head import check_labels
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

_NAMED_IN_A_MESSAGE = 3


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A photo's file and one of its labels; None means that no label applies."""

    path: Path
    label: str | None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Embeddings with labels.

    - `rows`: (n, d) float32 unit rows.
    - `labels`: one tuple of distinct labels per row, possibly empty.
    """

    rows: npt.NDArray[np.float32]
    labels: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.labels):
            raise HeadError(
                f"{len(self.rows)} rows but {len(self.labels)} sets of labels: pair them one to one"
            )
        if not np.isfinite(self.rows).all():
            raise HeadError("some embeddings are not finite: index the photos again")

    def names(self) -> tuple[str, ...]:
        """Return all labels, sorted.

        Raises:
            HeadError: a label is not valid.

        """
        names = tuple(sorted({label for labels in self.labels for label in labels}))
        check_labels(names)
        return names

    def single_label(self) -> bool:
        """Whether every photo has exactly one label, so that labels exclude each other."""
        return all(len(labels) == 1 for labels in self.labels)

    def membership(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return (n, c) bool: which rows have which of the c `names`."""
        column = {name: place for place, name in enumerate(names)}
        members = np.zeros((len(self.labels), len(names)), np.bool_)
        for row, labels in enumerate(self.labels):
            members[row, [column[label] for label in labels]] = True
        return members


def read_label_folders(folder: Path) -> tuple[LabelledFile, ...]:
    """Return the photos in `folder`, whose subfolders are the labels; deeper subfolders belong to the same label.

    Raises:
        HeadError: there are no subfolders, or one of them has no photos.

    """
    if not folder.is_dir():
        raise HeadError(f"{folder} is not a folder: name one whose subfolders are the labels")
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not subfolders:
        raise HeadError(
            f"{folder} has no subfolders: put the photos of each label into a folder named after it"
        )
    check_labels([path.name for path in subfolders])
    found = {path: [file.path for file in walk(path) if isinstance(file, FoundFile)] for path in subfolders}
    empty = [path.name for path, files in found.items() if not files]
    if empty:
        raise HeadError(f"no photos in {folder} for {listing(empty)}: add some, or remove the empty folder")
    return tuple(LabelledFile(file, path.name) for path, files in found.items() for file in files)


def read_label_csv(path: Path) -> tuple[LabelledFile, ...]:
    """Return the rows of a CSV file with the columns `path` and `label`; paths are relative to the CSV file.

    A photo with several labels has several lines; an empty label means that no label applies. The file is UTF-8,
    except for file names that are not.

    Raises:
        HeadError: a line is not valid; the message has its number.

    """
    labelled = []
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            if not {"path", "label"} <= set(lines.fieldnames or ()):
                _check_is_text("".join(lines.fieldnames or ()), path)
                raise HeadError(f"{path} needs a first line that names the columns path,label")
            for line in lines:
                if not line["path"] or line["label"] is None:
                    raise HeadError(f"{path}, line {lines.line_num}: a path or a label is missing")
                photo = path.parent / from_cell(line["path"])
                _check_is_text(line["label"], path)
                if not photo.is_file():
                    _check_is_text(line["path"], path)
                    raise HeadError(f"{path}, line {lines.line_num}: there is no file {photo}")
                labelled.append(LabelledFile(photo, from_cell(line["label"].strip()) or None))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HeadError(f"cannot read {path} ({in_words(error)}): it must be a CSV file in UTF-8") from error
    check_labels(sorted({item.label for item in labelled if item.label is not None}))
    return tuple(labelled)


def _check_is_text(cell: str, path: Path) -> None:
    """Raise a `UnicodeDecodeError`, with the position in the file, unless a cell is UTF-8."""
    if any("\udc80" <= character <= "\udcff" for character in cell):
        path.read_bytes().decode("utf-8")


def labels_by_photo(
    files: Sequence[LabelledFile], photos: Mapping[Path, int], *, several_labels: bool
) -> dict[int, tuple[str, ...]]:
    """Return the labels of each photo id; `photos` maps every readable file to its photo id.

    Raises:
        HeadError: a label has no readable photo, or, unless `several_labels`, a photo has two labels.

    """
    first: dict[tuple[int, str], Path] = {}
    labels: dict[int, list[str]] = {}
    for file in files:
        photo = photos.get(file.path)
        if photo is None:
            continue
        given = labels.setdefault(photo, [])
        if file.label is None or file.label in given:
            continue
        if given and not several_labels:
            raise HeadError(
                f"{first[photo, given[0]]} and {file.path} are the same photo under two labels: remove one of them, "
                "or give several labels a photo with a CSV file"
            )
        given.append(file.label)
        first[photo, file.label] = file.path
    wanted = {file.label for file in files if file.label is not None}
    unread = sorted(wanted - {label for given in labels.values() for label in given})
    if unread:
        raise HeadError(f"no photo of {listing(unread)} can be read: add others, or leave the label out")
    return {photo: tuple(given) for photo, given in labels.items()}


def listing(labels: Sequence[str]) -> str:
    """Format a few labels for a message, shortening long ones and counting the rest."""
    shown = ", ".join(
        repr(label if len(label) <= 40 else label[:37] + "...") for label in labels[:_NAMED_IN_A_MESSAGE]
    )
    rest = len(labels) - _NAMED_IN_A_MESSAGE
    return shown if rest <= 0 else f"{shown} and {rest} more"
