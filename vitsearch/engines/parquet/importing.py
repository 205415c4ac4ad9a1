"""Import photos and embeddings from Parquet files: determine their space, merge them, and report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.decoding.decoders import Decoders
from vitsearch.engines.merging import Merge, Places, Tally, local_path
from vitsearch.engines.parquet.reading import RefusedRow, VectorFile
from vitsearch.errors import LibraryError, SpaceMismatch, StoreError, UnreadablePhoto
from vitsearch.paths import real_path
from vitsearch.space import Preprocessing, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vitsearch.library import Library

# Vectors under the name of the library's own model are compared with what the model says of this many photos.
_PROBED = 16
_SAME_MODEL = 0.99


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import.

    - `photos`: imported rows.
    - `vectors`: embeddings that the library did not have.
    - `here`: photos with a file on this machine.
    - `elsewhere`: photos that are only in folders of other machines.
    - `taken`: paths that were skipped because another photo has them.
    - `offline_roots`: folders of other machines.
    - `refused`: how many rows were skipped, and `reasons`: the first reasons.
    - `searched`: whether searches use this model.
    """

    files: tuple[Path, ...]
    photos: int
    vectors: int
    here: int
    elsewhere: int
    taken: int
    offline_roots: tuple[Path, ...]
    refused: int
    reasons: tuple[RefusedRow, ...]
    model: str
    searched: bool
    seconds: float


def import_parquet(
    library: Library,
    files: Sequence[Path],
    *,
    model: str | None = None,
    root: Path | None = None,
    relocate: Mapping[str, str] | None = None,
    change_model: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ImportReport:
    """Import files into a library, each batch in one transaction; after an interruption, call it again.

    - `model`: the model's name, for files that do not contain one.
    - `root`: the folder that contains the photos, for files with only `path` and `vector`.
    - `relocate`: maps folders of another machine to their new paths.
    - `change_model`: use the imported embeddings for searches from now on.

    Raises:
        StoreError: a file cannot be read, or the files are of several spaces.
        SpaceMismatch: embeddings under the name of the library's model were not made by that model.
        LibraryError: `root` does not exist, or the library cannot be written.

    """
    started = time.monotonic()
    folder = None if root is None else real_path(root)
    if folder is not None and not folder.is_dir():
        raise LibraryError(f"{folder} does not exist: check the spelling, or mount its drive")
    opened: list[VectorFile] = []
    try:
        opened.extend(VectorFile(path, model=model) for path in files)
        space = _one_space(library, opened)
        tally = Tally()
        total, done = sum(file.rows for file in opened), 0
        with library.receiving(space, use=change_model) as (catalog, space_id):
            places = Places(catalog, relocate or {})
            if folder is not None:
                catalog.add_root(folder)
            merge = Merge(catalog, space_id, places, tally=tally)
            for file in opened:
                for rows, bad in file.batches():
                    tally.refuse(bad)
                    if file.space is None:
                        merge.by_path(file.path, rows)
                    else:
                        merge.by_content(rows)
                    done += len(rows) + len(bad)
                    on_progress(done, total)
            offline = tuple(each.path for each in catalog.roots() if each.id in places.offline)
    finally:
        for file in opened:
            file.__exit__()
    return ImportReport(
        files=tuple(file.path for file in opened),
        photos=tally.photos,
        vectors=tally.vectors,
        here=tally.here,
        elsewhere=tally.elsewhere,
        taken=tally.taken,
        offline_roots=offline,
        refused=tally.refused,
        reasons=tuple(tally.reasons),
        model=space.model,
        searched=library.existing_space() == space,
        seconds=time.monotonic() - started,
    )


def _one_space(library: Library, files: Sequence[VectorFile]) -> Space:
    """Return the space of all files.

    Files without a space belong to the library's own space if they name its model and their embeddings match, and
    otherwise to a space of their own.
    """
    spaces = [file.space or _claimed_space(library, file) for file in files]
    for file, space in zip(files, spaces, strict=True):
        if space != spaces[0]:
            raise StoreError(
                f"{file.path} holds vectors of {_described(space)}, {files[0].path} of {_described(spaces[0])}: import "
                "them one by one"
            )
    return spaces[0]


def _described(space: Space) -> str:
    return f"{space.model} ({space.dimension} dimensions)"


def _claimed_space(library: Library, file: VectorFile) -> Space:
    if not file.model:
        raise StoreError(f"{file.path} does not say which model its vectors are of: name it with --model")
    active = library.existing_space()
    if active is None or active.model != file.model:
        unknown = Preprocessing(0, 0, 0, "crop", 0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "stored")
        return Space(file.model, "", unknown, "cls", file.dimension)
    if active.is_imported:
        return active
    if active.dimension != file.dimension:
        raise SpaceMismatch(
            f"{file.path}: its vectors have {file.dimension} dimensions, those of {file.model} here "
            f"{active.dimension}: give them a name of their own with --model"
        )
    likeness = _likeness(library, active, file)
    if likeness < _SAME_MODEL:
        raise SpaceMismatch(
            f"{file.path}: its vectors are not those that {file.model} gives here (cosine {likeness:.3f} on a sample; "
            "preprocessing or readout differ): give them a name of their own with --model"
        )
    return active


def _likeness(library: Library, space: Space, file: VectorFile) -> float:
    """Return the lowest cosine between embeddings in the file and those of the library's model for the same photos."""
    rows, _ = next(file.batches(), ([], []))
    backbone, pre = library.backbone(space), space.preprocessing
    pixels, claimed = [], []
    with Decoders() as decoders:
        for row in rows:
            try:
                with decoders.open(local_path(file.path, row)) as photo:
                    pixels.append(
                        backbone.prepare(photo.pixels(min_side=pre.decode_side, colours=pre.colours))
                    )
                claimed.append(row.row)
            except UnreadablePhoto:
                continue
            if len(pixels) == _PROBED:
                break
    if not pixels:
        raise StoreError(f"{file.path}: none of the first photos that it names can be read here")
    found = backbone.embed_batch(np.stack(pixels)).rows
    return float((found * np.stack(claimed)).sum(axis=1).min())
