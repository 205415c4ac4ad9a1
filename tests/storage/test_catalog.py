"""What the library stores and how: transactions, paths, filters, generations, photos without a place."""

import os
import sqlite3
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.errors import BadQuery, LibraryBusy, LibraryMissing
from vitsearch.library import Library
from vitsearch.space import Space
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database, path_to_value, value_to_path
from vitsearch.storage.filters import Filter


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(6):
        picture(tmp_path / "photos" / f"{number}.png", (40 * number, 100, 250 - 40 * number))
    return tmp_path / "photos"


@pytest.fixture
def database(synced, tmp_path):
    opened = Database.open(tmp_path / "library.db", create=True)
    yield opened
    opened.close()


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=4))
def test_every_path_comes_back_as_it_was_stored(parts):
    path = "/".join(os.fsdecode(part.replace(b"\0", b"x").replace(b"/", b"y")) for part in parts)
    connection = sqlite3.connect(":memory:")
    try:
        stored = connection.execute("SELECT ?", [path_to_value(path)]).fetchone()[0]
    finally:
        connection.close()
    assert value_to_path(stored) == path


def test_a_readable_name_is_stored_as_text_that_a_person_can_query():
    assert path_to_value("2024/Zürich/日本.jpg") == "2024/Zürich/日本.jpg"


def test_a_new_database_has_its_marks_and_sound_settings(database):
    assert database.scalar("PRAGMA user_version") == 9
    assert database.scalar("PRAGMA application_id") == 0x76697473
    assert database.scalar("PRAGMA foreign_keys") == 1
    assert database.scalar("PRAGMA journal_mode") == "delete"
    assert database.scalar("PRAGMA synchronous") == 3


def test_a_write_is_all_or_nothing(database):
    def interrupted():
        with database.write():
            database.run("INSERT INTO roots (path) VALUES ('/a')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert database.rows("SELECT path FROM roots") == []
    with database.write():
        database.run("INSERT INTO roots (path) VALUES ('/b')")
    assert database.rows("SELECT path FROM roots") == [("/b",)]


def test_a_database_that_another_process_has_locked_is_busy_and_not_damaged(database, tmp_path):
    path = tmp_path / "library.db"
    second = Database.open(path, timeout=0.05)
    try:
        with database.write():
            database.run("INSERT INTO roots (path) VALUES ('/a')")
            assert second.rows("SELECT path FROM roots") == []  # readers do not wait for a writer
            with pytest.raises(LibraryBusy) as caught, second.write():
                pass
        assert str(caught.value) == f"{path} is in use by another process: try again when it has finished"
        assert second.rows("SELECT path FROM roots") == [("/a",)]
    finally:
        second.close()


def test_opening_what_is_not_there_makes_nothing(tmp_path):
    with pytest.raises(LibraryMissing):
        Database.open(tmp_path / "library.db")
    assert list(tmp_path.iterdir()) == []


def test_a_space_comes_back_from_its_text():
    space = MeanColour().space
    assert Space.from_json(space.to_json()) == space
    assert space.to_json() == MeanColour().space.to_json()


def test_the_generation_changes_exactly_when_the_vectors_do(library, photos, picture):
    library.index([photos])
    seen = [library.catalog.generation(1)]

    def after(change):
        change()
        library.index()
        seen.append(library.catalog.generation(1))
        return seen[-1] == seen[-2]

    assert after(lambda: None)
    assert after(lambda: (photos / "0.png").rename(photos / "renamed.png"))
    assert after(lambda: (photos / "copy.png").write_bytes((photos / "1.png").read_bytes()))
    assert after(lambda: (photos / "2.png").unlink())
    assert not after(lambda: picture(photos / "new.png", "red"))
    assert not after(lambda: library.index(prune=True))
    assert len(set(seen)) == 3


def test_any_number_of_photos_is_looked_up_at_once(library, photos):
    library.index([photos])
    wanted = [*range(5000), 3, 3]
    assert sorted(library.catalog.photos(wanted)) == [1, 2, 3, 4, 5, 6]
    ids, rows = library.catalog.vectors(1, 13, np.arange(5000))
    assert (sorted(ids), rows.shape) == ([1, 2, 3, 4, 5, 6], (6, 13))
    assert library.catalog.photos([]) == {}
    ids, rows = library.catalog.vectors(1, 13, np.array([], np.int64))
    assert (len(ids), rows.shape) == (0, (0, 13))


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE photos; --",
        '" OR 1=1',
        "%",
        "_",
        "\\",
        "\0",
        "\udcff".encode("utf-8", "replace").decode(),
    ],
)
def test_a_filter_is_never_read_as_sql(library, photos, text):
    library.index([photos])
    for criteria in (Filter(camera=text), Filter(after=text), Filter(before=text)):
        assert set(library.catalog.select(criteria)) <= {1, 2, 3, 4, 5, 6}
    assert len(library.catalog.select(Filter())) == 6
    assert not Filter()
    assert Filter(camera="x")


def test_a_photo_embedded_without_a_place_is_not_offered_and_costs_nothing_once_it_has_one(
    library, backbone, photos, tmp_path, picture
):
    library.index([photos])
    guest = picture(tmp_path / "elsewhere/guest.png", "red")
    embedded = library.embed_files([guest, photos / "0.png", tmp_path / "none.png"])
    assert set(embedded.photos) == {guest, photos / "0.png"}
    assert [(item.path, item.reason) for item in embedded.unreadable] == [
        (tmp_path / "none.png", "No such file or directory")
    ]
    assert backbone.embedded == 7
    assert places(library, guest) == sorted(photos.iterdir())
    assert backbone.embedded == 8  # a query from elsewhere is looked at as one
    assert library.status().photos == 6
    assert figures(library.index([guest.parent])) == {"photos": 1, "files": 1}
    assert backbone.embedded == 8
    assert places(library, guest) == sorted([guest, *photos.iterdir()])


def test_a_photo_without_a_place_goes_with_the_next_prune(library, photos, tmp_path, picture):
    library.index([photos])
    library.embed_files([picture(tmp_path / "elsewhere/guest.png", "red")])
    assert library.catalog.count_vectors(1) == 7
    library.index()
    assert library.catalog.count_vectors(1) == 7
    assert library.index(prune=True).pruned == 1
    assert library.catalog.count_vectors(1) == 6


def test_a_photo_without_a_place_counts_nowhere_and_no_score_is_put_against_it(
    library, photos, tmp_path, picture
):
    def asked():
        found = library.search(photos / "0.png", k=3)
        return library.status().vectors, found.matches_above, [match.percentile for match in found.results]

    library.index([photos])
    before = asked()
    guests = [picture(tmp_path / f"guests/{red}.png", (red, 0, 0)) for red in range(0, 250, 10)]
    library.embed_files(guests)
    assert library.catalog.count_vectors(1) == 31
    assert asked() == before
    # From when on they have a place, they do, though nothing is embedded for that.
    assert figures(library.index([tmp_path / "guests"])) == {"photos": 25, "files": 25}
    with_guests = asked()
    assert with_guests[0] == 31
    with Library.open(tmp_path / "anew", backbone=MeanColour()) as other:
        other.index([photos, tmp_path / "guests"])
        found = other.search(photos / "0.png", k=3)
    assert with_guests[1:] == (found.matches_above, [match.percentile for match in found.results])


def test_the_truth_is_one_plain_sqlite_file(library, photos):
    library.index([photos])
    library.close()
    connection = sqlite3.connect(f"file:{library.folder / 'library.db'}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        paths = connection.execute("SELECT path FROM files ORDER BY path").fetchall()
        assert paths == [(f"{number}.png",) for number in range(6)]
        (blob,) = connection.execute("SELECT vector FROM vectors WHERE photo = 1").fetchone()
    finally:
        connection.close()
    assert np.linalg.norm(np.frombuffer(blob, "<f2").astype(np.float32)) == pytest.approx(1, abs=1e-3)
    assert sorted(path.name for path in library.folder.iterdir()) == [
        ".vitsearch",
        "index.lock",
        "library.db",
    ]


def test_a_catalog_can_be_read_while_the_library_is_open_elsewhere(library, photos):
    library.index([photos])
    second = Database.open(library.folder / "library.db")
    try:
        assert [root.path for root in Catalog(second).roots()] == [photos]
    finally:
        second.close()
    with Library.open(library.folder) as other:
        assert other.status() == library.status()


def test_a_path_is_the_same_file_in_every_locale():
    code = (
        "import os, sys\n"
        "from vitsearch.storage.database import path_to_value, value_to_path\n"
        "names = [b'K\\xc3\\xa4se/\\xf0\\x9f\\x93\\xb7.jpg', b'K\\xe4se.jpg', b'plain.jpg']\n"
        "values = [path_to_value(os.fsdecode(name)) for name in names]\n"
        "assert [os.fsencode(value_to_path(value)) for value in values] == names\n"
        "print(sys.getfilesystemencoding(), ascii(values))"
    )
    seen = {}
    for mode in ("1", "0"):
        environment = {**os.environ, "PYTHONUTF8": mode, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        encoding, _, values = done.stdout.strip().partition(" ")
        seen[encoding] = values
    assert len(set(seen.values())) == 1
    assert "b'K\\xe4se.jpg'" in next(iter(seen.values()))


@pytest.mark.parametrize("name", ["after", "before", "camera", "keyword"])
def test_a_filter_that_is_not_given_asks_nothing(name):
    given: dict[str, Any] = {name: "2024"}
    empty: dict[str, Any] = {name: ""}
    (condition,), (value,) = Filter(**given).about_photos()
    assert (condition.count("?"), value) == (1, "2024")
    assert Filter(**empty).about_photos() == ([], [])


def test_folders_of_a_filter_may_be_text_relative_or_one_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given: list[Any] = ["a", ["a"], tmp_path / "a"]  # what is typed as paths is taken as people write it
    for folders in given:
        assert Filter(folders).folders == (tmp_path / "a",)


def test_every_filter_is_an_option_of_the_command_line_and_of_the_page():
    import dataclasses

    from vitsearch.cli.filter_options import _OPTIONS
    from vitsearch.storage.filters import FACETS
    from vitsearch.web.filters import CONTROLS

    names = {field.name for field in dataclasses.fields(Filter)}
    assert set(_OPTIONS) == names
    assert set(CONTROLS) == names - {"folders"} | {"folder"}
    assert {name for name, control in CONTROLS.items() if control.kind in ("list", "switch")} == set(FACETS)


@pytest.mark.parametrize(
    "where",
    [Filter(keyword="sea"), Filter(rating=1), Filter(place="48.2,16.4"), Filter(favourite=True)],
    ids=lambda where: where.asked()[0],
)
def test_a_store_refuses_by_name_a_filter_on_what_no_store_holds(where):
    from vitsearch.searching.store import check_held

    with pytest.raises(BadQuery, match=f"leave --{where.asked()[0]} away"):
        check_held(where)


def test_a_store_takes_the_filters_on_what_stores_hold(tmp_path):
    from vitsearch.searching.store import check_held

    check_held(Filter(folders=(tmp_path,), after="2020", before="2024", camera="canon"))
