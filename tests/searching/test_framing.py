"""What a query's frame takes in: regions are seen whole, photos of no library both cut to the centre and whole."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from vitsearch.decoding.decoders import Decoders
from vitsearch.library import Library
from vitsearch.photos.photo import read_photo

FLOAT16 = 1e-3
# The centre of a sign is blue; with its ends, each half of it is half red: purple.
RED, BLUE, PURPLE, GREEN = (255, 0, 0), (0, 0, 255), (128, 0, 128), (0, 128, 0)


def cutting(fit="crop"):
    """A backbone that sees the centre of a photo, as most are published."""
    backbone = MeanColour()
    backbone.space = replace(backbone.space, preprocessing=replace(backbone.space.preprocessing, fit=fit))
    return backbone


def seen(*halves):
    """The unit vector of a picture that looks the same above and below: its colour, or those of its halves."""
    left, right = (*halves, halves[0])[:2]
    vector = np.array([*left, *right, *left, *right, 25.5]) / 255
    return vector / np.linalg.norm(vector)


def mean(*vectors):
    total = np.sum(vectors, axis=0)
    return total / np.linalg.norm(total)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, colour in {"red": RED, "blue": BLUE, "purple": PURPLE, "green": GREEN}.items():
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"photos/{name}.png")
    return tmp_path / "photos"


@pytest.fixture
def sign(tmp_path):
    """A wide picture, red at its ends, in the middle of a larger green one; and alone, in a file of its own."""
    sign = Image.new("RGB", (96, 24), RED)
    sign.paste(BLUE, (24, 0, 72, 24))
    street = Image.new("RGB", (160, 120), GREEN)
    street.paste(sign, (32, 40))
    street.save(tmp_path / "street.png")
    sign.save(tmp_path / "sign.png")
    return tmp_path


@pytest.fixture(params=["here", "in decoders", "on the page"])
def ask(request, tmp_path, photos):
    """Ask for a file, or a region of it, in one of three ways: scores by name."""

    def asking(path, crop=None, *, fit="crop"):
        folder = tmp_path / fit
        with Library.open(folder, backbone=cutting(fit)) as library:
            library.index([photos])
            if request.param == "here":
                matches = library.search(path, crop=crop, k=9).results
                return {match.path.stem: match.score for match in matches}
        if request.param == "in decoders":
            with (
                Decoders() as decoders,
                Library.open(folder, backbone=cutting(fit), decoders=decoders) as library,
            ):
                matches = library.search(path, crop=crop, k=9).results
                return {match.path.stem: match.score for match in matches}
        with web_client(folder, cutting(fit)) as client:
            token = client.post("/api/uploads", content=path.read_bytes()).json()["token"]
            box = {"crop": ",".join(map(str, crop))} if crop else {}
            answer = client.get("/api/search", params={"upload": token, "k": 9, **box}).json()
            return {
                match["path"].rsplit("/")[-1].removesuffix(".png"): match["score"]
                for match in answer["results"]
            }

    return asking


def test_a_region_is_seen_whole(ask, sign):
    found = ask(sign / "street.png", (32, 40, 96, 24))
    for name, colour in {"red": RED, "blue": BLUE, "purple": PURPLE}.items():
        assert found[name] == pytest.approx(seen((127.5, 0, 127.5)) @ seen(colour), abs=FLOAT16)
    assert max(found, key=found.get) == "purple"


def test_a_photo_from_elsewhere_is_seen_as_the_library_is_and_whole(ask, sign):
    found = ask(sign / "sign.png")
    query = mean(seen(BLUE), seen((127.5, 0, 127.5)))
    for name, colour in {"red": RED, "blue": BLUE, "purple": PURPLE}.items():
        assert found[name] == pytest.approx(query @ seen(colour), abs=FLOAT16)


def test_a_model_that_sees_whole_frames_looks_once(ask, sign):
    assert ask(sign / "sign.png", fit="squeeze")["purple"] == pytest.approx(1, abs=FLOAT16)


def test_a_photo_of_the_library_is_its_stored_vector_and_no_model_is_asked(tmp_path, photos, sign):
    (sign / "sign.png").rename(photos / "sign.png")
    backbone = cutting()
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index([photos])
        embedded = backbone.embedded
        found = {match.path.stem: match.score for match in library.search(photos / "sign.png", k=9).results}
        assert backbone.embedded == embedded
    assert found["blue"] == pytest.approx(1, abs=FLOAT16)


@pytest.mark.parametrize("how", ["learnt from", "missing"])
def test_a_photo_that_is_known_and_in_no_folder_is_seen_as_any_from_elsewhere(tmp_path, photos, sign, how):
    """So it has the same scores in a copy of the library, which has the photos of its folders alone."""
    query = sign / "sign.png"
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos])
        before = library.search(query, k=9)
        if how == "learnt from":
            library.embed_files([query])
        else:
            (photos / "sign.png").write_bytes(query.read_bytes())
            library.index()
            (photos / "sign.png").unlink()
            library.index()
        after = library.search(query, k=9)
        assert library.catalog.photo_id(*read_photo(query).hashes) is not None
    scores = [{match.path.stem: match.score for match in found.results} for found in (before, after)]
    assert scores[1] == pytest.approx(scores[0], abs=FLOAT16)
    with web_client(tmp_path / "library", cutting()) as client:
        upload = client.post("/api/uploads", content=query.read_bytes()).json()
        answer = client.get("/api/search", params={"upload": upload["token"], "k": 9}).json()
    assert upload["photo"] is None
    found = {
        match["path"].rsplit("/")[-1].removesuffix(".png"): match["score"] for match in answer["results"]
    }
    assert found == pytest.approx(scores[0], abs=FLOAT16)


def test_the_two_views_of_a_photo_go_through_the_model_together(tmp_path, photos, sign):
    backbone = cutting()
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index([photos])
        backbone.batches.clear()
        library.search(sign / "sign.png")
    assert backbone.batches == [2]
