"""Favourites: kept by photo hash, filtered by, backed up, erased."""

import itertools
import json
import sqlite3

import pytest
from click.testing import CliRunner

from vitsearch.cli import cli
from vitsearch.doctor import upkeep
from vitsearch.heads.export_favourites import export_favourites
from vitsearch.heads.xmp import sidecar_path
from vitsearch.photos.xmp import read_xmp
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.filters import Filter
from vitsearch.storage.listing import Listing
from vitsearch.storage.outputs import Output


@pytest.fixture
def colours(library, tmp_path, picture):
    """Three indexed photos, by colour: their ids."""
    for colour in ("red", "green", "blue"):
        picture(tmp_path / f"photos/{colour}.png", colour)
    library.index([tmp_path / "photos"])
    return {row.paths[0].stem: photo for photo, row in library.catalog.photos([1, 2, 3]).items()}


def favourites(library):
    return Favourites(library.catalog.database)


def test_a_favourite_stays_one_when_its_file_moves_and_is_found_by_the_filter(library, tmp_path, colours):
    assert favourites(library).put([colours["red"]], favourite=True) == 1
    (tmp_path / "photos/red.png").rename(tmp_path / "photos/moved.png")
    library.index([tmp_path / "photos"])
    assert favourites(library).ids().tolist() == [colours["red"]]
    assert library.catalog.select(Filter(favourite=True)).tolist() == [colours["red"]]
    others = sorted(photo for colour, photo in colours.items() if colour != "red")
    assert sorted(library.catalog.select(Filter(favourite=False)).tolist()) == others


def test_favourites_come_back_from_a_backup(library, tmp_path, colours):
    favourites(library).put(list(colours.values()), favourite=True)
    assert upkeep.back_up(library, Output(tmp_path / "backup.db", "backup")) == 3
    favourites(library).put(list(colours.values()), favourite=False)
    upkeep.restore(library, tmp_path / "backup.db")
    assert favourites(library).ids().tolist() == sorted(colours.values())


def test_a_backup_of_before_there_were_favourites_is_restored(library, tmp_path, colours):
    upkeep.back_up(library, Output(tmp_path / "backup.db", "backup"))
    with sqlite3.connect(tmp_path / "backup.db") as backup:
        backup.execute("DROP TABLE favourites")
    backup.close()
    favourites(library).put([colours["blue"]], favourite=True)
    upkeep.restore(library, tmp_path / "backup.db")
    assert favourites(library).ids().tolist() == [colours["blue"]]


def test_what_is_erased_is_no_favourite_any_more_not_even_in_a_backup(library, tmp_path, colours):
    favourites(library).put(list(colours.values()), favourite=True)
    from vitsearch.storage.backup import back_up

    back_up(library.catalog.database, library.layout)
    red = library.catalog.database.scalar("SELECT photo_hash FROM photos WHERE id = ?", [colours["red"]])
    upkeep.erase(library, [tmp_path / "photos/red.png"])
    kept = library.catalog.database.rows("SELECT photo_hash FROM favourites")
    assert len(kept) == 2
    assert (red,) not in kept
    backups = sorted(library.layout.backups.glob("*.db"))
    assert backups
    for path in backups:
        with sqlite3.connect(path) as backup:
            assert (red,) not in backup.execute("SELECT photo_hash FROM favourites").fetchall()
        backup.close()


def test_the_command_lists_favourites_and_writes_five_stars_beside_them(library, tmp_path, colours):
    favourites(library).put([colours["red"], colours["blue"]], favourite=True)
    library.close()

    def document(*words, status=0):
        done = CliRunner().invoke(
            cli, ["--library", str(library.layout.folder), "favourites", *map(str, words), "--json"]
        )
        assert done.exit_code == status, done.output
        return json.loads(done.output)

    liked = sorted(str(tmp_path / f"photos/{colour}.png") for colour in ("blue", "red"))
    assert sorted(document("list")["favourites"]) == liked
    assert document("export") == {"changed": 2, "unchanged": 0, "failed": [], "taken_back": 0}
    for colour in ("blue", "red"):
        packet = sidecar_path(tmp_path / f"photos/{colour}.png").read_bytes()
        assert read_xmp(packet).first("xmp:Rating") == "5"
    assert not sidecar_path(tmp_path / "photos/green.png").exists()
    document("remove", tmp_path / "photos/blue.png")
    assert document("export") == {"changed": 0, "unchanged": 1, "failed": [], "taken_back": 1}
    assert read_xmp(sidecar_path(tmp_path / "photos/blue.png").read_bytes()).first("xmp:Rating") is None
    document("add", tmp_path / "photos/blue.png")
    assert document("export") == {"changed": 1, "unchanged": 1, "failed": [], "taken_back": 0}
    sidecar_path(tmp_path / "photos/red.png").write_bytes(b"not XMP")
    again = document("export", status=1)
    assert (again["changed"], again["unchanged"]) == (0, 1)
    assert [failed["path"] for failed in again["failed"]] == [str(tmp_path / "photos/red.png")]


def test_counting_thousands_of_favourites_costs_no_more_than_counting_none(library, colours):
    """SQLite once looked at all present photos for each favourite: minutes, where each costs a thousandth."""
    database = library.catalog.database
    with database.write():
        photos = [(photo, photo.to_bytes(32, "big")) for photo in range(10, 2010)]
        database.run_many(
            "INSERT INTO photos (id, photo_hash, format, width, height) VALUES (?, ?, 'PNG', 1, 1)", photos
        )
        database.run_many(
            "INSERT INTO files (root, path, photo, size, mtime_ns, added_run) VALUES (1, ?, ?, 1, 1, 1)",
            [(f"{photo}.png", photo) for photo, _ in photos],
        )

    def steps():
        counted = itertools.count()
        database.connection.set_progress_handler(lambda: next(counted) and None, 1000)
        facets = Listing(library.catalog).facets()
        database.connection.set_progress_handler(None, 0)
        return next(counted), sum(each.count for each in facets.choices["favourite"])

    before, none = steps()
    favourites(library).put([photo for photo, _ in photos], favourite=True)
    after, all_of_them = steps()
    assert (none, all_of_them) == (0, 2000)
    assert after < 2 * before


@pytest.mark.trust
def test_the_stars_of_a_favourite_do_not_go_to_a_photo_that_has_its_name_by_now(library, tmp_path, colours):
    """Another program has exchanged the names of two photos; the library learns of that with the next run."""
    favourites(library).put([colours["red"]], favourite=True)
    photos = tmp_path / "photos"
    (photos / "red.png").rename(photos / "once red.png")
    (photos / "green.png").rename(photos / "red.png")
    (photos / "once red.png").rename(photos / "green.png")
    report = export_favourites(library)
    assert [failed.path for failed in report.failed] == [photos / "red.png"]
    assert (report.changed, sorted(photos.glob("*.xmp"))) == (0, [])
    library.index()
    report = export_favourites(library)
    assert (report.changed, report.failed) == (1, ())
    assert [path.name for path in photos.glob("*.xmp")] == ["green.png.xmp"]
