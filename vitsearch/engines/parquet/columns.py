"""Read the columns of a Parquet file with pyarrow, in a confined process, because the file is not trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.engines.parquet.writing import FORMAT, FORMAT_KEY, SPACE_KEY, arrow
from vitsearch.errors import StoreError
from vitsearch.space import Space
from vitsearch.storage.facts import FACT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST_DIMENSION = 32_768
MOST_FIELDS = 64 << 20
"""How many bytes the fields of one batch of rows may have beside their vectors."""
# What a column may hold for each of its bytes in the file; 8 million values are nothing.
_VALUES_A_BYTE, _FEW_VALUES = 8, 8_000_000
_NAMES = 200  # characters kept of a model's name
_LARGEST_SIDE = 2**31
_AGAIN = "export it again, or copy it again"
_NO_PARQUET = f"it is no Parquet file, or not all of it is there: {_AGAIN}"
_WANTED = frozenset(("photo", "path", "files", "perceptual", "norm", *FACT_COLUMNS))


class VectorColumns:
    """An open Parquet file with a vector column, after its schema was checked.

    `space` is None if the file does not contain one; `model` is then the model's name in the file, if any.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and check its schema.

        Raises:
            StoreError: it is not a Parquet file, or lacks required columns.
            MemoryError: it exceeds the memory limit.

        """
        self.path = path
        pa = arrow()
        module = arrow("pyarrow.parquet")
        try:
            self._file: pq.ParquetFile = module.ParquetFile(path)
            described = self._file.schema_arrow
            self.rows: int = self._file.metadata.num_rows
            size = path.stat().st_size
        except MemoryError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            # pyarrow's own errors about what is in a file are OSErrors too, without a number.
            known = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else None
            raise StoreError(f"cannot read {path}: {known or _NO_PARQUET}") from error
        self._check_expansion(size)
        self._columns = set(described.names)
        self.space = self._space(described.metadata or {})
        self.dimension = self._dimension(described)
        if self.space is None and "path" not in self._columns:
            raise StoreError(
                f"{path} has no column `path`: each row needs the path of its photo (see docs/formats.md)"
            )
        if self.space is not None and "photo" not in self._columns:
            raise StoreError(f"{path} has no column `photo`, which an export has: export it again")
        self.model = self.space.model if self.space else self._named_model()

    def batches(
        self, count: int
    ) -> Iterator[tuple[list[dict[str, Any]], npt.NDArray[np.float32], list[str | None]]]:
        """Yield the fields of up to `count` rows, their vectors (n, d), and for each why it is unusable, or None.

        Raises:
            StoreError: the file is damaged.
            MemoryError: it exceeds the memory limit.

        """
        pa = arrow()
        wanted = sorted((_WANTED & self._columns) | {"vector"})
        try:
            for batch in self._file.iter_batches(count, columns=wanted):
                rows, reasons = _vectors(batch.column("vector"), self.dimension)
                yield batch.drop_columns(["vector"]).to_pylist(), rows, reasons
        except MemoryError:
            raise
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path} is damaged: {_AGAIN}") from error

    def _check_expansion(self, size: int) -> None:
        """Refuse a decompression bomb: vectors and hashes hardly compress."""
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
            return checked_space(Space.from_json(metadata[SPACE_KEY].decode()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise StoreError(
                f"{self.path} does not say what model its vectors are of (its metadata is damaged)"
            ) from error

    def _dimension(self, described: pa.Schema) -> int:
        pa = arrow()
        if "vector" not in self._columns:
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
        if found != wanted or not 1 < found <= LARGEST_DIMENSION:
            raise StoreError(f"{self.path}: its vectors have {found} dimensions, not {max(wanted, 2)}")
        return found

    def _named_model(self) -> str | None:
        if "model" not in self._columns:
            return None
        names: set[str] = set()
        for batch in self._file.iter_batches(65_536, columns=["model"]):
            names |= set(batch.column("model").unique().to_pylist())
            if len(names) > 1:
                raise StoreError(f"{self.path} holds vectors of several models: write one file a model")
        name = next(iter(names), None)
        return str(name)[:_NAMES] if name else None


def checked_space(space: Space) -> Space:
    """Return a space whose fields are of their types. Raises `TypeError`, `ValueError`."""
    pre = space.preprocessing
    texts = (space.model, space.fingerprint, space.readout, pre.fit)
    wholes = (space.dimension, pre.height, pre.width, pre.resize, pre.resample)
    if any(type(text) is not str for text in texts) or any(type(whole) is not int for whole in wholes):
        raise TypeError("a field has another type")
    if not 1 < space.dimension <= LARGEST_DIMENSION or max(map(abs, wholes)) >= _LARGEST_SIDE:
        raise ValueError("a number makes no sense")
    if len(pre.mean) != 3 or len(pre.std) != 3 or not np.isfinite([*pre.mean, *pre.std]).all():
        raise ValueError("mean and std are three numbers each")
    return space


def _vectors(column: pa.Array, dimension: int) -> tuple[npt.NDArray[np.float32], list[str | None]]:
    """Return a list column as rows (n, d) float32, and for each row a reason if it is unusable, or None."""
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
