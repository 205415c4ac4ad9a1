"""Write Parquet files of photos and their embeddings in bounded memory.

docs/formats.md describes the columns. One row is one photo. `photo`, `path`, `model` and `vector` are for other
programs; `files`, `norm` and the file's metadata are for other libraries.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vitsearch.errors import OutputError, StoreError
from vitsearch.storage.facts import FACT_COLUMNS
from vitsearch.storage.outputs import Output, check_outputs
from vitsearch.storage.own_files import PHOTOS_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    import pyarrow as pa
    import pyarrow.parquet as pq

    from vitsearch.engines.portable import PortablePhoto, Selection
    from vitsearch.space import Space
    from vitsearch.storage.atomic import Draft

Precision = Literal["float16", "float32"]

SPACE_KEY, FORMAT_KEY = PHOTOS_MARK.encode(), b"vitsearch.format"
FORMAT = 1
# Rows that a reader has to hold at once: about 8 MB of vectors.
ROWS_A_GROUP = 8192
_TEXT_COLUMNS = ("model", "format", "camera", "software", "taken_from", "utc_offset", "lens")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    files: tuple[Path, ...]
    photos: int
    model: str
    bytes: int


def arrow(name: str = "pyarrow") -> Any:  # noqa: ANN401 - pyarrow ships no type information
    """Import pyarrow, or a module of it; if it is not installed, the error says how to install it."""
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
        ("taken_from", pa.string()),
        ("utc_offset", pa.string()),
        ("altitude", pa.float64()),
        ("lens", pa.string()),
        ("rating", pa.int32()),
        ("keywords", pa.list_(pa.string())),
        ("caption", pa.string()),
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
                "content": place.file_hash.hex(),
                "raw_root": _raw(place.root),
                "raw_path": _raw(place.path),
            }
            for place in photo.places
        ]
        for photo in photos
    ]
    facts = [photo.facts for photo in photos]
    columns = {
        "photo": [photo.photo_hash.hex() for photo in photos],
        "path": [
            _text(os.path.join(p.places[0].root, p.places[0].path)) if p.places else None  # noqa: PTH118 - may be a URL
            for p in photos
        ],
        **{name: [getattr(fact, name) for fact in facts] for name in FACT_COLUMNS},
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
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ExportReport:
    """Write photos to one file, or to `shards` files of equal size; all appear at the end, complete, or none does.

    `force` overwrites files of other programs.

    Raises:
        StoreError: pyarrow is not installed, or the files cannot be written.

    """
    outputs = [Output(name, "photos", force=force) for name in shard_names(target, shards)]
    check_outputs(*outputs)
    bounds = np.linspace(0, len(selection.ids), shards + 1).astype(int)
    drafts: list[Draft] = []
    photos = 0
    try:
        for output, start, end in zip(outputs, bounds[:-1], bounds[1:], strict=True):
            drafts.append(output.draft())
            with ShardWriter(drafts[-1], selection.space, precision) as shard:
                for first in range(start, end, ROWS_A_GROUP):
                    batch = selection.photos(selection.ids[first : min(first + ROWS_A_GROUP, end)])
                    shard.write(batch)
                    photos += len(batch)
                    on_progress(photos, len(selection.ids))
        for output, draft in zip(outputs, drafts, strict=True):
            output.publish(draft)
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; make room there, or choose another place"
        ) from error
    except OutputError as error:
        raise StoreError(str(error)) from error
    finally:
        for draft in drafts:
            draft.discard()
    size = sum(output.path.stat().st_size for output in outputs)
    return ExportReport(tuple(output.path for output in outputs), photos, selection.space.model, size)


def shard_names(target: Path, shards: int) -> list[Path]:
    """Name the files of an export as Hugging Face `datasets` does: `photos-00002-of-00008.parquet`."""
    if shards == 1:
        return [target]
    return [
        target.with_name(f"{target.stem}-{number:05}-of-{shards:05}{target.suffix}")
        for number in range(shards)
    ]


class ShardWriter:
    """Writes one file as a draft; a context manager that leaves it complete and on disk."""

    def __init__(self, draft: Draft, space: Space, precision: Precision = "float16") -> None:
        self._draft = draft
        self._space = space
        self._precision: Precision = precision
        module: ModuleType = arrow("pyarrow.parquet")
        described = schema(space, precision)
        self._writer: pq.ParquetWriter = module.ParquetWriter(
            draft.file,
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
            self._draft.finish()
        except OSError:
            if kind is None:
                raise


def _column_paths(described: pa.Schema) -> Iterator[str]:
    for field in described:
        if field.name == "files":
            yield from (f"files.list.element.{inner.name}" for inner in field.type.value_type)
        elif field.name in ("vector", "keywords"):
            yield f"{field.name}.list.element"
        else:
            yield field.name


def _text(path: str) -> str:
    """Convert a path to text for people and other programs; bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _raw(path: str) -> bytes | None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return None
