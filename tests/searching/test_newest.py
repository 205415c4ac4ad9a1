"""Filters alone are a question too: the photos that they keep, newest first."""

import json
import os
from pathlib import Path

import pytest
from click import UsageError
from click.testing import CliRunner
from PIL import Image

from tests.support.sidecars import add_keywords
from vitsearch.cli import cli
from vitsearch.cli.search import _list_newest
from vitsearch.records import SearchResult
from vitsearch.storage.filters import Filter


def photo(path, colour, *, taken=None, camera=None, mtime=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if camera:
        exif[0x0110] = camera
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.new("RGB", (32, 24), colour).save(path, exif=exif)
    if mtime:
        os.utime(path, (mtime, mtime))
    return path


@pytest.fixture
def photos(library, tmp_path):
    """Five photos of two cameras, two of them without a date; one of these has a copy in another folder."""
    folder = tmp_path / "photos"
    photo(folder / "a/old.jpg", "red", taken="2021:01:01 10:00:00", camera="Canon EOS R5")
    photo(folder / "b/new.jpg", "green", taken="2024:05:17 12:34:56", camera="Canon EOS R5")
    photo(folder / "b/other.jpg", "blue", taken="2023:03:03 03:03:03", camera="NIKON D850")
    photo(folder / "a/undated.jpg", "yellow", camera="Canon EOS R5", mtime=1_600_000_000)
    photo(folder / "a/undated too.jpg", "cyan", camera="Canon EOS R5", mtime=1_700_000_000)
    (folder / "c").mkdir()
    (folder / "c/copy.jpg").write_bytes((folder / "b/new.jpg").read_bytes())
    library.index([folder])
    return folder


@pytest.fixture
def search(library):
    def call(*arguments):
        words = ["--library", str(library.folder), "search", *map(str, arguments)]
        return CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)

    return call


def test_a_camera_alone_lists_its_photos_newest_first(search, photos):
    done = search("--camera", "canon")
    assert done.stdout.splitlines() == [
        f"2024-05-17 12:34  {photos / 'b/new.jpg'}  (+1 more)",
        f"2021-01-01 10:00  {photos / 'a/old.jpg'}",
        f"no date           {photos / 'a/undated too.jpg'}",
        f"no date           {photos / 'a/undated.jpg'}",
    ]
    assert done.stderr == "4 photos, newest first\n"


def test_a_list_that_is_cut_short_says_how_long_it_is(search, photos):
    done = search("--camera", "canon", "-k", 1)
    assert done.stdout.count("\n") == 1
    assert done.stderr == "the newest 1 of 4 photos: -k 4 lists all\n"


def test_a_folder_is_a_filter_and_its_own_copies_stand_first(search, photos):
    assert search("--in", photos / "c", "--paths").stdout == f"{photos / 'c/copy.jpg'}\n"
    assert search("--in", photos / "b", "--after", "2024", "--paths").stdout == f"{photos / 'b/new.jpg'}\n"


def test_what_is_gone_is_not_listed(search, photos, library):
    (photos / "b/other.jpg").unlink()
    library.index()
    done = search("--camera", "nikon")
    assert done.stdout == ""
    assert (
        done.stderr == "none of the 4 photos in the library is what --camera nikon asks for: leave it out\n"
    )


def test_the_document_of_a_list_has_no_scores(search, photos):
    document = json.loads(search("--camera", "nikon", "--json").stdout)
    assert document["query"] == []
    (match,) = document["results"]
    assert match["path"] == str(photos / "b/other.jpg")
    assert not {"score", "percentile"} & set(match)


def test_a_list_is_drawn_written_and_copied_as_any_answer(search, photos, tmp_path):
    done = search(
        "--camera",
        "canon",
        "--sheet",
        tmp_path / "a.png",
        "--html",
        tmp_path / "a.html",
        "--copy-to",
        tmp_path / "out",
    )
    assert (tmp_path / "a.png").exists()
    assert "4 photos, newest first" in (tmp_path / "a.html").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "new.jpg", "old.jpg", "undated too.jpg", "undated.jpg",
    ]  # fmt: skip
    assert "4 copies in " in done.stderr


def test_a_keyword_that_no_photo_has_is_told_with_those_like_it(search, photos, library):
    assert search("--keyword", "lake").stderr == "no photo in the library has keywords: leave --keyword out\n"
    add_keywords(photos / "b/new.jpg", ["Lakeside", "Austria"])
    add_keywords(photos / "b/other.jpg", ["Austria"])
    library.index()
    assert (
        search("--keyword", "lakside").stderr
        == "no photo has the keyword 'lakside': did you mean 'Lakeside'?\n"
    )
    assert search("--keyword", "zebra", "--after", "2020").stderr == (
        "no photo has the keyword 'zebra': they have 'Austria', 'Lakeside'\n"
    )
    assert "--keyword Lakeside" in search("--keyword", "Lakeside", "--camera", "pentax").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give an image or words, a filter such as --camera"),
        (("--camera", "canon", "--only-matches"), "go with an image or words"),
        (("--camera", "canon", "--not", "dog"), "go with an image or words"),
        (("--camera", "canon", "--store", "milvus:///tmp/none.db"), "leave --store away"),
    ],
)
def test_what_cannot_be_listed_is_wrong_usage(search, photos, words, said):
    with pytest.raises(UsageError, match=said):
        search(*words)


def test_a_question_by_filters_needs_no_model(photos, library, tmp_path):
    path = Path(library.folder)
    library.close()
    words = ["--library", str(path), "--cache", str(tmp_path / "no weights"), "search", "--rating", "1"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)
    assert "is what --rating 1 asks for" in done.stderr
    assert not (tmp_path / "no weights").exists()


def test_no_limit_is_advised_that_is_refused(library, photos, monkeypatch):
    many = SearchResult((), "mean-colour", ()), 100_001
    monkeypatch.setattr("vitsearch.searching.newest.newest_photos", lambda *_, **__: many)
    assert _list_newest(library, Filter(camera="canon"), 10)[1] == "the newest 0 of 100,001 photos"
