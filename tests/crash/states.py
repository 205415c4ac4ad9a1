"""What a library and the photos around it consist of, and what must be true of them whatever happened."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.doctor.examine import examine
from vitsearch.heads.files import load_head
from vitsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.workshop import Workshop

# Batches of another composition may round a vector differently.
CLOSE = 1e-3


def rows_of(library: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(library / "library.db")
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def state(workshop: Workshop) -> dict[str, Any]:
    """Everything that matters of a trial, without ids and run numbers: the library's rows, the heads, the files."""
    library = workshop.library
    found: dict[str, Any] = {"disk": {}, "heads": {}, "vectors": {}}
    for path in sorted(workshop.trial.rglob("*")):
        if path.is_file() and library not in path.parents and not path.name.endswith((".journal", ".lock")):
            found["disk"][str(path.relative_to(workshop.trial))] = hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
    for path in sorted((library / "heads").glob("*.safetensors")):
        head = load_head(path)
        found["heads"][head.name] = (head.labels, head.kind)
    if not (library / "library.db").exists() or not rows_of(library, "SELECT 1 FROM sqlite_schema"):
        return found | {"rows": {}}
    queries = {
        "roots": "SELECT path FROM roots",
        "files": "SELECT r.path, f.path, hex(p.photo_hash), hex(f.file_hash), f.size, f.missing, f.reason FROM files f "
        "JOIN roots r ON r.id = f.root LEFT JOIN photos p ON p.id = f.photo",
        "photos": "SELECT hex(photo_hash), format, width, height, taken, camera, hex(perceptual) FROM photos",
        "active": "SELECT model FROM spaces WHERE active",
        "examples": "SELECT e.head, hex(p.photo_hash), e.label, e.corrected FROM head_examples e "
        "JOIN photos p ON p.id = e.photo",
    }
    found["rows"] = {name: sorted(map(str, rows_of(library, sql))) for name, sql in queries.items()}
    for model, photo_hash, vector, norm in rows_of(
        library,
        "SELECT s.model, hex(p.photo_hash), v.vector, v.norm FROM vectors v JOIN spaces s ON s.id = v.space "
        "JOIN photos p ON p.id = v.photo",
    ):
        found["vectors"][model, photo_hash] = (np.frombuffer(vector, "<f2").astype(np.float32), norm)
    return found


def check_opens(workshop: Workshop, before: dict[str, Any], *, damaged: bool = False) -> None:
    """Whatever happened, the library opens, nothing in it is damaged, and no photo's bytes are gone."""
    here = Counter(state(workshop)["disk"].values())
    assert Counter(before["disk"].values()) <= here, "bytes of a photo are gone"
    if (workshop.library / "library.db").exists() and not damaged:
        findings = examine(workshop.library).findings
        assert [finding for finding in findings if finding.state == "wrong"] == []


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """In what two states differ, vectors by more than another composition of batches explains."""
    parts = [part for part in ("disk", "heads", "rows") if found[part] != expected[part]]
    if found["vectors"].keys() != expected["vectors"].keys():
        return [*parts, "which photos have vectors"]
    for key, (vector, norm) in expected["vectors"].items():
        other, other_norm = found["vectors"][key]
        if np.abs(other - vector).max() > CLOSE or abs(other_norm - norm) > CLOSE * norm:
            parts.append(f"the vector of {key}")
    return parts


def check_search(workshop: Workshop) -> None:
    """A search answers, from a cache that is then current."""
    query = next(iter(sorted(workshop.photos.rglob("*.jpg"))), None)
    if query is None or not rows_of(workshop.library, "SELECT 1 FROM files WHERE photo IS NOT NULL"):
        return
    with Library.open(workshop.library) as library:
        found = library.search(query, k=100, include_self=True)
        assert found.results[0].score > 0.99
        assert library.status().cache_current


def role(point: str) -> str:
    """The name of a change with what is random in it left out: "rename library/neighbours/1/manifest.json"."""
    return re.sub(r"[0-9a-f]{8,64}", "*", point)
