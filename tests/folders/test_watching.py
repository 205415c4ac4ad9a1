"""Watched folders: a new photo is searchable within seconds, a burst is one batch, a drive that goes is offline."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.web_client import server_of, web_client
from vitsearch.errors import LibraryBusy, LibraryDamaged
from vitsearch.folders.watching import folders_to_index, watch_folders
from vitsearch.library import Library

PATIENCE = 20


class Batches:
    """The batches of a watch in a thread of its own."""

    def __init__(self, roots, library):
        self.stop = threading.Event()
        self.found = []
        self.listening = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(roots, library))
        self.thread.start()
        assert self.listening.wait(PATIENCE)

    def run(self, roots, library):
        first = True
        for folders in watch_folders(lambda: roots, library=library, stop=self.stop):
            if first:
                assert folders == tuple(sorted(roots))
                first = False
                self.listening.set()
            else:
                self.found.append(folders)

    def wait(self, count):
        end = time.monotonic() + PATIENCE
        while len(self.found) < count and time.monotonic() < end:
            time.sleep(0.05)
        return self.found


@pytest.fixture
def batches(tmp_path):
    running = []

    def start(*roots):
        running.append(Batches(roots, tmp_path / "photos/library"))
        return running[-1]

    yield start
    for each in running:
        each.stop.set()
        each.thread.join()


def test_a_burst_of_changes_is_one_batch_of_the_smallest_folders(tmp_path, picture, batches):
    root = tmp_path / "photos"
    for folder in ("a/deep", "b", "library/.vitsearch"):
        picture(root / folder / "old.png")
    watched = batches(root)
    for number in range(20):
        picture(root / f"a/deep/{number}.png")
        picture(root / f"b/{number}.png")
        picture(root / f"library/.vitsearch/{number}.png")  # what a library writes counts for nothing
        (root / "library/library.db-journal").write_bytes(b"")
        picture(root / f"b/.hidden/{number}.png")
    assert watched.wait(1) == [(root / "a/deep", root / "b")]
    time.sleep(1.5)
    assert len(watched.found) == 1


def test_what_came_while_nobody_watched_is_looked_for_as_soon_as_the_system_watches(tmp_path, picture):
    for name in ("one", "two"):
        picture(tmp_path / name / "photo.png")
    roots = [tmp_path / "two", tmp_path / "one"]
    assert next(watch_folders(lambda: roots, library=tmp_path / "library")) == tuple(sorted(roots))


def test_a_root_that_goes_is_let_go_of_and_looked_at_when_it_is_back(tmp_path, picture, batches):
    root = tmp_path / "photos"
    picture(root / "one.png")
    watched = batches(root)
    root.rename(tmp_path / "away")
    time.sleep(2.5)
    (tmp_path / "away").rename(root)
    assert (root,) in watched.wait(1)
    before = len(watched.found)
    picture(root / "two.png")
    assert watched.wait(before + 1)[-1] == (root,)


@pytest.mark.parametrize(
    ("changed", "folders"),
    [
        (["a/1.png", "a/2.png"], ["a"]),
        (["a/1.png", "a/deep/2.png"], ["a"]),
        (["gone/deeper/1.png"], [""]),
        (["a/deep"], ["a/deep"]),
        (["1.png", "a/2.png"], [""]),
        (["../elsewhere/1.png"], []),
        ([f"many/{number}/1.png" for number in range(60)], [""]),
    ],
)
def test_what_is_indexed_holds_all_changes_and_exists(tmp_path, changed, folders):
    root = tmp_path / "root"
    for folder in ["a/deep", *(f"many/{number}" for number in range(60))]:
        (root / folder).mkdir(parents=True)
    found = folders_to_index([root.joinpath(path).absolute() for path in changed if ".." not in path], [root])
    assert found == tuple(root / folder for folder in folders)


def test_a_photo_that_is_added_while_the_page_is_served_is_found_within_seconds(tmp_path, picture):
    picture(tmp_path / "photos/red.png", "red")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    with web_client(tmp_path / "library", MeanColour(), watch=True) as client:
        time.sleep(0.5)
        picture(tmp_path / "photos/blue.png", "blue")
        end = time.monotonic() + PATIENCE
        while client.get("/api/status").json()["vectors"] < 2 and time.monotonic() < end:
            time.sleep(0.1)
        ids = client.get("/api/grid").json()["ids"]
        assert len(client.get("/api/search", params={"photo": ids[0]}).json()["results"]) == 1


@pytest.mark.parametrize(("error", "reports"), [(LibraryBusy, 0), (LibraryDamaged, 1)])
def test_watching_goes_on_after_the_library_could_not_be_read_for_a_while(
    tmp_path, picture, monkeypatch, caplog, error, reports
):
    monkeypatch.setattr("vitsearch.web.server._WATCH_AGAIN", 0.1)
    picture(tmp_path / "photos/red.png", "red")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    with web_client(tmp_path / "library", MeanColour()) as client:
        server = server_of(client)
        lend, broken = server.libraries.library, threading.Event()
        failures: list[int] = []
        begun: list[object] = []
        monkeypatch.setattr(server.index_runs, "start", begun.append)

        @contextmanager
        def borrowed():
            if broken.is_set() and threading.current_thread().name == "vitsearch-watch":
                failures.append(1)
                raise error("it cannot be read now")
            with lend() as library:
                yield library

        monkeypatch.setattr(server.libraries, "library", borrowed)
        broken.set()
        server.watch()
        end = time.monotonic() + PATIENCE
        while len(failures) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        broken.clear()
        while not begun and time.monotonic() < end:
            picture(tmp_path / "photos/blue.png", "blue")
            time.sleep(1)  # a burst of changes ends after some quiet
        assert begun
    assert [record.getMessage() for record in caplog.records].count("it cannot be read now") == reports


@pytest.mark.weights
@pytest.mark.slow
def test_index_watch_takes_in_new_photos_until_ctrl_c(tmp_path, picture):
    photos = tmp_path / "photos"
    picture(photos / "red.png", "red", size=(300, 200))
    program = [sys.executable, "-m", "vitsearch", "--library", str(tmp_path / "library"), "index", "--watch"]
    options = ["--model", "clip-vit-base-patch16-int8", str(photos)]
    with subprocess.Popen(
        [*program, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline().startswith("1 photo in 1 file: 1 new")
        time.sleep(1)
        shutil.copy(picture(tmp_path / "elsewhere/blue.png", "blue", size=(300, 200)), photos / "blue.png")
        assert running.stdout.readline().startswith("2 photos in 2 files: 1 new")
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
