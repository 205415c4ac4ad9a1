"""No other account of the machine can read what a library knows: its folders are 0700, its files 0600."""

import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.web_client import wait, web_client
from vitsearch.doctor.repair import repair
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.neighbours.cells import Cells
from vitsearch.storage import atomic
from vitsearch.storage.counts import library_counts
from vitsearch.storage.database import SCHEMA_VERSION

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has access lists and no modes"),
]


@pytest.fixture(params=[0o022, 0o000], ids=["usual umask", "no umask"])
def _umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("animals/cat-1.jpg", "animals/bird-1.jpg", "nature/bee-1.jpg"):
        shutil.copy(SAMPLES / name, folder)
    shutil.copy(folder / "cat-1.jpg", folder / "copy of cat.jpg")
    for label in ("cat", "bird"):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        shutil.copy(SAMPLES / f"animals/{label}-1.jpg", tmp_path / "labelled" / label)
    return folder


def open_to_others(folder):
    """What other accounts may do something with, by its mode."""
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    }


def use(folder, photos):
    """Do all that leaves something in a library."""
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index([photos], thumbnails=True)
        library.search(photos / "cat-1.jpg")
        HeadStore(library).from_examples("pets", folder=photos.parent / "labelled")
        os.utime(library.catalog.database.path, (1, 1))
        library_counts(library.catalog, worth_keeping=0)
        roots = [root.path for root in library.catalog.roots()]
        home = library.layout
    with web_client(folder, MeanColour()) as client:
        assert client.post("/api/uploads", content=(photos / "bee-1.jpg").read_bytes()).status_code < 300
        assert client.post("/api/duplicates/find").status_code == 202
        found = wait(client, "/api/duplicates")
        assert found["groups"]
        group = next(each for each in found["groups"] if each["tier"] == "exact")
        decision = {"group": group["group"], "keep": 0, "files": [1]}
        made = client.post("/api/plans", json={"action": "trash", "groups": [decision]})
        assert made.status_code < 300, made.text
        assert client.get("/api/photos/1/thumbnail", params={"height": 160}).status_code == 200
    (plan,) = home.plans.glob("*.json")
    apply_plan(plan, roots=roots)
    undo_plan(plan)
    return home


@pytest.mark.usefixtures("_umask")
def test_everything_in_a_library_is_its_owners_alone(tmp_path, photos):
    folder = tmp_path / "library"
    home = use(folder, photos)
    assert open_to_others(folder) == {}
    made = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert {"library.db", "heads", "plans", ".vitsearch"} <= made
    kinds = {
        path.name.partition("-")[0].partition(".")[0] for path in home.private.rglob("*") if path.is_file()
    }
    assert {"rows", "ids", "manifest", "background", "counts"} <= kinds
    assert list(home.uploads.iterdir())
    assert list(home.thumbnails.rglob("*.jpg"))
    repair(folder)
    assert open_to_others(folder) == {}


@pytest.mark.usefixtures("_umask")
def test_a_library_among_photos_is_closed_and_the_photos_stay_as_they_were(photos):
    photos.chmod(0o755)
    use(photos, photos)
    assert open_to_others(photos / ".vitsearch") == {}
    assert stat.S_IMODE(photos.stat().st_mode) == 0o755


def test_a_folder_that_was_there_and_a_library_of_an_earlier_version_are_closed_once(tmp_path, photos):
    folder = tmp_path / "library"
    folder.mkdir(mode=0o755)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index([photos])
        HeadStore(library).from_examples("pets", folder=photos.parent / "labelled")
    assert open_to_others(folder) == {}
    # As an earlier version left it.
    shutil.rmtree(folder / ".vitsearch")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    assert open_to_others(folder) == {}
    # Its owner means it: what was opened afterwards stays open.
    folder.chmod(0o750)
    (folder / "library.db").chmod(0o640)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    assert open_to_others(folder) == {".": "0o750", "library.db": "0o640"}


@pytest.mark.usefixtures("_umask")
def test_a_copy_of_the_database_before_an_upgrade_is_closed(tmp_path, photos, monkeypatch):
    folder = tmp_path / "library"
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index([photos])
    monkeypatch.setattr("vitsearch.storage.database.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with Library.open(folder, backbone=MeanColour()) as library:
        assert library.catalog.roots()
    assert list((folder / ".vitsearch" / "backups").iterdir())
    assert open_to_others(folder) == {}


@pytest.mark.usefixtures("_umask")
def test_an_index_of_many_vectors_is_closed_from_its_first_byte(tmp_path, monkeypatch):
    rows = np.eye(64, 16, dtype=np.float32) + 0.01
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    import faiss

    flat = faiss.IndexFlatIP(16)
    flat.add(rows)
    cells = Cells(flat, trained=64, points=())
    seen = []
    real = faiss.write_index

    def spying(index, name):
        seen.append(stat.S_IMODE(Path(name).stat().st_mode))
        real(index, name)

    monkeypatch.setattr(faiss, "write_index", spying)
    cells.write(tmp_path / "cells-00000000.faiss")
    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "cells-00000000.faiss").stat().st_mode) == 0o600


@pytest.mark.usefixtures("_umask")
def test_a_private_file_stays_private_also_where_it_replaces_an_open_one(tmp_path):
    path = tmp_path / "note.json"
    path.write_bytes(b"old")
    path.chmod(0o666)
    with atomic.replacing(path, private=True) as file:
        file.write(b"new")
        (draft,) = tmp_path.glob(".vitsearch-*.tmp")
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_person_asks_for_is_as_open_as_their_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "page.html", b"page")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == 0o640
