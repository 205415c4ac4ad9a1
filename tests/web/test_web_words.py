"""Words on the web page: the space that reads them answers; where there is none, the status says what would help."""

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from tests.support.web_client import wait, web_client
from vitsearch.library import Library

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


def test_the_status_says_what_would_make_words_work(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    with web_client(tmp_path / "library", MeanColour()) as client:
        status = client.get("/api/status").json()
        assert (status["reads_text"], status["has_text"]) == (False, False)
        step = status["words_step"]
        assert step["model"] in status["text_models"]
        assert step["command"] == f"vitsearch index --also {step['model']}"
        assert (step["photos"], step["seconds"]) == (4, None)
        refused = client.get("/api/search", params={"text": "a red bicycle"})
        assert (refused.status_code, step["command"] in refused.json()["error"]) == (400, True)


def test_an_index_run_takes_no_checkpoint_that_a_page_names(tmp_path, photos):
    elsewhere = make_checkpoint("clip", tmp_path / "clip")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    with web_client(tmp_path / "library", MeanColour()) as client:
        for model in (str(elsewhere), "someone/something", "dinov2-base"):
            assert client.post("/api/index", json={"also": model}).status_code == 400
        assert client.get("/api/index").json()["state"] == "idle"


def test_a_run_with_words_that_cannot_have_the_model_fails_in_one_line(tmp_path, photos, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    with web_client(tmp_path / "library", MeanColour()) as client:
        assert client.post("/api/index", json={"also": "siglip2-base"}).status_code == 202
        failed = wait(client, "/api/index")
        assert failed["state"] == "failed"
        assert "siglip2-base" in failed["error"]
        assert len(failed["error"].splitlines()) == 1


def test_words_and_photos_are_answered_by_the_space_that_fits(tmp_path, photos):
    text_model = str(make_checkpoint("clip", tmp_path / "clip"))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos], also=text_model)
    with web_client(tmp_path / "library", MeanColour()) as client:
        status = client.get("/api/status").json()
        assert (status["reads_text"], status["words_step"]) == (True, None)
        assert [(space["model"], space["main"], space["left"]) for space in status["spaces"]] == [
            ("mean-colour", True, 0),
            (text_model, False, 0),
        ]

        def ask(**query):
            answer = client.get("/api/search", params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert ask(photo=1)["model"] == "mean-colour"
        assert ask(text="a red shoe")["model"] == text_model
        mixed = ask(photo=1, text="a red shoe")
        assert (mixed["model"], len(mixed["results"])) == (text_model, 3)
