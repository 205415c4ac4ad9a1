"""The folders of a library on the web page: forgotten, watched; unreadable files by reason; the models there are."""

import os
import shutil
import time

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.web_client import wait, web_client
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.web.services.work import index_folders
from vitsearch.web.settings import LibrarySettings


@pytest.fixture
def place(tmp_path):
    for folder, names in (("one", ("cat-1", "cat-2")), ("two", ("bird-1",))):
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(SAMPLES / f"animals/{name}.jpg", tmp_path / folder)
    whole = (SAMPLES / "animals/bird-2.jpg").read_bytes()
    (tmp_path / "one/short.jpg").write_bytes(whole[:9000])
    (tmp_path / "one/shorter.jpg").write_bytes(whole[:8000])
    (tmp_path / "two/empty.jpg").write_bytes(b"")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "one", tmp_path / "two"])
    return tmp_path


def test_a_forgotten_folder_leaves_the_library_and_its_files_stay(place):
    with web_client(place / "library", MeanColour()) as client:
        answer = client.post("/api/roots/forget", json={"folder": str(place / "one")})
        assert (answer.status_code, answer.json()) == (200, {"photos": 2})
        assert [root["path"] for root in client.get("/api/roots").json()["roots"]] == [str(place / "two")]
        assert client.get("/api/status").json()["photos"] == 1
        assert client.post("/api/roots/forget", json={"folder": str(place / "one")}).status_code == 404
    assert sorted(path.name for path in (place / "one").iterdir()) == [
        "cat-1.jpg",
        "cat-2.jpg",
        "short.jpg",
        "shorter.jpg",
    ]


def test_labels_given_in_a_forgotten_folder_count_again_when_it_returns(place):
    with web_client(place / "library", MeanColour()) as client:
        (cat, *_) = client.get("/api/grid").json()["ids"]
        with Library.open(place / "library", backbone=MeanColour()) as library:
            before = library.catalog.photos([cat])[cat].paths[0]
            HeadStore(library).from_examples("pets", folder=_labelled(place))
        client.post("/api/heads/pets/corrections", json={"photo": cat, "labels": ["cat"]})
        folder = before.parent
        client.post("/api/roots/forget", json={"folder": str(folder)})
        client.post("/api/roots", json={"folder": str(folder)})
        wait(client, "/api/index")
        told = {
            one["path"]: one["labels"]
            for one in client.get("/api/heads/pets/predictions").json()["predictions"]
            if one["corrected"]
        }
    assert told == {str(before): ["cat"]}


def _labelled(place):
    for label, names in (
        ("cat", ("animals/cat-1", "nature/flower-1", "nature/mountain-1")),
        ("bird", ("animals/bird-1", "animals/fish-1", "nature/dandelion-1")),
    ):
        (place / "labelled" / label).mkdir(parents=True)
        for number, name in enumerate(names):
            shutil.copy(SAMPLES / f"{name}.jpg", place / "labelled" / label / f"{number}.jpg")
    return place / "labelled"


def test_watching_begins_at_once_and_again_with_the_next_start(place):
    with web_client(place / "library", MeanColour()) as client:
        assert client.get("/api/watch").json() == {"on": False}
        assert client.post("/api/watch", json={"on": True}).json() == {"on": True}
        shutil.copy(SAMPLES / "nature/bee-1.jpg", place / "two/new.jpg")
        _until(lambda: client.get("/api/status").json()["photos"] == 4)
    with web_client(place / "library", MeanColour()) as client:
        assert client.get("/api/watch").json() == {"on": True}
        assert client.post("/api/watch", json={"on": False}).json() == {"on": False}
    with web_client(place / "library", MeanColour()) as client:
        assert client.get("/api/watch").json() == {"on": False}


def _until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_unreadable_files_are_counted_by_reason_and_listed_for_each(place):
    with web_client(place / "library", MeanColour()) as client:
        everything = client.get("/api/unreadable").json()
        assert everything["total"] == 3
        assert everything["reasons"] == [
            {"reason": "it is truncated", "count": 2},
            {"reason": "the file is empty", "count": 1},
        ]
        short = client.get("/api/unreadable", params={"reason": "it is truncated", "limit": 1}).json()
        assert (short["total"], [file["path"] for file in short["files"]]) == (
            2,
            [str(place / "one/short.jpg")],
        )
        assert short["reasons"] == everything["reasons"]


def test_an_unreadable_file_is_tried_again_when_asked_for_and_then_found(place):
    whole, broken = (SAMPLES / "animals/bird-2.jpg").read_bytes(), place / "one/broken.jpg"
    broken.write_bytes(whole[:100] + bytes(len(whole) - 100))
    before = broken.stat()
    with web_client(place / "library", MeanColour()) as client:
        client.post("/api/index")
        assert wait(client, "/api/index")["state"] == "done"
        assert client.get("/api/unreadable").json()["total"] == 4
        # The same size and time: a usual run has no reason to look again.
        broken.write_bytes(whole)
        os.utime(broken, ns=(before.st_atime_ns, before.st_mtime_ns))
        client.post("/api/index")
        wait(client, "/api/index")
        assert client.get("/api/unreadable").json()["total"] == 4
        client.post("/api/index", json={"retry": True})
        wait(client, "/api/index")
        assert client.get("/api/unreadable").json()["total"] == 3


def test_the_models_are_listed_with_what_they_can_do(place):
    with web_client(place / "library", MeanColour()) as client:
        models = {model["name"]: model for model in client.get("/api/models").json()["models"]}
    assert models["clip-vit-base-patch16"]["text"] is True
    assert models["dinov2-small"]["text"] is False
    assert models["dinov2-small"]["dimension"] == 384


def test_a_model_is_chosen_by_its_name_alone(place):
    with web_client(place / "library", MeanColour()) as client:
        for address, order in (
            ("/api/index", {"model": "/etc/passwd"}),
            ("/api/index", {"model": "somebody/model"}),
            ("/api/roots", {"folder": str(place / "two"), "model": "../../x"}),
        ):
            answer = client.post(address, json=order)
            assert (answer.status_code, "none of the models" in answer.json()["error"]) == (400, True)
        assert client.get("/api/index").json()["state"] == "idle"


def test_another_model_looks_at_all_photos_and_searches_change_when_it_is_done(place):
    other = MeanColour(model="clip-vit-base-patch16")
    settings = LibrarySettings(place / "library", backbone=other)
    report = index_folders(settings, (), False, None, lambda _: None, model="clip-vit-base-patch16")
    assert report.embedded == 3
    with web_client(place / "library", other) as client:
        assert client.get("/api/status").json()["model"] == "clip-vit-base-patch16"
