"""Parquet files of vectors, read and checked: exports of a library, and files that people make themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.engines.parquet.writing import FORMAT, FORMAT_KEY, SPACE_KEY, arrow
from vitsearch.engines.portable import Place
from vitsearch.errors import StoreError
from vitsearch.records import PhotoFacts
from vitsearch.space import Space
from vitsearch.storage.database import value_to_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.parquet as pq

# Rows decoded at once.
_ROWS_AT_ONCE = 2048
# How far a row that calls itself a unit vector may be from one: float16 rounds to 0.0005.
_UNIT_TOLERANCE = 0.01
_LARGEST_DIMENSION = 32_768
# What a column may hold for each of its bytes in the file; 8 million values are nothing.
_VALUES_A_BYTE, _FEW_VALUES = 8, 8_000_000
_LARGEST_SIDE, _LARGEST_NUMBER = 2**31, 2**63
_NAMES = 200  # characters kept of a format, camera or program
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, eq=False)
class ImportedRow:
    """One row that is as it should be.

    `photo_hash` is None where the file knows only the photo's `path`. `row`: (d,) float32, unit length.
    """

    number: int
    path: str | None
    photo_hash: bytes | None
    facts: PhotoFacts | None
    perceptual: bytes | None
    places: tuple[Place, ...]
    row: npt.NDArray[np.float32]
    norm: float


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was left out, and why."""

    file: Path
    row: int
    reason: str


class VectorFile:
    """An open Parquet file with a vector column; a context manager.

    `space` is None where the file does not carry one; then `model` is the name that it gives, if any.
    """

    def __init__(self, path: Path, *, model: str | None = None) -> None:
        """Open a file and check its schema. `model` stands in for a name that the file does not give.

        Raises:
            StoreError: it is no Parquet file, or lacks columns that are needed.

        """
        self.path = path
        pa = arrow()
        module = arrow("pyarrow.parquet")
        try:
            self._file: pq.ParquetFile = module.ParquetFile(path)
            described = self._file.schema_arrow
            self.rows: int = self._file.metadata.num_rows
            size = path.stat().st_size
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise StoreError(f"cannot read {path}: {_first_line(error)}") from error
        self._check_expansion(size)
        metadata = described.metadata or {}
        self.columns = set(described.names)
        self.space = self._space(metadata)
        self.dimension = self._dimension(described)
        if self.space is None and "path" not in self.columns:
            raise StoreError(
                f"{path} has no column `path`: each row needs the path of its photo (see docs/formats.md)"
            )
        if self.space is not None and "photo" not in self.columns:
            raise StoreError(f"{path} has no column `photo`, which an export has: export it again")
        self.model = self.space.model if self.space else model or self._named_model()

    def __enter__(self) -> VectorFile:
        return self

    def __exit__(self, *rest: object) -> None:
        self._file.close()

    def batches(self) -> Iterator[tuple[list[ImportedRow], list[RefusedRow]]]:
        """Yield rows that are sound and rows that are not, in bounded memory.

        Raises:
            StoreError: the file is damaged.

        """
        pa = arrow()
        wanted = {"photo", "path", "files", "perceptual", "norm", "vector", *_FACTS} & self.columns
        number = 0
        try:
            for batch in self._file.iter_batches(_ROWS_AT_ONCE, columns=sorted(wanted)):
                rows, reasons = _vectors(batch.column("vector"), self.dimension)
                sound: list[ImportedRow] = []
                refused: list[RefusedRow] = []
                values = batch.drop_columns(["vector"]).to_pylist()
                for index, fields in enumerate(values):
                    reason = reasons[index] or self._problem(fields, rows[index])
                    if reason:
                        refused.append(RefusedRow(self.path, number + index, reason))
                    else:
                        sound.append(self._row(number + index, fields, rows[index]))
                number += len(values)
                yield sound, refused
        except (OSError, MemoryError, pa.ArrowException, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path} is damaged: {_first_line(error)}") from error

    def _problem(self, fields: dict[str, Any], row: npt.NDArray[np.float32]) -> str | None:
        if self.space is None:
            path = fields.get("path")
            return (
                None
                if isinstance(path, str) and path and "\0" not in path
                else "it has no path that a file can have"
            )
        if not isinstance(fields["photo"], str) or not _HASH.fullmatch(fields["photo"]):
            return "its photo hash is not 64 hexadecimal digits"
        if abs(float(np.linalg.norm(row)) - 1) > _UNIT_TOLERANCE:
            return f"its vector has the length {float(np.linalg.norm(row)):.3f}, not 1"
        if _facts(fields) is None:
            return "it does not say how large the photo is"
        return None

    def _row(self, number: int, fields: dict[str, Any], row: npt.NDArray[np.float32]) -> ImportedRow:
        length = float(np.linalg.norm(row))
        own = self.space is not None
        norm = fields.get("norm")
        usable = isinstance(norm, float) and np.isfinite(norm) and norm > 0
        return ImportedRow(
            number=number,
            path=fields.get("path"),
            photo_hash=bytes.fromhex(fields["photo"]) if own else None,
            facts=_facts(fields) if own else None,
            perceptual=fields.get("perceptual") if own else None,
            places=tuple(filter(None, map(_place, fields.get("files") or ()))) if own else (),
            row=row / np.float32(length),
            norm=float(norm) if usable and norm is not None else length,
        )

    def _check_expansion(self, size: int) -> None:
        """Refuse a file that would fill the memory: vectors hardly compress, and neither do hashes of photos."""
        metadata = self._file.metadata
        if self.rows > size:
            raise StoreError(
                f"{self.path} claims {self.rows:,} rows in {size:,} bytes: it is not what it says"
            )
        for group in range(metadata.num_row_groups):
            described = metadata.row_group(group)
            for number in range(described.num_columns):
                column = described.column(number)
                most = max(_FEW_VALUES, column.total_compressed_size * _VALUES_A_BYTE)
                if column.num_values > most:
                    raise StoreError(
                        f"{self.path} claims {column.num_values:,} values of {column.path_in_schema.split('.')[0]} in "
                        f"{column.total_compressed_size:,} bytes: it is not what it says"
                    )

    def _space(self, metadata: dict[bytes, bytes]) -> Space | None:
        if SPACE_KEY not in metadata:
            return None
        if metadata.get(FORMAT_KEY, b"1") != str(FORMAT).encode():
            raise StoreError(f"{self.path} was written by a later version of vitsearch: upgrade this one")
        try:
            return _checked_space(Space.from_json(metadata[SPACE_KEY].decode()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise StoreError(
                f"{self.path} does not say what model its vectors are of (its metadata is damaged)"
            ) from error

    def _dimension(self, described: pa.Schema) -> int:
        pa = arrow()
        if "vector" not in self.columns:
            raise StoreError(
                f"{self.path} has no column `vector`: rename yours (columns: {', '.join(described.names)[:200]})"
            )
        kind = described.field("vector").type
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(test(kind) for test in lists) or not (
            pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
        ):
            raise StoreError(f"{self.path}: the column `vector` is {kind}, not lists of numbers")
        if pa.types.is_fixed_size_list(kind):
            found = int(kind.list_size)
        else:
            first = next(self._file.iter_batches(1, columns=["vector"]), None)
            value = first.column("vector")[0].as_py() if first is not None and len(first) else None
            found = len(value) if value else 0
        wanted = self.space.dimension if self.space else found
        if found != wanted or not 1 < found <= _LARGEST_DIMENSION:
            raise StoreError(f"{self.path}: its vectors have {found} dimensions, not {max(wanted, 2)}")
        return found

    def _named_model(self) -> str | None:
        if "model" not in self.columns:
            return None
        names: set[str] = set()
        for batch in self._file.iter_batches(65_536, columns=["model"]):
            names |= set(batch.column("model").unique().to_pylist())
            if len(names) > 1:
                raise StoreError(f"{self.path} holds vectors of several models: write one file a model")
        name = next(iter(names), None)
        return str(name)[:_NAMES] if name else None


def _checked_space(space: Space) -> Space:
    """Return a space whose fields are of their types. Raises `TypeError`, `ValueError`."""
    pre = space.preprocessing
    texts = (space.model, space.fingerprint, space.readout, pre.fit)
    wholes = (space.dimension, pre.height, pre.width, pre.resize, pre.resample)
    if any(type(text) is not str for text in texts) or any(type(whole) is not int for whole in wholes):
        raise TypeError("a field has another type")
    if not 1 < space.dimension <= _LARGEST_DIMENSION or max(map(abs, wholes)) >= _LARGEST_SIDE:
        raise ValueError("a number makes no sense")
    if len(pre.mean) != 3 or len(pre.std) != 3 or not np.isfinite([*pre.mean, *pre.std]).all():
        raise ValueError("mean and std are three numbers each")
    return space


_FACTS = ("format", "width", "height", "taken", "camera", "latitude", "longitude", "software")


def _facts(fields: dict[str, Any]) -> PhotoFacts | None:
    width, height = fields.get("width"), fields.get("height")
    if not isinstance(width, int) or not isinstance(height, int):
        return None
    if not (0 < width < _LARGEST_SIDE and 0 < height < _LARGEST_SIDE):
        return None

    def text(name: str) -> str | None:
        value = fields.get(name)
        return value[:_NAMES] if isinstance(value, str) and value and value.isprintable() else None

    def degrees(name: str, most: float) -> float | None:
        value = fields.get(name)
        return float(value) if isinstance(value, float) and abs(value) <= most else None

    taken = text("taken")
    return PhotoFacts(
        format=text("format") or "?",
        width=width,
        height=height,
        taken=taken if taken and _DATE.fullmatch(taken) else None,
        camera=text("camera"),
        latitude=degrees("latitude", 90),
        longitude=degrees("longitude", 180),
        software=text("software"),
    )


def _place(fields: dict[str, Any] | None) -> Place | None:
    """A file's place; None where it does not lie below its root: a hostile file could point anywhere."""
    if not fields:
        return None
    root, path = (
        value_to_path(fields.get(f"raw_{name}") or fields.get(name) or "") for name in ("root", "path")
    )
    parts = PurePosixPath(path)
    if not root or not path or "\0" in root + path or parts.is_absolute() or ".." in parts.parts:
        return None
    if PureWindowsPath(path).drive or not is_anywhere_absolute(root):
        return None
    content, size, time = fields.get("content"), fields.get("size"), fields.get("modified_ns")
    if not isinstance(size, int) or not isinstance(time, int) or not _HASH.fullmatch(str(content)):
        return None
    if not (0 <= size < _LARGEST_NUMBER and -_LARGEST_NUMBER <= time < _LARGEST_NUMBER):
        return None
    return Place(root, path, size, time, bytes.fromhex(str(content)))


def is_anywhere_absolute(root: str) -> bool:
    """Whether a folder's name is absolute on some system, or a URL."""
    # A URL's two slashes become one in a path.
    is_url = re.match(r"[a-z][a-z0-9+.-]+:/", root) is not None
    return PurePosixPath(root).is_absolute() or PureWindowsPath(root).is_absolute() or is_url


def _vectors(column: pa.Array, dimension: int) -> tuple[npt.NDArray[np.float32], list[str | None]]:
    """Return a column of lists as rows (n, d) float32, and for each row why it cannot be used, or None."""
    rows = np.zeros((len(column), dimension), np.float32)
    lengths = np.array(
        [
            -1 if value is None else value
            for value in arrow("pyarrow.compute").list_value_length(column).to_pylist()
        ],
        np.int64,
    )
    fine = lengths == dimension
    if fine.any():
        taken = column.filter(arrow().array(fine))
        values = taken.flatten()
        flat = values.cast(arrow().float32()) if not values.null_count else values.fill_null(float("nan"))
        rows[fine] = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(-1, dimension)
    lengths_of = np.linalg.norm(rows.astype(np.float64), axis=1)
    reasons: list[str | None] = []
    for length, found in zip(lengths_of, lengths, strict=True):
        if found != dimension:
            reasons.append(
                "it has no vector" if found < 0 else f"its vector has {found} dimensions, not {dimension}"
            )
        elif not np.isfinite(length):
            reasons.append("its vector is not finite")
        elif length < 1e-6:
            reasons.append("its vector is zero")
        else:
            reasons.append(None)
    return rows, reasons


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
