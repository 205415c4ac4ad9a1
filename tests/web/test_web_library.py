"""The web page's view of a library: its state, the grid, the facets, photos and their pictures."""

import gzip
import io
import json
import re
import shutil
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path


def dated(path, colour, taken, size, camera=None):
    exif = Image.Exif()
    exif[0x0132] = taken
    if camera:
        exif[0x0110] = camera
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, exif=exif)


def make_library(place):
    folder = place / "photos"
    dated(folder / "beach/red.jpg", "red", "2024:05:03 10:11:12", (60, 40), "X100")
    dated(folder / "beach/blue.jpg", "blue", "2024:05:20 10:00:00", (40, 80))
    dated(folder / "green.jpg", "green", "2023:01:02 03:04:05", (50, 50), "X100")
    Image.new("RGB", (64, 48), "grey").save(folder / "grey.png")
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([folder])
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A library that no test changes."""
    return make_library(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="module")
def client(place):
    with web_client(place / "library", MeanColour()) as client:
        yield client


@pytest.fixture
def own(tmp_path):
    """A library of a test's own, which it may change."""
    return make_library(tmp_path)


@pytest.fixture
def own_client(own):
    with web_client(own / "library", MeanColour()) as client:
        yield client


def index(place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([place / "photos"])


def named(client, ids):
    if not ids:
        return []
    captions = client.get("/api/captions", params={"ids": ",".join(map(str, ids))}).json()["captions"]
    return [captions[str(photo)]["name"] for photo in ids]


def in_sections(client, **options):
    grid = client.get("/api/grid", params=options).json()
    names = iter(named(client, grid["ids"]))
    return {section["title"]: [next(names) for _ in range(section["count"])] for section in grid["sections"]}


def photo_id(client, name):
    grid = client.get("/api/grid").json()
    return grid["ids"][named(client, grid["ids"]).index(name)]


def test_the_status_counts_photos_and_names_the_model(client):
    status = client.get("/api/status").json()
    assert (status["photos"], status["files"], status["vectors"]) == (4, 4, 4)
    assert (status["model"], status["indexing"], status["has_text"]) == ("mean-colour", None, False)


def test_the_status_says_how_much_room_thumbnails_take(own, own_client):
    assert own_client.get("/api/status").json()["thumbnails_bytes"] == 0
    for photo in own_client.get("/api/grid").json()["ids"]:
        own_client.get(f"/api/photos/{photo}/thumbnail")
    with Library.open(own / "library") as library:
        taken = sum(path.stat().st_size for path in library.layout.thumbnails.rglob("*.jpg"))
    assert taken > 0
    for _ in range(100):
        counted = own_client.get("/api/status").json()["thumbnails_bytes"]
        if counted:
            break
        time.sleep(0.1)
    assert counted == taken


def test_a_library_that_does_not_exist_yet_has_a_status_and_says_so_elsewhere(tmp_path):
    with web_client(tmp_path / "none", MeanColour()) as client:
        assert client.get("/api/status").json()["photos"] == 0
        assert client.get("/api/roots").json() == {"roots": []}
        answer = client.get("/api/grid")
        assert (answer.status_code, "there is no library" in answer.json()["error"]) == (404, True)
        assert not (tmp_path / "none").exists()


def test_the_grid_is_in_months_newest_first_and_undated_last(client):
    assert in_sections(client) == {
        "May 2024": ["blue.jpg", "red.jpg"],
        "January 2023": ["green.jpg"],
        "No date": ["grey.png"],
    }


def test_the_grid_gives_upright_width_by_height(client):
    grid = client.get("/api/grid").json()
    assert dict(zip(named(client, grid["ids"]), grid["ratios"], strict=True)) == {
        "blue.jpg": 0.5,
        "red.jpg": 1.5,
        "green.jpg": 1.0,
        "grey.png": 1.333,
    }


def test_the_grid_by_folder_is_as_paths_sort(client):
    assert in_sections(client, by="folder") == {
        "photos": ["green.jpg", "grey.png"],
        "beach": ["blue.jpg", "red.jpg"],
    }


@pytest.mark.parametrize(
    ("narrowed", "names"),
    [
        ({"after": "2024"}, ["blue.jpg", "red.jpg"]),
        ({"before": "2024-05-10", "after": "2023"}, ["green.jpg", "red.jpg"]),
        ({"camera": "x100"}, ["green.jpg", "red.jpg"]),
        ({"camera": "x100", "folder": "BEACH"}, ["red.jpg"]),
        ({"camera": "nothing"}, []),
    ],
)
def test_the_grid_is_narrowed_down(client, place, narrowed, names):
    if "folder" in narrowed:
        narrowed["folder"] = str(place / "photos/beach")
    shown = [name for section in in_sections(client, **narrowed).values() for name in section]
    assert sorted(shown) == names


def test_the_facets_count_folders_with_what_is_below_them(client, place):
    facets = client.get("/api/facets").json()
    assert {folder["path"]: folder["count"] for folder in facets["folders"]} == {
        str(place / "photos"): 4,
        str(place / "photos/beach"): 2,
    }
    assert facets["cameras"] == [{"camera": "X100", "count": 2}]
    assert [(month["month"], month["count"]) for month in facets["months"]] == [
        ("2024-05", 2),
        ("2023-01", 1),
        ("", 1),
    ]


SAYS = """<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/">
 <rdf:RDF><rdf:Description xmp:Rating="{rating}" exif:GPSLatitude="{place[0]}" exif:GPSLongitude="{place[1]}">
 <dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


def say(photo, rating, place, *keywords):
    bag = "".join(f"<rdf:li>{keyword}</rdf:li>" for keyword in keywords)
    photo.with_suffix(".xmp").write_text(SAYS.format(rating=rating, place=place, keywords=bag))


def test_the_page_is_told_every_filter_with_what_there_is_to_choose_from(own, own_client):
    say(own / "photos/beach/red.jpg", 4, ("33,51.5S", "18,25.3E"), "sea", "Sea", "sand")
    say(own / "photos/beach/blue.jpg", 2, ("33,53.0S", "18,26.0E"), "sea")
    say(own / "photos/green.jpg", -1, ("0,0.1N", "78,27.0W"), "grass")
    index(own)
    own_client.post("/api/selection/favourites", json={"photos": [1], "favourite": True})
    facets = own_client.get("/api/facets").json()
    told = {
        one["label"]: [(each["value"], each["words"], each["count"]) for each in one["choices"]]
        for one in facets["filters"]
    }
    assert told == {
        "Folder": [],
        "Taken from": [],
        "before": [],
        "Camera": [("X100", "X100", 2)],
        "Place": [("-33.9,18.4", "33.9° S, 18.4° E", 2), ("0.0,-78.5", "0.0° N, 78.5° W", 1)],
        "Rating": [
            ("4", "★★★★ or more", 1),
            ("3", "★★★ or more", 1),
            ("2", "★★ or more", 2),
            ("1", "★ or more", 2),
        ],
        "Keyword": [("sea", "sea", 2), ("Sea", "Sea", 1), ("grass", "grass", 1), ("sand", "sand", 1)],
        "Favourites only": [("true", "true", 1)],
    }
    assert facets["ratings"] == [{"value": str(n), "count": 1 if n > 2 else 2} for n in (4, 3, 2, 1)]
    assert facets["favourites"] == 1
    for one in facets["filters"]:
        for choice in one["choices"]:
            narrowed = own_client.get("/api/grid", params={one["name"]: choice["value"]}).json()
            most = 2 if choice["words"] in ("sea", "Sea") else choice["count"]  # asked for in any case
            assert len(narrowed["ids"]) == most


def test_the_page_reads_from_its_address_whatever_the_api_takes(client):
    (listed,) = re.findall(r'data-filters="([^"]*)"', client.get("/").text)
    names = listed.split()
    grid = client.get("/openapi.json").json()["paths"]["/api/grid"]["get"]
    assert set(names) == {one["name"] for one in grid["parameters"]} - {"by"}


def test_an_unchanged_grid_is_not_sent_again_and_a_file_that_goes_missing_changes_it(own, own_client):
    first = own_client.get("/api/grid")
    assert own_client.get("/api/grid", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    (own / "photos" / "grey.png").unlink()
    index(own)
    again = own_client.get("/api/grid", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, len(again.json()["ids"])) == (200, 3)


def test_the_grid_leaves_out_what_is_on_a_drive_that_is_not_there(own, own_client):
    shutil.rmtree(own / "photos")
    assert own_client.get("/api/grid").json()["ids"] == []


def test_the_grid_travels_packed(client):
    answer = client.get("/api/grid", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    plain = client.get("/api/grid", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()
    with client.stream("GET", "/api/grid", headers={"accept-encoding": "gzip"}) as raw:
        assert json.loads(gzip.decompress(b"".join(raw.iter_raw()))) == plain.json()


def test_a_photo_is_described_with_all_its_places(own, own_client):
    shutil.copy(own / "photos" / "beach/red.jpg", own / "photos" / "copy.jpg")
    index(own)
    (own / "photos" / "copy.jpg").unlink()
    index(own)
    facts = own_client.get(f"/api/photos/{photo_id(own_client, 'red.jpg')}").json()
    assert (facts["width"], facts["height"], facts["taken"], facts["camera"]) == (
        60,
        40,
        "2024-05-03T10:11:12",
        "X100",
    )
    assert (facts["taken_from"], facts["lens"], facts["rating"], facts["keywords"]) == (
        "EXIF",
        None,
        None,
        [],
    )
    assert {(file["path"], file["state"]) for file in facts["files"]} == {
        (str(own / "photos" / "beach/red.jpg"), "present"),
        (str(own / "photos" / "copy.jpg"), "missing"),
    }


def opened(answer):
    assert answer.headers["content-type"] == "image/jpeg"
    return Image.open(io.BytesIO(answer.content))


def test_a_thumbnail_is_upright_and_made_once(own, own_client, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored lies on its side
    exif[0x010E] = "a secret"
    picture(own / "photos" / "turned.jpg", "orange", size=(900, 600), exif=exif)
    index(own)
    photo = photo_id(own_client, "turned.jpg")
    answer = own_client.get(f"/api/photos/{photo}/thumbnail", params={"height": 320})
    shown = opened(answer)
    assert shown.size == (213, 320)
    assert b"a secret" not in answer.content
    assert not shown.getexif()
    (own / "photos" / "turned.jpg").unlink()
    assert own_client.get(f"/api/photos/{photo}/thumbnail", params={"height": 320}).content == answer.content
    gone = own_client.get(f"/api/photos/{photo}/thumbnail", params={"height": 160})
    assert (gone.status_code, gone.json()["error"].startswith("cannot read")) == (400, True)


def test_pictures_may_be_kept_by_a_browser_that_names_the_library(client):
    photo = photo_id(client, "red.jpg")
    images = client.get("/api/status").json()["images"]
    for name in ("thumbnail", "view"):
        address = f"/api/photos/{photo}/{name}"
        kept = client.get(address, params={"v": images})
        assert "immutable" in kept.headers["cache-control"]
        asked_again = client.get(address)
        assert "no-cache" in asked_again.headers["cache-control"]
        same = client.get(address, headers={"if-none-match": asked_again.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_a_view_is_never_larger_than_a_screen(own, own_client, picture):
    picture(own / "photos" / "wide.png", "purple", size=(4096, 1000))
    index(own)
    answer = own_client.get(f"/api/photos/{photo_id(own_client, 'wide.png')}/view")
    assert opened(answer).size == (2048, 500)


def test_a_new_library_in_the_old_place_is_noticed(own, own_client):
    before = own_client.get("/api/status").json()["images"]
    shutil.rmtree(own / "library")
    (own / "photos" / "grey.png").unlink()
    index(own)
    assert len(own_client.get("/api/grid").json()["ids"]) == 3
    assert own_client.get("/api/status").json()["images"] != before


@pytest.mark.trust
def test_what_a_page_says_of_one_library_is_not_stored_in_another(own, own_client):
    shown = own_client.get("/api/status").json()["images"]
    order = {"photos": own_client.get("/api/grid").json()["ids"][:1], "favourite": True}
    known = {"X-Vitsearch-Library": shown}
    assert own_client.post("/api/selection/favourites", json=order, headers=known).json() == {"changed": 1}
    shutil.rmtree(own / "library")
    index(own)
    refused = own_client.post("/api/selection/favourites", json=order, headers=known)
    assert (refused.status_code, "load the page again" in refused.json()["error"]) == (409, True)
    assert own_client.get("/api/favourites").json() == {"photos": []}
    known = {"X-Vitsearch-Library": own_client.get("/api/status").json()["images"]}
    assert own_client.post("/api/selection/favourites", json=order, headers=known).json() == {"changed": 1}


def test_one_replacement_of_a_library_is_noticed_once_whoever_looks(own, own_client):
    readers = own_client.app.state.server.libraries

    def looked():
        with ExitStack() as borrowed:
            for _ in range(3):
                borrowed.enter_context(readers.library()).catalog.roots()
                yield readers.images

    before = set(looked())
    shutil.rmtree(own / "library")
    index(own)
    after = set(looked())
    assert (len(before), len(after), len(before | after)) == (1, 1, 2)


@pytest.mark.trust
def test_a_head_is_made_in_the_library_that_is_there_now(own, own_client):
    def heads(name):
        ids = own_client.get("/api/grid").json()["ids"]
        photos = [{"photo": photo, "labels": ["ab"[at % 2]]} for at, photo in enumerate(ids)]
        return own_client.post("/api/heads", json={"name": name, "photos": photos})

    assert heads("first").status_code == 201
    shutil.rmtree(own / "library")
    index(own)
    answer = heads("second")
    assert answer.status_code == 201, answer.text
    with Library.open(own / "library", backbone=MeanColour()) as library:
        assert len(HeadStore(library).tables.examples("second")) == answer.json()["head"]["examples"] > 3


def test_a_file_is_revealed_where_it_is(own):
    shown: list[Path] = []
    with web_client(own / "library", MeanColour(), reveal=shown.append) as client:
        photo = photo_id(client, "red.jpg")
        assert client.post(f"/api/photos/{photo}/reveal", json={}).status_code == 204
        assert client.post(f"/api/photos/{photo}/reveal", json={"file": 7}).status_code == 404
    assert shown == [own / "photos" / "beach/red.jpg"]


@pytest.mark.parametrize("address", ["/nonsense", "/photo/one", "/search/more", "/photo/1/more"])
def test_an_address_of_nothing_is_a_page_for_a_person_and_a_line_for_a_program(client, address):
    page = client.get(address, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 404
    assert page.text == client.get("/").text
    for accept in ("application/json", "*/*"):
        line = client.get(address, headers={"accept": accept})
        assert line.status_code in (404, 422)
        assert list(line.json()) == ["error"]
    assert client.get("/api/nonsense", headers={"accept": "text/html"}).json() == {
        "error": "there is nothing at this address"
    }


def test_the_same_page_is_served_for_every_view_and_its_files_may_be_kept(client):
    page = client.get("/").text
    for address in ("/search?photo=1", "/duplicates", "/labels", "/indexing", "/photo/1"):
        assert client.get(address).text == page
    script = page.split('<script type="module" src="')[1].split('"')[0]
    answer = client.get(script)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]


def test_the_api_describes_itself_and_loads_nothing_from_elsewhere(client):
    described = client.get("/openapi.json").json()
    assert {"/api/grid", "/api/search", "/api/photos/{photo}/thumbnail"} <= set(described["paths"])
    assert "score" in described["components"]["schemas"]["Match"]["properties"]
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
