"""Read and validate Parquet files of embeddings: exports of a library, and files made by other programs."""

from __future__ import annotations

import base64
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from vitsearch.decoding.process import DecodingProcess, Limits, ProcessDied
from vitsearch.engines.parquet.columns import LARGEST_DIMENSION, MOST_FIELDS, checked_space
from vitsearch.engines.portable import Place
from vitsearch.errors import StoreError
from vitsearch.records import DateSource, PhotoFacts
from vitsearch.space import Space
from vitsearch.storage.database import value_to_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

# Rows decoded at once.
_ROWS_AT_ONCE = 2048
# How far a row that calls itself a unit vector may be from one, and how far rounding to float16 takes it.
_UNIT_TOLERANCE, _ROUNDED = 0.01, 0.001
_LARGEST_SIDE, _LARGEST_NUMBER = 2**31, 2**63
_NAMES = 200  # characters kept of a format, camera or program
_MOST_KEYWORDS, _LONGEST_CAPTION, _HIGHEST = 200, 2000, 1e6
_OFFSET = re.compile(r"[+-]\d\d:\d\d|Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, eq=False)
class ImportedRow:
    """A valid row.

    `photo_hash` is None if the file only has the photo's `path`. `row`: (d,) float32, unit length.
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
    """A skipped row, and the reason."""

    file: Path
    row: int
    reason: str


class VectorFile:
    """An open Parquet file with a vector column, read by a process with limits on memory and time. A context manager.

    `space` is None if the file does not contain one; `model` is then the model's name in the file, if any.
    """

    def __init__(self, path: Path, *, model: str | None = None, limits: Limits | None = None) -> None:
        """Open a file and check its schema. `model` is used if the file does not contain a name.

        Raises:
            StoreError: it is not a Parquet file, lacks required columns, or exceeds the limits.

        """
        self.path = path
        self._process = DecodingProcess(limits or Limits(), program="vitsearch.engines.parquet.worker")
        try:
            said, _ = self._ask({"open": os.fsdecode(path)})
            with self._believing():
                self.rows = int(said["rows"])
                self.dimension = int(said["dimension"])
                self.space = None if said["space"] is None else checked_space(Space.from_json(said["space"]))
                named = said["model"]
                if not isinstance(named, str | None) or not 1 < self.dimension <= LARGEST_DIMENSION:
                    raise ValueError("a name or a dimension that makes no sense")  # noqa: TRY301 - as all that is
        except BaseException:
            self.__exit__()
            raise
        self.model = self.space.model if self.space else model or named

    def __enter__(self) -> VectorFile:
        return self

    def __exit__(self, *rest: object) -> None:
        self._process.end()
        self._process.release()

    def batches(self) -> Iterator[tuple[list[ImportedRow], list[RefusedRow]]]:
        """Yield valid and skipped rows, in order and in bounded memory.

        Raises:
            StoreError: the file is damaged, or exceeds the limits.

        """
        self._ask({"start": _ROWS_AT_ONCE})
        most, number = MOST_FIELDS + 4 * _ROWS_AT_ONCE * self.dimension, 0
        while True:
            said, data = self._ask({"next": True}, most=most)
            if said.get("end") is True:
                return
            with self._believing():
                values, rows, reasons = self._columns(said, data)
                sound: list[ImportedRow] = []
                refused: list[RefusedRow] = []
                for index, fields in enumerate(values):
                    reason = reasons[index] or self._problem(fields, rows[index])
                    if reason:
                        refused.append(RefusedRow(self.path, number + index, reason))
                    else:
                        sound.append(self._row(number + index, fields, rows[index]))
            number += len(values)
            yield sound, refused

    def _columns(
        self, said: dict[str, Any], data: bytes
    ) -> tuple[list[dict[str, Any]], npt.NDArray[np.float32], list[str | None]]:
        """Parse a response: the rows' fields as JSON, reasons for unusable rows, and the vectors."""
        count = int(said["rows"])
        split = len(data) - 4 * count * self.dimension
        if not split >= 0 or not 0 <= count <= _ROWS_AT_ONCE:
            raise ValueError("fewer vectors than rows")
        values, reasons = json.loads(data[:split], object_hook=_with_bytes)
        rows = np.frombuffer(data, "<f4", offset=split).reshape(count, self.dimension)
        if not len(values) == len(reasons) == count or any(not isinstance(each, dict) for each in values):
            raise ValueError("fields that make no sense")
        if any(not isinstance(each, str | None) for each in reasons):
            raise TypeError("a reason that is none")
        return values, rows, [each and _in_one_line(each) for each in reasons]

    def _ask(self, request: dict[str, Any], *, most: int = 0) -> tuple[dict[str, Any], bytes]:
        try:
            said, data = self._process.ask(request, most=most)
        except ProcessDied as died:
            raise StoreError(f"cannot read {self.path}: {_of_a_file(died.reason)}") from None
        if "error" in said:
            raise StoreError(_in_one_line(str(said["error"])))
        return said, data

    @contextmanager
    def _believing(self) -> Iterator[None]:
        """Turn a malformed response into a one-line error."""
        try:
            yield
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            self._process.distrusted()
            raise StoreError(
                f"cannot read {self.path}: what was found in it makes no sense ({type(error).__name__})"
            ) from error

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
            # What a library wrote comes back as it was, to the last bit: dividing would round it once more.
            row=row if abs(length - 1) <= _ROUNDED else row / np.float32(length),
            norm=float(norm) if usable and norm is not None else length,
        )


def _facts(fields: dict[str, Any]) -> PhotoFacts | None:
    width, height = fields.get("width"), fields.get("height")
    if not isinstance(width, int) or not isinstance(height, int):
        return None
    if not (0 < width < _LARGEST_SIDE and 0 < height < _LARGEST_SIDE):
        return None

    def text(name: str, most: int = _NAMES) -> str | None:
        value = fields.get(name)
        return value[:most] if isinstance(value, str) and value and value.isprintable() else None

    def number(name: str, most: float) -> float | None:
        value = fields.get(name)
        return float(value) if isinstance(value, float) and abs(value) <= most else None

    taken, offset, rating = text("taken"), text("utc_offset"), fields.get("rating")
    dated = taken is not None and _DATE.fullmatch(taken) is not None
    words = fields.get("keywords")
    return PhotoFacts(
        format=text("format") or "?",
        width=width,
        height=height,
        taken=taken if dated else None,
        camera=text("camera"),
        latitude=number("latitude", 90),
        longitude=number("longitude", 180),
        software=text("software"),
        taken_from=source if dated and (source := fields.get("taken_from")) in get_args(DateSource) else None,
        utc_offset=offset if dated and offset and _OFFSET.fullmatch(offset) else None,
        altitude=number("altitude", _HIGHEST),
        lens=text("lens"),
        rating=rating if type(rating) is int and -1 <= rating <= 5 else None,
        keywords=tuple(
            word[:_NAMES]
            for word in (words if isinstance(words, list) else [])[:_MOST_KEYWORDS]
            if isinstance(word, str) and word and word.isprintable()
        ),
        caption=text("caption", _LONGEST_CAPTION),
    )


def _place(fields: dict[str, Any] | None) -> Place | None:
    """Return a file's location, or None if it is not below its root, since a malicious file could point anywhere."""
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
    """Return whether a folder's name is absolute on any system, or a URL."""
    # A URL's two slashes become one in a path.
    is_url = re.match(r"[a-z][a-z0-9+.-]+:/", root) is not None
    return PurePosixPath(root).is_absolute() or PureWindowsPath(root).is_absolute() or is_url


def _with_bytes(fields: dict[str, Any]) -> Any:  # noqa: ANN401 - a value of JSON
    """Turn what stands for bytes into them, as `worker` writes it."""
    if fields.keys() == {"base64"}:
        return base64.b64decode(fields["base64"], validate=True)
    return fields


def _in_one_line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:1000]


def _of_a_file(reason: str) -> str:
    """Reword a decoding process's message about a photo for a file."""
    return reason.replace("the decoder crashed on it", "the process that read it crashed").replace(
        " to decode", " to read"
    )
