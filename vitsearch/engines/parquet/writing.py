"""Parquet files of photos and their vectors: the schema, written and read in bounded memory.

The columns are described in docs/formats.md. One row is one photo. `photo`, `path`, `model` and `vector` are what
other programs want; `files`, `norm` and the file's metadata are what another library needs besides.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vitsearch.errors import StoreError
from vitsearch.storage.durable import sync_folder
from vitsearch.storage.layout import made_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    import pyarrow as pa
    import pyarrow.parquet as pq

    from vitsearch.engines.portable import PortablePhoto, Selection
    from vitsearch.space import Space

Precision = Literal["float16", "float32"]

SPACE_KEY, FORMAT_KEY = b"vitsearch.space", b"vitsearch.format"
FORMAT = 1
# Rows that a reader has to hold at once: about 8 MB of vectors.
ROWS_A_GROUP = 8192
_MAGIC = b"PAR1"
_TEXT_COLUMNS = ("model", "format", "camera", "software")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    files: tuple[Path, ...]
    photos: int
    model: str
    bytes: int


def arrow(name: str = "pyarrow") -> Any:  # noqa: ANN401 - pyarrow ships no type information
    """Import pyarrow, or a module of it, and say how to get it where it is not installed."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise StoreError(
            "Parquet files need pyarrow: install it with `pip install 'vitsearch[parquet]'`"
        ) from error


def schema(space: Space, precision: Precision = "float16") -> pa.Schema:
    """Return the Arrow schema of a file of this space, with the space in its metadata."""
    pa = arrow()
    place = [
        ("root", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified_ns", pa.int64()),
        ("content", pa.string()),
        ("raw_root", pa.binary()),  # only where a name is not UTF-8
        ("raw_path", pa.binary()),
    ]
    value = pa.float16() if precision == "float16" else pa.float32()
    fields = [
        ("photo", pa.string()),
        ("path", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("taken", pa.string()),
        ("camera", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("software", pa.string()),
        ("files", pa.list_(pa.struct(place))),
        ("perceptual", pa.binary()),
        ("model", pa.string()),
        ("norm", pa.float32()),
        ("vector", pa.list_(value, space.dimension)),
    ]
    return pa.schema(fields, metadata={SPACE_KEY: space.to_json(), FORMAT_KEY: str(FORMAT)})


def table(photos: Sequence[PortablePhoto], space: Space, precision: Precision = "float16") -> pa.Table:
    """Return photos as one Arrow table."""
    pa = arrow()
    described = schema(space, precision)
    rows = np.stack([photo.row for photo in photos]) if photos else np.empty((0, space.dimension), np.float16)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(precision).ravel()), space.dimension)
    places = [
        [
            {
                "root": _text(place.root),
                "path": _text(place.path),
                "size": place.size,
                "modified_ns": place.mtime_ns,
                "content": place.content.hex(),
                "raw_root": _raw(place.root),
                "raw_path": _raw(place.path),
            }
            for place in photo.places
        ]
        for photo in photos
    ]
    facts = [photo.facts for photo in photos]
    columns = {
        "photo": [photo.payload.hex() for photo in photos],
        "path": [
            _text(os.path.join(p.places[0].root, p.places[0].path)) if p.places else None  # noqa: PTH118 - may be a URL
            for p in photos
        ],
        **{
            name: [getattr(fact, name) for fact in facts]
            for name in (
                "format",
                "width",
                "height",
                "taken",
                "camera",
                "latitude",
                "longitude",
                "software",
            )
        },
        "files": places,
        "perceptual": [photo.perceptual for photo in photos],
        "model": [space.model] * len(photos),
        "norm": np.array([photo.norm for photo in photos], np.float32),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in list(described)[:-1]]
    return pa.Table.from_arrays([*arrays, vectors], schema=described)


def export_parquet(
    selection: Selection,
    target: Path,
    *,
    shards: int = 1,
    precision: Precision = "float16",
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ExportReport:
    """Write photos to one file, or to `shards` files of equal size; all appear at the end, complete, or none does.

    Raises:
        StoreError: pyarrow is not installed, or the files cannot be written.

    """
    names = shard_names(target, shards)
    bounds = np.linspace(0, len(selection.ids), shards + 1).astype(int)
    finished: list[tuple[Path, Path]] = []
    photos = 0
    try:
        for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
            with ShardWriter(name, selection.space, precision) as shard:
                finished.append((shard.partial, name))
                for first in range(start, end, ROWS_A_GROUP):
                    batch = selection.photos(selection.ids[first : min(first + ROWS_A_GROUP, end)])
                    shard.write(batch)
                    photos += len(batch)
                    on_progress(photos, len(selection.ids))
        for partial, name in finished:
            partial.replace(name)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; make room there, or choose another place"
        ) from error
    finally:
        for partial, _ in finished:
            partial.unlink(missing_ok=True)
    size = sum(name.stat().st_size for name in names)
    return ExportReport(tuple(names), photos, selection.space.model, size)


def shard_names(target: Path, shards: int) -> list[Path]:
    """Name the files of an export as Hugging Face `datasets` does: `photos-00002-of-00008.parquet`."""
    if shards == 1:
        return [target]
    return [
        target.with_name(f"{target.stem}-{number:05}-of-{shards:05}{target.suffix}")
        for number in range(shards)
    ]


class ShardWriter:
    """Writes one file under a name of its own, `partial`; a context manager that leaves it complete and on disk."""

    def __init__(self, target: Path, space: Space, precision: Precision = "float16") -> None:
        _remove_left_behind(target)
        self.partial = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
        self._space = space
        self._precision: Precision = precision
        self._file = self.partial.open("xb")
        module: ModuleType = arrow("pyarrow.parquet")
        described = schema(space, precision)
        self._writer: pq.ParquetWriter = module.ParquetWriter(
            self._file,
            described,
            # Vectors are noise to a compressor.
            compression={
                name: "NONE" if name.startswith("vector") else "ZSTD" for name in _column_paths(described)
            },
            use_dictionary=list(_TEXT_COLUMNS),
        )

    def write(self, photos: Sequence[PortablePhoto]) -> None:
        """Add photos as one row group."""
        self._writer.write_table(table(photos, self._space, self._precision), row_group_size=ROWS_A_GROUP)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._writer.close()  # also after an error: it would write to the closed file when it is collected
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            if kind is None:
                raise
        finally:
            self._file.close()


def _column_paths(described: pa.Schema) -> Iterator[str]:
    for field in described:
        if field.name == "files":
            yield from (f"files.list.element.{inner.name}" for inner in field.type.value_type)
        elif field.name == "vector":
            yield "vector.list.element"
        else:
            yield field.name


def _remove_left_behind(target: Path) -> None:
    """Delete what a killed export to the same file left, known by its name (a random number) and its first bytes."""
    named = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.partial")
    for path in made_files(target.parent, named):
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
        if begins in (_MAGIC, b""):
            path.unlink(missing_ok=True)


def _text(path: str) -> str:
    """A path as text for people and other programs; bytes that are not UTF-8 become visible escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _raw(path: str) -> bytes | None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return None
