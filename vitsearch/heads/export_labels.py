"""Export labels for other programs: as a CSV file, or as keywords in sidecars."""

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
    """How many sidecars changed, how many keywords were removed, and the photos whose sidecar could not be written."""

    changed: int
    taken_back: int
    failed: tuple[UnreadableFile, ...]


def check_label_csv(catalog: Catalog, file: Path) -> None:
    """Check that a CSV file is as this library wrote it, before it is overwritten.

    People correct such files by hand, and train heads on them; the file itself does not show it.

    Raises:
        OutputError: the file has been edited, or was written by another library.

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
    """Record a CSV file as it was written. Raises `LibraryError` if the library cannot be written to."""
    catalog.note_table(_named(file), _digest(content))


def _named(file: Path) -> str:
    return blake3(os.fsencode(real_path(file))).hexdigest(length=16)


def _digest(content: bytes) -> int:
    return int.from_bytes(blake3(content).digest(length=8), signed=True)


def write_label_csv(labelled: Sequence[LabelledPhoto], file: Path, *, force: bool = False) -> bytes:
    """Write one line per photo and label: path, label, probability, rank (1 is the best), abstained (0 or 1).

    Returns what was written. A photo with none of the labels has one line with empty label, probability and rank. No
    cell is evaluated by spreadsheets.

    Raises:
        OutputError: the file cannot be written, or another program wrote the existing one and `force` is not set.

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
    """Write each photo's labels as the head's keywords to its sidecar: the best one, and others of at least 0.5.

    A photo that the head abstained from, or that shows none of the labels, gets none. Keywords that the head wrote
    earlier and no longer predicts are removed; keywords of others stay.
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
    """Remove all keywords that a head of this name wrote from the sidecars of the library's photos.

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
