"""Training data of a head: labelled photos with their embeddings after corrections, and a sample of other photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.active_learning import apply_corrections
from vitsearch.heads.examples import LabelledRows, labels_by_photo, read_label_csv, read_label_folders
from vitsearch.heads.tables import HeadTables
from vitsearch.neighbours.reference_sample import REFERENCE_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.library import Library
    from vitsearch.records import Progress, UnreadableFile
    from vitsearch.space import Space

    OnProgress = Callable[[Progress], None]
    PhotoLabels = Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Labelled photos with their embeddings; `labels` are those of the source, before corrections.

    - `photos`: the photo ids (n) of the examples' rows.
    - `corrected`: the labels that corrections added or removed.
    - `background`: (m, d) float32, a random sample of the library's other photos.
    - `again`: the head is trained again on its stored examples.
    """

    labels: PhotoLabels
    photos: tuple[int, ...]
    examples: LabelledRows
    corrected: frozenset[str]
    background: npt.NDArray[np.float32]
    space: Space
    left_out: int
    again: bool = False
    unreadable: tuple[UnreadableFile, ...] = ()
    seconds: float = 0.0

    def having(self, label: str) -> list[int]:
        """Return the ids of the examples of a label."""
        pairs = zip(self.photos, self.examples.labels, strict=True)
        return [photo for photo, labels in pairs if label in labels]


def labels_of_source(
    library: Library, folder: Path | None, csv: Path | None, on_progress: OnProgress
) -> tuple[PhotoLabels, tuple[UnreadableFile, ...]]:
    """Embed the photos of a CSV file (path,label) or of a folder whose subfolders are labels.

    Returns their labels by photo id, and the files that could not be read.

    Raises:
        HeadError: the source is not usable.

    """
    if csv is not None:
        files = read_label_csv(csv)
    elif folder is not None:
        files = read_label_folders(folder)
    else:
        raise ValueError("neither a folder nor a table of labels is given")
    embedded = library.embed_files([file.path for file in files], on_progress=on_progress)
    placed = {
        file.path: photo for file in files if (photo := embedded.photos.get(file.path.resolve())) is not None
    }
    return labels_by_photo(files, placed, several_labels=csv is not None), embedded.unreadable


def gather(library: Library, head: str, labels: PhotoLabels, *, on_progress: OnProgress) -> Gathered:
    """Fetch the embeddings of labelled photos, after applying the corrections under the head of this name.

    Raises:
        HeadError: no photo is left.

    """
    corrections = HeadTables(library.catalog.database).examples(head, only_corrected=True)
    merged = apply_corrections(labels, corrections)
    changed = {label for photo in corrections for label in (*corrections[photo], *labels.get(photo, ()))}
    space = library.ensure_space().space
    catalog = library.catalog
    space_id = catalog.add_space(space)
    wanted = np.array(sorted(merged), np.int64)
    embed_present(library, space, wanted, on_progress)
    ids, rows, _ = catalog.embeddings(space_id, space.dimension, wanted)
    if not len(ids):
        raise HeadError(f"no example of {head!r} is there any more: train it anew, with --from or --csv")
    others = np.setdiff1d(catalog.reference_ids(space_id, REFERENCE_SAMPLE), wanted)
    return Gathered(
        labels,
        tuple(ids.tolist()),
        LabelledRows(rows, tuple(merged[photo] for photo in ids.tolist())),
        frozenset(changed),
        catalog.vectors(space_id, space.dimension, others)[1].astype(np.float32),
        space,
        left_out=len(wanted) - len(ids),
    )


def embed_present(
    library: Library, space: Space, photos: npt.NDArray[np.int64], on_progress: OnProgress
) -> tuple[UnreadableFile, ...]:
    """Embed those of these photo ids that have no embedding in a space and whose files are present.

    Returns the files that could not be read.
    """
    catalog = library.catalog
    missing = np.setdiff1d(photos, catalog.embedded_ids(catalog.add_space(space)))
    if not len(missing):
        return ()
    files = [row.paths[0] for row in catalog.photos(missing.tolist()).values() if row.paths]
    return library.embed_files(files, space=space, on_progress=on_progress).unreadable
