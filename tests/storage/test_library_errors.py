"""Libraries that cannot be used as they are: one clear line each, and nothing lost."""

import os
import random
import shutil
import sqlite3
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.earlier_formats import as_format_1
from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.errors import (
    LibraryBusy,
    LibraryDamaged,
    LibraryError,
    LibraryMissing,
    LibraryTooNew,
    SpaceMismatch,
    VitsearchError,
)
from vitsearch.library import Library
from vitsearch.photos.photo import read_photo
from vitsearch.space import Preprocessing
from vitsearch.storage.database import Database
from vitsearch.storage.filters import Filter

COLOURS = ["red", "lime", "blue", "white", "yellow", "cyan"]


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path, photos):
    """The folder of a closed library of six photos."""
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    return tmp_path / "library"


def change(folder, sql):
    connection = sqlite3.connect(folder / "library.db")
    connection.executescript(sql)
    connection.close()


def refusals(folder, photos):
    """The messages with which searching, indexing and status are refused: the same one for all, on one line."""
    messages = set()
    for attempt in (
        lambda library: library.search(photos / "red.png"),
        lambda library: library.index([photos]),
        lambda library: library.status(),
        lambda library: library.roots(),
    ):
        with Library.open(folder, backbone=MeanColour()) as library, pytest.raises(LibraryError) as caught:
            attempt(library)
        messages.add((type(caught.value), str(caught.value)))
    (message,) = messages
    assert "\n" not in message[1]
    return message


def test_where_there_is_no_library_a_question_says_so_and_makes_none(tmp_path, photos):
    folder = tmp_path / "nowhere"
    for question in (
        lambda library: library.search(photos / "red.png"),
        lambda library: library.status(),
        lambda library: library.roots(),
        lambda library: library.catalog,
    ):
        with Library.open(folder) as library, pytest.raises(LibraryMissing) as caught:
            question(library)
        assert str(caught.value) == f"there is no library in {folder}: make one with `vitsearch index FOLDER`"
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"not a database" * 1000, bytes(8192), os.urandom(30_000)])
def test_garbage_in_place_of_the_database_is_damage_and_is_left_as_it_is(folder, photos, content):
    (folder / "library.db").write_bytes(content)
    kind, message = refusals(folder, photos)
    assert (kind, message) == (
        LibraryDamaged,
        f"{folder / 'library.db'} is damaged (file is not a database): run `vitsearch doctor`",
    )
    assert (folder / "library.db").read_bytes() == content


@pytest.mark.parametrize("version", [0, 1, 7])
def test_a_database_of_another_program_is_refused_and_left_as_it_is(folder, photos, version):
    (folder / "library.db").unlink()
    change(folder, f"CREATE TABLE albums (name TEXT); PRAGMA user_version = {version};")
    before = (folder / "library.db").read_bytes()
    assert refusals(folder, photos) == (
        LibraryDamaged,
        f"{folder / 'library.db'} is an SQLite database but not a vitsearch library",
    )
    assert (folder / "library.db").read_bytes() == before


def test_a_library_of_a_later_version_is_refused_and_left_as_it_is(folder, photos):
    change(folder, "PRAGMA user_version = 99")
    before = (folder / "library.db").read_bytes()
    kind, message = refusals(folder, photos)
    assert kind is LibraryTooNew
    assert message == (
        f"{folder / 'library.db'} was written by a later version of vitsearch (format 99, this one reads 9): "
        "upgrade with `pip install -U vitsearch`"
    )
    assert (folder / "library.db").read_bytes() == before


def test_a_folder_in_place_of_the_database_is_refused(folder, photos):
    (folder / "library.db").unlink()
    (folder / "library.db").mkdir()
    kind, message = refusals(folder, photos)
    assert (kind, message) == (
        LibraryError,
        f"cannot write to {folder / 'library.db'}: check its permissions, or choose --library",
    )


def test_an_empty_database_file_as_a_full_disk_leaves_it_becomes_a_library(folder, photos):
    (folder / "library.db").write_bytes(b"")
    with Library.open(folder, backbone=MeanColour()) as library:
        with pytest.raises(LibraryMissing, match="holds no photos yet"):
            library.search(photos / "red.png")
        assert figures(library.index([photos])) == {"photos": 6, "files": 6, "embedded": 6}


@pytest.mark.parametrize("where", ["the file", "below a file"])
def test_a_library_folder_that_is_a_file_is_refused(tmp_path, photos, where):
    file = tmp_path / "file"
    file.write_text("mine")
    folder = file if where == "the file" else file / "library"
    with Library.open(folder, backbone=MeanColour()) as library, pytest.raises(LibraryError) as caught:
        library.index([photos])
    assert str(caught.value).startswith(f"cannot make the folder {folder}: ")
    assert file.read_text() == "mine"


def test_a_read_only_library_answers_questions_and_refuses_changes(own_folder, picture):
    photos = own_folder / "photos"
    for colour in COLOURS:
        picture(photos / f"{colour}.png", colour)
    folder = own_folder / "library"
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index([photos])
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    with Library.open(folder, backbone=MeanColour()) as library:
        assert places(library, photos / "red.png") == sorted(photos.iterdir())
        assert library.status().photos == 6
        for change in (library.index, lambda: library.forget_root(photos)):
            with pytest.raises(LibraryError, match="cannot write to"):
                change()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(folder / ".vitsearch" / "neighbours")
    folder.chmod(0o500)
    with Library.open(folder, backbone=MeanColour()) as library:
        assert places(library, photos / "red.png") == sorted(photos.iterdir())
    folder.chmod(0o700)


def test_another_model_is_refused_before_anything_is_changed(folder, photos, picture):
    picture(photos / "new.png", "pink")
    before = (folder / "library.db").read_bytes()
    with Library.open(folder, backbone=MeanColour(model="other")) as library:
        with pytest.raises(SpaceMismatch) as caught:
            library.index()
        assert str(caught.value) == (
            f"the library in {folder} was indexed with mean-colour, not other: use its own model"
        )
        with pytest.raises(SpaceMismatch, match="was indexed with mean-colour, not other"):
            library.search(photos / "new.png")
    assert (folder / "library.db").read_bytes() == before


@pytest.mark.parametrize(
    "difference",
    [
        {"fingerprint": "1" * 64},
        {"preprocessing": Preprocessing(8, 8, 8, "crop", 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))},
        {"readout": "cls"},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_other_weights_or_preprocessing_of_the_same_model_are_refused(folder, photos, picture, difference):
    picture(photos / "new.png", "pink")
    backbone = MeanColour()
    backbone.space = replace(backbone.space, **difference)
    for attempt in (lambda library: library.index(), lambda library: library.search(photos / "new.png")):
        with Library.open(folder, backbone=backbone) as library, pytest.raises(SpaceMismatch) as caught:
            attempt(library)
        assert str(caught.value).startswith(
            f"the library in {folder} was indexed with other weights or preprocessing of mean-colour"
        )
    assert backbone.batches == []


def cache_files(folder):
    return sorted(path for path in (folder / ".vitsearch" / "neighbours").rglob("*") if path.is_file())


def damage(kind, folder):
    """Bring a search cache into a state in which it must not be believed."""
    source = random.Random(5)
    if kind == "deleted":
        shutil.rmtree(folder / ".vitsearch" / "neighbours")
    elif kind == "a file in its place":
        shutil.rmtree(folder / ".vitsearch" / "neighbours")
        (folder / ".vitsearch" / "neighbours").write_text("not a folder")
    for path in cache_files(folder) if (folder / ".vitsearch" / "neighbours").is_dir() else ():
        if kind == "emptied":
            path.write_bytes(b"")
        elif kind == "cut short":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif kind == "random bytes":
            path.write_bytes(source.randbytes(path.stat().st_size))
        elif kind == "no manifest" and path.suffix == ".json":
            path.unlink()
        elif kind == "manifest of another kind" and path.suffix == ".json":
            path.write_text("[1, 2, 3]")


@pytest.mark.parametrize(
    "kind",
    [
        "deleted",
        "a file in its place",
        "emptied",
        "cut short",
        "random bytes",
        "no manifest",
        "manifest of another kind",
    ],
)
def test_a_damaged_search_cache_is_rebuilt_from_the_library(folder, photos, kind):
    with Library.open(folder) as library:
        expected = library.search(photos / "red.png", include_self=True)
    damage(kind, folder)
    with Library.open(folder) as library:
        assert library.search(photos / "red.png", include_self=True) == expected
        assert library.status().cache_current == (kind != "a file in its place")
    with Library.open(folder) as library:
        assert library.search(photos / "red.png", include_self=True) == expected


def test_a_search_cache_that_is_behind_catches_up(folder, photos, tmp_path, picture):
    shutil.copytree(folder / ".vitsearch" / "neighbours", tmp_path / "old cache")
    (photos / "cyan.png").unlink()
    picture(photos / "pink.png", "pink")
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index(prune=True)
        expected = library.search(photos / "red.png", include_self=True)
    shutil.rmtree(folder / ".vitsearch" / "neighbours")
    shutil.copytree(tmp_path / "old cache", folder / ".vitsearch" / "neighbours")
    with Library.open(folder) as library:
        assert not library.status().cache_current
        assert library.search(photos / "red.png", include_self=True) == expected
        assert library.status().cache_current


def test_a_cache_that_was_left_behind_by_another_library_is_never_believed(folder, tmp_path, picture):
    (folder / "library.db").unlink()
    others = tmp_path / "others"
    for number in range(6):
        picture(others / f"{number}.png", (40 * number, 100, 250 - 40 * number))
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index([others])
        assert_search_is_exact(library, others)


def test_a_library_restored_from_an_older_copy_never_believes_a_newer_cache(
    folder, tmp_path, photos, picture
):
    shutil.copy(folder / "library.db", tmp_path / "backup.db")
    for name, colour in (("a", "pink"), ("b", "navy")):
        picture(photos / f"{name}.png", colour)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
    shutil.copy(tmp_path / "backup.db", folder / "library.db")
    for name, colour in (("a", "olive"), ("b", "teal")):
        picture(photos / f"{name}.png", colour)
    with Library.open(folder, backbone=MeanColour()) as library:
        library.index()
        assert_search_is_exact(library, photos)


def assert_search_is_exact(library, photos):
    backbone = MeanColour()
    for query in photos.iterdir():
        matches = library.search(query, include_self=True, k=100).results
        assert sorted(match.path for match in matches) == sorted(photos.iterdir())
        vectors = {match.path: vector(backbone, match.path) for match in matches}
        for match in matches:
            assert match.score == pytest.approx(float(vectors[query] @ vectors[match.path]), abs=2e-3)


def vector(backbone, path):
    return backbone.embed_batch(backbone.prepare(read_photo(path).pixels())[None]).rows[0]


def test_a_cache_that_cannot_be_written_costs_an_index_run_one_line_and_a_search_nothing(
    folder, photos, picture
):
    shutil.rmtree(folder / ".vitsearch" / "neighbours")
    (folder / ".vitsearch" / "neighbours").write_text("not a folder")
    picture(photos / "pink.png", "pink")
    with Library.open(folder, backbone=MeanColour()) as library:
        with pytest.raises(LibraryError, match=r"cannot write the search cache to .*; make room there"):
            library.index()
        assert places(library, photos / "red.png") == sorted(photos.iterdir())
    (folder / ".vitsearch" / "neighbours").unlink()
    with Library.open(folder, backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 7, "files": 7, "unchanged": 7}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "vector_sql",
    ["x'00'", "zeroblob(26)", "'text'", f"x'{'003c' * 13}'", f"x'{'007c' * 13}'"],
    ids=["too short", "zeros", "text", "ones", "infinite"],
)
def test_a_damaged_vector_is_damage_and_not_a_wrong_answer(folder, photos, vector_sql):
    shutil.rmtree(folder / ".vitsearch" / "neighbours")
    change(folder, f"UPDATE vectors SET vector = {vector_sql} WHERE id = 3")
    with (
        Library.open(folder, backbone=MeanColour()) as library,
        pytest.raises(LibraryDamaged, match="vitsearch doctor"),
    ):
        library.search(photos / "red.png")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"preprocessing": {}}', "\\udcff"])
def test_a_damaged_model_description_is_damage(folder, photos, text):
    change(folder, f"UPDATE spaces SET description = '{text}'")
    kind, message = refusals_of_search(folder, photos)
    assert (kind, message) == (
        LibraryDamaged,
        f"{folder / 'library.db'} is damaged (a model's description): run `vitsearch doctor`",
    )


def refusals_of_search(folder, photos):
    with Library.open(folder, backbone=MeanColour()) as library, pytest.raises(LibraryError) as caught:
        library.search(photos / "red.png")
    return type(caught.value), str(caught.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(40))
def test_a_mutated_database_ends_in_a_clear_line_or_an_answer(folder, photos, seed):
    source = random.Random(seed)
    data = bytearray((folder / "library.db").read_bytes())
    how = seed % 4
    if how == 0:
        del data[source.randrange(len(data)) :]
    elif how == 1:
        data[source.randrange(100)] = source.randrange(256)
    elif how == 2:
        for _ in range(20):
            data[source.randrange(len(data))] = source.randrange(256)
    else:
        page = source.randrange(len(data) // 8192) * 8192
        data[page : page + 8192] = source.randbytes(8192)
    (folder / "library.db").write_bytes(data)
    if source.random() < 0.5:
        shutil.rmtree(folder / ".vitsearch" / "neighbours")
    with Library.open(folder, backbone=MeanColour()) as library:
        for question in (
            lambda: library.search(photos / "red.png", where=Filter(after="1990"), include_self=True),
            library.status,
            library.index,
        ):
            with suppress(VitsearchError):
                question()


def test_an_older_library_is_backed_up_and_upgraded_and_answers_the_same(folder, photos):
    query = photos / "red.png"
    with Library.open(folder, backbone=MeanColour()) as library:
        answer = library.search(query, include_self=True)
    as_format_1(folder / "library.db")
    before = contents(folder / "library.db")
    with Library.open(folder, backbone=MeanColour()) as library:
        assert library.status().photos == 6
        assert library.search(query, include_self=True) == answer
    assert contents(folder / ".vitsearch/backups/library.db.format-1") == before
    with Library.open(folder, backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 6}


def open_overtaken(path):
    """Open a library that another process opens too, right after this one has looked which version it is."""
    looked: list[str] = []

    class Overtaken(sqlite3.Connection):
        def execute(self, sql, *parameters):
            if looked == ["ours"]:
                looked.append("theirs")
                Database.open(path).close()
            if not looked and "user_version" in sql:
                looked.append("ours")
            return super().execute(sql, *parameters)

    with pytest.MonkeyPatch.context() as patch:
        connect = sqlite3.connect
        patch.setattr(sqlite3, "connect", lambda *a, **options: connect(*a, factory=Overtaken, **options))
        Database.open(path, create=True).close()
    assert looked == ["ours", "theirs"]


def test_a_library_that_another_process_makes_meanwhile_is_one(tmp_path):
    open_overtaken(tmp_path / "library.db")


def test_the_backup_of_an_older_library_is_of_what_was_there_before_another_process_upgraded_it(folder):
    as_format_1(folder / "library.db")
    before = contents(folder / "library.db")
    open_overtaken(folder / "library.db")
    assert contents(folder / ".vitsearch/backups/library.db.format-1") == before


def contents(path):
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def test_several_may_create_a_library_at_once(tmp_path, photos):
    problems = []

    def make():
        try:
            with Library.open(tmp_path / "library") as library:
                library.folder.mkdir(parents=True, exist_ok=True)
                library._catalog(create=True).roots()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index([photos]).photos == 6


def test_a_closed_library_may_be_used_again_and_leaves_no_files_open(folder, photos):
    library = Library.open(folder)
    expected = library.search(photos / "red.png")
    library.close()
    before = open_files(folder)
    assert library.search(photos / "red.png") == expected
    library.close()
    library.close()
    assert before == open_files(folder) == []


def open_files(folder):
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sorted(path.readlink() for path in links if path.readlink().is_relative_to(folder))


def test_vectors_are_read_back_as_they_were_stored(folder):
    with Library.open(folder) as library:
        space_id, space = library.catalog.require_space()
        ids = library.catalog.embedded_ids(space_id)
        given, rows = library.catalog.vectors(space_id, space.dimension, ids[::-1])
        batches = list(library.catalog.vector_batches(space_id, space.dimension, batch=4))
        assert [len(each) for each, _ in batches] == [4, 2]
        together = (
            np.concatenate([each for each, _ in batches]),
            np.concatenate([each for _, each in batches]),
        )
        order = np.argsort(given)
        np.testing.assert_array_equal(together[0], given[order])
        np.testing.assert_array_equal(together[1], rows[order])


@pytest.mark.parametrize(
    ("table", "column", "other"),
    [
        ("photos", "latitude REAL", "`latitude\nREAL\x1b[31m"),
        ("spaces", "id INTEGER PRIMARY KEY", "id TEXT"),
    ],
)
def test_a_damaged_schema_is_one_clear_line(folder, photos, table, column, other):
    connection = sqlite3.connect(folder / "library.db")
    connection.execute("PRAGMA writable_schema = ON")
    changed = connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ? AND instr(sql, ?)",
        (column, other, table, column),
    )
    assert changed.rowcount == 1
    connection.commit()
    connection.close()
    with (
        pytest.raises(LibraryDamaged, match=r"is damaged .*run `vitsearch doctor`") as caught,
        Library.open(folder, backbone=MeanColour()) as library,
    ):
        library.search(photos / "red.png")
    assert str(caught.value).isprintable()


def test_photos_that_another_command_has_removed_meanwhile_are_no_damage(folder, photos):
    with Library.open(folder) as mine, Library.open(folder) as other:
        photo = int(mine.catalog.select(Filter())[0])
        with other.catalog.database.write():
            other.catalog.database.run("DELETE FROM files WHERE photo = ?", [photo])
            other.catalog.database.run("DELETE FROM photos WHERE id = ?", [photo])
        with (
            pytest.raises(
                LibraryBusy, match=r"another command has removed photos from .*: run this one again"
            ),
            mine.catalog.database.write(),
        ):
            mine.catalog.database.run(
                "INSERT INTO photo_labels VALUES ('head', ?, 'label', 0.5, 1, 0)", [photo]
            )
        assert mine.catalog.database.scalar("SELECT count(*) FROM photo_labels") == 0
