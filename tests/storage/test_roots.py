"""The folders that a library knows: nested, relocated and forgotten."""

from pathlib import Path

import pytest

from tests.support.summaries import figures, places
from vitsearch.errors import LibraryError
from vitsearch.storage.filters import Filter


@pytest.fixture
def trips(tmp_path, picture):
    """A folder with a photo of its own and two subfolders with one photo each."""
    picture(tmp_path / "trips/map.png", "white")
    picture(tmp_path / "trips/rome/red.png", "red")
    picture(tmp_path / "trips/oslo/blue.png", "blue")
    return tmp_path / "trips"


def known(library):
    return [(root.path, root.files) for root in library.roots()]


def test_a_folder_inside_a_root_becomes_a_part_of_it(library, backbone, trips):
    library.index([trips])
    assert figures(library.index([trips / "rome"])) == {"photos": 1, "files": 1, "unchanged": 1}
    assert known(library) == [(trips, 3)]
    assert backbone.embedded == 3


def test_roots_inside_a_new_root_are_absorbed_and_no_file_has_two_rows(library, backbone, trips):
    library.index([trips / "rome", trips / "oslo"])
    assert known(library) == [(trips / "oslo", 1), (trips / "rome", 1)]
    assert figures(library.index([trips])) == {"photos": 3, "files": 3, "embedded": 1, "unchanged": 2}
    assert known(library) == [(trips, 3)]
    assert library.status().files == 3
    assert places(library, trips / "map.png") == sorted(trips.rglob("*.png"))
    assert backbone.embedded == 3


@pytest.mark.parametrize("order", [("", "rome"), ("rome", ""), ("rome", "", "oslo")])
def test_nested_folders_in_one_run_count_once(library, backbone, trips, order):
    report = library.index([trips / part for part in order])
    assert figures(report) == {"photos": 3, "files": 3, "embedded": 3}
    assert known(library) == [(trips, 3)]
    assert backbone.embedded == 3


def test_absorbing_keeps_names_that_are_not_utf8(library, tmp_path, picture):
    inner = tmp_path / "trips/r\udce9me"
    picture(inner / "x\udcff.png", "red")
    library.index([inner])
    assert figures(library.index([tmp_path / "trips"])) == {"photos": 1, "files": 1, "unchanged": 1}


def test_folders_that_only_begin_alike_are_roots_of_their_own(library, tmp_path, picture):
    one, two = picture(tmp_path / "trip/a.png", "red"), picture(tmp_path / "trip 2/b.png", "blue")
    library.index([one.parent])
    library.index([two.parent])
    assert known(library) == [(one.parent, 1), (two.parent, 1)]


def test_a_bare_run_looks_at_all_roots_again(library, trips, picture):
    library.index([trips / "rome"])
    library.index([trips / "oslo"])
    picture(trips / "rome/new.png", "pink")
    picture(trips / "oslo/new.png", "navy")
    assert figures(library.index()) == {"photos": 4, "files": 4, "embedded": 2, "unchanged": 2}


def test_a_relocated_root_is_searched_and_indexed_at_its_new_place(library, backbone, trips, tmp_path):
    library.index([trips])
    new = trips.rename(tmp_path / "journeys")
    library.relocate_root(trips, new)
    assert known(library) == [(new, 3)]
    assert places(library, new / "map.png") == sorted(new.rglob("*.png"))
    assert places(library, new / "map.png", where=Filter(folders=(new / "rome",))) == [new / "rome/red.png"]
    assert figures(library.index()) == {"photos": 3, "files": 3, "unchanged": 3}
    assert backbone.embedded == 3


def test_a_root_is_relocated_only_to_a_folder_that_exists_and_overlaps_no_other(library, trips, tmp_path):
    library.index([trips / "rome", trips / "oslo"])
    before = known(library)
    for old, new, message in (
        (trips / "rome", tmp_path / "nowhere", f"{tmp_path / 'nowhere'} does not exist: mount its drive"),
        (trips / "rome", trips / "rome/red.png", "does not exist: mount its drive"),
        (trips / "rome", trips / "oslo", f"{trips / 'oslo'} overlaps the root {trips / 'oslo'}"),
        (trips / "rome", trips, f"{trips} overlaps the root {trips / 'oslo'}"),
        (trips, tmp_path, f"{trips} is not a folder that was indexed: see `vitsearch roots list`"),
    ):
        with pytest.raises(LibraryError, match=message):
            library.relocate_root(old, new)
    assert known(library) == before


def test_a_root_may_be_relocated_into_itself_or_its_parent(library, trips, tmp_path):
    library.index([trips / "rome"])
    (trips / "rome/red.png").rename(trips / "red.png")
    library.relocate_root(trips / "rome", trips)
    assert places(library, trips / "red.png") == [trips / "red.png"]


def test_a_forgotten_root_takes_the_photos_along_that_were_only_there(library, backbone, trips):
    (trips / "rome/copy of blue.png").write_bytes((trips / "oslo/blue.png").read_bytes())
    library.index([trips / "rome", trips / "oslo"])
    assert library.forget_root(trips / "rome") == 1
    assert known(library) == [(trips / "oslo", 1)]
    assert library.status().vectors == 1
    assert places(library, trips / "map.png") == [trips / "oslo/blue.png"]
    assert (trips / "rome/red.png").exists()
    assert figures(library.index([trips / "rome"])) == {"photos": 2, "files": 2, "embedded": 1}


def test_a_forgotten_root_may_be_offline(library, trips, tmp_path):
    library.index([trips])
    trips.rename(tmp_path / "aside")
    assert library.forget_root(trips) == 3
    assert (library.roots(), library.status().photos, library.status().vectors) == ([], 0, 0)


def test_only_a_root_can_be_forgotten(library, trips, tmp_path):
    library.index([trips])
    for folder in (trips / "rome", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LibraryError, match="is not a folder that was indexed"):
            library.forget_root(folder)
    assert known(library) == [(trips, 3)]


def test_a_filter_by_a_folder_that_was_never_indexed_says_so(library, trips, tmp_path):
    library.index([trips])
    with pytest.raises(LibraryError, match="is in no folder that was indexed"):
        library.search(trips / "map.png", where=Filter(folders=(tmp_path / "elsewhere",)))
    assert places(library, trips / "map.png", where=Filter(folders=(tmp_path,))) == sorted(
        trips.rglob("*.png")
    )


@pytest.fixture
def other_spelling(tmp_path, trips, monkeypatch):
    """The folder of trips by another name that leads to the same place, as on a file system without case.

    Such names are no links, so that nothing resolves them.
    """
    monkeypatch.setattr("os.path.realpath", lambda path, **_: str(Path(path).absolute()))
    (tmp_path / "TRIPS").symlink_to(trips, target_is_directory=True)
    return tmp_path / "TRIPS"


def test_a_folder_by_another_name_is_refused_and_nothing_is_there_twice(
    library, trips, other_spelling, tmp_path
):
    library.index([trips])
    files = library.status().files
    inner = next(path for path in trips.iterdir() if path.is_dir()).name
    for folder in (other_spelling, other_spelling / inner):
        with pytest.raises(LibraryError, match="by another name: name it as there"):
            library.index([folder])
    assert [root.path for root in library.roots()] == [trips]
    assert library.index().files == files


def test_a_folder_around_one_that_is_known_by_another_name_is_refused(library, trips, other_spelling):
    inner = next(path for path in trips.iterdir() if path.is_dir()).name
    library.index([trips / inner])
    with pytest.raises(LibraryError, match="by another name"):
        library.index([other_spelling])


def test_one_folder_twice_in_a_run_by_two_names_is_refused(library, trips, other_spelling):
    with pytest.raises(LibraryError, match="by another name"):
        library.index([trips, other_spelling])
    assert not library.folder.exists()


def test_what_is_forgotten_leaves_the_search_cache_without_a_look_at_all_else(
    library, tmp_path, picture, monkeypatch
):
    query = picture(tmp_path / "kept" / "red.png", "red")
    picture(tmp_path / "kept" / "copy.png", "darkred")
    picture(tmp_path / "gone" / "copy.png", "darkred")
    picture(tmp_path / "gone" / "orange.png", "orangered")
    library.index([tmp_path / "kept", tmp_path / "gone"])
    assert {match.path.name for match in library.search(query).results} == {"copy.png", "orange.png"}
    everything = library.catalog.embedded_ids
    monkeypatch.setattr(
        library.catalog, "embedded_ids", lambda *_: pytest.fail("compared with all that is stored")
    )
    assert library.forget_root(tmp_path / "gone") == 1
    assert library.status().cache_current
    assert [match.path for match in library.search(query).results] == [tmp_path / "kept" / "copy.png"]
    assert library.neighbours().ids().tolist() == everything(1).tolist()
