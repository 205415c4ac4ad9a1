"""Index runs from the web page: in a process of their own, with progress, stopped at will, and never fatal."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from tests.support.mean_colour import MeanColour
from tests.support.ordinary_user import ordinary_user
from tests.support.web_client import wait, web_client
from vitsearch.cli import cli
from vitsearch.cli.session import Session
from vitsearch.errors import LibraryBusy, LibraryError, VitsearchError
from vitsearch.library import Library
from vitsearch.storage.write_lock import write_lock
from vitsearch.web.services.chosen_folder import chosen_folder, is_there
from vitsearch.web.services.work import index_folders
from vitsearch.web.serving import bind
from vitsearch.web.settings import LibrarySettings


class Slow(MeanColour):
    """Takes so long with each batch that a run cannot end before it is stopped."""

    def embed_batch(self, pixels):
        time.sleep(2)
        return super().embed_batch(pixels)


class Fatal(MeanColour):
    """Takes the whole process with it, as a decoder's memory error would."""

    def embed_batch(self, pixels):
        os.kill(os.getpid(), signal.SIGKILL)
        return super().embed_batch(pixels)


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(40):
        picture(tmp_path / f"photos/{number}.png", (number, 2 * number, 100))
    return tmp_path / "photos"


def test_a_folder_is_added_indexed_and_listed_and_what_cannot_be_read_is_named(tmp_path, photos):
    (photos / "broken.jpg").write_bytes(b"nonsense")
    with web_client(tmp_path / "library", MeanColour()) as client:
        assert client.post("/api/roots", json={"folder": str(photos)}).status_code == 202
        done = wait(client, "/api/index")
        assert (done["state"], done["report"]["photos"]) == ("done", 40), done
        assert [root["files"] for root in client.get("/api/roots").json()["roots"]] == [40]
        (unreadable,) = client.get("/api/unreadable").json()["files"]
        assert unreadable["path"] == str(photos / "broken.jpg")
        assert client.get("/api/status").json()["photos"] == len(client.get("/api/grid").json()["ids"]) == 40


@pytest.mark.parametrize("name", ["closed/inside", "n" * 3000])
def test_a_folder_that_may_not_be_looked_at_is_one_clear_line(tmp_path, name):
    (tmp_path / "closed").mkdir(mode=0)
    with ordinary_user():
        with pytest.raises(LibraryError, match="cannot look at"):
            chosen_folder(str(tmp_path / name))
        assert not is_there(tmp_path / name)
    with web_client(tmp_path / "library", MeanColour()) as client:
        answer = client.post("/api/roots", json={"folder": str(tmp_path / ("n" * 3000))})
    assert (answer.status_code, "\n" in answer.json()["error"]) == (400, False)


def test_the_grid_has_its_thumbnails_when_a_run_ends_and_decodes_nothing_for_them(tmp_path, photos):
    with web_client(tmp_path / "library", MeanColour()) as client:
        client.post("/api/roots", json={"folder": str(photos)})
        done = wait(client, "/api/index")
        assert done["state"] == "done", done
        ids = client.get("/api/grid").json()["ids"]
        for path in photos.iterdir():
            path.unlink()
        assert len(ids) == 40
        for photo in ids[::4]:
            thumbnail = f"/api/photos/{photo}/thumbnail"
            assert client.get(thumbnail, params={"height": 320}).headers["content-type"] == "image/jpeg"
            assert client.get(thumbnail, params={"height": 640}).status_code >= 400


@pytest.mark.parametrize(("needed", "made"), [(("fastapi",), 40), (("fastapi", "no_such_package"), 0)])
def test_the_command_makes_thumbnails_where_the_page_is_installed(
    tmp_path, photos, monkeypatch, needed, made
):
    monkeypatch.setattr(import_module("vitsearch.cli.serve"), "_NEEDED", needed)
    monkeypatch.setattr(
        Session, "open", lambda self, **_: Library.open(self.library_folder, backbone=MeanColour())
    )
    result = CliRunner().invoke(cli, ["--library", str(tmp_path / "library"), "index", str(photos)])
    assert (result.exit_code, len(list((tmp_path / "library/.vitsearch/thumbnails").rglob("*.jpg")))) == (
        0,
        made,
    )


def test_a_run_is_stopped_and_the_next_one_goes_on_from_there(tmp_path, photos):
    with web_client(tmp_path / "library", Slow()) as client:
        client.post("/api/roots", json={"folder": str(photos)})
        while (progress := client.get("/api/index").json()["progress"])["done"] < 4:
            assert progress is not None
            time.sleep(0.05)
        assert client.get("/api/status").json()["indexing"]["stage"] == "embed"
        client.post("/api/index/stop")
        stopped = wait(client, "/api/index")
        assert (stopped["state"], stopped["report"]["interrupted"]) == ("stopped", True)
        embedded = stopped["report"]["embedded"]
        assert 0 < embedded < 40
    with web_client(tmp_path / "library", MeanColour()) as client:
        client.post("/api/index")
        assert wait(client, "/api/index")["report"]["embedded"] == 40 - embedded


def test_a_run_that_dies_is_reported_and_the_server_goes_on(tmp_path, photos):
    with web_client(tmp_path / "library", Fatal()) as client:
        client.post("/api/roots", json={"folder": str(photos)})
        ended = wait(client, "/api/index")
        assert ended["state"] == "failed"
        assert "ended with status -9" in ended["error"]
        assert client.get("/api/status").status_code == 200


@pytest.mark.slow
def test_runs_wait_for_each_other(tmp_path, photos, picture):
    picture(tmp_path / "more/one.png", "red")
    with web_client(tmp_path / "library", MeanColour()) as client:
        client.post("/api/roots", json={"folder": str(photos)})
        client.post("/api/roots", json={"folder": str(tmp_path / "more")})
        end = time.monotonic() + 60
        while client.get("/api/status").json()["photos"] < 41 and time.monotonic() < end:
            time.sleep(0.1)
        assert wait(client, "/api/index")["state"] == "done"
        assert len(client.get("/api/roots").json()["roots"]) == 2


def test_a_run_by_somebody_else_is_said_to_be_in_the_way(tmp_path, photos, monkeypatch):
    monkeypatch.setattr("vitsearch.web.services.work._TRIES", 0)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    settings = LibrarySettings(tmp_path / "library", backbone=MeanColour())
    with write_lock(tmp_path / "library"), pytest.raises(LibraryBusy, match="another run"):
        index_folders(settings, (), False, None, lambda _: None)


@pytest.fixture
def serving(tmp_path, photos):
    """The real program, and the address that it prints."""
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    program = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        str(tmp_path / "library"),
        "serve",
        "--port",
        "0",
    ]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            link = re.search(r"(http://127.0.0.1:\d+/)\?token=(\S+)", server.stderr.readline())
            assert link
            yield server, link[1], link[2]
        finally:
            server.kill()


def test_the_program_serves_tells_of_changes_and_stops_at_once(serving, tmp_path, photos, picture):
    server, address, token = serving
    end = time.monotonic() + 30

    def ask(path, **headers):
        return urlopen(Request(f"{address}{path}", headers=headers), timeout=20)

    while True:
        try:
            assert json.load(ask("api/status", authorization=f"Bearer {token}"))["photos"] == 40
            break
        except HTTPError:
            raise
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    with pytest.raises(HTTPError, match="401"):
        ask("api/status")
    with ask("api/events", authorization=f"Bearer {token}") as events:
        while not events.readline().startswith(b"event: idle"):
            pass
        time.sleep(1.5)
        picture(photos / "new.png", "red")
        with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
            library.index()
        while not events.readline().startswith(b"event: changed"):
            pass
        started = time.monotonic()
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0
        assert time.monotonic() - started < 2
        assert server.stderr.read() == ""


def test_an_address_that_is_taken_is_one_clear_line():
    taken = bind("127.0.0.1", 0)
    try:
        with pytest.raises(VitsearchError, match=r"cannot serve at .*in use.*another --port"):
            bind("127.0.0.1", taken.access.port)
    finally:
        taken.socket.close()


def test_a_token_is_in_the_link_if_others_can_reach_the_server_or_it_is_asked_for():
    for host, token, local, needed in (
        ("127.0.0.1", False, True, False),
        ("127.0.0.1", True, True, True),
        ("0.0.0.0", False, False, True),
    ):
        bound = bind(host, 0, token=token)
        bound.socket.close()
        assert ("token=" in bound.link, bound.access.is_local) == (needed, local)


def test_without_the_extra_the_way_out_is_named(monkeypatch, tmp_path):
    module = sys.modules["vitsearch.cli.serve"]
    monkeypatch.setattr(module, "_NEEDED", ("fastapi", "no_such_package"))
    result = CliRunner().invoke(cli, ["--library", str(tmp_path), "serve"])
    assert isinstance(result.exception, VitsearchError)
    assert str(result.exception) == (
        "the web page needs no_such_package: install it with `pip install 'vitsearch[web]'`"
    )
