"""Search on the web page: by photos, uploads and regions, with negative examples and filters."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from vitsearch.jsonable import to_jsonable
from vitsearch.library import Library
from vitsearch.web.responses import Conflict
from vitsearch.web.server import Server
from vitsearch.web.settings import LibrarySettings

COLOURS = ("red", "darkred", "blue", "navy", "green", "white")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("searched")
    (place / "photos").mkdir()
    for colour in COLOURS:
        Image.new("RGB", (64, 48), colour).save(place / f"photos/{colour}.png")
    halves = Image.new("RGB", (64, 48), "red")
    halves.paste("blue", (0, 0, 32, 48))
    halves.save(place / "photos/halves.png")
    return place


@pytest.fixture(scope="module")
def photos(place):
    return place / "photos"


@pytest.fixture(scope="module")
def library(place, photos):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([photos])
        yield library


@pytest.fixture(scope="module")
def client(place, library):
    with web_client(place / "library", MeanColour()) as client:
        yield client


@pytest.fixture(scope="module")
def ids(library, photos):
    return {
        match.path.stem: match.photo
        for match in library.search(photos / "red.png", k=100, include_self=True).results
    }


def found(client, **options):
    answer = client.get("/api/search", params=options)
    assert answer.status_code == 200, answer.text
    return [match["path"].rsplit("/")[-1].removesuffix(".png") for match in answer.json()["results"]]


def put(client, path):
    answer = client.post("/api/uploads", content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()


def as_printed(result):
    """A search as `vitsearch search --json` prints it: that matches are scored is seen from their scores."""
    document = json.loads(json.dumps(to_jsonable(result)))
    assert document.pop("scored") is True
    return document


def test_a_photo_finds_what_the_command_line_finds(client, library, photos, ids):
    answer = client.get("/api/search", params={"photo": ids["red"], "k": 3}).json()
    assert answer.pop("seconds") >= 0
    wanted = library.search(photos / "red.png", k=3)
    assert answer == as_printed(wanted)


def test_an_upload_finds_the_photo_that_it_is_like_first(client, picture, tmp_path):
    upload = put(client, picture(tmp_path / "elsewhere/nearly.png", (250, 5, 5)))
    assert (upload["width"], upload["height"], upload["photo"]) == (64, 48, None)
    assert found(client, upload=upload["token"], k=1) == ["red"]
    assert client.get(f"/api/uploads/{upload['token']}/view").headers["content-type"] == "image/jpeg"
    assert client.get(f"/api/uploads/{upload['token']}").json() == upload


def test_an_upload_of_a_photo_of_the_library_is_known_and_left_out(client, photos, ids):
    upload = put(client, photos / "red.png")
    assert upload["photo"] == ids["red"]
    assert "red" not in found(client, upload=upload["token"])


def test_an_upload_is_still_there_after_a_restart(client, place, tmp_path, picture):
    upload = put(client, picture(tmp_path / "elsewhere/nearly.png", (250, 5, 5)))
    with web_client(place / "library", MeanColour()) as again:
        assert found(again, upload=upload["token"], k=1) == ["red"]


def test_a_region_is_searched_for(client, ids, photos):
    assert found(client, photo=ids["halves"], crop="0,0,32,48", k=1) == ["blue"]
    assert found(client, photo=ids["halves"], crop="32,0,32,48", k=1) == ["red"]
    upload = put(client, photos / "halves.png")
    assert found(client, upload=upload["token"], crop="0,0,32,48", k=1) == ["blue"]


def test_a_counter_example_pulls_away(client, ids):
    for away, nearest in (("blue", "red"), ("red", "blue")):
        counter = {"not": f"photo:{ids[away]}"}
        assert found(client, photo=ids["halves"], k=1, **counter) == [nearest]


def test_several_examples_are_one_query(client, ids, library, photos):
    wanted = library.search(photos / "red.png", photos / "blue.png", k=3)
    assert found(client, photo=[ids["red"], ids["blue"]], k=3) == [
        match.path.stem for match in wanted.results
    ]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({}, 400, "nothing to search for"),
        ({"photo": 999}, 404, "no photo 999"),
        ({"upload": "0" * 32}, 404, "drop it on the page again"),
        ({"text": "a cat"}, 400, "mean-colour reads no words: run `vitsearch index --also siglip2-base`"),
        ({"photo": 1, "crop": "0,0,999,999"}, 400, "does not lie within"),
        ({"photo": [1, 2], "crop": "0,0,1,1"}, 400, "exactly one example"),
        ({"photo": 1, "folder": "/nowhere"}, 400, "no folder that was indexed"),
        ({"photo": 1, "label": "cat"}, 400, "belongs to a head"),
        ({"photo": 1, "label": "cat", "head": "pets"}, 404, "no head 'pets'"),
        ({"label": "cat", "head": "pets", "distinct": True}, 400, "go with an example or words"),
        ({"label": "cat", "head": "pets", "only_matches": True}, 400, "go with an example or words"),
        ({"label": "cat", "head": "pets", "not": "photo:1"}, 400, "go with an example or words"),
        ({"label": "cat", "head": "pets", "crop": "0,0,1,1"}, 400, "go with an example or words"),
        ({"photo": 1, "k": 0}, 422, "k:"),
        ({"photo": "x"}, 422, "photo"),
        ({"photo": 1, "not": "x"}, 422, "not"),
    ],
)
def test_a_query_that_cannot_be_answered_gets_one_line(client, options, status, words):
    answer = client.get("/api/search", params=options)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "address", "body", "line"),
    [
        ("GET", "/api/search?photo=1&k=0", None, "k: 1 or more is expected"),
        ("GET", "/api/search?photo=1&k=5000", None, "k: 1000 or less is expected"),
        ("GET", "/api/search?photo=1&k=many", None, "k: a whole number is expected"),
        ("GET", "/api/photos/x", None, "photo: a whole number is expected"),
        ("GET", "/api/grid?by=size", None, "by: one of these is expected: 'date', 'folder' or 'label'"),
        (
            "GET",
            "/api/grid?after=soon",
            None,
            "after: not in the form that is expected; /openapi.json has it",
        ),
        ("POST", "/api/duplicates/not-duplicates", b'{"photos": 5}', "photos: a list is expected"),
        ("POST", "/api/duplicates/not-duplicates", b'{"photos": []}', "photos: at least 1 expected"),
        (
            "POST",
            "/api/duplicates/not-duplicates",
            b'{"photos": [1.5]}',
            "photos.0: a whole number is expected",
        ),
        ("POST", "/api/duplicates/not-duplicates", b"{}", "photos: missing"),
        ("POST", "/api/duplicates/not-duplicates", b"", "the body: missing"),
        ("POST", "/api/duplicates/not-duplicates", b"[1, 2]", "the body: a JSON object is expected"),
        ("POST", "/api/duplicates/not-duplicates", b'{"photos": ', "the body is no JSON"),
        (
            "POST",
            "/api/selection/favourites",
            b'{"photos": [1], "favourite": "x"}',
            "favourite: true or false is expected",
        ),
        ("POST", "/api/roots", b'{"folder": ""}', "folder: it is empty"),
        ("POST", "/api/roots", b'{"folder": 5}', "folder: text is expected"),
    ],
)
def test_a_malformed_request_is_told_in_plain_words(client, method, address, body, line):
    answer = client.request(method, address, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (422, {"error": line})


def test_a_body_that_does_not_say_that_it_is_json_is_told_how_to(client):
    answer = client.post("/api/duplicates/not-duplicates", content=b'{"photos": [1, 2]}')
    assert answer.json() == {
        "error": "the body: a JSON object is expected, with the header Content-Type: application/json"
    }


def test_what_is_no_image_is_not_taken(client):
    answer = client.post("/api/uploads", content=b"<svg onload=alert(1)>")
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "cannot read the image: it is not an image in a format that is read here"
    )


def test_searches_that_wait_for_the_model_keep_nobody_else_waiting(client, ids):
    server = client.app.state.server
    crops = [{"photo": ids["halves"], "crop": f"0,0,{side},31"} for side in range(20, 30)]
    with ThreadPoolExecutor(len(crops) + 1) as pool:
        with server.model():
            searches = [pool.submit(client.get, "/api/search", params=crop) for crop in crops]
            time.sleep(0.5)  # each of them has come to where it needs the model
            other = pool.submit(client.get, "/api/facets")
            assert wait_for([other], timeout=10).done == {other}
            assert not any(search.done() for search in searches)
        assert {search.result().status_code for search in searches} == {200}


def test_closing_does_not_wait_for_the_model_nor_does_what_waits_for_it(place):
    server = Server(LibrarySettings(place / "library", backbone=MeanColour()))

    def ask():
        with server.model():
            pytest.fail("a server that is closed has no model")

    with ThreadPoolExecutor(2) as pool, server.model():
        waiting = pool.submit(ask)
        server.stop()
        with pytest.raises(Conflict, match="being stopped"):
            waiting.result(timeout=10)
        closing = pool.submit(server.close)
        assert wait_for([closing], timeout=10).done == {closing}


def test_counter_examples_are_neither_named_in_the_query_nor_left_out_as_on_the_command_line(
    client, ids, library, photos
):
    options = {"photo": ids["red"], "not": f"photo:{ids['blue']}", "k": 100}
    answer = client.get("/api/search", params=options).json()
    del answer["seconds"]
    wanted = library.search(photos / "red.png", negatives=[photos / "blue.png"], k=100)
    assert "blue.png" in [match["path"].rsplit("/")[-1] for match in answer["results"]]
    assert answer == as_printed(wanted)
