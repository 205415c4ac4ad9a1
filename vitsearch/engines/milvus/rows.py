"""A photo as a row of a Milvus collection, within Milvus's limits, and with a checksum of its content."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.engines.portable import PortablePhoto
    from vitsearch.heads.tables import StoredLabel

    Row = dict[str, Any]

FACTS = ("format", "width", "height", "taken", "camera", "latitude", "longitude", "software")
FIELDS = ("photo", "id", *FACTS, "files")
_CONTENT = (*FIELDS, "norm", "folders", "labels", "said")
LONGEST_TEXT = 65_535
LONGEST_PATH = 8_192
MOST_FOLDERS = 4_096
# No column is nullable, which servers before 2.5 do not know: what is not known is "", or degrees that there are not.
NO_DEGREES = 999.0
_DEGREES = ("latitude", "longitude")


def row_of(photo: PortablePhoto, said: Sequence[StoredLabel]) -> Row:
    """Return a photo as a row of a collection."""
    facts = photo.facts
    row: Row = {
        "photo": photo.photo_hash.hex(),
        "id": photo.id,
        "vector": photo.row.astype(np.float32),
        "norm": float(np.float32(photo.norm)),
        **{name: _column(name, getattr(facts, name)) for name in FACTS},
        "camera_lower": ascii_lower(facts.camera or ""),
        "folders": _folders(photo),
        "labels": sorted(
            {f"{each.head}/" for each in said if not each.by_person}
            | {f"{each.head}/{each.label}" for each in said}
        )[:MOST_FOLDERS],
        "files": _fitting([[place.root, place.path] for place in photo.places]),
        "said": _fitting(
            [[each.head, each.label, each.probability, each.given, each.by_person] for each in said]
        ),
    }
    row["checksum"] = checksum(row)
    return row


def checksum(row: Row) -> str:
    """Return a hash of a row's content, which is the same before and after the round trip through Milvus."""
    content = {name: row[name] for name in _CONTENT} | facts_of(row)
    told = {name: repr(value) if isinstance(value, float) else value for name, value in content.items()}
    told["norm"] = repr(float(np.float32(row["norm"])))
    told["folders"], told["labels"] = list(row["folders"]), list(row["labels"])
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    digest.update(np.asarray(row["vector"], "<f4").tobytes())
    return digest.hexdigest()


def facts_of(row: Row) -> dict[str, Any]:
    """Return the metadata in a row; None for unknown values (NULL, too, as in older collections)."""
    return {name: None if row.get(name) in ("", NO_DEGREES) else row.get(name) for name in FACTS}


def ascii_lower(text: str) -> str:
    """Convert the letters A to Z to lower case, as SQLite does."""
    return text.encode().lower().decode()


def folder_text(folder: str) -> str:
    """Convert a folder's name to text for Milvus; bytes that are not UTF-8 are escaped."""
    return folder.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def quoted(text: str) -> str:
    """Quote a text for Milvus's expressions."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def _column(name: str, value: Any) -> Any:  # noqa: ANN401 - a fact
    if value is None:
        return NO_DEGREES if name in _DEGREES else ""
    return value


def _folders(photo: PortablePhoto) -> list[str]:
    """Return all parent folders of a photo."""
    found = {
        name for place in photo.places for name in _folders_around(place.root, place.path.rpartition("/")[0])
    }
    return sorted(found)[:MOST_FOLDERS]


@lru_cache(maxsize=1024)
def _folders_around(root: str, below: str) -> tuple[str, ...]:
    folder = PurePosixPath(root.replace("\\", "/")) / below
    names = (folder_text(str(each)) for each in (folder, *folder.parents))
    return tuple(name for name in names if len(name.encode()) <= LONGEST_PATH)


def _fitting(values: list[list[Any]]) -> str:
    """Return JSON that is no longer than a field may be, by dropping the last values."""
    text = json.dumps(values)
    while len(text) > LONGEST_TEXT:
        values = values[: max(1, len(values) * 3 // 4)] if len(values) > 1 else []
        text = json.dumps(values)
    return text
