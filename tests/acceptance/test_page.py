"""The page's main flows over HTTP, on the real server with a library of 2,500 files."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
from PIL import Image

from tests.acceptance.collection import FILES, SAMPLES, family
from tests.acceptance.program import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.weights]


@pytest.fixture(scope="module")
def page(program) -> Iterator[httpx.Client]:
    """The server's own page as a client; at the end the server stops when it is told to, without a complaint."""
    command = [*program.words(), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            assert server.stderr is not None
            link = re.search(r"(http://127\.0\.0\.1:\d+/)\S*", server.stderr.readline())
            assert link
            with httpx.Client(base_url=link[1], headers={"X-Vitsearch": "1"}, timeout=120) as client:
                assert client.get("/api/status").status_code == 401
                assert client.get(link[0], follow_redirects=True).status_code == 200
                yield client
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()


def got(page: httpx.Client, address: str, **options: object) -> dict[str, Any]:
    """The JSON at an address; `not_` stands for the parameter `not`."""
    options = {name.rstrip("_"): value for name, value in options.items()}
    answer = page.get(f"{address}?{urlencode(options, doseq=True)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(page: httpx.Client, address: str, body: object = None) -> dict[str, Any]:
    """The JSON that comes back for a change."""
    answer = page.post(address, json=body)
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


def ended(page: httpx.Client, address: str) -> dict[str, Any]:
    """What a job's address says once it has ended well."""
    end = time.monotonic() + 300
    while (answer := got(page, address))["state"] == "running":
        assert time.monotonic() < end, answer
        time.sleep(0.2)
    assert answer["state"] == "done", answer
    return answer


def picture(page: httpx.Client, address: str) -> Image.Image:
    """The JPEG at an address."""
    answer = page.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    return Image.open(io.BytesIO(answer.content))


def names(answer: dict[str, Any]) -> list[str]:
    """The stems of what a search found, which are those of the scenes."""
    return [Path(match["path"]).stem for match in answer["results"]]


@pytest.fixture(scope="module")
def ids(page, program, collection) -> dict[str, int]:
    """Photo ids of a few scenes that were scanned too, by their stems."""
    found = {}
    for scene in collection.scenes[2::24]:
        upload = page.post("/api/uploads", content=scene.read_bytes())
        assert upload.status_code == 201, upload.text
        found[scene.stem] = upload.json()["photo"]
    assert None not in found.values()
    return found


def test_the_grid_holds_every_photo_once_in_each_order(page, indexed):
    status = got(page, "/api/status")
    assert (status["photos"], status["files"], status["indexing"]) == (indexed["photos"], FILES, None)
    for order in ("date", "folder"):
        grid = got(page, "/api/grid", by=order)
        assert len(set(grid["ids"])) == len(grid["ids"]) == len(grid["ratios"]) == indexed["photos"]
        assert sum(section["count"] for section in grid["sections"]) == indexed["photos"]
    facets = got(page, "/api/facets")
    assert {camera["camera"] for camera in facets["cameras"]} == {"Canon EOS R5", "NIKON Z 9"}
    assert got(page, "/api/roots")["roots"][0]["files"] == FILES
    assert got(page, "/api/unreadable")["total"] == 3


def test_the_pages_themselves_are_there(page):
    for address in ("/", "/search", "/duplicates", "/labels", "/indexing"):
        answer = page.get(address)
        assert (answer.status_code, "<html" in answer.text) == (200, True)


def test_photos_are_shown_and_searched_for(page, ids, collection):
    for stem, photo in ids.items():
        details = got(page, f"/api/photos/{photo}")
        assert stem in {Path(file["path"]).stem for file in details["files"]}
        assert picture(page, f"/api/photos/{photo}/thumbnail").height > 100
        assert max(picture(page, f"/api/photos/{photo}/view").size) == max(
            details["width"], details["height"]
        )
        assert names(got(page, "/api/search", photo=photo, k=1)) == [stem]
    first, second, *_ = ids.values()
    assert len(got(page, "/api/search", photo=[first, second], k=20, distinct="true")["results"]) == 20
    assert got(page, "/api/search", photo=first, not_=f"photo:{second}", k=5)["results"]
    assert got(page, "/api/search", photo=first, crop="10,10,150,120", k=5)["results"]
    # The small model reads no text, and the page says which one does.
    refused = page.get("/api/search", params={"text": "a castle"})
    assert (refused.status_code // 100, "text tower" in refused.json()["error"]) == (4, True)
    upload = page.post("/api/uploads", content=(SAMPLES / "travel/castle-2.jpg").read_bytes()).json()["token"]
    found = got(page, "/api/search", upload=upload, k=5, folder=str(collection.folder / "phone"))
    assert all("/phone/" in match["path"] for match in found["results"])


def test_what_the_model_saw_is_drawn(page, ids):
    photo = next(iter(ids.values()))
    assert picture(page, f"/api/photos/{photo}/heatmap").height > 100


def test_duplicates_are_found_planned_moved_and_put_back(page, collection):
    sent(page, "/api/duplicates/find")
    found = ended(page, "/api/duplicates")
    assert found["total"] >= len(collection.scenes) * 0.9
    groups = [
        group
        for offset in range(0, found["total"], 200)
        for group in got(page, "/api/duplicates", offset=offset, limit=200)["groups"]
    ]
    assert len(groups) == found["total"]
    for group in groups:
        assert len({family(Path(file["path"])) for file in group["files"]}) == 1
    first, second = groups[0], groups[1]
    photos = [int(number) for number in second["group"].split("-")]
    told = sent(page, "/api/duplicates/not-duplicates", {"photos": photos})
    assert told["pairs"] == max(1, len(photos) * (len(photos) - 1) // 2)
    assert sent(page, "/api/duplicates/not-duplicates/undo", {"photos": photos}) == told
    decisions = [
        {"group": group["group"], "keep": 0, "files": list(range(1, len(group["files"])))}
        for group in (first, second)
    ]
    plan = sent(page, "/api/plans", {"groups": decisions})
    going = [Path(file["path"]) for group in plan["groups"] for file in group["files"]]
    before = {path: path.read_bytes() for path in going}
    assert sent(page, f"/api/plans/{plan['id']}/apply")["state"] == "applied"
    assert not any(path.exists() for path in going)
    assert ended(page, "/api/index")["report"]["missing"] == len(going)
    assert sent(page, f"/api/plans/{plan['id']}/undo")["state"] == "undone"
    assert {path: path.read_bytes() for path in going} == before
    assert ended(page, "/api/index")["report"]["missing"] == 0
    assert page.delete(f"/api/plans/{plan['id']}").status_code == 204


def test_labels_are_made_corrected_and_learnt_from(page, collection, tmp_path):
    for label in ("bird", "castle"):
        (tmp_path / label).mkdir()
        for scene in [scene for scene in collection.scenes if scene.parent.name == label][:12]:
            (tmp_path / label / scene.name).write_bytes(scene.read_bytes())
    made = sent(page, "/api/heads", {"name": "page", "folder": str(tmp_path)})
    assert made["after"]["accuracy"] > 0.7, json.dumps(made)
    predictions = got(page, "/api/heads/page/predictions", label="castle", limit=10)["predictions"]
    assert [Path(each["path"]).stem.split("-")[0] for each in predictions].count("castle") >= 7
    (unsure, *_) = got(page, "/api/heads/page/next", n=3)["photos"]
    sent(page, "/api/heads/page/corrections", {"photo": unsure["photo"], "labels": ["castle"]})
    assert sent(page, "/api/heads/page/train")["version"] > 1
    assert page.delete(f"/api/heads/page/corrections/{unsure['photo']}").status_code == 200
    assert "page" in {head["name"] for head in got(page, "/api/heads")["heads"]}


def test_a_run_started_on_the_page_finds_what_is_new(page, collection):
    new = collection.folder / "new.png"
    Image.radial_gradient("L").convert("RGB").save(new)
    try:
        sent(page, "/api/index")
        assert ended(page, "/api/index")["report"]["files"] == FILES + 1
    finally:
        new.unlink()
    sent(page, "/api/index", {"folders": [str(collection.folder)]})
    assert ended(page, "/api/index")["report"]["missing"] == 1
