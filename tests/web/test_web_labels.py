"""Labels on the web page: predictions by confidence, corrections, what to label next, and training again."""

import colorsys
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import server_of, web_client
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library


def shade(path, hue, number):
    """Save a picture of a hue that is no near duplicate of the others: each quarter has a brightness of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48))
    for quarter in range(4):
        value = 0.25 + 0.7 * ((number * 7 + quarter * 5 + number * quarter) % 11) / 10
        colour = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue, 1, value))
        left, top = quarter % 2 * 32, quarter // 2 * 24
        image.paste(colour, (left, top, left + 32, top + 24))
    image.save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("labels")
    for index in range(12):
        shade(place / f"labelled/warm/{index}.png", 0.01 * index, index)
        shade(place / f"labelled/cold/{index}.png", 0.6 + 0.01 * index, index)
    for index in range(4):
        shade(place / f"photos/warm-{index}.png", 0.02 * index + 0.005, 20 + index)
        shade(place / f"photos/cold-{index}.png", 0.62 + 0.02 * index, 20 + index)
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([place / "photos"])
        HeadStore(library).train("warmth", folder=place / "labelled")
    return place


@pytest.fixture(scope="module")
def client(place):
    with web_client(place / "library", MeanColour()) as client:
        yield client


def names(rows):
    return [row["path"].rsplit("/")[-1] for row in rows]


def test_heads_are_listed_with_how_good_they_were(client):
    (head,) = client.get("/api/heads").json()["heads"]
    assert (head["name"], head["labels"], head["examples"]) == ("warmth", ["cold", "warm"], 24)
    assert head["interval"][0] <= head["accuracy"] <= head["interval"][1]


def test_predictions_come_surest_first_or_least_sure_first(client):
    found = client.get("/api/heads/warmth/predictions").json()
    sure = [row["probability"] for row in found["predictions"]]
    assert (found["total"], sure) == (8, sorted(sure, reverse=True))
    doubt = client.get("/api/heads/warmth/predictions", params={"order": "doubt"}).json()["predictions"]
    assert [row["probability"] for row in doubt] == sorted(sure)


def test_predictions_of_a_label_come_in_parts(client):
    options = {"label": "warm", "limit": 3}
    first = client.get("/api/heads/warmth/predictions", params=options).json()
    rest = client.get("/api/heads/warmth/predictions", params={**options, "offset": 3}).json()
    assert first["total"] == 4
    assert sorted(names(first["predictions"] + rest["predictions"])) == [f"warm-{n}.png" for n in range(4)]


def test_the_grid_is_in_sections_of_labels_and_narrowed_down_by_one(client):
    grid = client.get("/api/grid", params={"by": "label", "head": "warmth"}).json()
    assert {section["title"]: section["count"] for section in grid["sections"]} == {"cold": 4, "warm": 4}
    warm = client.get("/api/grid", params={"head": "warmth", "label": "warm"}).json()["ids"]
    assert sorted(warm) == sorted(grid["ids"][4:])
    (facet,) = client.get("/api/facets").json()["heads"]
    assert facet == {
        "name": "warmth",
        "labels": [{"label": "cold", "count": 4}, {"label": "warm", "count": 4}],
    }


def test_a_search_is_by_label_alone_or_narrowed_down_by_it(client):
    params = {"head": "warmth", "label": "cold"}
    found = client.get("/api/search", params=params).json()["results"]
    assert sorted(names(found)) == [f"cold-{n}.png" for n in range(4)]
    warm = client.get("/api/grid", params={"head": "warmth", "label": "warm"}).json()["ids"]
    nearest = client.get("/api/search", params={**params, "photo": warm[0]}).json()["results"]
    assert sorted(names(nearest)) == [f"cold-{n}.png" for n in range(4)]


def test_a_correction_counts_at_once_is_learnt_from_and_can_be_taken_back(client):
    photo = client.get("/api/heads/warmth/predictions", params={"label": "warm"}).json()["predictions"][0]
    correction = {"photo": photo["photo"], "labels": ["lukewarm"]}
    assert client.post("/api/heads/warmth/corrections", json=correction).json() == {
        "new_labels": ["lukewarm"],
        "corrections": 1,
    }
    row = client.get("/api/heads/warmth/predictions").json()["predictions"][0]
    assert (row["photo"], row["labels"], row["corrected"]) == (photo["photo"], ["lukewarm"], True)
    assert client.get(f"/api/photos/{photo['photo']}").json()["labels"][0]["label"] == "lukewarm"
    asked = client.get("/api/heads/warmth/next", params={"n": 20}).json()["photos"]
    assert photo["photo"] not in [row["photo"] for row in asked]
    address = f"/api/heads/warmth/corrections/{photo['photo']}"
    assert client.delete(address).json()["corrections"] == 0
    assert client.delete(address).status_code == 404


def test_none_of_these_is_an_answer_of_a_person_and_of_a_head(client):
    rows = client.get("/api/heads/warmth/predictions").json()["predictions"]
    photo = next(row["photo"] for row in rows if row["labels"])
    correction = {"photo": photo, "labels": []}
    assert client.post("/api/heads/warmth/corrections", json=correction).json()["corrections"] == 1
    said = {row["photo"]: row for row in client.get("/api/heads/warmth/predictions").json()["predictions"]}
    assert (said[photo]["labels"], said[photo]["corrected"]) == ([], True)
    for label in ("warm", "cold"):
        found = client.get("/api/heads/warmth/predictions", params={"label": label}).json()["predictions"]
        assert photo not in [row["photo"] for row in found]
        assert all(row["labels"] for row in found)
    trained = client.post("/api/heads/warmth/train").json()
    assert {each["label"] for each in trained["after"]["labels"]} == {"warm", "cold"}
    assert client.delete(f"/api/heads/warmth/corrections/{photo}").json()["corrections"] == 0


def test_training_again_says_how_good_it_was_before_and_is_now(client):
    wrong = client.get("/api/heads/warmth/next", params={"n": 2}).json()["photos"]
    for row in wrong:
        correction = {"photo": row["photo"], "labels": row["labels"]}
        assert client.post("/api/heads/warmth/corrections", json=correction).status_code == 200
    before = client.get("/api/heads").json()["heads"][0]
    trained = client.post("/api/heads/warmth/train").json()
    assert trained["version"] == before["version"] + 1
    assert trained["photos"] == 26
    assert trained["before"] == {"accuracy": before["accuracy"], "interval": before["interval"]}
    assert {label["label"] for label in trained["after"]["labels"]} == {"cold", "warm"}
    assert client.get("/api/heads").json()["heads"][0]["accuracy"] == trained["after"]["accuracy"]


def test_a_photo_of_several_labels_is_found_by_each_and_they_come_as_a_list(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        lines = ["path,label"]
        for number, path in enumerate(sorted((place / "labelled").glob("*/*.png"))):
            lines += [f"{path},{path.parent.name}", *([f"{path},even"] if number % 2 else [])]
        (place / "several.csv").write_text("\n".join(lines))
        assert HeadStore(library).train("several", csv=place / "several.csv").head.kind == "sigmoid"
    heads = "/api/heads/several"
    photo = client.get(f"{heads}/predictions").json()["predictions"][0]["photo"]
    correction = {"photo": photo, "labels": ["warm", "cold"]}
    assert client.post(f"{heads}/corrections", json=correction).status_code == 200
    every = client.get(f"{heads}/predictions").json()
    for label, count in ((each["label"], each["count"]) for each in every["labels"]):
        of_label = client.get(f"{heads}/predictions", params={"label": label}).json()
        assert (of_label["total"], len(of_label["predictions"])) == (count, count)
        if label != "even":
            assert of_label["predictions"][0] == every["predictions"][0]
    assert every["predictions"][0]["photo"] == photo
    assert every["predictions"][0]["labels"] == ["cold", "warm"]


def test_a_damaged_head_is_reported_and_hides_no_other(client, place):
    damaged = place / "library/heads/broken.safetensors"
    damaged.write_bytes(b"nonsense")
    try:
        answer = client.get("/api/heads").json()
    finally:
        damaged.unlink()
    assert "warmth" in [head["name"] for head in answer["heads"]]
    (broken,) = answer["damaged"]
    assert broken["name"] == "broken"
    assert "broken.safetensors" in broken["error"]


def test_training_ends_when_the_server_is_stopped(place, tmp_path):
    class Slow(MeanColour):
        def embed_batch(self, pixels):
            time.sleep(0.2)
            return super().embed_batch(pixels)

    backbone = Slow(batch_size=1)
    with web_client(tmp_path / "library", backbone) as client, ThreadPoolExecutor(1) as pool:
        new = {"name": "slow", "folder": str(place / "labelled")}
        training = pool.submit(client.post, "/api/heads", json=new)
        end = time.monotonic() + 30
        while backbone.embedded < 2 and time.monotonic() < end:
            time.sleep(0.05)
        server_of(client).close()
        answer = training.result()
    assert (answer.status_code, answer.json()["error"]) == (409, "the server is being stopped")
    assert 2 <= backbone.embedded < 24


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("~no-such-user/x", "names nobody's home"),
        ("labelled", "not a whole path"),
        ("/no/such", "there is no folder"),
    ],
)
def test_a_folder_that_cannot_be_is_one_clear_line(client, folder, words):
    answer = client.post("/api/heads", json={"name": "none", "folder": folder})
    assert (answer.status_code, words in answer.json()["error"]) == (400, True)


def test_a_head_is_made_from_a_folder(client, place):
    made = client.post("/api/heads", json={"name": "again", "folder": str(place / "labelled")})
    assert (made.status_code, made.json()["head"]["labels"]) == (201, ["cold", "warm"])
    assert made.json()["after"]["accuracy"] > 0.5


def test_stacks_of_alike_photos_are_suggested_for_a_head_that_is_not_there_yet(client, place):
    found = client.get("/api/heads/something new/suggestions", params={"n": 3, "groups": 2}).json()
    assert len(found["photos"]) == 3
    assert found["groups"]
    for group in found["groups"]:
        shades = {row["path"].rsplit("/")[-1].split("-")[0] for row in group}
        assert len(group) > 1
        assert len(shades) == 1, group
        assert all(row["width"] == 64 and row["label"] is None for row in group)
    assert "something new" not in [head["name"] for head in client.get("/api/heads").json()["heads"]]


def test_a_head_is_made_of_photos_of_the_library_and_none_of_these_counts(place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "photos")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    with web_client(tmp_path / "library", MeanColour()) as client:
        rows = client.get("/api/heads/new/suggestions", params={"n": 8, "groups": 0}).json()["photos"]
        ids = {row["path"].rsplit("/")[-1].removesuffix(".png"): row["photo"] for row in rows}
        given = [
            {"photo": ids[f"{kind}-{at}"], "labels": [kind]} for kind in ("warm", "cold") for at in range(3)
        ]
        order = {"name": "mood", "photos": given}
        assert (
            client.post("/api/heads", json={**order, "photos": [{"photo": 99, "labels": ["x"]}]}).status_code
            == 404
        )
        made = client.post("/api/heads", json=order)
        assert (made.status_code, made.json()["head"]["labels"]) == (201, ["cold", "warm"])
        assert made.json()["head"]["examples"] == 6
        assert client.post("/api/heads", json=order).status_code == 409
        left = client.get("/api/heads/mood/suggestions", params={"n": 8}).json()["photos"]
        assert {row["photo"] for row in left} == {ids["warm-3"], ids["cold-3"]}
        both = {"photos": [ids["warm-3"], ids["cold-3"]], "labels": []}
        assert client.post("/api/heads/mood/corrections/all", json=both).json()["corrections"] == 2
        told = client.get("/api/heads/mood/predictions").json()["predictions"]
        assert {row["photo"] for row in told if row["corrected"] and not row["labels"]} == set(both["photos"])
        wrong = {"photos": [ids["warm-3"]], "labels": ["warm", "cold"]}
        assert client.post("/api/heads/mood/corrections/all", json=wrong).status_code == 400


def test_a_head_whose_labels_do_not_exclude_each_other_takes_several(place, tmp_path):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([place / "photos"])
    with web_client(tmp_path / "library", MeanColour()) as client:
        rows = client.get("/api/heads/new/suggestions", params={"n": 8, "groups": 0}).json()["photos"]
        given = [
            {"photo": row["photo"], "labels": [row["path"].rsplit("/")[-1].split("-")[0]]} for row in rows
        ]
        made = client.post("/api/heads", json={"name": "several", "photos": given, "multi": True})
        assert made.json()["head"]["kind"] == "sigmoid"
        several = {"photo": rows[0]["photo"], "labels": ["warm", "cold"]}
        assert client.post("/api/heads/several/corrections", json=several).status_code == 200
