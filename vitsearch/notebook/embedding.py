"""Embed photos without a library."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import LibraryError
from vitsearch.folders.scan import Skipped, walk
from vitsearch.indexing.embedding import Embedder
from vitsearch.notebook.answers import EmbeddedPhotos
from vitsearch.notebook.places import cache_folder
from vitsearch.records import FoundFile, UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.records import Progress
    from vitsearch.storage.rows import ReadableFile, RejectedFile

    AnyPath = str | os.PathLike[str]


def embed(
    files: AnyPath | Iterable[AnyPath],
    *,
    model: str | None = None,
    device: Device = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    backbone: Backbone | None = None,
    notice: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> EmbeddedPhotos:
    """Embed files, or the photos in folders: `paths, vectors = vitsearch.embed("photos")`.

    Returns paths and (n, d) float32 unit rows. Folders are walked recursively and sorted by path, as in an index run.
    Photos are decoded upright and in true colours. A file that cannot be read does not stop the others: it is listed
    in `unreadable`, with the reason. Files with identical image content share one forward pass.

    - `model`: a name from `vitsearch models list`, a Hugging Face id or a folder. By default, the model that a first
      index run would choose; `notice` receives the choice and the reason.
    - `backbone`: a loaded backbone to use instead of `model`.
    - `workers`: how many processes decode photos, by default one per core.
    - `cache`: the folder of model weights, by default the same as on the command line.

    Raises:
        LibraryError: a file or folder does not exist.
        UnknownModel: no model has this name.
        WeightsUnavailable: the weights cannot be downloaded, or fail verification.
        DeviceUnavailable: the requested device is not available.

    """
    sources = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    found, unreadable = _files(sources)
    load = partial(
        _loaded,
        backbone,
        model,
        cache=cache or cache_folder(),
        device=device,
        batch_size=batch_size,
        notice=notice,
    )
    backbone = load()
    kept = _MemoryCatalog()
    embedder = Embedder(kept, 0, lambda: backbone, workers=workers, dtype=np.float32, on_progress=on_progress)
    embedder.run(0, [(None, file) for file in found])
    rows = [(file.path, kept.row(embedder.photo_hashes.get(file.path))) for file in found]
    read = [(path, row) for path, row in rows if row is not None]
    unreadable += [UnreadableFile(path, reason) for path, reason in embedder.reasons.items()]
    vectors = np.empty((len(read), backbone.space.dimension), np.float32)
    for place, (_, row) in enumerate(read):
        vectors[place] = row
    return EmbeddedPhotos(tuple(path for path, _ in read), vectors, tuple(unreadable), backbone.space.model)


def _loaded(
    given: Backbone | None,
    model: str | None,
    *,
    cache: Path,
    device: Device,
    batch_size: int | None,
    notice: Callable[[str], None],
) -> Backbone:
    if given is not None:
        return given
    from vitsearch.backbones import load_backbone

    return load_backbone(model, cache=cache, device=device, batch_size=batch_size, notice=notice)


def _files(sources: Sequence[AnyPath]) -> tuple[list[FoundFile], list[UnreadableFile]]:
    """Expand files and folders into a list of unique files, and the paths that cannot be accessed."""
    found: dict[Path, FoundFile] = {}
    unreadable: list[UnreadableFile] = []
    for source in (Path(each).absolute() for each in sources):
        if source.is_dir():
            for each in walk(source):
                if isinstance(each, FoundFile):
                    found.setdefault(each.path, each)
                elif isinstance(each, Skipped):
                    unreadable.append(UnreadableFile(each.path, each.reason))
            continue
        try:
            status = source.stat()
        except OSError as error:
            raise LibraryError(
                f"{source} cannot be embedded: {error.strerror or error}; check its name"
            ) from error
        found.setdefault(source, FoundFile(source.parent, source.name, status.st_size, status.st_mtime_ns))
    return list(found.values()), unreadable


@dataclass
class _MemoryCatalog:
    """Stands in for a library's catalog: keeps one row for each photo in memory."""

    rows: dict[bytes, npt.NDArray[np.floating]] = field(default_factory=dict)

    def with_vectors(self, hashes: Sequence[bytes], space: int) -> set[bytes]:
        """Return the hashes that already have a row."""
        del space
        return self.rows.keys() & set(hashes)

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Keep the rows of a batch."""
        del run, space, rejected
        new = {file.photo_hash: file.row for file in readable if file.row is not None}
        self.rows.update(new)
        return len(new)

    def row(self, photo_hash: bytes | None) -> npt.NDArray[np.floating] | None:
        """Return the row (d,) of a photo, or None."""
        return None if photo_hash is None else self.rows.get(photo_hash)
