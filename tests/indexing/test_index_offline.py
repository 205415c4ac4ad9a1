"""A drive that is not mounted changes nothing, is said, and is as before when it comes back."""

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.summaries import figures, places
from vitsearch.duplicates.cleanup.plans import content_hash
from vitsearch.errors import LibraryError
from vitsearch.library import Library
from vitsearch.records import UnreadableFile
from vitsearch.storage.filters import Filter

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = ["red", "lime", "blue"]


@pytest.fixture
def drive(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "drive" / f"{colour}.png", colour)
    return tmp_path / "drive"


@pytest.fixture
def home(tmp_path, picture):
    picture(tmp_path / "home/white.png", "white")
    picture(tmp_path / "home/gray.png", "gray")
    return tmp_path / "home"


@pytest.fixture
def indexed(library, drive, home):
    library.index([drive, home])
    return library


def unmount(drive, how):
    """Take the photos away as an unmount does; return a function that brings them back."""
    aside = drive.rename(drive.with_name("aside"))
    if how == "empty":
        drive.mkdir()

    def mount():
        if how == "empty":
            drive.rmdir()
        aside.rename(drive)

    return mount


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_an_offline_root_keeps_its_files_is_not_offered_and_comes_back_without_embedding(
    indexed, backbone, drive, home, how
):
    mount = unmount(drive, how)
    for _ in range(2):
        report = indexed.index()
        assert figures(report) == {"photos": 2, "files": 2, "unchanged": 2, "offline": 3}
        assert report.offline_roots == (drive,)
    assert [(root.path, root.online, root.files, root.missing) for root in indexed.roots()] == [
        (drive, False, 3, 0),
        (home, True, 2, 0),
    ]
    assert places(indexed, home / "white.png") == sorted(home.iterdir())
    mount()
    assert places(indexed, home / "white.png") == sorted([*home.iterdir(), *drive.iterdir()])
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5}
    assert backbone.embedded == 5


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_photos_of_a_drive_are_not_offered_from_the_moment_it_is_unmounted(indexed, drive, home, how):
    unmount(drive, how)
    assert places(indexed, home / "white.png") == sorted(home.iterdir())
    assert len(indexed.search(home / "white.png", k=1, include_self=True).results) == 1
    assert indexed.search(home / "white.png", where=Filter(folders=(drive,))).results == ()


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_prune_refuses_an_offline_root_and_loses_nothing(indexed, drive, home, how):
    (home / "gray.png").unlink()
    (drive / "red.png").unlink()
    indexed.index()
    mount = unmount(drive, how)
    with pytest.raises(LibraryError) as caught:
        indexed.index(prune=True)
    assert str(caught.value) == (
        f"{drive} is absent or empty, perhaps an unmounted drive: nothing was pruned. If it is gone for good, use "
        "`vitsearch roots forget`"
    )
    assert indexed.status().vectors == 5
    mount()
    assert figures(indexed.index(prune=True)) == {"photos": 3, "files": 3, "unchanged": 3, "pruned": 2}


def test_prune_refuses_an_offline_root_of_which_everything_is_missing(library, drive, home):
    (drive / "notes.txt").touch()
    library.index([drive])
    for photo in drive.glob("*.png"):
        photo.rename(home / photo.name)
    assert figures(library.index()) == {"missing": 3}
    (drive / "notes.txt").unlink()
    with pytest.raises(LibraryError, match="absent or empty"):
        library.index(prune=True)
    assert library.status().vectors == 3


def test_prune_of_another_root_is_not_stopped_by_one_that_is_offline(indexed, drive, home):
    (home / "gray.png").unlink()
    mount = unmount(drive, "absent")
    assert figures(indexed.index([home], prune=True)) == {
        "photos": 1,
        "files": 1,
        "unchanged": 1,
        "pruned": 1,
    }
    mount()
    assert figures(indexed.index()) == {"photos": 4, "files": 4, "unchanged": 4}


def test_a_photo_with_a_copy_on_a_mounted_root_is_offered_from_there(indexed, drive, home):
    (home / "copy of red.png").write_bytes((drive / "red.png").read_bytes())
    indexed.index()
    unmount(drive, "empty")
    assert places(indexed, home / "white.png", where=Filter(folders=(home,))) == sorted(home.iterdir())
    (match,) = [m for m in indexed.search(home / "white.png").results if m.path.name == "copy of red.png"]
    assert match.other_paths == ()


def test_a_part_of_an_offline_root_is_offline_too(library, backbone, drive, picture):
    picture(drive / "trip/pink.png", "pink")
    library.index([drive])
    unmount(drive, "absent")
    assert figures(library.index([drive / "trip"])) == {"offline": 4}
    assert library.roots()[0].missing == 0


def test_a_parent_folder_does_not_swallow_a_root_that_is_offline(indexed, backbone, drive, home, tmp_path):
    mount = unmount(drive, "empty")
    with pytest.raises(LibraryError) as caught:
        indexed.index([tmp_path])
    assert str(caught.value) == (
        f"{drive} in {tmp_path} is absent or empty, perhaps an unmounted drive: mount it first, or use "
        "`vitsearch roots forget`"
    )
    mount()
    assert figures(indexed.index([tmp_path])) == {"photos": 5, "files": 5, "unchanged": 5}
    assert backbone.embedded == 5
    assert [root.path for root in indexed.roots()] == [tmp_path]


def test_a_folder_that_cannot_be_entered_keeps_the_state_of_what_is_below_it(own_folder, backbone, picture):
    photos = own_folder / "photos"
    picture(photos / "a.png", "red")
    picture(photos / "closed/b.png", "blue")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        library.index([photos])
        (photos / "closed").chmod(0)
        report = library.index(prune=True)
        assert figures(report) == {"photos": 2, "files": 2, "unchanged": 1, "unreadable": 1}
        assert report.unreadable == (UnreadableFile(photos / "closed", "Permission denied"),)
        (photos / "closed").chmod(0o700)
        assert figures(library.index()) == {"photos": 2, "files": 2, "unchanged": 2}
    assert backbone.embedded == 2


def test_a_root_without_permission_is_offline(own_folder, backbone, picture):
    photos = own_folder / "photos"
    picture(photos / "a.png", "red")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        library.index([photos])
        photos.chmod(0)
        assert figures(library.index()) == {"offline": 1}
        photos.chmod(0o700)
        assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


def test_a_file_without_permission_is_reported_and_found_again_without_embedding(
    own_folder, backbone, picture
):
    closed = picture(own_folder / "photos/a.png", "red")
    with Library.open(own_folder / "library", backbone=backbone) as library:
        closed.chmod(0)
        report = library.index([closed.parent])
        assert report.unreadable == (UnreadableFile(closed, "Permission denied"),)
        closed.chmod(0o600)
        assert figures(library.index(retry=True)) == {"photos": 1, "files": 1, "embedded": 1}


def test_a_drive_that_was_never_indexed_and_is_empty_is_an_ordinary_empty_folder(library, tmp_path):
    (tmp_path / "drive").mkdir()
    assert figures(library.index([tmp_path / "drive"])) == {}
    assert figures(library.index(prune=True)) == {}


def test_a_root_that_holds_only_other_files_now_is_not_offline_but_its_photos_are_missing(indexed, drive):
    (drive / "notes.txt").touch()
    for photo in drive.glob("*.png"):
        photo.unlink()
    assert figures(indexed.index([drive])) == {"missing": 3}


def test_a_drive_that_is_mounted_elsewhere_is_relocated_without_reading_a_file(
    indexed, backbone, drive, home, tmp_path
):
    elsewhere = drive.rename(tmp_path / "elsewhere")
    kept = (elsewhere / "red.png").stat()
    garbage = bytes(kept.st_size)
    (elsewhere / "red.png").write_bytes(garbage)
    os.utime(elsewhere / "red.png", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    indexed.relocate_root(drive, elsewhere)
    assert places(indexed, home / "white.png") == sorted([*home.iterdir(), *elsewhere.iterdir()])
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5}
    assert backbone.embedded == 5


def test_a_folder_in_which_nothing_was_ever_found_is_no_drive_that_is_away(library, tmp_path, picture):
    empty = tmp_path / "photos" / "empty"
    empty.mkdir(parents=True)
    library.index([empty])
    picture(tmp_path / "photos" / "a.png")
    assert library.index([tmp_path / "photos"]).photos == 1


def is_as_stored(library):
    """Whether each file that a library knows holds what it says, and there are some."""
    known = library.catalog.file_hashes(library.catalog.select(Filter()))
    return known and all(content_hash(path) == file_hash.hex() for path, file_hash in known.items())


@pytest.mark.trust
def test_files_of_a_drive_that_was_in_the_place_of_another_one_for_a_while_are_not_taken_for_its_own(
    library, backbone, drive, tmp_path, picture
):
    """A card is changed while a run reads, and changed back: its files have the times that the run has seen."""
    for colour, other in zip(COLOURS, ("white", "gray", "black"), strict=True):
        picture(tmp_path / "other" / f"{colour}.png", other)
    (tmp_path / "other" / "blue.png").write_bytes(b"\x89PNG\r\n\x1a\nno photo")
    swapped: list[Path] = []

    def change_drives(step):
        if step.stage == "embed" and not swapped:
            swapped.append(drive.rename(tmp_path / "first"))
            (tmp_path / "other").rename(drive)

    library.index([drive], on_progress=change_drives)
    drive.rename(tmp_path / "other")
    (tmp_path / "first").rename(drive)
    report = library.index()
    assert figures(report) == {"photos": 3, "files": 3, "embedded": 3}
    assert report.unreadable == ()
    assert is_as_stored(library)
    before = backbone.embedded
    assert figures(library.index()) == {"photos": 3, "files": 3, "unchanged": 3}
    assert backbone.embedded == before
