"""Labels for other programs: a CSV file, or keywords in sidecar files beside the photos."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.errors import HeadError, OutputError
from vitsearch.heads.csv_cells import to_cell
from vitsearch.heads.xmp import write_labels
from vitsearch.paths import real_path
from vitsearch.photos.sidecars import SidecarFolders
from vitsearch.records import Progress, UnreadableFile
from vitsearch.storage.filters import Filter
from vitsearch.storage.outputs import Output
from vitsearch.storage.own_files import TABLE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vitsearch.heads.labelling import LabelledPhoto
    from vitsearch.library import Library
    from vitsearch.storage.catalog import Catalog

_PHOTOS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class SidecarReport:
    """How many sidecars were changed, how many keywords were taken back, and the photos whose sidecar could not be."""

    changed: int
    taken_back: int
    failed: tuple[UnreadableFile, ...]


def check_label_csv(catalog: Catalog, file: Path) -> None:
    """See to it that a table is as this library wrote it, before another one takes its place.

    Tables of labels are corrected by hand, and heads learn from them: nothing in the file itself says so.

    Raises:
        OutputError: the file has been changed since, or another library wrote it.

    """
    try:
        content = file.read_bytes() if file.is_file() else b""
    except OSError:  # what cannot be read is for those who write
        return
    if content and catalog.table_written(_named(file)) != _digest(content):
        raise OutputError(
            f"{file} was changed since it was written, or is another library's: name another file to keep your "
            "corrections, or replace them with --force"
        )


def note_label_csv(catalog: Catalog, file: Path, content: bytes) -> None:
    """Remember a table as it was written. Raises `LibraryError` where the library cannot be written to."""
    catalog.note_table(_named(file), _digest(content))


def _named(file: Path) -> str:
    return blake3(os.fsencode(real_path(file))).hexdigest(length=16)


def _digest(content: bytes) -> int:
    return int.from_bytes(blake3(content).digest(length=8), signed=True)


def write_label_csv(labelled: Sequence[LabelledPhoto], file: Path, *, force: bool = False) -> bytes:
    """Write one line a photo and label: path, label, probability, rank (1 is the best), abstained (0 or 1).

    Returns what was written.

    A photo that shows none of the labels has one line, whose label, probability and rank are empty. No cell is one
    that a spreadsheet evaluates. Raises `OutputError` if the file cannot be written, or vitsearch did not write what
    is there and `force` is not set.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(TABLE_COLUMNS)
    for photo in labelled:
        path = to_cell(str(photo.path))
        if photo.none:
            lines.writerow((path, "", "", "", 1))
            continue
        for rank, best in enumerate(photo.labels, 1):
            lines.writerow(
                (
                    path,
                    to_cell(best.label),
                    f"{best.probability:.6f}",
                    rank,
                    int(photo.abstained),
                )
            )
    content = text.getvalue().encode("utf-8", "surrogateescape")
    Output(file, "table", force=force).write(content)
    return content


def write_sidecars(labelled: Sequence[LabelledPhoto], *, head: str) -> SidecarReport:
    """Make each photo's labels the head's keywords in its sidecar: the best one, and each at least as likely as not.

    A photo that the head abstained from, or that shows none of the labels, gets none. What the head wrote before and
    does not say any more is taken out; keywords that others wrote stay.
    """
    changed = taken_back = 0
    failed: list[UnreadableFile] = []
    folders = SidecarFolders()
    for photo in labelled:
        best = () if photo.abstained else photo.labels
        keywords = [each.label for rank, each in enumerate(best) if not rank or each.probability >= 0.5]
        try:
            change = write_labels(photo.path, keywords, head=head, folders=folders)
        except (HeadError, OSError) as error:  # a name with no room for `.xmp` too
            failed.append(UnreadableFile(photo.path, str(error)))
            continue
        changed += bool(change.added or change.removed)
        taken_back += len(change.removed)
    return SidecarReport(changed, taken_back, tuple(failed))


def take_back_keywords(
    library: Library, head: str, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> SidecarReport:
    """Take all keywords that a head of this name wrote out of the sidecars of the library's photos.

    The head need not exist any more. Photos on drives that are not mounted are left out.
    """
    catalog = library.catalog
    changed = taken_back = 0
    failed: list[UnreadableFile] = []
    folders = SidecarFolders()
    ids = catalog.select(Filter()).tolist()
    for start in range(0, len(ids), _PHOTOS_AT_ONCE):
        on_progress(Progress("sidecars", start, len(ids)))
        rows = catalog.photos(ids[start : start + _PHOTOS_AT_ONCE]).values()
        for path in (path for row in rows for path in row.paths):
            try:
                change = write_labels(path, [], head=head, folders=folders)
            except (HeadError, OSError) as error:
                failed.append(UnreadableFile(path, str(error)))
                continue
            changed += bool(change.removed)
            taken_back += len(change.removed)
    on_progress(Progress("sidecars", len(ids), len(ids)))
    return SidecarReport(changed, taken_back, tuple(failed))
