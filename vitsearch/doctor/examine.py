"""Check a whole library without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.doctor.caches import cache_state, is_cached
from vitsearch.doctor.findings import Examination, Finding
from vitsearch.doctor.leftovers import abandoned, kept_copies
from vitsearch.duplicates.cleanup.journal import read_steps
from vitsearch.duplicates.cleanup.trash import TRASH
from vitsearch.errors import (
    HeadError,
    HeadTooNew,
    LibraryBusy,
    LibraryDamaged,
    LibraryError,
    LibraryMissing,
    PlanError,
)
from vitsearch.heads.files import load_head
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database, value_to_path
from vitsearch.storage.layout import Layout
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.storage.vectors import SpaceContents

    Ids = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 8192
_SHOWN = 3
_REPAIR = "run `vitsearch doctor --repair`"
_REBUILD = f"{_REPAIR}, which makes it anew from the database"


def examine(folder: Path) -> Examination:
    """Check a library: its database, embeddings, caches, heads and other files.

    Memory use is bounded whatever the library's size; the time is that of reading everything once.

    Raises:
        LibraryMissing: there is no library in this folder.
        LibraryTooNew: it was written by a later version of vitsearch.

    """
    path = Layout.of(folder).database
    if not path.exists():
        raise LibraryMissing(f"there is no library in {folder}: make one with `vitsearch index FOLDER`")
    try:
        database = Database.open(path)
    except LibraryDamaged as error:
        return Examination(folder, (_damaged([str(error.__cause__ or error)]),))
    try:
        damage = database.damage()
        if damage:
            return Examination(folder, (_damaged(damage),))
        return Examination(folder, tuple(_findings(folder, Catalog(database))))
    except LibraryDamaged as error:
        return Examination(folder, (_damaged([str(error.__cause__ or error)]),))
    finally:
        database.close()


def _damaged(reasons: list[str]) -> Finding:
    return Finding(
        "database", "wrong", f"damaged: {reasons[0][:100]}",
        "run `vitsearch doctor --repair`, which saves what can be read into a new one", tuple(reasons),
    )  # fmt: skip


def _findings(folder: Path, catalog: Catalog) -> list[Finding]:
    findings = [Finding("database", "ok", "SQLite finds nothing wrong"), _references(catalog)]
    try:
        spaces = catalog.spaces()
    except LibraryDamaged:
        text = "a model's description is damaged"
        return [*findings, Finding("models", "wrong", text, _REPAIR)]
    findings += [_vectors(catalog, spaces), *_photos(catalog), *_caches(folder, catalog, spaces)]
    findings += [_heads(folder, spaces), _plans(folder, catalog), _leftovers(folder, catalog)]
    findings += [_folders(catalog), _unreadable(catalog)]
    return findings


def _references(catalog: Catalog) -> Finding:
    broken = catalog.database.rows("PRAGMA foreign_key_check")
    if not broken:
        return Finding("references", "ok", "every row's file, photo and model are there")
    tables = sorted({str(row[0]) for row in broken})
    return Finding(
        "references", "wrong", f"{len(broken):,} rows refer to what is not there, in {', '.join(tables)}", _REPAIR
    )  # fmt: skip


def bad_vectors(catalog: Catalog, spaces: list[SpaceContents]) -> list[int]:
    """Return the row ids of embeddings of the wrong size, not finite, or not of unit length, in one pass."""
    dimensions = {stored.id: stored.space.dimension for stored in spaces}
    bad: list[int] = []
    last = -(2**63)
    while rows := catalog.database.rows(
        "SELECT id, space, norm, vector FROM vectors WHERE id > ? ORDER BY id LIMIT ?",
        [last, _ROWS_AT_ONCE],
        row=tuple[int, int, object, bytes],
    ):
        last = rows[-1][0]
        for dimension in set(dimensions.values()):
            group = [row for row in rows if dimensions.get(row[1]) == dimension]
            whole = [row for row in group if _has_length(row[3], 2 * dimension)]
            wide = np.frombuffer(b"".join(row[3] for row in whole), "<f2").astype(np.float32)
            wide = wide.reshape(len(whole), dimension)
            # As strict as the search cache, which would refuse the row.
            unit = np.abs(np.vecdot(wide, wide) - 1) < 0.02
            fine = {row[0] for row, is_unit in zip(whole, unit, strict=True) if is_unit and _is_norm(row[2])}
            bad += [row[0] for row in group if row[0] not in fine]
        bad += [row[0] for row in rows if row[1] not in dimensions]
    return sorted(bad)


def _has_length(vector: object, length: int) -> bool:
    return isinstance(vector, bytes) and len(vector) == length


def _is_norm(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < np.inf


def _vectors(catalog: Catalog, spaces: list[SpaceContents]) -> Finding:
    bad = bad_vectors(catalog, spaces)
    if bad:
        text = f"{len(bad):,} are not unit vectors of their model's dimension"
        advice = f"{_REPAIR}, then `vitsearch index`, which computes them again"
        return Finding("vectors", "wrong", text, advice, tuple(map(str, bad)))
    count = sum(catalog.count_vectors_of_files(stored.id) for stored in spaces)
    return Finding("vectors", "ok", f"{count:,}, each finite and of unit length")


def _photos(catalog: Catalog) -> list[Finding]:
    present = catalog.count_photos([(root.id, "") for root in catalog.roots()])
    visitors = catalog.count_visitors()
    missing = catalog.database.number("SELECT count(*) FROM photos") - present - visitors
    active = catalog.active_space()
    without = catalog.count_without_vector(active.id) if active else 0
    beside = [(space.model, catalog.count_without_vector(number)) for number, space in catalog.also_spaces()]
    notes = [f"{without:,} have no vector yet"] if without else []
    notes += [f"{left:,} are not embedded with {model} yet, for words" for model, left in beside if left]
    absent = f", and {missing:,} that are known and not there" if missing else ""
    findings = [
        Finding("photos", "note", f"{present:,}{absent}: {', '.join(notes)}", "run `vitsearch index`")
        if notes
        else Finding("photos", "ok", f"{present:,}{absent}, each with a vector")
    ]
    if visitors:
        text = f"{visitors:,} more, without a file: changed since, asked about or trained with"
        advice = (
            "leave them, or `vitsearch index --prune` drops them, apart from what a head was trained with"
        )
        findings.append(Finding("other photos", "ok", text, advice))
    return findings


def _caches(folder: Path, catalog: Catalog, spaces: list[SpaceContents]) -> list[Finding]:
    findings = []
    for stored in spaces:
        if is_cached(folder, stored):
            state, text = cache_state(folder, catalog, stored)
            advice = {"ok": "", "note": "the next search brings it up to date", "wrong": _REBUILD}[state]
            findings.append(Finding(f"search cache of {stored.space.model}", state, text, advice))
    return findings or [Finding("search cache", "ok", "none needed yet")]


def damaged_heads(folder: Path) -> dict[Path, str]:
    """Return the unusable head files, each with the reason; those of later versions are not included."""
    return {
        path: str(error) for path, error in _unusable(folder).items() if not isinstance(error, HeadTooNew)
    }


def _unusable(folder: Path) -> dict[Path, HeadError]:
    found = {}
    for path in _head_files(folder):
        try:
            load_head(path)
        except HeadError as error:
            found[path] = error
    return found


def _head_files(folder: Path) -> list[Path]:
    return sorted(Layout.of(folder).heads.glob("*.safetensors"))


def _heads(folder: Path, spaces: list[SpaceContents]) -> Finding:
    unusable = _unusable(folder)
    damaged = {path: error for path, error in unusable.items() if not isinstance(error, HeadTooNew)}
    if damaged:
        text = f"{len(damaged)} cannot be used: {_listed([path.stem for path in damaged])}"
        advice = "`vitsearch doctor --repair` puts them aside; make them anew with `vitsearch heads`"
        return Finding("heads", "wrong", text, advice, tuple(map(str, damaged.values())))
    if unusable:
        text = f"{_listed([path.stem for path in unusable])}: of a later version of vitsearch"
        advice = "upgrade with `pip install -U vitsearch`"
        return Finding("heads", "note", text, advice, tuple(map(str, unusable.values())))
    heads = {path.stem: load_head(path) for path in _head_files(folder)}
    active = {stored.space for stored in spaces if stored.active}
    others = [name for name, head in heads.items() if active and head.space not in active]
    if others:
        text = f"{_listed(others)}: made for another model than searches use"
        return Finding(
            "heads", "note", text, "`vitsearch label` embeds photos with the head's model when asked"
        )
    if not heads:
        return Finding("heads", "ok", "none")
    return Finding("heads", "ok", f"{len(heads)}, each fits the library's model")


def _plans(folder: Path, catalog: Catalog) -> Finding:
    """Check the plans in the library's folder; plans elsewhere are not known to the library."""
    journals = sorted(Layout.of(folder).plans.glob("*.journal"))
    unfinished = [str(plan) for plan in (path.with_suffix("") for path in journals) if _is_unfinished(plan)]
    trashes = [str(root.path / TRASH) for root in catalog.roots() if (root.path / TRASH).is_dir()]
    if unfinished:
        text = f"{len(unfinished)} were begun and not finished: {_listed(unfinished)}"
        advice = "run `vitsearch apply PLAN` to finish one, or `vitsearch undo PLAN` to put everything back"
        return Finding("plans", "wrong", text, advice, tuple(unfinished))
    if trashes:
        text = f"files that plans moved away are in {_listed(trashes)}"
        return Finding("plans", "note", text, "delete that folder to free the space", tuple(trashes))
    return Finding("plans", "ok", "none is left half done")


def _is_unfinished(plan: Path) -> bool:
    try:
        return any(step.state == "begun" for step in read_steps(plan).values())
    except (PlanError, OSError):
        return True


def _leftovers(folder: Path, catalog: Catalog) -> Finding:
    copies = [path.name for path in kept_copies(folder)]
    try:
        with write_lock(folder, prepare=False):
            found = abandoned(folder, catalog)
    except LibraryBusy:
        return Finding(
            "leftovers", "note", "another run is changing the library: not looked at", "look again later"
        )
    except LibraryError:  # a folder that cannot be written to, where no run can be at work either
        found = abandoned(folder, catalog)
    if found:
        size = sum(path.stat().st_size for path in found if path.is_file())
        text = f"{len(found):,} files of interrupted runs or of photos that are gone, {size:,} bytes"
        return Finding("leftovers", "note", text, f"{_REPAIR}, which removes them", tuple(map(str, found)))
    if copies:
        text = f"earlier states of the database are kept: {_listed(copies)}"
        return Finding("leftovers", "note", text, "delete them when all is well", tuple(copies))
    return Finding("leftovers", "ok", "no file lies about that nobody needs")


def _folders(catalog: Catalog) -> Finding:
    roots = catalog.roots()
    offline = [str(root.path) for root in roots if root.is_offline()]
    if offline:
        text = f"{len(offline)} of {len(roots)} absent or empty: {_listed(offline)}"
        return Finding(
            "folders", "note", text, "mount the drive, or `vitsearch roots forget FOLDER`", tuple(offline)
        )
    return Finding("folders", "ok", f"{len(roots)}, all there")


def _unreadable(catalog: Catalog) -> Finding:
    roots = {root.id: root.path for root in catalog.roots()}
    rows = catalog.database.rows(
        "SELECT root, path, reason FROM files WHERE photo IS NULL AND missing = 0 ORDER BY root, path",
        row=tuple[int, str | bytes, str],
    )
    if not rows:
        return Finding("unreadable photos", "ok", "none")
    items = [f"{roots[root] / value_to_path(path)}: {reason!s}" for root, path, reason in rows]
    return Finding(
        "unreadable photos", "note", f"{len(items):,}", "mend or delete them, then `vitsearch index --retry`",
        tuple(items),
    )  # fmt: skip


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
