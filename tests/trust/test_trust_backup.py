"""Labels, corrections, decisions and heads survive damage, travel to another machine, and can be erased for good."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures
from vitsearch.doctor import salvage, upkeep
from vitsearch.doctor.examine import examine
from vitsearch.doctor.repair import repair
from vitsearch.duplicates.tables import dismiss, dismissed_pairs
from vitsearch.errors import HeadError, LibraryError, OutputError
from vitsearch.heads.files import save_head
from vitsearch.heads.head import Head
from vitsearch.heads.restoring import restore_heads
from vitsearch.heads.tables import HeadTables
from vitsearch.library import Library
from vitsearch.storage.atomic import sync_folder
from vitsearch.storage.backup import back_up, backups
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.outputs import Output
from vitsearch.storage.private import make_folder

pytestmark = pytest.mark.trust

COLOURS = ("red", "lime", "blue", "yellow", "cyan")


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / f"photos/{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def said(library, photos):
    """A library in which people have said things: a head, its examples, a correction, a decision."""
    library.index([photos])
    red, lime, blue = (photo_of(library, photos / f"{name}.png") for name in COLOURS[:3])
    tables = HeadTables(library.catalog.database)
    tables.replace_examples("warmth", {red: ("warm",), blue: ("cold",)})
    tables.correct("warmth", lime, ("cold",))
    dismiss(library.catalog, [red, lime])
    make_folder(library.layout.heads)
    head = Head(
        name="warmth",
        labels=("cold", "warm"),
        kind="softmax",
        origin="trained",
        space=library.existing_space(),
        weight=np.eye(2, 13, dtype=np.float32),
        bias=np.zeros(2, np.float32),
    )
    save_head(head, library.layout.heads / "warmth.safetensors")
    return library


def photo_of(library, path):
    match = library.search(path, include_self=True, k=1).results[0]
    assert path in (match.path, *match.other_paths)
    return match.photo


def what_was_said(library):
    """Labels, corrections and decisions, by the names of the photos' files."""
    catalog = library.catalog
    names = {
        photo: row.paths[0].name
        for photo, row in catalog.photos(catalog.database.ids("SELECT id FROM photos").tolist()).items()
        if row.paths
    }
    tables = HeadTables(catalog.database)
    return (
        {names[photo]: labels for photo, labels in tables.examples("warmth").items()},
        {names[photo]: labels for photo, labels in tables.examples("warmth", only_corrected=True).items()},
        {tuple(sorted(names[photo] for photo in pair)) for pair in dismissed_pairs(catalog)},
    )


SAID = (
    {"red.png": ("warm",), "blue.png": ("cold",), "lime.png": ("cold",)},
    {"lime.png": ("cold",)},
    {("lime.png", "red.png")},
)


def test_a_database_of_which_nothing_can_be_read_costs_no_label_and_no_decision(said, photos, backbone, run):
    back_up(said.catalog.database, said.layout)
    layout = said.layout
    said.close()
    size = layout.database.stat().st_size
    layout.database.write_bytes(os.urandom(size))
    done = run("doctor", "--repair")
    assert "began a new one with 3 labels and 1 decisions" in done.stdout
    assert "Run `vitsearch index`" in done.stdout
    assert [path.stat().st_size for path in layout.backups.glob("library.db.damaged-*")] == [size]
    with Library.open(layout.folder, backbone=backbone) as library:
        assert [root.path for root in library.roots()] == [photos]
        assert figures(library.index()) == {"photos": 5, "files": 5, "embedded": 5}
        assert what_was_said(library) == SAID
    assert examine(layout.folder).sound


def test_rows_that_a_damaged_database_has_lost_come_back_from_the_newest_backup(said, backbone):
    back_up(said.catalog.database, said.layout)
    layout = said.layout
    page = said.catalog.database.scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'head_examples'")
    said.close()
    with layout.database.open("r+b") as file:
        file.seek((page - 1) * 8192)
        file.write(b"\xff" * 8192)
    (_, restored) = repair(layout.folder).done[:2]
    assert restored.startswith("restored 3 labels from ")
    with Library.open(layout.folder, backbone=backbone) as library:
        assert what_was_said(library) == SAID


def test_a_head_that_is_damaged_comes_back_from_the_newest_backup(said):
    back_up(said.catalog.database, said.layout)
    head = said.layout.heads / "warmth.safetensors"
    whole = head.read_bytes()
    head.write_bytes(whole[:50])
    (done,) = repair(said.folder).done
    assert "restored it from a backup" in done
    assert head.read_bytes() == whole


def test_what_a_salvage_brings_back_is_there_as_soon_as_the_library_is(said, backbone, monkeypatch):
    """Between the two a kill cost what people had said: the library was sound by then, and nobody looked again."""
    back_up(said.catalog.database, said.layout)
    (page,) = said.catalog.database.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'head_examples'")[0]
    layout = said.layout
    said.close()
    with layout.database.open("r+b") as file:
        file.seek((page - 1) * 8192)
        file.write(b"\xff" * 8192)
    damaged = layout.database.stat().st_ino

    def killed(folder):
        if folder == layout.home and layout.database.stat().st_ino != damaged:
            raise KeyboardInterrupt
        sync_folder(folder)

    monkeypatch.setattr(salvage, "sync_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        repair(layout.folder)
    monkeypatch.undo()
    repair(layout.folder)
    with Library.open(layout.folder, backbone=backbone) as library:
        assert what_was_said(library) == SAID


def test_a_repair_that_is_killed_while_it_restores_a_head_goes_on_when_it_is_run_again(said, monkeypatch):
    back_up(said.catalog.database, said.layout)
    head = said.layout.heads / "warmth.safetensors"
    whole = head.read_bytes()
    head.write_bytes(whole[:50])

    def killed(layout, path):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitsearch.doctor.repair._head_from_backup", killed)
    with pytest.raises(KeyboardInterrupt):
        repair(said.folder)
    monkeypatch.undo()
    assert "restored it from a backup" in repair(said.folder).done[0]
    assert head.read_bytes() == whole


def test_what_people_said_is_backed_up_before_prune_and_forget_and_once_a_day(said, photos):
    layout = said.layout
    said.index()
    (first,) = backups(layout)
    assert first.stat().st_mode & 0o777 == 0o600
    dismiss(said.catalog, [photo_of(said, photos / "cyan.png")])
    said.index()
    assert backups(layout) == [first]  # it is not a day old
    said.index(prune=True)
    assert backups(layout)[0] == first
    assert len(backups(layout)) == 2
    said.index(prune=True)
    assert len(backups(layout)) == 2  # nothing new was said
    old = time.time() - 25 * 3600
    for path in backups(layout):
        os.utime(path, (old, old))
    said.index()
    assert len(backups(layout)) == 2  # the same is written once
    dismiss(said.catalog, [photo_of(said, photos / "yellow.png")])
    os.utime(backups(layout)[-1], (old, old))
    said.index()
    assert len(backups(layout)) == 3  # a day has passed, and something was said
    dismiss(said.catalog, [photo_of(said, photos / "blue.png")])
    said.forget_root(photos)
    assert len(backups(layout)) == 4


def test_where_nothing_was_said_nothing_is_backed_up_and_an_empty_backup_can_be_carried(
    library, photos, tmp_path
):
    library.index([photos])
    (photos / "red.png").unlink()
    assert library.index(prune=True).pruned == 1
    library.forget_root(photos)
    assert backups(library.layout) == []
    assert not library.layout.temporaries.exists()  # nothing was written for it either
    assert upkeep.back_up(library, Output(tmp_path / "nothing", "backup")) == 0
    assert upkeep.restore(library, tmp_path / "nothing").labels == 0


def test_backups_are_rotated_and_the_newest_stays(said, photos, monkeypatch):
    monkeypatch.setattr("vitsearch.storage.backup._KEPT", 3)
    tables = HeadTables(said.catalog.database)
    made = []
    for number in range(6):
        tables.correct("warmth", photo_of(said, photos / "cyan.png"), (f"label {number}",))
        made.append(back_up(said.catalog.database, said.layout))
    kept = backups(said.layout)
    assert len(kept) == 3
    assert made[-1] in kept


def test_the_newest_backup_is_the_last_one_that_was_made_whatever_the_clock_said_before(said, photos):
    database, layout = said.catalog.database, said.layout
    for year in range(2980, 3000):  # a clock that was ahead while the library kept as many as it keeps
        HeadTables(database).correct("warmth", photo_of(said, photos / "cyan.png"), (f"in {year}",))
        made = back_up(database, layout)
        assert made is not None
        made.rename(made.with_name(f"decisions-{year}{made.name[14:]}"))
    HeadTables(database).correct("warmth", photo_of(said, photos / "yellow.png"), ("now",))
    now = back_up(database, layout)
    assert now is not None
    assert now.exists()
    assert backups(layout)[-1] == now


def test_a_backup_carries_labels_decisions_and_heads_to_another_machine(said, photos, tmp_path, run):
    said.close()
    done = run("backup", tmp_path / "mine.vitsearch")
    assert (done.returncode, done.stdout) == (
        0,
        f"{tmp_path / 'mine.vitsearch'}: 5 labels, decisions and heads\n",
    )
    away = tmp_path / "other machine"
    away.mkdir()
    for path in photos.iterdir():
        shutil.copy(path, away / f"copy of {path.name}")
    (away / "copy of lime.png").unlink()
    with Library.open(tmp_path / "other", backbone=MeanColour()) as other:
        other.index([away])
        found = upkeep.restore(other, tmp_path / "mine.vitsearch")
        assert (found.labels, found.decisions, found.waiting) == (3, 1, 2)
        heads = restore_heads(other, tmp_path / "mine.vitsearch")
        assert heads.restored == ("warmth",)
        shutil.copy(photos / "lime.png", away / "copy of lime.png")
        other.index()
        labels, corrections, decisions = what_was_said(other)
        assert labels == {f"copy of {name}": found for name, found in SAID[0].items()}
        assert corrections == {"copy of lime.png": ("cold",)}
        assert decisions == {("copy of lime.png", "copy of red.png")}
        # Again, nothing changes; and what was said here since stays.
        HeadTables(other.catalog.database).correct(
            "warmth", photo_of(other, away / "copy of red.png"), ("cold",)
        )
        again = upkeep.restore(other, tmp_path / "mine.vitsearch")
        assert (again.labels, again.decisions, again.waiting) == (0, 0, 0)
        assert what_was_said(other)[0]["copy of red.png"] == ("cold",)
        assert restore_heads(other, tmp_path / "mine.vitsearch").kept == ("warmth",)


def test_a_head_that_cannot_be_saved_here_is_not_called_one_that_cannot_be_used(said, own_folder, backbone):
    upkeep.back_up(said, Output(own_folder / "mine", "backup"))
    with Library.open(own_folder / "other", backbone=backbone) as other:
        upkeep.restore(other, own_folder / "mine")
        make_folder(other.layout.heads)
        other.layout.heads.chmod(0o500)
        with pytest.raises(HeadError, match=r"cannot write .*warmth\.safetensors"):
            restore_heads(other, own_folder / "mine")
        other.layout.heads.chmod(0o700)
        assert restore_heads(other, own_folder / "mine").restored == ("warmth",)


def test_a_backup_overwrites_no_file_of_another_program(said, tmp_path, run):
    said.close()
    sqlite3.connect(tmp_path / "mine.db").execute("CREATE TABLE mine (x)").connection.close()
    before = (tmp_path / "mine.db").read_bytes()
    done = run("backup", tmp_path / "mine.db")
    assert done.returncode == 1
    assert "a database that vitsearch did not write" in done.stderr
    assert (tmp_path / "mine.db").read_bytes() == before
    assert run("backup", tmp_path / "own").returncode == 0
    assert run("backup", tmp_path / "own").returncode == 0


def test_a_backup_is_not_replaced_by_that_of_a_library_that_holds_little_of_it(
    said, photos, tmp_path, run, backbone
):
    """A nightly backup after the library was lost and made anew, or of another library, costs the only copy of all."""
    saved = tmp_path / "mine.backup"
    upkeep.back_up(said, Output(saved, "backup"))
    before = saved.read_bytes()
    with Library.open(tmp_path / "anew", backbone=backbone) as anew:
        anew.index([photos])
        with pytest.raises(
            OutputError, match="5 of the 5 labels, decisions and heads in it are not in this library"
        ):
            upkeep.back_up(anew, Output(saved, "backup"))
        assert saved.read_bytes() == before
        upkeep.restore(anew, saved)
        restore_heads(anew, saved)
        upkeep.back_up(anew, Output(saved, "backup"))
        assert upkeep.restore(said, saved).in_words == ()
    # What a person changes or takes back is no reason.
    HeadTables(said.catalog.database).correct("warmth", photo_of(said, photos / "lime.png"), ("warm",))
    Favourites(said.catalog.database).put([photo_of(said, photos / "cyan.png")], favourite=True)
    upkeep.back_up(said, Output(saved, "backup"))
    Favourites(said.catalog.database).put([photo_of(said, photos / "cyan.png")], favourite=False)
    upkeep.back_up(said, Output(saved, "backup"))
    with Library.open(tmp_path / "third", backbone=backbone) as third:
        third.index([photos])
        upkeep.back_up(third, Output(saved, "backup", force=True))


def test_a_backup_of_a_later_version_is_not_replaced(said, tmp_path, run):
    saved = tmp_path / "mine.backup"
    upkeep.back_up(said, Output(saved, "backup"))
    said.close()
    changed(saved, "PRAGMA user_version = 99")
    before = saved.read_bytes()
    done = run("backup", saved)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "was written by a later version of vitsearch" in done.stderr
    assert saved.read_bytes() == before
    assert run("backup", "--force", saved).returncode == 0


def changed(path, sql):
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a backup"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: changed(path, "PRAGMA application_id = 5"),
        lambda path: changed(path, "PRAGMA user_version = 99"),
        lambda path: changed(
            path, "ALTER TABLE examples RENAME TO e; CREATE VIEW examples AS SELECT * FROM e"
        ),
        lambda path: changed(path, "DROP TABLE examples"),
        lambda path: path.unlink(),
    ],
)
def test_a_file_that_is_no_backup_is_refused_in_one_line_and_changes_nothing(said, tmp_path, damage):
    file = tmp_path / "backup"
    upkeep.back_up(said, Output(file, "backup"))
    damage(file)
    before = what_was_said(said)
    with pytest.raises(LibraryError) as caught:
        upkeep.restore(said, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert what_was_said(said) == before


def test_rows_of_a_stranger_that_make_no_sense_are_left_out(said, tmp_path):
    file = tmp_path / "backup"
    upkeep.back_up(said, Output(file, "backup"))
    changed(
        file,
        "INSERT INTO examples VALUES ('warmth', x'00', 'short', 0), ('warmth', zeroblob(32), 'bell' || char(7), 0),"
        "('warmth', zeroblob(32), 'odd', 9), (NULL, zeroblob(32), 'x', 0), ('warmth', zeroblob(32), 'fine', 0);"
        "INSERT INTO not_duplicates VALUES (x'00', x'01'), ('text', 5);",
    )
    found = upkeep.restore(said, file)
    assert (found.labels, found.decisions, found.waiting) == (1, 0, 1)


def everything_in(library):
    return b"".join(path.read_bytes() for path in library.folder.rglob("*") if path.is_file())


def test_what_is_erased_is_nowhere_in_the_library_any_more(said, photos, tmp_path, run, picture):
    from vitsearch.storage.listing import Listing

    shutil.copy(photos / "red.png", photos / "one more red.png")
    said.index(thumbnails=True)
    back_up(said.catalog.database, said.layout)
    photo_hash = Listing(said.catalog).photo_hash(photo_of(said, photos / "one more red.png"))
    assert photo_hash is not None
    shutil.copy(said.layout.database, said.layout.backups / "library.db.damaged-1")
    vector = said.catalog.vectors(1, 13, np.array([photo_of(said, photos / "red.png")]))[1].tobytes()
    assert bytes.fromhex(photo_hash) in everything_in(said)
    said.close()
    (photos / "red.png").unlink()
    refused = run("erase", photos / "red.png", stdin=b"n\n")
    assert (refused.returncode, refused.stderr.count("2 files")) == (1, 1)
    done = run("erase", photos / "red.png", "--yes")
    assert (done.returncode, done.stdout) == (0, "erased 1 photo (2 files)\n")
    assert done.stderr.splitlines() == [
        "whole databases that were kept and are deleted: 1",
        f"a copy is still at {photos / 'one more red.png'}",
    ]
    content = everything_in(said)
    assert bytes.fromhex(photo_hash) not in content
    assert b"red.png" not in content
    assert vector not in content
    assert list(said.layout.thumbnails.rglob(f"{photo_hash[2:]}*")) == []
    assert examine(said.folder).sound
    with Library.open(said.folder, backbone=MeanColour()) as library:
        assert what_was_said(library)[0].keys() == {"blue.png", "lime.png"}
        (photos / "one more red.png").unlink()
        assert library.index().photos == 4


@pytest.mark.parametrize(
    "step",
    [
        "vitsearch.doctor.upkeep.erase_beside",
        "vitsearch.storage.catalog.Catalog._delete_photos",
        "vitsearch.neighbours.cache.SearchCache.bring_up_to_date",
    ],
)
def test_what_is_left_of_a_photo_when_erase_is_killed_can_be_erased_by_its_name(
    said, photos, monkeypatch, step
):
    from vitsearch.storage.listing import Listing

    said.index(thumbnails=True)
    back_up(said.catalog.database, said.layout)
    photo = photo_of(said, photos / "red.png")
    named = Listing(said.catalog).photo_hash(photo)
    assert named is not None
    photo_hash = bytes.fromhex(named)
    vector = said.catalog.vectors(1, 13, np.array([photo]))[1].tobytes()
    Favourites(said.catalog.database).put([photo], favourite=True)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(step, killed)
    with pytest.raises(KeyboardInterrupt):
        upkeep.erase(said, [photos / "red.png"])
    monkeypatch.undo()
    assert examine(said.folder).sound
    with suppress(LibraryError):  # nothing is known of it
        upkeep.erase(said, [photos / "red.png"])
    said.close()
    content = everything_in(said)
    assert photo_hash not in content
    assert vector not in content
    assert b"red.png" not in content


def test_a_search_cache_of_which_a_killed_erase_has_deleted_a_part_is_no_damaged_one(
    said, photos, monkeypatch
):
    said.search(photos / "red.png")
    caches = said.layout.search_caches
    assert len([path for path in caches.rglob("*") if path.is_file()]) > 2
    unlink = Path.unlink

    def killed(path, missing_ok=False):
        if path.is_relative_to(caches) and len(deleted) == 2:
            raise KeyboardInterrupt
        deleted.extend([path] if path.is_relative_to(caches) else [])
        unlink(path, missing_ok=missing_ok)

    deleted = []
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        upkeep.erase(said, [photos / "red.png"])
    monkeypatch.undo()
    assert examine(said.folder).sound


def test_a_folder_is_erased_with_all_that_was_in_it_and_a_wrong_name_is_refused(
    said, photos, tmp_path, picture
):
    for colour in ("pink", "navy"):
        picture(photos / f"trip/{colour}.png", colour)
    said.index()
    shutil.rmtree(photos / "trip")
    erased = upkeep.erase(said, [photos / "trip"])
    assert (erased.photos, erased.files) == (2, 2)
    assert figures(said.index()) == {"photos": 5, "files": 5, "unchanged": 5}
    assert what_was_said(said) == SAID
    with pytest.raises(LibraryError, match=r"nothing is known of .*trip"):
        upkeep.erase(said, [photos / "trip"])
