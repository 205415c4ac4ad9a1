"""The contact sheet and the result page show the query and its matches, whatever their names and files are like."""

import base64
import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageColor

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.pages.contact_sheet import CELL, MOST_CELLS, thumbnail, write_contact_sheet
from vitsearch.pages.results import write_result_page
from vitsearch.records import Match, SearchResult

COLOURS = ["red", "orange", "yellow", "lime", "cyan", "blue", "magenta"]


def found(paths, *, floor=None):
    """A search result as the library returns it: scores 0.9, 0.8 and so on."""
    matches = tuple(
        Match(
            path,
            round(0.9 - index / 10, 6),
            90.0 - index,
            index + 1,
            64,
            48,
            "2024-05-17T12:00:00",
            "Canon & <Co>",
        )
        for index, path in enumerate(paths)
    )
    return SearchResult(("query.png",), "mean-colour", matches, floor)


@pytest.fixture
def paths(tmp_path, picture):
    return [picture(tmp_path / "photos" / f"{colour}.png", colour, size=(640, 480)) for colour in COLOURS]


def cell_colours(sheet):
    """The colour in the middle of each cell, row by row."""
    with Image.open(sheet) as image:
        columns, rows = image.width // CELL, image.height // CELL
        step_x, step_y = (image.width - 12) // columns, (image.height - 12) // rows
        return [
            image.convert("RGB").getpixel((12 + column * step_x + CELL // 2, 12 + row * step_y + CELL // 2))
            for row in range(rows)
            for column in range(columns)
        ]


def test_a_sheet_shows_the_query_first_and_then_the_matches_best_first(tmp_path, paths):
    write_contact_sheet(found(paths[1:]), paths[:1], tmp_path / "sheet.png")
    colours = cell_colours(tmp_path / "sheet.png")
    assert colours[:7] == [ImageColor.getrgb(colour) for colour in COLOURS]
    assert len(set(colours[7:])) == 1  # paper
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")
        assert sheet.width == 5 * (CELL + 12) + 12


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")]
)
def test_the_extension_decides_the_format_of_a_sheet(tmp_path, paths, name, kind):
    write_contact_sheet(found(paths), [], tmp_path / name)
    with Image.open(tmp_path / name) as sheet:
        assert sheet.format == kind


def test_the_query_is_framed_and_a_match_is_not(tmp_path, paths):
    write_contact_sheet(found(paths[:1]), paths[:1], tmp_path / "sheet.png")
    frame = (217, 70, 20)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    columns = np.flatnonzero((pixels == frame).all(axis=2).any(axis=0))
    assert columns.min() >= 12
    assert columns.max() < 12 + CELL + 12


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_thumbnails_are_upright_and_fit_their_square(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 100))
    turn = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    stored = image if orientation == 1 else image.transpose(turn[orientation])
    stored.save(tmp_path / "photo.png", exif=exif)
    with Decoders() as decoders:
        small = thumbnail(tmp_path / "photo.png", decoders, side=100)
    assert (small.size, small.mode) == ((100, 50), "RGB")
    assert (small.getpixel((50, 5)), small.getpixel((50, 45))) == ((255, 0, 0), (255, 255, 255))


def test_a_photo_smaller_than_its_cell_is_not_blown_up(tmp_path, picture):
    with Decoders() as decoders:
        small = thumbnail(picture(tmp_path / "small.png", size=(30, 20)), decoders, side=200)
    assert small.size == (30, 20)


def test_a_thumbnail_of_a_broken_file_is_refused(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"broken")
    with Decoders() as decoders, pytest.raises(UnreadablePhoto):
        thumbnail(tmp_path / "broken.png", decoders, side=100)


def hostile_paths(tmp_path, picture):
    names = [
        "new\nline.png",
        "\x1b[31mred.png",
        os.fsdecode(b"caf\xe9.png"),
        "x" * 240 + ".png",
        "<script>alert(1)<script>.png",
        "\"' onerror='alert(1).png",
        "日本語 \u202e عربى.png",
    ]
    return [picture(tmp_path / "photos" / name, "red") for name in names]


def test_a_match_that_cannot_be_read_any_more_or_has_a_hostile_name_costs_only_its_own_cell(
    tmp_path, picture
):
    paths = [*hostile_paths(tmp_path, picture), tmp_path / "gone.png"]
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    result = found([*paths, tmp_path / "broken.jpg"])
    write_contact_sheet(result, paths[:3], tmp_path / "sheet.png")
    colours = cell_colours(tmp_path / "sheet.png")
    red = [colour == (255, 0, 0) for colour in colours[:12]]
    assert red == [True] * 10 + [False] * 2


def test_a_sheet_of_very_many_matches_shows_the_best_two_hundred_cells(tmp_path, picture):
    small = picture(tmp_path / "small.png")
    write_contact_sheet(found([small] * 300), [small], tmp_path / "many.png")
    write_contact_sheet(found([small] * (MOST_CELLS - 1)), [small], tmp_path / "most.png")
    with Image.open(tmp_path / "many.png") as many, Image.open(tmp_path / "most.png") as most:
        assert many.size == most.size


def test_a_sheet_without_any_match_still_shows_the_query(tmp_path, paths):
    write_contact_sheet(found([]), paths[:1], tmp_path / "sheet.png")
    assert cell_colours(tmp_path / "sheet.png") == [(255, 0, 0)]
    write_contact_sheet(found([]), [], tmp_path / "nothing.png")
    with Image.open(tmp_path / "nothing.png") as sheet:
        assert sheet.size == (CELL + 24, CELL + 44 + 24)


@pytest.mark.parametrize("name", ["sheet.xyz", "sheet", "nowhere/sheet.png", "photos"])
def test_a_sheet_that_cannot_be_written_is_one_clear_line(tmp_path, paths, name):
    with pytest.raises(VitsearchError) as caught:
        write_contact_sheet(found(paths), [], tmp_path / name)
    assert str(caught.value).startswith(f"cannot write the contact sheet {tmp_path / name}: ")
    advice = {
        "nowhere/sheet.png": "make its folder first, or choose another place",
    }
    assert str(caught.value).endswith(advice.get(name, "name a .png or .jpg file"))


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, path):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_page_holds_its_pictures_and_asks_nothing_of_any_other_place(tmp_path, paths):
    write_result_page(found(paths[1:]), paths[:1], tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    colours = []
    for attributes in page.of("img"):
        data = base64.b64decode(attributes["src"].removeprefix("data:image/jpeg;base64,"), validate=True)
        colours.append(Image.open(io.BytesIO(data)).convert("RGB").getpixel((100, 100)))
    wanted = [ImageColor.getrgb(colour) for colour in COLOURS]
    assert np.abs(np.array(colours) - np.array(wanted)).max() <= 3
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"https?://", source) == []
    assert not any(tag in ("script", "link", "iframe", "object") for tag, _ in page.tags)
    (policy,) = [
        meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    for text in (
        "Photos like red.png",
        "6 matches by mean-colour, best first",
        "64 x 48 · 2024-05-17 · Canon & <Co>",
    ):
        assert text in page.text
    assert page.text.index("0.900") < page.text.index("0.800") < page.text.index("0.400")


def test_hostile_names_stay_text_on_a_page(tmp_path, picture):
    paths = hostile_paths(tmp_path, picture)
    write_result_page(found(paths), paths[:1], tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert len(page.of("img")) == len(paths) + 1
    assert all(set(attributes) == {"alt", "src"} for attributes in page.of("img"))
    assert page.of("script") == []
    for name in ("<script>alert(1)<script>.png", "\"' onerror='alert(1).png", "日本語"):
        assert name in page.text


def test_a_file_that_is_gone_leaves_its_entry_on_the_page(tmp_path):
    write_result_page(found([tmp_path / "gone.png"]), [], tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert page.of("img") == [{"alt": "gone.png", "src": ""}]
    assert str(tmp_path / "gone.png") in page.text


def test_matches_below_the_background_are_shown_faintly(tmp_path, paths):
    write_result_page(found(paths[:4], floor=0.75), [], tmp_path / "page.html")
    assert [attributes["class"] for attributes in Page(tmp_path / "page.html").of("li")] == [
        "",
        "",
        "weak",
        "weak",
    ]


def test_a_search_by_words_names_them_on_the_page(tmp_path, paths):
    result = replace(found(paths[:1]), query=("a <red> car",))
    write_result_page(result, [], tmp_path / "page.html")
    assert "a <red> car" in Page(tmp_path / "page.html").text


def test_a_page_that_cannot_be_written_is_one_clear_line(tmp_path, paths):
    for name, reason in (
        ("nowhere/page.html", "No such file or directory; make its folder first, or choose another place"),
        ("photos", "Is a directory; name a file in it"),
    ):
        with pytest.raises(VitsearchError) as caught:
            write_result_page(found(paths), [], tmp_path / name)
        assert str(caught.value) == f"cannot write the page {tmp_path / name}: {reason}"


def test_sheet_and_page_replace_what_they_wrote_and_nothing_else(tmp_path, paths):
    for name, write in (("sheet.png", write_contact_sheet), ("page.html", write_result_page)):
        write(found(paths), [], tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write(found(paths[:1]), [], tmp_path / name)
        assert (tmp_path / name).read_bytes() not in (first, b"")
        theirs = tmp_path / f"theirs-{name}"
        theirs.write_bytes(b"x" * 1000)
        with pytest.raises(VitsearchError, match="vitsearch did not write"):
            write(found(paths), [], theirs)
        assert theirs.read_bytes() == b"x" * 1000


def test_the_page_says_what_pale_pictures_are_where_there_are_some(tmp_path, paths):
    def said(name, result):
        write_result_page(result, [], tmp_path / name)
        return (tmp_path / name).read_text()

    some = said("some.html", found(paths[:4], floor=0.75))
    assert "Pale pictures are less alike: below 0.750 a photo does not stand out" in some
    assert "All are pale: none stands out" in said("all.html", found(paths[:4], floor=0.95))
    for name, floor in (("none.html", 0.1), ("unknown.html", None)):
        page = said(name, found(paths[:4], floor=floor))
        assert "Pale pictures" not in page
        assert "All are pale" not in page


def test_what_is_only_listed_is_shown_with_dates_in_place_of_scores(tmp_path, paths):
    listed = replace(found(paths[:2]), query=(), scored=False)
    write_result_page(listed, [], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "2 photos, newest first" in page
    assert page.count("2024-05-17") == 2
    assert "0.900" not in page
    assert "of the library" not in page
