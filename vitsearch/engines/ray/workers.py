"""What a worker of Ray does: the same reading, decoding and embedding as here, a block of files at a time.

What becomes of a block is one Parquet file, a shard. This module does not import Ray, which calls it.
"""

from __future__ import annotations

import os
import pickle
import socket
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitsearch.engines.parquet.writing import ShardWriter
from vitsearch.engines.portable import Place, PortablePhoto
from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.indexing.embedding import Embedder
from vitsearch.paths import is_offline
from vitsearch.photos.photo import MAX_FILE_BYTES
from vitsearch.storage.atomic import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.records import FoundFile
    from vitsearch.storage.rows import ReadableFile, RejectedFile


@dataclass(frozen=True, slots=True)
class Block:
    """Files to embed, each with the id of its root, and the name of the shard that is made of them."""

    name: str
    files: Sequence[tuple[int | None, FoundFile]]

    def packed(self) -> dict[str, Any]:
        """Return the block as a row for Ray Data, whose columns hold no objects of ours."""
        return {"name": self.name, "files": pickle.dumps(self.files)}


@dataclass(frozen=True, slots=True)
class EmbeddedBlock:
    """What became of a block: its shard, and the files that could not be read.

    `trouble` says what `machine` lacks, so that no worker there can do this block or any other.
    """

    name: str
    shard: Path
    rejected: Sequence[RejectedFile]
    machine: str
    trouble: str

    @classmethod
    def unpacked(cls, row: Mapping[str, Any]) -> EmbeddedBlock:
        """Read a row that a worker returned."""
        rejected = pickle.loads(row["rejected"])  # noqa: S301 - from our own worker
        machine, trouble = str(row["machine"]), str(row["trouble"])
        return cls(str(row["name"]), Path(str(row["shard"])), rejected, machine, trouble)

    def packed(self) -> dict[str, Any]:
        """Return what became of a block as a row for Ray Data."""
        return {
            "name": self.name,
            "shard": str(self.shard),
            "rejected": pickle.dumps(self.rejected),
            "machine": self.machine,
            "trouble": self.trouble,
        }


class BlockWorker:
    """Lives in a worker process: loads the model once, then turns blocks into shards.

    `urls` says which roots are URLs: a path cannot hold one as it was written.
    """

    def __init__(self, load: Callable[[], Backbone], shards: str, urls: Mapping[Path, str]) -> None:
        self._backbone = load()
        self._shards = Path(shards)
        self._urls = urls

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
        """Embed the blocks of a batch; return the shard of each and what could not be read."""
        made = []
        for name, packed in zip(batch["name"], batch["files"], strict=True):
            files = pickle.loads(packed)  # noqa: S301 - from the process that started us
            made.append(self._embed(Block(str(name), files)).packed())
        return {column: [row[column] for row in made] for column in made[0]}

    def _embed(self, block: Block) -> EmbeddedBlock:
        machine = socket.gethostname()
        shard = self._shards / f"{block.name}.parquet"
        collected = _Collected()
        trouble = self._out_of_sight(block)
        if not trouble:
            embedder = Embedder(collected, 0, lambda: self._backbone, source=partial(_source, self._urls))
            embedder.run(0, block.files)
            trouble = self._write(shard, collected.photos())
        return EmbeddedBlock(block.name, shard, collected.rejected, machine, trouble)

    def _out_of_sight(self, block: Block) -> str:
        """Say so if this machine does not have the folder that the files of a block are in."""
        here = [found for _, found in block.files if found.root not in self._urls]
        if not here or any(os.path.lexists(found.path) for found in here):
            return ""
        root = here[0].root
        if not is_offline(root):
            return ""  # the files have gone since they were listed
        return f"has no photos in {root}: mount that folder under this name on every machine, or give its URL instead"

    def _write(self, shard: Path, photos: Sequence[PortablePhoto]) -> str:
        """Write what came of a block; say so if this machine cannot."""
        try:
            draft = Draft(shard)
            try:
                with ShardWriter(draft, self._backbone.space) as writer:
                    writer.write(photos)
                draft.publish()
            finally:
                draft.discard()
        except (OSError, VitsearchError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"cannot write to {shard.parent} ({reason}): name a folder that all machines share with --shards"
        return ""


@dataclass
class _Collected:
    """Takes the place of a library's catalog in a worker: keeps what is read and embedded."""

    readable: list[ReadableFile] = field(default_factory=list)
    rejected: list[RejectedFile] = field(default_factory=list)
    photo_hashes: set[bytes] = field(default_factory=set)

    def with_vectors(self, hashes: Sequence[bytes], space: int) -> set[bytes]:
        """Return those that this block has already."""
        del space
        return self.photo_hashes.intersection(hashes)

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Keep a batch."""
        del run, space
        self.readable += readable
        self.rejected += rejected
        self.photo_hashes |= {file.photo_hash for file in readable if file.row is not None}
        return sum(file.row is not None for file in readable)

    def photos(self) -> list[PortablePhoto]:
        """Return the photos that were embedded, each with all of its files."""
        files: dict[bytes, list[ReadableFile]] = {}
        for file in self.readable:
            files.setdefault(file.photo_hash, []).append(file)
        found = []
        for photo_hash, same in files.items():
            first = next(file for file in same if file.row is not None)
            assert first.row is not None
            places = tuple(
                Place(
                    str(each.found.root),
                    each.found.relative,
                    each.found.size,
                    each.found.mtime_ns,
                    each.file_hash,
                )
                for each in same
            )
            found.append(
                PortablePhoto(0, photo_hash, first.facts, first.perceptual, places, first.row, first.norm)
            )
        return found


def _source(urls: Mapping[Path, str], found: FoundFile) -> Path | bytes:
    """Where a file is, or what its URL gives."""
    root = urls.get(found.root)
    if root is None:
        return found.path
    import fsspec

    url = f"{root}/{found.relative}"
    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read(MAX_FILE_BYTES))
    except (OSError, ImportError, ValueError) as error:
        raise UnreadablePhoto(
            url, str(error) or type(error).__name__, passing=isinstance(error, OSError)
        ) from error
