"""What is not seen is not gone: drives, networks and permissions that come and go cost no photo and no decision."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from tests.support.earlier_formats import as_format_1
from tests.support.mean_colour import MeanColour
from tests.support.mounts import Mounts
from tests.support.summaries import figures, places
from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import LibraryError
from vitsearch.folders.file_system import FileSystems
from vitsearch.library import Library

pytestmark = pytest.mark.trust

COLOURS = ("red", "lime", "blue", "yellow", "cyan", "magenta", "white", "gray", "navy", "olive")


@pytest.fixture
def mounts():
    made = Mounts()
    yield made
    made.close()


@pytest.fixture
def photos(tmp_path, picture):
    picture(tmp_path / "photos/own.png", "black")
    return tmp_path / "photos"


def fill(folder, picture, colours=COLOURS):
    for colour in colours:
        picture(folder / f"{colour}.png", colour)


def put_back(folder, kept):
    """Fill a folder as it was, times included."""
    for path in kept.iterdir():
        shutil.copy2(path, folder / path.name)


@pytest.mark.parametrize("kind", ["a drive", "a folder of the same drive"])
def test_a_mount_point_inside_a_root_that_is_empty_for_a_while_costs_nothing(
    library, backbone, mounts, photos, picture, tmp_path, kind
):
    drive, kept = photos / "drive", tmp_path / "kept"
    drive.mkdir()
    fill(kept, picture)
    mounts.drive(drive) if kind == "a drive" else mounts.bind(kept, drive)
    if kind == "a drive":
        put_back(drive, kept)
    assert figures(library.index([photos])) == {"photos": 11, "files": 11, "embedded": 11}
    mounts.unmount(drive)
    for prune in (False, True):
        report = library.index(prune=prune)
        assert figures(report) == {"photos": 1, "files": 1, "unchanged": 1, "offline": 10}
        assert report.offline_roots == (drive,)
    assert places(library, photos / "own.png") == [photos / "own.png"]
    assert library.status().vectors == 11
    if kind == "a drive":
        mounts.drive(drive)  # another one: what comes back is known by its content
        put_back(drive, kept)
    else:
        mounts.bind(kept, drive)
    assert figures(library.index(prune=True)) == {"photos": 11, "files": 11, "unchanged": 11}
    assert backbone.embedded == 11


def test_another_drive_in_its_place_says_nothing_of_the_photos_of_the_first(library, mounts, photos, picture):
    drive = photos / "drive"
    drive.mkdir()
    mounts.drive(drive)
    fill(drive, picture, COLOURS[:3])
    library.index([photos])
    mounts.unmount(drive)
    mounts.drive(drive)
    picture(drive / "of another.png", "purple")
    report = library.index(prune=True)
    assert figures(report) == {"photos": 2, "files": 2, "embedded": 1, "unchanged": 1, "offline": 3}
    assert library.status().vectors == 5


def test_what_is_deleted_on_a_drive_is_gone_once_the_drive_is_seen_to_lack_it(
    library, mounts, photos, picture
):
    drive = photos / "drive"
    drive.mkdir()
    mounts.drive(drive)
    fill(drive / "trip/one", picture, COLOURS[:3])
    library.index([photos])
    (drive / "trip/one/red.png").unlink()
    assert figures(library.index(prune=True)) == {"photos": 3, "files": 3, "unchanged": 3, "pruned": 1}
    shutil.rmtree(drive / "trip")
    assert figures(library.index(prune=True)) == {"photos": 1, "files": 1, "unchanged": 1, "pruned": 2}


def test_a_folder_that_can_be_listed_and_not_read_loses_nothing(own_folder, backbone, picture):
    photos = own_folder / "photos"
    fill(photos / "trip", picture)
    picture(photos / "own.png", "black")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        library.index([photos])
        (photos / "trip").chmod(0o400)
        report = library.index(prune=True)
        assert (report.missing, report.pruned, report.offline) == (0, 0, 0)
        assert {item.reason for item in report.unreadable} == {"Permission denied"}
        (photos / "trip").chmod(0o700)
        assert figures(library.index()) == {"photos": 11, "files": 11, "unchanged": 11}
    assert backbone.embedded == 11


def test_a_photo_without_an_images_name_that_may_not_be_opened_is_not_gone(own_folder, backbone, picture):
    photo = picture(own_folder / "photos/a.png", "red").rename(own_folder / "photos/IMG_0001")
    picture(own_folder / "photos/b.png", "blue")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        library.index([own_folder / "photos"])
        photo.chmod(0)
        report = library.index(prune=True)
        assert (report.files, report.missing, report.pruned) == (2, 0, 0)


class Disturbed(MeanColour):
    """Does something when the first photos are embedded: the walk is over by then."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def embed_batch(self, pixels):
        if len(pixels) and self.action is not None:
            action, self.action = self.action, None
            action()
        return super().embed_batch(pixels)


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_drive_that_goes_while_the_run_is_at_work_costs_nothing(tmp_path, photos, picture, left):
    """Its own walk is over, or another root's photos are being embedded: it is looked at again at the end."""
    drive, home = tmp_path / "drive", tmp_path / "home"
    fill(drive, picture)
    fill(home, picture, ("pink",))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([drive, home])
    (drive / "red.png").rename(tmp_path / "moved aside.png")
    picture(home / "new.png", "brown")

    def unmount():
        drive.rename(tmp_path / "away")
        if left == "an empty folder":
            drive.mkdir()

    with Library.open(tmp_path / "library", backbone=Disturbed(unmount)) as library:
        with pytest.raises(
            LibraryError, match="absent or empty, perhaps an unmounted drive: nothing was pruned"
        ):
            library.index(prune=True)
        assert library.status().vectors == 12
        assert [root.missing for root in library.roots()] == [0, 0]
        if left == "an empty folder":
            drive.rmdir()
        (tmp_path / "away").rename(drive)
        (tmp_path / "moved aside.png").rename(drive / "red.png")
        assert figures(library.index()) == {"photos": 12, "files": 12, "unchanged": 12}


def test_an_outage_while_new_photos_are_read_is_over_with_the_next_run(tmp_path, picture):
    photos = tmp_path / "photos"
    fill(photos / "trip", picture)
    picture(photos / "own.png", "black")
    (photos / "trip/broken.png").write_bytes(b"not an image")
    away = Disturbed(lambda: (photos / "trip").rename(tmp_path / "away"))
    with Library.open(tmp_path / "library", backbone=away) as library:
        report = library.index([photos], workers=1)
        lost = [item for item in report.unreadable if item.reason == "No such file or directory"]
        assert len(lost) >= 2
        (tmp_path / "away").rename(photos / "trip")
        report = library.index()
        assert [item.path.name for item in report.unreadable] == ["broken.png"]
        assert report.files == 11
        # The content of a file is not read again until it changes; and what was not read is not unchanged.
        assert figures(library.index()) == {"photos": 11, "files": 11, "unchanged": 11, "unreadable": 1}


def test_a_known_photo_that_cannot_be_read_for_a_moment_keeps_its_photo(own_folder, backbone, picture):
    photo = picture(own_folder / "photos/a.png", "red")
    picture(own_folder / "photos/b.png", "blue")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        library.index([photo.parent])
        os.utime(photo, ns=(1, 1))  # as a backup program leaves it
        photo.chmod(0)
        report = library.index()
        assert figures(report) == {"photos": 2, "files": 2, "unchanged": 1, "unreadable": 1}
        assert report.unreadable[0].reason == "Permission denied"
        assert places(library, photo.parent / "b.png") == [photo, photo.parent / "b.png"]
        photo.chmod(0o600)
        assert figures(library.index()) == {"photos": 2, "files": 2, "unchanged": 1}
    assert backbone.embedded == 2


def test_a_decoder_that_the_system_kills_costs_no_photo_for_good(tmp_path, picture, monkeypatch):
    photo = picture(tmp_path / "photos/a.jpg", "red")
    photo.write_bytes(photo.read_bytes() + b"KILL")
    with monkeypatch.context() as patch, Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        patch.setitem(Decoders.__init__.__kwdefaults__, "program", "tests.support.hostile_decoder")
        (unread,) = library.index([photo.parent]).unreadable
        assert unread.reason == "the system ended the decoder on it, as when there is too little memory"
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 1, "files": 1, "embedded": 1}


def test_prune_looks_again_at_what_an_earlier_run_took_for_missing(
    library, photos, picture, tmp_path, mounts
):
    drive = photos / "drive"
    drive.mkdir()
    mounts.drive(drive)
    fill(drive, picture, COLOURS[:3])
    library.index([photos])
    mounts.unmount(drive)
    with library.catalog.database.write():  # as a version did that knew nothing of file systems
        library.catalog.database.run("UPDATE files SET missing = 1 WHERE path LIKE 'drive/%'")
        library.catalog.database.run("UPDATE files SET file_system = NULL")
    report = library.index(prune=True)
    assert (report.pruned, report.offline) == (0, 3)


def test_a_library_of_the_first_format_is_upgraded_and_its_unreadable_files_are_tried_once_more(
    library, backbone, photos, picture
):
    broken = photos / "broken.png"
    broken.write_bytes(b"not an image")
    whole = picture(photos / "whole.png", "red")
    library.index([photos])
    library.close()
    as_format_1(library.layout.database)
    with sqlite3.connect(library.layout.database) as connection:  # as a short outage left it
        connection.execute(
            "UPDATE files SET photo = NULL, reason = 'Input/output error' WHERE path = 'whole.png'"
        )
    connection.close()
    with Library.open(library.folder, backbone=backbone) as upgraded:
        report = upgraded.index()
        assert figures(report) == {"photos": 2, "files": 2, "unchanged": 1, "unreadable": 1}
        assert [item.path for item in report.unreadable] == [broken]
        assert whole in places(upgraded, whole)
        (system,) = upgraded.catalog.file_systems().values()
        assert system == FileSystems().of(str(photos))
        assert upgraded.catalog.database.scalar("SELECT count(*) FROM files WHERE file_system IS NULL") == 0
    assert (library.layout.backups / "library.db.format-1").is_file()


def test_a_file_system_has_one_name_while_it_is_mounted_and_another_has_another(tmp_path, mounts):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "inner").mkdir()
    before = FileSystems().of(str(one / "inner"))
    assert before == FileSystems().of(str(tmp_path)) is not None
    mounts.drive(one)
    mounts.drive(two)
    names = [FileSystems().of(str(folder)) for folder in (one, two, tmp_path)]
    assert len(set(names)) == 3
    assert names[0] == FileSystems().of(str(one))
