"""`vitsearch doctor`: says of each kind of damage what it is, and mends it from what is still true."""

import json
import os
import shutil
import sqlite3
import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.doctor import salvage
from vitsearch.doctor.examine import examine
from vitsearch.doctor.repair import repair
from vitsearch.duplicates.tables import dismiss
from vitsearch.errors import HeadTooNew, LibraryBusy, LibraryDamaged, LibraryMissing, LibraryTooNew
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.storage.database import Database
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.layout import Layout
from vitsearch.storage.listing import Listing
from vitsearch.storage.write_lock import write_lock

PAGE = 8192


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(40):
        label = "dark" if number < 20 else "light"
        level = 6 * number
        picture(tmp_path / "photos" / label / f"{number:02}.png", (level, level, 250 - level), size=(16, 16))
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path, photos):
    """A closed library of forty photos with a head, a correction, and two photos that a person told apart."""
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        head_store = HeadStore(library)
        head_store.from_examples("shade", folder=photos)
        head_store.correct("shade", photos / "dark" / "00.png", ["light"])
        dismiss(library.catalog, [3, 7])
    return tmp_path / "library"


def wrong(folder):
    """The names of the checks that are not well, each with what it says."""
    return {
        finding.check: (finding.state, finding.text)
        for finding in examine(folder).findings
        if finding.state != "ok"
    }


def sql(folder, statement, parameters=()):
    connection = sqlite3.connect(folder / "library.db")
    rows = connection.execute(statement, parameters).fetchall()
    connection.commit()
    connection.close()
    return rows


def contents(folder):
    """All that a person's library consists of, caches and generations left out."""
    tables = (
        "roots",
        "photos",
        "files",
        "vectors",
        "head_examples",
        "photo_labels",
        "not_duplicates",
        "settings",
    )
    found = {table: sql(folder, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}
    found["spaces"] = sql(folder, "SELECT id, description, model, dimension, active FROM spaces")
    return found


def pages_of(folder, table):
    """The pages of a table or index, its root first."""
    root = sql(folder, "SELECT rootpage FROM sqlite_schema WHERE name = ?", [table])[0][0]
    content = (folder / "library.db").read_bytes()
    start = (root - 1) * PAGE
    if content[start] not in (2, 5):
        return [root]
    cells = struct.unpack_from(">H", content, start + 3)[0]
    pointers = struct.unpack_from(f">{cells}H", content, start + 12)
    children = [int.from_bytes(content[start + at : start + at + 4], "big") for at in pointers]
    return [root, *children, int.from_bytes(content[start + 8 : start + 12], "big")]


def overwrite(folder, page, content=b"\xff" * PAGE):
    with (folder / "library.db").open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(content)


def test_a_sound_library_passes_every_check_and_a_repair_changes_nothing(folder):
    assert wrong(folder) == {}
    assert examine(folder).sound
    before = contents(folder), sorted(path for path in folder.rglob("*"))
    assert repair(folder).done == ()
    assert (contents(folder), sorted(path for path in folder.rglob("*"))) == before


def test_the_command_prints_a_line_a_check_and_ends_with_1_only_if_something_is_wrong(run, folder):
    done = run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 10
    sql(folder, "UPDATE vectors SET vector = zeroblob(26) WHERE photo = 5")
    done = run("doctor")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("wrong  vectors")]
    assert line.endswith(
        "1 are not unit vectors of their model's dimension: run `vitsearch doctor --repair`, then `vitsearch index`, "
        "which computes them again"
    )
    done = run("doctor", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["sound"], document["repaired"], document["salvage"]) == (
        1,
        False,
        [],
        None,
    )
    assert {check["check"]: check["state"] for check in document["checks"]}["vectors"] == "wrong"
    done = run("doctor", "--repair", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["sound"]) == (0, True)
    assert (
        document["repaired"][0] == "dropped 1 vectors that were none: `vitsearch index` computes them again"
    )


def test_no_library_and_one_of_a_later_version_are_refused(run, tmp_path, folder):
    with pytest.raises(LibraryMissing):
        examine(tmp_path / "nowhere")
    with pytest.raises(LibraryMissing):
        repair(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    sql(folder, "PRAGMA user_version = 99")
    before = (folder / "library.db").read_bytes()
    for attempt in (examine, repair):
        with pytest.raises(LibraryTooNew):
            attempt(folder)
    assert (folder / "library.db").read_bytes() == before
    assert run("doctor").stderr.startswith(
        f"vitsearch: {folder / 'library.db'} was written by a later version"
    )


@pytest.mark.parametrize(
    "value", [b"", b"\x00" * 25, b"\x00" * 26, b"\xff" * 26, np.full(13, 0.5, "<f2").tobytes(), "text", 7]
)
def test_vectors_that_are_none_are_found_dropped_and_computed_again(folder, photos, value):
    before = contents(folder)
    sql(folder, "UPDATE vectors SET vector = ? WHERE photo IN (5, 9)", [value])
    state, text = wrong(folder)["vectors"]
    assert (state, text) == ("wrong", "2 are not unit vectors of their model's dimension")
    repair(folder)
    assert wrong(folder) == {"photos": ("note", "40: 2 have no vector yet")}
    backbone = MeanColour()
    with Library.open(folder, backbone=backbone) as library:
        assert figures(library.index()) == {"photos": 40, "files": 40, "embedded": 2, "unchanged": 38}
    assert sorted(row[2:] for row in contents(folder)["vectors"]) == sorted(
        row[2:] for row in before["vectors"]
    )


@pytest.mark.parametrize("norm", [0.0, -1.0, float("inf")])
def test_a_vector_without_a_possible_length_is_found(folder, norm):
    sql(folder, "UPDATE vectors SET norm = ? WHERE photo = 5", [norm])
    assert wrong(folder)["vectors"][0] == "wrong"


def test_rows_that_refer_to_nothing_are_found_and_dropped_and_the_file_before_is_kept(folder, photos):
    sql(folder, "DELETE FROM photos WHERE id = 5")
    assert wrong(folder)["references"] == (
        "wrong", "3 rows refer to what is not there, in files, head_examples, vectors"
    )  # fmt: skip
    report = repair(folder).salvage
    assert report is not None
    assert {table.name: table.dropped for table in report.tables if table.dropped} == {
        "files": 1,
        "vectors": 1,
        "head_examples": 1,
    }
    assert report.kept is not None
    assert report.kept.name == "library.db.damaged-1"
    with Library.open(folder, backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 40, "files": 40, "embedded": 1, "unchanged": 39}
        assert places(library, photos / "dark" / "05.png") == sorted(photos.rglob("*.png"))


def cache_files(folder, pattern):
    return sorted((folder / ".vitsearch" / "neighbours").glob(f"*/{pattern}"))


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x08
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda folder: flip(cache_files(folder, "rows-*.f16")[0], 26 * 17 + 3), "wrong"),
        (lambda folder: flip(cache_files(folder, "ids-*.i64")[0], 8 * 17), "wrong"),
        (lambda folder: os.truncate(cache_files(folder, "rows-*.f16")[0], 100), "wrong"),
        (lambda folder: cache_files(folder, "manifest.json")[0].write_text("{"), "wrong"),
        (lambda folder: shutil.rmtree(folder / ".vitsearch" / "neighbours"), "note"),
        (lambda folder: sql(folder, "UPDATE spaces SET generation = 77"), "note"),
    ],
    ids=["a row", "an id", "too short", "no manifest", "none at all", "behind"],
)
def test_a_search_cache_that_is_not_what_the_database_says_is_found_and_made_anew(
    folder, photos, damage, state
):
    damage(folder)
    assert wrong(folder)["search cache of mean-colour"][0] == state
    assert repair(folder).done[0] == "made the search cache of mean-colour from the database"
    assert wrong(folder) == {}
    with Library.open(folder) as library:
        assert places(library, photos / "dark" / "05.png") == sorted(photos.rglob("*.png"))


def test_a_cache_that_claims_to_be_current_and_lacks_a_photo_is_found(folder):
    sql(folder, "DELETE FROM vectors WHERE photo = 5")
    assert wrong(folder)["search cache of mean-colour"] == (
        "wrong", "its 40 photos are not the 39 of the database"
    )  # fmt: skip


def test_a_head_that_cannot_be_used_is_found_and_put_aside_with_its_examples_kept(folder, photos):
    shutil.rmtree(Layout.of(folder).backups)  # no backup has it
    path = folder / "heads" / "shade.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    assert wrong(folder)["heads"] == ("wrong", "1 cannot be used: shade")
    repair(folder)
    assert wrong(folder) == {}
    assert (folder / "heads" / "shade.safetensors.damaged-1").exists()
    with Library.open(folder, backbone=MeanColour()) as library:
        assert HeadStore(library).names() == ()
        assert HeadStore(library).tables.examples("shade")[1] == ("light",)


def test_a_head_of_a_later_version_is_mentioned_and_left_alone(folder, photos):
    path = folder / "heads" / "shade.safetensors"
    content = load_file(path)
    with safe_open(path, "numpy") as file:
        described = json.loads(file.metadata()["vitsearch-head"])
    described["format_version"] = 99
    save_file({**content, "more": content["bias"]}, path, metadata={"vitsearch-head": json.dumps(described)})
    before = path.read_bytes()
    assert wrong(folder) == {"heads": ("note", "shade: of a later version of vitsearch")}
    repair(folder)
    assert path.read_bytes() == before
    with (
        Library.open(folder, backbone=MeanColour()) as library,
        pytest.raises(HeadTooNew, match=r"shade\.safetensors was saved by a later version"),
    ):
        HeadStore(library).get("shade")


def test_a_head_of_another_model_is_mentioned(folder, photos):
    with Library.open(folder, backbone=MeanColour(model="other")) as library:
        library.index(model="other", change_model=True)
    assert wrong(folder) == {"heads": ("note", "shade: made for another model than searches use")}


def test_leftovers_of_killed_runs_and_of_photos_that_are_gone_are_found_and_removed(folder):
    own = folder / ".vitsearch"
    (space,) = (own / "neighbours").iterdir()
    with Library.open(folder) as library:
        photo_hash = Listing(library.catalog).photo_hash(40)
    assert photo_hash is not None
    leftovers = [
        space / "rows-0badcafe.f16",
        space / "ids-0badcafe.i64",
        space / "manifest-0badcafe.tmp",
        space / f".vitsearch-{'0b' * 8}.tmp",
        folder / ".vitsearch" / "neighbours" / "99" / "manifest.json",
        own / "temporary" / "library.db.0badcafe.tmp",
        own / "temporary" / "library.db.0badcafe.tmp-journal",
        own / "temporary" / "shade.safetensors.0badcafe.tmp",
        own / "uploads" / f"{'0b' * 16}.0badcafe.partial",
        own / "shards" / ".block-1-2.parquet.0badcafe.partial",
        own / "shards" / f".vitsearch-{'0b' * 8}.tmp",
        own / f".vitsearch-{'0b' * 8}.tmp",
        folder / "heads" / f".vitsearch-{'0b' * 8}.tmp",
        folder / ".vitsearch" / "thumbnails" / "0b" / f"{'ad' * 31}-320.jpg",
        folder / ".vitsearch" / "thumbnails" / photo_hash[:2] / f"{photo_hash[2:]}-160.jpg.0badcafe.partial",
        folder / ".vitsearch" / "thumbnails" / photo_hash[:2] / f".vitsearch-{'0b' * 8}.tmp",
    ]
    stay = [
        folder / ".vitsearch" / "thumbnails" / photo_hash[:2] / f"{photo_hash[2:]}-320.jpg",
        folder / ".vitsearch" / "thumbnails" / "of mine" / "cat-320.jpg",
        folder / "notes of mine.txt",
        folder / "heads" / ".feed.tmp",
        folder / "uploads" / "cat.jpg",
        own / "uploads" / "cat.jpg",
        own / "uploads" / f"{'0b' * 16}",
        own / "shards" / "block-1-2.parquet",
        space / "a file of mine",
        space / "rows-of-mine.f16",
        space / "manifest.tmp",
    ]
    for path in leftovers + stay:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345678")
    old = time.time() - 3600
    for path in leftovers + stay:
        os.utime(path, (old, old))
    assert wrong(folder) == {
        "leftovers": ("note", "16 files of interrupted runs or of photos that are gone, 128 bytes")
    }
    assert repair(folder).done == ("removed 16 files that nobody needs",)
    assert [path for path in leftovers if path.exists()] == []
    assert not (folder / ".vitsearch" / "neighbours" / "99").exists()
    assert all(path.exists() for path in stay)
    assert wrong(folder) == {}


def test_a_plan_in_the_library_that_was_cut_short_is_found(folder, photos):
    step = {
        "path": "/p/a.jpg",
        "target": "/p/t/a.jpg",
        "keep": "/p/b.jpg",
        "content": "0" * 64,
        "action": "trash",
    }
    (folder / "plans").mkdir()
    journal = folder / "plans" / "plan.json.journal"
    journal.write_text(json.dumps(step | {"state": "begun"}) + "\n")
    assert wrong(folder)["plans"] == (
        "wrong", f"1 were begun and not finished: {folder / 'plans' / 'plan.json'}"
    )  # fmt: skip
    journal.write_text(journal.read_text() + json.dumps(step | {"state": "done"}) + "\n")
    assert wrong(folder) == {}


def test_unreadable_photos_are_listed_with_their_reasons_and_offline_folders_are_named(run, folder, photos):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff" + b"nothing" * 9)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    done = run("doctor")
    assert done.returncode == 0
    assert f"         {photos / 'broken.jpg'}: " in done.stdout
    photos.rename(photos.with_name("away"))
    assert wrong(folder)["folders"] == ("note", f"1 of 1 absent or empty: {photos}")


def test_a_repair_waits_for_no_run_that_is_changing_the_library(folder):
    with write_lock(folder):
        with pytest.raises(LibraryBusy):
            repair(folder)
        assert wrong(folder) == {"leftovers": ("note", "another run is changing the library: not looked at")}


def test_no_decision_goes_into_the_damaged_file_while_a_repair_puts_another_in_its_place(folder, monkeypatch):
    """A page that is open meanwhile is told that the library is busy, or what it writes is in the new file."""
    overwrite(folder, pages_of(folder, "files_photo")[0])
    page = Database.open(folder / "library.db", timeout=0.1)
    (photo,) = page.rows("SELECT id FROM photos LIMIT 1")[0]
    assert isinstance(photo, int)
    acknowledged: list[int] = []
    set_aside = salvage.set_aside

    def beside_the_page(layout):
        kept = set_aside(layout)
        with suppress(LibraryBusy):
            Favourites(page).put([photo], favourite=True)
            acknowledged.append(photo)
        return kept

    monkeypatch.setattr(salvage, "set_aside", beside_the_page)
    repair(folder)
    page.close()
    with Library.open(folder, backbone=MeanColour()) as library:
        assert Favourites(library.catalog.database).ids().tolist() == acknowledged


def test_an_index_that_does_not_fit_its_table_costs_nothing(folder):
    before = contents(folder)
    overwrite(folder, pages_of(folder, "files_photo")[0])
    assert wrong(folder)["database"][0] == "wrong"
    damaged = (folder / "library.db").read_bytes()
    report = repair(folder).salvage
    assert report is not None
    assert contents(folder) == before
    assert report.kept is not None
    assert report.kept.read_bytes() == damaged
    assert wrong(folder) == {
        "leftovers": ("note", "earlier states of the database are kept: library.db.damaged-1")
    }


def test_a_page_of_vectors_that_cannot_be_read_costs_the_vectors_on_it_and_no_others(folder, photos, picture):
    for number in range(400):  # so that the table has several pages
        picture(photos / "many" / f"{number}.png", (number % 250, number // 2, 9), size=(16, 16))
    with Library.open(folder, backbone=MeanColour(batch_size=64)) as library:
        library.index()
    before = contents(folder)
    pages = pages_of(folder, "vectors")
    assert len(pages) > 3
    overwrite(folder, pages[2])
    report = repair(folder).salvage
    assert report is not None
    after = contents(folder)
    lost = set(before.pop("vectors")) - set(after["vectors"])
    assert set(after.pop("vectors")) < set(contents(folder)["vectors"]) | lost
    assert 0 < len(lost) < 300
    assert after == before
    assert report.unreadable == 1
    assert examine(folder).sound
    with Library.open(folder, backbone=MeanColour()) as library:
        assert library.index().embedded == len(lost)


def test_rows_below_a_lost_root_page_are_found_by_their_columns(folder, photos, picture):
    for number in range(400):
        picture(photos / "many" / f"{number}.png", (number % 250, number // 2, 9), size=(16, 16))
    with Library.open(folder, backbone=MeanColour(batch_size=64)) as library:
        library.index()
    before = contents(folder)
    for table in ("vectors", "photos", "files"):
        assert len(pages_of(folder, table)) > 2
        overwrite(folder, pages_of(folder, table)[0])
    repair(folder)
    assert contents(folder) == before


def test_a_lost_schema_costs_nothing(folder):
    before = contents(folder)
    overwrite(folder, 1)
    with pytest.raises(LibraryDamaged), Library.open(folder) as library:
        library.status()
    assert wrong(folder)["database"][0] == "wrong"
    repair(folder)
    assert contents(folder) == before
    assert examine(folder).sound


def test_a_file_that_was_cut_short_gives_what_is_left(folder, photos):
    before = contents(folder)
    os.truncate(folder / "library.db", pages_of(folder, "head_examples")[0] * PAGE)
    repair(folder)
    after = contents(folder)
    for table in ("roots", "photos", "vectors", "head_examples"):
        assert after[table] == before[table]
    # The names of file systems lay behind the cut; the next run notes them again.
    assert [(*row[:10], row[11]) for row in after["files"]] == [
        (*row[:10], row[11]) for row in before["files"]
    ]
    with Library.open(folder, backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 40, "files": 40, "unchanged": 40}


def test_a_lost_description_of_the_model_costs_the_vectors_only(folder, photos):
    sql(folder, "UPDATE spaces SET description = '{}'")
    assert wrong(folder)["models"][0] == "wrong"
    repair(folder)
    with Library.open(folder, backbone=MeanColour()) as library:
        assert library.index().embedded == 40
        assert HeadStore(library).tables.examples("shade")[1] == ("light",)


def test_an_id_is_not_given_again_after_a_salvage(folder, photos, picture):
    sql(folder, "DELETE FROM photos WHERE id = 40")
    repair(folder)
    picture(photos / "new.png", "red")
    (photos / "light" / "39.png").unlink()
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    assert sql(folder, "SELECT max(id) FROM photos") == [(41,)]


def test_a_library_of_an_older_format_is_salvaged_into_a_new_one(folder, monkeypatch):
    sql(folder, "UPDATE files SET reason = 'x' WHERE id = 1")
    before = contents(folder)
    columns = "id, photo_hash, format, width, height, taken, camera, latitude, longitude, software"
    sql(folder, f"CREATE TABLE older AS SELECT {columns} FROM photos")
    root, older = pages_of(folder, "photos"), pages_of(folder, "older")
    connection = sqlite3.connect(folder / "library.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'photos'", [older[0]])
    connection.execute("DELETE FROM sqlite_schema WHERE name = 'older'")
    connection.commit()
    connection.close()
    overwrite(folder, root[0])
    assert wrong(folder)["database"][0] == "wrong"
    repair(folder)
    after = contents(folder)
    assert [row[1:10] for row in after["photos"]] == [row[1:10] for row in before["photos"]]
    assert {row[10] for row in after["photos"]} == {None}
    assert after["vectors"] == before["vectors"]


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000, bytes(PAGE * 3), os.urandom(PAGE * 3)])
def test_a_file_without_a_row_of_a_library_in_it_and_no_backup_is_left_as_it_is(folder, content):
    for backup in (folder / ".vitsearch" / "backups").iterdir():
        backup.unlink()
    (folder / "library.db").write_bytes(content)
    if content:
        assert wrong(folder)["database"][0] == "wrong"
        with pytest.raises(LibraryDamaged, match="nothing of a library can be read"):
            repair(folder)
    assert (folder / "library.db").read_bytes().startswith(content)
    assert not list(folder.glob("library.db.*"))


def test_a_database_of_another_program_is_left_as_it_is(folder):
    (folder / "library.db").unlink()
    sql(folder, "CREATE TABLE albums (name TEXT)")
    sql(folder, "INSERT INTO albums VALUES ('summer')")
    before = (folder / "library.db").read_bytes()
    with pytest.raises(LibraryDamaged, match="nothing of a library can be read"):
        repair(folder)
    assert (folder / "library.db").read_bytes() == before


def test_a_repair_that_another_process_disturbs_is_refused(folder):
    overwrite(folder, pages_of(folder, "files_photo")[0])
    other = sqlite3.connect(folder / "library.db")
    other.execute("BEGIN IMMEDIATE")
    before = (folder / "library.db").read_bytes()
    try:
        with pytest.raises(LibraryBusy):
            repair(folder)
    finally:
        other.close()
    assert (folder / "library.db").read_bytes() == before
    assert [path.name for path in folder.glob("library.db.*")] == []


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_is_found_or_harmless_and_a_repair_leaves_a_library_that_works(folder, photos, seed):
    random = np.random.default_rng(seed)
    path = folder / "library.db"
    content = bytearray(path.read_bytes())
    for _ in range(int(random.integers(1, 6))):
        at, length = int(random.integers(0, len(content))), int(random.integers(1, 3000))
        content[at : at + length] = random.bytes(length)[: len(content) - at]
    path.write_bytes(content)
    before = bytes(content)
    try:
        done = repair(folder)
    except LibraryDamaged:
        assert path.read_bytes() == before
        return
    except LibraryTooNew:  # the damage was to the version
        return
    assert examine(folder).sound
    if done.salvage is not None:
        assert done.salvage.kept.read_bytes() == before
    with Library.open(folder, backbone=MeanColour()) as library:
        report = library.index([photos])
        assert (report.photos, report.unreadable) == (40, ())
        assert places(library, photos / "dark" / "05.png") == sorted(photos.rglob("*.png"))


def test_a_photo_that_was_edited_in_place_is_not_said_to_have_been_asked_about(folder, photos, picture):
    edited = next(path for path in sorted(photos.rglob("*")) if path.is_file())
    picture(edited, (1, 99, 201))
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    (others,) = [finding.text for finding in examine(folder).findings if finding.check == "other photos"]
    assert "no indexed folder" not in others
    assert "changed since" in others
