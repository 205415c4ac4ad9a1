"""Google Takeout's notes: which photos they are about, by names from real archives, and what they tell of them."""

import json

import pytest
from PIL import Image

from vitsearch.photos.photo import read_photo
from vitsearch.photos.takeout import TakeoutNames

LONG = "IMG_20190704_120000_a_long_name_for_a_photo"
PLACE = {"latitude": 38.7139, "longitude": -9.1394, "altitude": 12.345}


def notes(**more):
    known = {
        "title": "a.jpg",
        "description": "Tram 28\nin the rain",
        "creationTime": {"timestamp": "1628950000", "formatted": "x"},
        "photoTakenTime": {"timestamp": "1628944000", "formatted": "Aug 14, 2021, 12:26:40 PM UTC"},
        "geoData": PLACE,
        "geoDataExif": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
        "people": [{"name": "Anna"}, {"name": " "}, {"name": "Anna"}, "Bea", {}],
    }
    return json.dumps({**known, **more})


@pytest.fixture
def photo(tmp_path):
    def made(name, text, *, note=None, **options):
        path = tmp_path / name
        Image.new("RGB", (40, 30), "red").save(path, **options)
        path.with_name(note or f"{name}.json").write_text(text, encoding="utf-8")
        return read_photo(path).facts

    return made


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("a.jpg", "a.jpg.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("a.jpg", "a.jpg.suppl.json"),
        ("a(1).jpg", "a.jpg(1).json"),
        ("a(1).jpg", "a.jpg.supplemental-metadata(1).json"),
        ("a(1).jpg", "a(1).jpg.json"),
        ("IMG_0005.HEIC", "img_0005.heic.supplemental-metadata.json"),
        ("photo..jpg", "photo..jpg.json"),
        ("Screenshot 2025-06-20 at 2.35.23 PM.jpeg", "Screenshot 2025-06-20 at 2.35.23 PM.jpeg.suppl.json"),
        (f"{LONG}.jpg", f"{LONG}.jp.json"),
        (f"{LONG}_cut.jpg", f"{LONG}_cu.json"),
        ("verylongphotoname_that_is_quite_long_here.jpeg", "verylongphotoname_that_is_quite_long_here.json"),
    ],
)
def test_notes_are_found_whatever_their_name_was_cut_to(name, note):
    names = TakeoutNames([name, note, "other.jpg", "metadata.json", "z.jpg.json"])
    assert (names.own_notes_on(name), names.photos_of(note)) == ((note,), (name,))
    assert (
        names.own_notes_on("other.jpg")
        == names.photos_of("metadata.json")
        == names.photos_of("z.jpg.json")
        == ()
    )


def test_a_number_belongs_to_one_photo_and_an_edited_one_has_the_notes_of_its_original():
    folder = ["a.jpg", "a(1).jpg", "a-edited.jpg", "a-bearbeitet(1).jpg", "a.jpg.json", "a.jpg(1).json"]
    names = TakeoutNames(folder)
    assert {photo: names.own_notes_on(photo) for photo in folder[:4]} == {
        "a.jpg": ("a.jpg.json",),
        "a(1).jpg": ("a.jpg(1).json",),
        "a-edited.jpg": ("a.jpg.json",),
        "a-bearbeitet(1).jpg": ("a.jpg(1).json",),
    }
    assert names.photos_of("a.jpg.json") == ("a.jpg", "a-edited.jpg")


def test_notes_that_two_photos_may_share_are_read_for_neither():
    photos = [f"{LONG}_of_a_cat.jpg", f"{LONG}_of_a_bird.jpg"]
    names = TakeoutNames([*photos, f"{LONG}_of.json"[:46] + ".json"])
    (shared,) = {note for photo in photos for note in names.notes_on(photo)}
    assert names.photos_of(shared) == tuple(sorted(photos))
    assert [names.own_notes_on(photo) for photo in photos] == [(), ()]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        (f"{LONG}_of_a_cat.jpg", f"{LONG}_of.json"),
        (f"{LONG}-edited.jpg", f"{LONG}.jp.json"),
        ("b(2).jpg", "b.jpg.supp(2).json"),
    ],
)
def test_notes_under_an_unusual_name_are_read_among_others(photo, name, note):
    for other in (
        "IMG_20190704_120000.jpg",
        "b.jpg",
        *([name.replace("-edited", "")] if "-edited" in name else []),
    ):
        photo(other, "{}")
    assert photo(name, notes(), note=note).taken_from == "Takeout"


@pytest.mark.parametrize("note", ["a.jpg.json", "a.jpg.supplemental-metadata.json", "A.JPG.supp.json"])
def test_a_photo_without_notes_of_its_own_has_those_of_takeout(photo, note):
    facts = photo("a.jpg", notes(), note=note)
    assert (facts.taken, facts.utc_offset, facts.taken_from) == ("2021-08-14T12:26:40", "+00:00", "Takeout")
    assert (facts.latitude, facts.longitude, facts.altitude) == (38.7139, -9.1394, 12.35)
    assert (facts.caption, facts.keywords) == ("Tram 28 in the rain", ("Anna",))


def test_what_the_photo_says_itself_goes_before_takeout(photo):
    exif = Image.Exif()
    exif[0x010E] = "At the stop"
    exif.get_ifd(0x8769)[0x9003] = "2021:08:14 13:26:40"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (11.0, 30.0, 0.0)})
    facts = photo("a.jpg", notes(), exif=exif)
    assert (facts.taken, facts.utc_offset, facts.taken_from) == ("2021-08-14T13:26:40", None, "EXIF")
    assert (facts.latitude, facts.longitude, facts.caption) == (48.0, 11.5, "At the stop")
    assert facts.keywords == ("Anna",)


@pytest.mark.parametrize(
    ("name", "taken", "source"),
    [
        ("IMG_20210814_142640.jpg", "2021-08-14T14:26:40", "name"),  # the same moment, by the clock there
        ("IMG_20230101_000500.jpg", "2021-08-14T12:26:40", "Takeout"),  # a date that somebody corrected
        ("IMG-20210814-WA0001.jpg", "2021-08-14T12:26:40", "Takeout"),  # a day without a time
    ],
)
def test_the_local_time_in_a_name_is_taken_where_it_is_the_same_moment(photo, name, taken, source):
    facts = photo(name, notes())
    assert (facts.taken, facts.taken_from) == (taken, source)


@pytest.mark.parametrize(
    "damage",
    [
        {"photoTakenTime": {"timestamp": "soon"}},
        {"photoTakenTime": {"timestamp": "9" * 40}},
        {"photoTakenTime": {"timestamp": "-9999999999"}},  # 1653
        {"photoTakenTime": {"timestamp": None}},
        {"photoTakenTime": {}},
    ],
)
def test_a_date_that_makes_no_sense_costs_no_other_fact(photo, damage):
    facts = photo("a.jpg", notes(**damage))
    assert (facts.taken, facts.latitude, facts.caption) == (None, 38.7139, "Tram 28 in the rain")


@pytest.mark.parametrize(
    "place",
    [None, [], {}, {**PLACE, "latitude": 999}, {**PLACE, "latitude": 10**400}, {**PLACE, "longitude": "x"}, {
        "latitude": 0.0, "longitude": 0.0, "altitude": 0.0
    }],
)  # fmt: skip
def test_a_place_that_makes_no_sense_costs_no_other_fact(photo, place):
    facts = photo("a.jpg", notes(geoData=place))
    assert (facts.latitude, facts.longitude, facts.altitude) == (None, None, None)
    assert facts.taken == "2021-08-14T12:26:40"
    assert photo("b.jpg", notes(geoData=place, geoDataExif=PLACE)).latitude == 38.7139


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', "[" * 100_000, '{"photoTakenTime": 3}', "\0\xff"]
)
def test_other_json_beside_a_photo_says_nothing_of_it(photo, text):
    facts = photo("a.jpg", text)
    assert (facts.taken, facts.latitude, facts.caption, facts.keywords) == (None, None, None, ())
