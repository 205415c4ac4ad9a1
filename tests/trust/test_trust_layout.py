"""vitsearch deletes only what it made: a library among photos, and names in its folder that are somebody else's."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest
from blake3 import blake3

import vitsearch
from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures
from tests.support.web_client import web_client
from vitsearch.decoding.decoders import Decoders
from vitsearch.doctor.repair import repair
from vitsearch.errors import LibraryError
from vitsearch.folders.watching import watch_folders
from vitsearch.indexing.engine import Target
from vitsearch.library import Library
from vitsearch.neighbours.files import LITTER_SECONDS
from vitsearch.storage.layout import MARK, Layout
from vitsearch.web.services.upload_store import UploadStore

pytestmark = pytest.mark.trust


@pytest.fixture
def photos(tmp_path, picture):
    """A folder of photos with a subfolder whose name vitsearch has used too."""
    for colour in ("red", "blue"):
        picture(tmp_path / f"photos/{colour}.png", colour)
    (tmp_path / "photos/uploads").mkdir()
    return tmp_path / "photos"


def many_files(folder, count):
    """What stands for photos here: the sweeper never looked at what it deleted."""
    for number in range(count):
        (folder / f"{number:03}.txt").write_bytes(b"%d" % number)


def contents(folder, *, without=None):
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (without is None or not path.is_relative_to(without))
    }


def drop(library, picture, tmp_path, colour="green"):
    """Drop an image on the page of a library; return the answer."""
    with web_client(library, MeanColour()) as client:
        image = picture(tmp_path / f"dropped-{colour}.png", colour).read_bytes()
        return client.post("/api/uploads", content=image)


def test_an_image_dropped_on_the_page_costs_no_photo_in_a_folder_called_uploads(photos, picture, tmp_path):
    many_files(photos / "uploads", 300)
    before = contents(photos)
    assert drop(photos, picture, tmp_path).status_code == 201
    with Library.open(photos, backbone=MeanColour()) as library:
        library.index([photos], thumbnails=True)
    assert drop(photos, picture, tmp_path, "navy").status_code == 201
    assert contents(photos, without=photos / ".vitsearch") == before


def test_a_library_among_photos_keeps_all_of_its_own_in_one_private_marked_folder(photos, picture, tmp_path):
    before = contents(photos)
    with Library.open(photos, backbone=MeanColour()) as library:
        library.index([photos], thumbnails=True)
        assert library.layout.database == photos / ".vitsearch/library.db"
        assert figures(library.index()) == {"photos": 2, "files": 2, "unchanged": 2}
    drop(photos, picture, tmp_path)
    private = photos / ".vitsearch"
    assert contents(photos, without=private) == before
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert "vitsearch made this folder" in (private / MARK).read_text()
    made = {path.name for path in private.iterdir()}
    assert {"library.db", "neighbours", "thumbnails", "uploads", MARK} <= made


def test_a_library_in_a_folder_of_its_own_keeps_its_database_on_top_and_its_caches_private(library, photos):
    library.index([photos], thumbnails=True)
    assert sorted(path.name for path in library.folder.iterdir()) == [
        ".vitsearch",
        "index.lock",
        "library.db",
    ]
    assert stat.S_IMODE(library.layout.private.stat().st_mode) == 0o700


def test_a_folder_of_the_private_folders_name_that_vitsearch_did_not_make_is_refused(photos):
    (photos / ".vitsearch").mkdir()
    (photos / ".vitsearch/mine.txt").write_text("mine")
    with (
        Library.open(photos, backbone=MeanColour()) as library,
        pytest.raises(LibraryError, match=r"\.vitsearch was not made by vitsearch.*move it away"),
    ):
        library.index([photos])
    assert [path.name for path in (photos / ".vitsearch").iterdir()] == ["mine.txt"]


def test_a_private_folder_that_is_moved_with_its_library_keeps_opening(photos, tmp_path):
    with Library.open(photos, backbone=MeanColour()) as library:
        library.index([photos])
    shutil.move(photos / ".vitsearch", tmp_path / "elsewhere")
    with Library.open(tmp_path / "elsewhere", backbone=MeanColour()) as library:
        assert library.status().photos == 2
        assert library.search(photos / "red.png", include_self=True).results


def as_earlier_versions_kept_it(folder):
    """Lay a library out as it was before there was a private folder."""
    for path in (folder / ".vitsearch").iterdir():
        if path.name != MARK:
            path.rename(folder / path.name)
    shutil.rmtree(folder / ".vitsearch")


def test_an_earlier_library_among_photos_opens_keeps_its_caches_and_costs_no_photo(photos, picture, tmp_path):
    backbone = MeanColour()
    with Library.open(photos, backbone=backbone) as library:
        library.index([photos], thumbnails=True)
    drop(photos, picture, tmp_path)
    as_earlier_versions_kept_it(photos)
    kept = contents(photos)
    many_files(photos / "uploads", 300)
    picture(photos / "thumbnails/of-mine.png", "black")
    picture(photos / "neighbours/next-door.png", "white")
    mine = {path: data for path, data in contents(photos).items() if path not in kept}
    assert drop(photos, picture, tmp_path, "navy").status_code == 201
    with Library.open(photos, backbone=backbone) as library:
        report = library.index()
        assert figures(report) == {"photos": 4, "files": 4, "embedded": 2, "unchanged": 2}
        layout = library.layout
    assert layout.database == photos / "library.db"
    assert {path: path.read_bytes() for path in mine} == mine
    # What was the library's own has moved with its content; nothing of it was made again or lost.
    moved = {
        path.relative_to(layout.private): path.read_bytes()
        for folder in (layout.thumbnails, layout.uploads)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for path, data in kept.items():
        relative = path.relative_to(photos)
        if relative.parts[0] in ("thumbnails", "uploads"):
            assert moved[relative] == data
            assert not path.exists()
    assert sorted(path.name for path in (photos / "neighbours").iterdir()) == ["next-door.png"]


def test_a_search_of_an_earlier_library_moves_its_cache_and_builds_none(library, photos, monkeypatch):
    library.index([photos])
    library.close()
    as_earlier_versions_kept_it(library.folder)
    cached = (library.folder / "neighbours/1/manifest.json").read_bytes()
    monkeypatch.setattr("vitsearch.neighbours.neighbours.Neighbours.build", None)
    with Library.open(library.folder, backbone=MeanColour()) as again:
        assert again.search(photos / "red.png", include_self=True).results[0].path == photos / "red.png"
        assert (again.layout.search_cache(1) / "manifest.json").read_bytes() == cached


def test_names_that_vitsearch_did_not_make_stay_whatever_it_cleans_up(library, photos, tmp_path):
    """In its own folders too: the photos of somebody who has put them there, or behind a link."""
    library.index([photos], thumbnails=True)
    library.index(model="mean-colour", change_model=True)
    layout = library.layout
    library.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    many_files(elsewhere, 250)
    tokens = [blake3(b"%d" % number).hexdigest()[:32] for number in range(250)]
    for token in tokens:
        (elsewhere / token).write_bytes(b"a photo that has been named by a hash")
    layout.uploads.symlink_to(elsewhere)
    layout.shards.mkdir()
    decoys = [
        layout.thumbnails / "ab" / "holiday.jpg",
        layout.search_cache(1) / "rows-of-seats.f16",
        layout.search_cache(1) / "manifest-final.tmp",
        layout.search_caches / "7" / "cells-of-bees.faiss",
        layout.shards / "block-party-1.parquet",
        library.folder / "heads" / ".portrait.tmp",
        library.folder / "library.db.my own.partial",
        library.folder / "duplicate-cutoffs.partial",
    ]
    old = time.time() - LITTER_SECONDS - 60
    for path in decoys:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
        os.utime(path, (old, old))
    before = contents(elsewhere)
    with Decoders(1) as decoders:
        UploadStore(library.folder, decoders).add((photos / "red.png").read_bytes())
    (photos / "blue.png").unlink()
    with Library.open(library.folder, backbone=MeanColour()) as again:
        again.index(prune=True)
    repair(library.folder)
    assert [path for path in decoys if not path.exists()] == []
    after = contents(elsewhere)
    assert {path: after.get(path) for path in before} == before


def test_shards_of_somebody_else_in_a_shared_folder_are_neither_merged_nor_deleted(library, photos, tmp_path):
    from vitsearch.engines.parquet.writing import export_parquet
    from vitsearch.engines.portable import Selection
    from vitsearch.engines.ray.embedding import RayEngine

    library.index([photos])
    shared = tmp_path / "shared"
    shared.mkdir()
    theirs = shared / "block-1-2.parquet"
    export_parquet(Selection.of(library, ()), theirs)
    before = theirs.read_bytes()
    space_id, space = library.catalog.active_space()
    target = Target(library.catalog, space_id, space, MeanColour, library.folder, print)
    embedder = RayEngine(shards=shared).open(target)
    assert embedder.embedded == 0
    assert theirs.read_bytes() == before


def test_an_export_leaves_hidden_files_that_only_look_like_its_own(library, photos, tmp_path):
    from vitsearch.engines.parquet.writing import export_parquet
    from vitsearch.engines.portable import Selection

    library.index([photos])
    mine = {tmp_path / f".out.parquet.{name}.partial": name.encode() for name in ("kept", "00ff00ff")}
    for path, data in mine.items():
        path.write_bytes(data)
    export_parquet(Selection.of(library, ()), tmp_path / "out.parquet")
    assert {path: path.read_bytes() for path in mine} == mine


def test_a_library_among_photos_hears_of_new_photos_and_not_of_itself(photos, picture):
    with Library.open(photos, backbone=MeanColour()) as library:
        library.index([photos])
        stop, batches = threading.Event(), []
        listening, heard = threading.Event(), threading.Event()

        def listen():
            for folders in watch_folders(lambda: [photos], library=photos, stop=stop):
                batches.append(folders)
                (heard if listening.is_set() else listening).set()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            assert listening.wait(30)
            library.index()
            time.sleep(2)
            assert batches == [(photos,)]
            picture(photos / "uploads/new.png", "green")
            assert heard.wait(30)
        finally:
            stop.set()
            thread.join()
    assert batches[1] == (photos / "uploads",)


@pytest.mark.parametrize("names", [[], ["index.lock"], ["index.lock", "heads", "plans"], [".vitsearch"]])
def test_a_folder_with_nothing_but_a_librarys_own_is_the_librarys(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    assert Layout.of(tmp_path).home == tmp_path


@pytest.mark.parametrize("name", ["library.db", "library.db-journal"])
def test_a_library_that_another_process_is_making_right_now_is_found_where_it_appears(
    tmp_path, monkeypatch, name
):
    # Between the look for the database and the look at what else lies there.
    def made_meanwhile(path):
        (tmp_path / name).touch()
        return False

    monkeypatch.setattr("vitsearch.storage.layout.os.path.lexists", made_meanwhile)
    assert Layout.of(tmp_path).home == tmp_path


@pytest.mark.parametrize(
    "names", [["a.jpg"], ["library.database"], ["heads"], ["uploads", "index.lock"], ["photos of 2024"]]
)
def test_a_folder_with_anything_else_in_it_is_not(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    assert Layout.of(tmp_path).home == tmp_path / ".vitsearch"


def test_no_module_deletes_whole_folders_but_the_one_for_weights_which_made_them():
    package = Path(vitsearch.__file__).parent
    using = {
        path.relative_to(package).parts[0] for path in package.rglob("*.py") if "rmtree" in path.read_text()
    }
    assert using == {"backbones"}
