"""Duplicates and clean-up plans on the web page: found, decided on, carried out, and taken back."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.web_client import wait, web_client
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.journal import Journal
from vitsearch.duplicates.documents import report_document
from vitsearch.duplicates.find import find_duplicates, group_name
from vitsearch.jsonable import to_jsonable
from vitsearch.library import Library
from vitsearch.storage.filters import Filter
from vitsearch.storage.write_lock import photos_lock

CHOSEN = ("animals/cat-1.jpg", "animals/bird-1.jpg", "nature/bee-1.jpg")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("cleanup")
    photos = place / "photos"
    photos.mkdir()
    for name in CHOSEN:
        shutil.copy(SAMPLES / name, photos)
    shutil.copy(photos / "cat-1.jpg", photos / "cat-1 (copy).jpg")
    with Image.open(photos / "bird-1.jpg") as image:
        image.resize((400, 225)).save(photos / "small bird.jpg", quality=80)
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([photos])
    return place


@pytest.fixture(scope="module")
def client(place):
    with web_client(place / "library", MeanColour()) as client:
        assert client.get("/api/duplicates").json()["state"] == "none"
        assert client.post("/api/duplicates/find").status_code == 202
        found = wait(client, "/api/duplicates")
        assert found["state"] == "done", found
        yield client


def groups(client, **options):
    return {
        frozenset(file["path"].rsplit("/")[-1] for file in group["files"]): group
        for group in client.get("/api/duplicates", params=options).json()["groups"]
    }


CATS = frozenset(["cat-1.jpg", "cat-1 (copy).jpg"])
BIRDS = frozenset(["bird-1.jpg", "small bird.jpg"])


def test_groups_come_with_evidence_and_the_facts_of_their_photos(client, place):
    found = groups(client)
    assert set(found) == {CATS, BIRDS}
    assert (found[CATS]["tier"], found[BIRDS]["tier"]) == ("exact", "near")
    keep, other = found[BIRDS]["files"]
    assert keep["path"] == found[BIRDS]["keep"] == str(place / "photos/bird-1.jpg")
    assert (keep["width"], other["width"], other["transform"] != "") == (800, 400, True)
    assert 0 < other["share"] <= 1


def test_groups_are_told_by_the_same_words_as_on_the_command_line(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        wanted = json.loads(json.dumps(to_jsonable(report_document(find_duplicates(library)))))
    added = {"width", "height", "bytes", "format", "taken"}
    found = client.get("/api/duplicates").json()
    for group in found["groups"]:
        del group["version"]  # for those who send decisions back
        group["files"] = [
            {name: value for name, value in file.items() if name not in added} for file in group["files"]
        ]
    assert {name: found[name] for name in wanted} == wanted


def test_groups_are_chosen_by_tier_and_counted(client):
    found = client.get("/api/duplicates", params={"tier": "near", "limit": 1}).json()
    assert (found["total"], len(found["groups"]), found["counts"]) == (1, 1, {"exact": 1, "near": 1})
    assert client.get("/api/duplicates", params={"offset": 2}).json()["groups"] == []


def test_what_is_no_duplicate_is_not_shown_again_unless_that_is_taken_back(client):
    photos = sorted({file["photo"] for file in groups(client)[BIRDS]["files"]})
    assert client.post("/api/duplicates/not-duplicates", json={"photos": photos}).json() == {"pairs": 1}
    assert set(groups(client)) == {CATS}
    assert client.get(f"/api/photos/{photos[0]}").json()["told_apart"] == [photos[1]]
    assert client.post("/api/duplicates/not-duplicates/undo", json={"photos": photos}).json() == {"pairs": 1}
    assert set(groups(client)) == {CATS, BIRDS}


def test_what_is_left_of_a_group_after_not_duplicates_is_shown_as_a_new_search_would(tmp_path):
    """A copy of the kept file, and two copies of a small version: told apart, each pair of copies is its own group."""
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(SAMPLES / "animals/bird-1.jpg", photos / "bird.jpg")
    shutil.copy(photos / "bird.jpg", photos / "bird (copy).jpg")
    with Image.open(photos / "bird.jpg") as image:
        image.resize((400, 225)).save(photos / "small.jpg", quality=80)
    shutil.copy(photos / "small.jpg", photos / "small (copy).jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    with web_client(tmp_path / "library", MeanColour()) as client:
        client.post("/api/duplicates/find")
        wait(client, "/api/duplicates")
        (everything,) = groups(client).values()
        assert len(everything["files"]) == 4
        together = sorted({file["photo"] for file in everything["files"]})
        client.post("/api/duplicates/not-duplicates", json={"photos": together})
        shown = groups(client)
        assert {names: group["tier"] for names, group in shown.items()} == {
            frozenset(["bird.jpg", "bird (copy).jpg"]): "exact",
            frozenset(["small.jpg", "small (copy).jpg"]): "exact",
        }
        small = shown[frozenset(["small.jpg", "small (copy).jpg"])]
        made = plan_for(client, small).json()
        assert [file["path"] for file in made["groups"][0]["files"]] == [small["files"][1]["path"]]
        client.post("/api/duplicates/find")
        wait(client, "/api/duplicates")
        assert set(groups(client)) == set(shown)
        bird = shown[frozenset(["bird.jpg", "bird (copy).jpg"])]["files"][0]["photo"]
        client.post("/api/duplicates/not-duplicates", json={"photos": [bird]})
        assert set(groups(client)) == {frozenset(["small.jpg", "small (copy).jpg"])}
        client.post("/api/duplicates/not-duplicates/undo", json={"photos": [bird]})
        client.post("/api/duplicates/not-duplicates/undo", json={"photos": together})
        assert set(groups(client)) == set(shown)  # of the search that knew no better


@pytest.mark.parametrize("address", ["/api/plans", "/api/plans/preview"])
def test_a_decision_does_not_count_for_other_files_of_a_later_search(tmp_path, address):
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(SAMPLES / "animals/bird-1.jpg", photos / "bird.jpg")
    shutil.copy(photos / "bird.jpg", photos / "bird, a copy.jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        with web_client(tmp_path / "library", MeanColour()) as client:
            client.post("/api/duplicates/find")
            wait(client, "/api/duplicates")
            (seen,) = groups(client).values()
            decision = {"group": seen["group"], "version": seen["version"], "keep": 1, "files": [0]}
            order = {"groups": [decision], "action": "trash"}
            assert client.post(address, json=order).is_success
            # The file that was to be kept stands in another place from now on.
            shutil.copy(photos / "bird.jpg", photos / "bird (2).jpg")
            library.index([photos])
            client.post("/api/duplicates/find")
            wait(client, "/api/duplicates")
            (now,) = groups(client).values()
            assert now["group"] == seen["group"]
            assert now["files"][1]["path"] != seen["files"][1]["path"]
            answer = client.post(address, json=order)
            assert answer.status_code == 409
            assert "decide about it again" in answer.json()["error"]
            decision["version"] = now["version"]
            assert client.post(address, json=order).is_success


def test_a_single_photo_of_one_file_cannot_be_told_apart(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        rows = library.catalog.photos(library.catalog.select(Filter()).tolist())
        alone = next(photo for photo, row in rows.items() if len(row.paths) == 1)
    answer = client.post("/api/duplicates/not-duplicates", json={"photos": [alone]})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": f"there is one file of photo {alone}, and nothing to tell apart: name two photos or more"},
    )


def test_a_collage_stands_beside_the_groups_with_its_photo(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    collage = Image.new("RGB", (1220, 460), "white")
    for at, name in ((5, "animals/bird-1.jpg"), (615, "nature/bee-1.jpg")):
        with Image.open(SAMPLES / name) as image:
            collage.paste(image.convert("RGB").resize((600, 450)), (at, 5))
            image.convert("RGB").resize((600, 450)).save(photos / name.rsplit("/")[-1], quality=92)
    collage.save(photos / "collage.jpg", quality=92)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    with web_client(tmp_path / "library", MeanColour()) as client:
        assert client.get("/api/duplicates/beside").json() == {"contains": [], "alike": []}
        client.post("/api/duplicates/find")
        wait(client, "/api/duplicates")
        named = {(one["path"], one["other"]) for one in client.get("/api/duplicates").json()["contains"]}
        beside = client.get("/api/duplicates/beside").json()["contains"]
        assert {(one["first"]["path"], one["second"]["path"]) for one in beside} == named
        assert any("collage.jpg" in path for pair in named for path in pair)
        files = {file["path"]: file for one in beside for file in (one["first"], one["second"])}
        shown = files[str(photos / "collage.jpg")]
        assert (shown["width"], shown["height"]) == (1220, 460)
        assert client.get(f"/api/photos/{shown['photo']}").json()["files"][0]["path"] == shown["path"]


def plan_for(client, group, /, **options):
    decision = {"group": group["group"], "keep": 0, "files": [1]} | options
    return client.post("/api/plans", json={"groups": [decision], "action": "trash"})


def test_a_plan_is_shown_then_carried_out_then_taken_back(client, place):
    made = plan_for(client, groups(client)[CATS])
    plan = made.json()
    kept, going = plan["groups"][0]["keep"]["path"], plan["groups"][0]["files"][0]["path"]
    size = (place / "photos/cat-1.jpg").stat().st_size
    assert (made.status_code, plan["state"], plan["bytes"]) == (201, "made", size)
    assert sorted([kept, going]) == sorted(str(place / "photos" / name) for name in CATS)
    assert client.get("/api/plans").json()["plans"][0] == plan

    order = {"groups": [{"group": groups(client)[CATS]["group"], "keep": 0, "files": [1]}], "action": "trash"}
    assert client.post("/api/plans/preview", json=order).json() == {"places": plan["places"]}
    photos = client.get(f"/api/plans/{plan['id']}/photos").json()["photos"]
    assert sorted(one["path"] for one in photos) == sorted([kept, going])

    done = client.post(f"/api/plans/{plan['id']}/apply").json()
    assert (done["state"], [each["done"] for each in done["outcomes"]]) == ("applied", [True])
    # What was announced is what happened.
    now = client.get(f"/api/plans/{plan['id']}").json()
    assert now["places"] == plan["places"]
    assert now["groups"][0]["files"][0]["moved_to"].startswith(now["places"][0]["folder"])
    assert (now["places"][0]["files"], now["places"][0]["bytes"]) == (1, size)
    assert set(groups(client)) == {BIRDS}
    moved = client.get(f"/api/plans/{plan['id']}").json()["groups"][0]["files"][0]["moved_to"]
    assert ".vitsearch-trash" in moved
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 409
    wait(client, "/api/index")

    undone = client.post(f"/api/plans/{plan['id']}/undo").json()
    assert (undone["state"], undone["outcomes"][0]["text"]) == ("undone", "put back")
    assert set(groups(client)) == {CATS, BIRDS}
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 204
    assert client.get(f"/api/plans/{plan['id']}").status_code == 404
    wait(client, "/api/index")


@pytest.mark.trust
def test_a_plan_shows_what_becomes_of_sidecars_and_where_they_go(client, place):
    decision = groups(client)[CATS]
    kept, going = (Path(file["path"]) for file in decision["files"])
    going.with_suffix(".xmp").write_text("notes")
    going.with_suffix(".mov").write_bytes(b"moving")
    kept.with_suffix(".mov").write_bytes(b"another one")
    plan = plan_for(client, decision).json()
    name = str(kept.with_suffix(".xmp"))
    moves = {"path": str(going.with_suffix(".xmp")), "bytes": 5, "to": name, "moved": False}
    stays = {"path": str(going.with_suffix(".mov")), "bytes": 6, "to": None, "moved": False}
    assert plan["groups"][0]["sidecars"] == [moves, stays]
    beside = {"folder": str(kept.parent), "kind": "beside", "files": 1, "bytes": 5}
    assert plan["places"][1:] == [beside]
    assert plan["bytes"] == plan["places"][0]["bytes"] == going.stat().st_size
    order = {"groups": [{"group": decision["group"], "keep": 0, "files": [1]}], "action": "trash"}
    assert client.post("/api/plans/preview", json=order).json() == {"places": plan["places"]}
    assert client.post(f"/api/plans/{plan['id']}/apply").json()["state"] == "applied"
    now = client.get(f"/api/plans/{plan['id']}").json()
    assert now["groups"][0]["sidecars"] == [moves | {"moved": True}, stays]
    assert now["places"] == plan["places"]
    wait(client, "/api/index")
    assert client.post(f"/api/plans/{plan['id']}/undo").json()["state"] == "undone"
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 204
    wait(client, "/api/index")
    for path in (going.with_suffix(".xmp"), going.with_suffix(".mov"), kept.with_suffix(".mov")):
        path.unlink()


@pytest.mark.trust
def test_a_plan_waits_for_one_that_is_at_work_on_the_same_photos(client, place):
    plan = plan_for(client, groups(client)[CATS]).json()
    with photos_lock(place / "library"):
        for verb in ("apply", "undo"):
            answer = client.post(f"/api/plans/{plan['id']}/{verb}")
            assert (answer.status_code, "another plan is being applied" in answer.text) == (409, True)
    assert client.get(f"/api/plans/{plan['id']}").json()["state"] == "made"
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 204


@pytest.mark.trust
def test_a_plan_that_is_at_work_cannot_be_deleted(client, place):
    plan = plan_for(client, groups(client)[CATS]).json()
    path = place / f"library/plans/{plan['id']}.json"
    asked = []

    def delete_meanwhile(outcome):
        asked.append(client.delete(f"/api/plans/{plan['id']}").status_code)

    with Journal(path):  # it has begun, and moved nothing yet
        assert client.delete(f"/api/plans/{plan['id']}").status_code == 409
    apply_plan(path, on_outcome=delete_meanwhile)
    undo_plan(path, on_outcome=delete_meanwhile)
    assert asked == [409, 409]
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 204
    assert list(path.parent.glob(f"{path.name}*")) == []


def test_another_file_may_be_kept_than_the_one_that_was_proposed(client, place):
    plan = plan_for(client, groups(client)[BIRDS], keep=1, files=[0]).json()
    (group,) = plan["groups"]
    assert (group["keep"]["path"], group["reason"]) == (
        str(place / "photos/small bird.jpg"),
        "chosen by hand",
    )
    assert client.delete(f"/api/plans/{plan['id']}").status_code == 204


def test_a_file_that_has_changed_since_stops_the_plan_and_is_named(client, place):
    plan = plan_for(client, groups(client)[BIRDS]).json()
    file = place / "photos/small bird.jpg"
    before, status = file.read_bytes(), file.stat()
    file.write_bytes(before + b"x")
    try:
        answer = client.post(f"/api/plans/{plan['id']}/apply")
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert answer.status_code == 409
    assert [each["path"] for each in answer.json()["changed"]] == [str(file)]
    assert client.get(f"/api/plans/{plan['id']}").json()["state"] == "made"


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        ({"keep": 0, "files": [0]}, 409),
        ({"keep": 0, "files": [1, 1]}, 409),
        ({"keep": 0, "files": [2]}, 409),
        ({"group": "1-2-3", "keep": 0, "files": [1]}, 404),
        ({"keep": 0, "files": []}, 422),
    ],
)
def test_a_decision_must_fit_the_group(client, decision, status):
    answer = plan_for(client, groups(client)[BIRDS], **decision)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_a_damaged_plan_is_reported_and_hides_no_other(client, place):
    good = plan_for(client, groups(client)[BIRDS]).json()
    folder = place / "library/plans"
    names = ["20200101-000000-00000000", "99999999-999999-00000000"]
    (folder / f"{names[0]}.json").write_text("{")
    shutil.copy(folder / f"{good['id']}.json", folder / f"{names[1]}.json")
    answer = client.get("/api/plans").json()
    for name in names:
        (folder / f"{name}.json").unlink()
    assert good in answer["plans"]
    assert {each["id"] for each in answer["damaged"]} == set(names)
    assert all(each["id"] in each["error"] for each in answer["damaged"])
    assert client.delete(f"/api/plans/{good['id']}").status_code == 204


def test_a_file_that_belongs_to_a_copy_goes_with_it_and_comes_back(client, place):
    raws = [place / "photos/cat-1.CR2", place / "photos/cat-1 (copy).CR2"]
    for raw in raws:
        raw.write_bytes(b"what the sensor saw")
    plan = plan_for(client, groups(client)[CATS]).json()
    cats, beside = plan["groups"]
    assert beside["reason"] == f"belongs to {cats['keep']['path'].rsplit('/')[-1]}"
    assert {beside["keep"]["path"], beside["files"][0]["path"]} == set(map(str, raws))
    done = client.post(f"/api/plans/{plan['id']}/apply").json()
    assert (done["state"], sum(raw.exists() for raw in raws)) == ("applied", 1)
    wait(client, "/api/index")
    assert client.post(f"/api/plans/{plan['id']}/undo").json()["state"] == "undone"
    assert all(raw.exists() for raw in raws)
    wait(client, "/api/index")
    for raw in raws:
        raw.unlink()


def test_a_burst_is_no_part_of_a_plan(client, place, monkeypatch):
    report = client.app.state.server.duplicates.found.report
    wanted = groups(client)[BIRDS]["group"]
    found = next(group for group in report.groups if group_name(group) == wanted)
    burst = replace(found, tier="burst")
    monkeypatch.setattr(client.app.state.server.duplicates, "group", lambda _, name: {wanted: burst}[name])
    answer = client.post(
        "/api/plans", json={"groups": [{"group": wanted, "keep": 0, "files": [1]}], "action": "trash"}
    )
    assert (answer.status_code, "are a burst" in answer.json()["error"]) == (409, True)


def test_a_change_of_the_library_makes_the_groups_stale(client, place):
    assert client.get("/api/duplicates").json()["stale"] is False
    Image.new("RGB", (70, 50), "purple").save(place / "photos/new.png")
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index()
    assert client.get("/api/duplicates").json()["stale"] is True
