"""Moved, renamed, copied, swapped, deleted and returned files: nothing is embedded twice and no path is stale."""

import os
import shutil

import pytest
from PIL import Image

from tests.support.summaries import figures, places
from vitsearch.cli.index import print_report

COLOURS = ["red", "lime", "blue", "white", "yellow", "cyan"]


@pytest.fixture
def folder(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def indexed(library, folder):
    library.index([folder])
    return library


def test_after_every_file_was_renamed_and_moved_nothing_is_embedded_and_searches_know_the_new_paths(
    indexed, backbone, folder
):
    ids = {match.path.stem: match.photo for match in best(indexed, folder / "red.png")}
    moved = [folder / f"new/{colour[0]}/photo of {colour}.PNG" for colour in COLOURS]
    for colour, path in zip(COLOURS, moved, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{colour}.png").rename(path)
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "moved": 6}
    assert backbone.embedded == 6
    assert places(indexed, moved[0]) == sorted(moved)
    assert {
        match.path.stem.removeprefix("photo of "): match.photo for match in best(indexed, moved[0])
    } == ids
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "unchanged": 6}


def best(library, query):
    return library.search(query, k=100, include_self=True).results


def test_a_renamed_folder_is_six_moves(indexed, backbone, folder):
    (folder / "trip").mkdir()
    for colour in COLOURS:
        (folder / f"{colour}.png").rename(folder / "trip" / f"{colour}.png")
    indexed.index()
    (folder / "trip").rename(folder / "journey")
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "moved": 6}
    assert backbone.embedded == 6
    assert all(path.parent == folder / "journey" for path in places(indexed, folder / "journey/red.png"))


def test_a_renamed_root_indexed_as_a_new_folder_embeds_nothing(indexed, backbone, folder):
    new = folder.rename(folder.with_name("renamed"))
    assert figures(indexed.index([new])) == {"photos": 6, "files": 6}
    assert backbone.embedded == 6
    assert places(indexed, new / "red.png") == sorted(new.iterdir())


def test_two_names_that_were_swapped_are_told_apart(indexed, backbone, folder):
    red, blue = folder / "red.png", folder / "blue.png"
    content = {path: path.read_bytes() for path in (red, blue)}
    os.utime(blue, ns=(7, 7))
    indexed.index()
    red.rename(folder / "swap")
    blue.rename(red)
    (folder / "swap").rename(blue)
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "unchanged": 4}
    assert backbone.embedded == 6
    for now, was in ((red, blue), (blue, red)):
        assert now.read_bytes() == content[was]
        (match,) = indexed.search(now, include_self=True, k=1).results
        assert (match.path, match.score) == (now, pytest.approx(1, abs=1e-3))


def test_a_copy_is_another_place_of_the_same_photo(indexed, backbone, folder):
    shutil.copy2(folder / "red.png", folder / "a copy.png")
    assert figures(indexed.index()) == {"photos": 6, "files": 7, "unchanged": 6}
    assert backbone.embedded == 6
    (match,) = indexed.search(folder / "red.png", include_self=True, k=1).results
    assert (match.path, match.other_paths) == (folder / "red.png", (folder / "a copy.png",))


def test_a_deleted_copy_is_missing_and_not_moved(indexed, folder):
    shutil.copy2(folder / "red.png", folder / "a copy.png")
    indexed.index()
    (folder / "red.png").unlink()
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "unchanged": 6, "missing": 1}
    (match,) = indexed.search(folder / "a copy.png", include_self=True, k=1).results
    assert (match.path, match.other_paths) == (folder / "a copy.png", ())


def test_a_deleted_copy_is_missing_also_while_the_root_holds_something_that_cannot_be_entered(
    indexed, folder
):
    (folder / "gone.jpg").symlink_to("nowhere")
    shutil.copy2(folder / "red.png", folder / "a copy.png")
    indexed.index()
    indexed.index()
    (folder / "red.png").unlink()
    report = indexed.index()
    assert figures(report) == {"photos": 6, "files": 6, "unchanged": 6, "missing": 1, "unreadable": 1}


def test_two_copies_that_go_together_are_missing_and_come_back(indexed, backbone, folder, tmp_path):
    (folder / "new").mkdir()
    for name in ("one", "two"):
        Image.new("RGB", (64, 48), "purple").save(folder / f"new/{name}.png")
    indexed.index([folder / "new"])
    (folder / "new").rename(tmp_path / "away")
    assert figures(indexed.index())["missing"] == 2
    (tmp_path / "away").rename(folder / "new")
    assert figures(indexed.index()) == {"photos": 7, "files": 8, "unchanged": 8}
    assert backbone.embedded == 7


def test_a_copy_and_the_loss_of_the_original_between_two_runs_is_a_move(indexed, folder):
    shutil.copy2(folder / "red.png", folder / "moved.png")
    (folder / "red.png").unlink()
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "moved": 1, "unchanged": 5}


def test_a_file_that_is_missing_comes_back_with_nothing_embedded(indexed, backbone, folder):
    away = folder.parent / "red.png"
    (folder / "red.png").rename(away)
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5, "missing": 1}
    assert folder / "red.png" not in places(indexed, away)
    embedded = backbone.embedded  # a query from elsewhere is, as it would be in a library that never saw it
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5, "missing": 1}
    away.rename(folder / "red.png")
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "unchanged": 6}
    assert folder / "red.png" in places(indexed, folder / "red.png")
    assert backbone.embedded == embedded == 7


def test_a_missing_file_that_comes_back_elsewhere_embeds_nothing(indexed, backbone, folder):
    away = folder.parent / "red.png"
    (folder / "red.png").rename(away)
    indexed.index()
    back = folder / "back/red again.png"
    back.parent.mkdir()
    away.rename(back)
    report = indexed.index()
    assert (report.photos, report.files, report.embedded, report.moved, report.missing) == (6, 6, 0, 1, 0)
    assert backbone.embedded == 6
    assert places(indexed, back) == sorted([back, *folder.glob("*.png")])


def test_a_missing_photo_is_never_a_match_until_it_is_back(indexed, folder):
    query = folder.parent / "query.png"
    (folder / "red.png").rename(query)
    indexed.index()
    for k in (1, 5, 100):
        results = indexed.search(query, k=k, include_self=True).results
        assert len(results) == min(k, 5)
        assert all(match.path.exists() for match in results)


def test_files_moved_from_one_root_to_another_are_known_there_in_the_same_run(
    library, backbone, tmp_path, picture
):
    one, two = tmp_path / "one", tmp_path / "two"
    for colour in COLOURS:
        picture(one / f"{colour}.png", colour)
    picture(two / "stays.png", "pink")
    library.index([one, two])
    (one / "notes.txt").touch()
    for colour in COLOURS:
        (one / f"{colour}.png").rename(two / f"{colour}.png")
    assert figures(library.index()) == {"photos": 7, "files": 7, "moved": 6, "unchanged": 1}
    assert backbone.embedded == 7
    assert places(library, two / "red.png") == sorted(two.iterdir())


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_move_between_subfolders_is_one_also_when_they_are_indexed_one_by_one(
    library, backbone, tmp_path, picture, first
):
    old, new = tmp_path / "photos/old", tmp_path / "photos/new"
    new.mkdir(parents=True)
    picture(old / "a.png", "red")
    picture(old / "stays.png", "blue")
    library.index([tmp_path / "photos"])
    (old / "a.png").rename(new / "b.png")
    order = [old, new] if first == "old" else [new, old]
    reports = [*(library.index([part]) for part in order), library.index()]
    assert sum(report.moved for report in reports) == 1
    assert (reports[-1].photos, reports[-1].files, reports[-1].missing) == (2, 2, 0)
    assert backbone.embedded == 2
    assert places(library, new / "b.png") == [new / "b.png", old / "stays.png"]


def test_indexing_one_subfolder_says_nothing_about_the_others(library, tmp_path, picture):
    photos = tmp_path / "photos"
    picture(photos / "a/1.png", "red")
    gone = picture(photos / "b/2.png", "blue")
    library.index([photos])
    gone.unlink()
    assert figures(library.index([photos / "a"])) == {"photos": 1, "files": 1, "unchanged": 1}
    assert library.roots()[0].missing == 0
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1, "missing": 1}


def test_a_hard_link_and_a_linked_file_are_copies(indexed, backbone, folder):
    os.link(folder / "red.png", folder / "hard.png")
    (folder / "soft.png").symlink_to("red.png")
    assert figures(indexed.index()) == {"photos": 6, "files": 8, "unchanged": 6}
    assert backbone.embedded == 6


def test_a_name_that_only_changed_its_case_is_a_move(indexed, folder):
    (folder / "red.png").rename(folder / "RED.PNG")
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "moved": 1, "unchanged": 5}
    assert folder / "RED.PNG" in places(indexed, folder / "blue.png")


@pytest.mark.parametrize("time_ns", [0, -(10**18), 4 * 10**18])
def test_files_from_before_1970_or_from_the_future_are_skipped_when_unchanged(library, folder, time_ns):
    os.utime(folder / "red.png", ns=(time_ns, time_ns))
    library.index([folder])
    assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 6}


def test_a_file_replaced_by_a_folder_of_its_name_is_missing(indexed, folder):
    (folder / "red.png").unlink()
    (folder / "red.png").mkdir()
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5, "missing": 1}


def test_a_newly_ignored_file_is_offered_no_more_and_comes_back_without_embedding(indexed, backbone, folder):
    (folder / ".vitsearchignore").write_text("red.*\n")
    assert figures(indexed.index()) == {"photos": 5, "files": 5, "unchanged": 5, "missing": 1}
    assert folder / "red.png" not in places(indexed, folder / "blue.png")
    (folder / ".vitsearchignore").unlink()
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "unchanged": 6}
    assert backbone.embedded == 6


def test_prune_forgets_what_is_missing_and_keeps_the_rest(indexed, backbone, folder):
    (folder / "red.png").unlink()
    (folder / "blue.png").unlink()
    report = indexed.index(prune=True)
    assert figures(report) == {"photos": 4, "files": 4, "unchanged": 4, "pruned": 2}
    assert indexed.status().vectors == 4
    assert figures(indexed.index(prune=True)) == {"photos": 4, "files": 4, "unchanged": 4}
    assert len(places(indexed, folder / "white.png")) == 4


def test_a_pruned_photo_that_comes_back_gets_an_id_of_its_own(indexed, backbone, folder):
    old = {match.photo for match in best(indexed, folder / "red.png")}
    away = (folder / "cyan.png").rename(folder.parent / "cyan.png")
    indexed.index(prune=True)
    away.rename(folder / "cyan.png")
    assert figures(indexed.index()) == {"photos": 6, "files": 6, "embedded": 1, "unchanged": 5}
    (match,) = indexed.search(folder / "cyan.png", include_self=True, k=1).results
    assert match.photo not in old
    assert match.score == pytest.approx(1, abs=1e-3)


def test_prune_keeps_a_photo_that_has_a_copy_elsewhere(indexed, folder):
    shutil.copy2(folder / "red.png", folder / "copy.png")
    indexed.index()
    (folder / "red.png").unlink()
    assert figures(indexed.index(prune=True)) == {"photos": 6, "files": 6, "unchanged": 6}
    assert folder / "copy.png" in places(indexed, folder / "blue.png")


def test_prune_of_a_subfolder_leaves_the_missing_of_others_alone(library, tmp_path, picture):
    photos = tmp_path / "photos"
    for name, colour in (("a/1.png", "red"), ("a/2.png", "lime"), ("b/3.png", "blue"), ("b/4.png", "cyan")):
        picture(photos / name, colour)
    library.index([photos])
    (photos / "a/1.png").unlink()
    (photos / "b/3.png").unlink()
    library.index()
    assert figures(library.index([photos / "a"], prune=True)) == {
        "photos": 1, "files": 1, "unchanged": 1, "pruned": 1,
    }  # fmt: skip
    assert library.roots()[0].missing == 1


def test_what_is_pruned_is_counted_in_files_and_in_photos(library, folder, picture, capsys):
    """Two copies of one photo, a photo that has another copy, and one that is alone."""
    one = picture(folder / "one.png", "teal")
    two = picture(folder / "two.png", "navy")
    for number in range(2):
        shutil.copy(one, folder / f"one-{number}.png")
    shutil.copy(two, folder / "two-again.png")
    library.index([folder])
    for path in (*folder.glob("one*.png"), two):
        path.unlink()
    report = library.index()
    print_report(report)
    assert ", 4 files missing" in capsys.readouterr().out
    report = library.index(prune=True)
    assert (report.pruned_files, report.pruned, report.missing) == (4, 1, 0)
    print_report(report)
    assert ", 4 files and 1 photo pruned" in capsys.readouterr().out
