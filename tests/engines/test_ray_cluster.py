"""A cluster of Ray, several nodes on this machine: what is lost, what joins, what a machine lacks."""

import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES, WEIGHTS
from tests.support.summaries import vectors

pytest.importorskip("ray", reason="Ray is not installed: `make test-ray` does it")

import ray
from ray.cluster_utils import Cluster

from vitsearch.engines.ray.embedding import RayEngine
from vitsearch.errors import StoreError
from vitsearch.library import Library

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # Ray's own warnings of what it will change.
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    ),
]

FILES_A_BLOCK = 4
LEAST_STORE = 75 * 1024 * 1024  # what Ray takes at least


class One(MeanColour):
    """A backbone that takes one photo at a time: sums of other batches are rounded in another way."""

    def __init__(self):
        super().__init__(batch_size=1)


class Watched(One):
    """A backbone that takes its time, and notes on which node it works.

    It waits until as many nodes have been at work as the file `wanted` says.
    """

    def __init__(self, notes, *, seconds=0.0):
        super().__init__()
        self.notes = notes
        self.seconds = seconds

    def embed_batch(self, pixels):
        if len(pixels):
            note = self.notes / f"node-{ray.get_runtime_context().get_node_id()}"
            if not note.exists():
                note.write_text(str(time.time()))
            until = time.monotonic() + 120
            while at_work(self.notes) < wanted(self.notes) and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(self.seconds)
        return super().embed_batch(pixels)


def wanted(notes):
    file = notes / "wanted"
    return int(file.read_text()) if file.exists() else 0


def want(notes, nodes):
    (notes / "part").write_text(str(nodes))
    (notes / "part").replace(notes / "wanted")


def at_work(notes):
    return len(list(notes.glob("node-*")))


class Heavy(One):
    """A backbone that is larger than the smallest object store."""

    def __init__(self):
        super().__init__()
        self.weights = np.random.default_rng(0).integers(256, size=LEAST_STORE + (32 << 20), dtype=np.uint8)


class Elsewhere(One):
    """A backbone whose worker finds itself on a machine without a folder: it hides it first of all."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self.folder.exists():
            self.folder.rename(self.folder.with_name("hidden"))
            self.folder.mkdir()


class Unwritable(Elsewhere):
    """A backbone whose worker finds a file where others see a folder."""

    def __setstate__(self, state):
        super().__setstate__(state)
        if self.folder.is_dir():
            self.folder.rmdir()
            self.folder.touch()


@pytest.fixture(autouse=True)
def _workers_find_the_backbones(monkeypatch):
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here.parents[1], here))))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DATA_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or the machine's other work starves them for minutes


@pytest.fixture
def start():
    """Start a cluster of so many nodes, each with one core; the first is its head."""
    clusters = []

    def begin(nodes, **options):
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **options}
        )
        clusters.append(cluster)
        workers = [cluster.add_node(num_cpus=1, **options) for _ in range(nodes - 1)]
        cluster.wait_for_nodes()
        return cluster, workers

    yield begin
    ray.shutdown()
    for cluster in clusters:
        cluster.shutdown()


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def photos(tmp_path, picture):
    folder = tmp_path / "photos"
    for number in range(80):
        picture(folder / f"{number}.png", (number * 3, 255 - number * 3, number * 2))
    return folder


@pytest.fixture
def plain(tmp_path, photos):
    """What an index run of this process makes of the photos."""
    with Library.open(tmp_path / "plain", backbone=One()) as library:
        library.index([photos])
        return vectors(library)


def engine(cluster, **options):
    return RayEngine(cluster.address, files_a_block=FILES_A_BLOCK, **options)


def test_of_three_nodes_one_is_killed_and_another_joins_and_nothing_is_lost(
    tmp_path, photos, plain, notes, start
):
    cluster, workers = start(3)
    want(notes, 3)
    changed: list[int] = []

    def lose_one_and_take_another(progress):
        if progress.done and not changed:
            changed.append(progress.done)
            assert at_work(notes) == 3
            want(notes, 4)
            cluster.remove_node(workers[0], allow_graceful=False)
            cluster.add_node(num_cpus=1)

    with Library.open(tmp_path / "library", backbone=Watched(notes)) as library:
        report = library.index([photos], engine=engine(cluster), on_progress=lose_one_and_take_another)
        assert 0 < changed[0] < 80
        assert (report.photos, report.embedded, report.unreadable) == (80, 80, ())
        assert at_work(notes) == 4
        assert vectors(library) == plain
        assert list(library.layout.shards.iterdir()) == []


def test_two_nodes_are_nearly_twice_as_fast_as_one(tmp_path, photos, plain, notes, start):
    """With a backbone that sleeps: here all nodes share the cores of one machine. Counted from when all are at work."""
    seconds = []
    for nodes in (1, 2):
        cluster, _ = start(nodes)
        want(notes, nodes)
        with Library.open(tmp_path / f"library{nodes}", backbone=Watched(notes, seconds=1.0)) as library:
            ended: list[float] = []
            library.index(
                [photos],
                engine=RayEngine(cluster.address, files_a_block=10),
                on_progress=partial(note_time, ended),
            )
            assert vectors(library) == plain
        ray.shutdown()
        cluster.shutdown()
        assert at_work(notes) == nodes
        seconds.append(ended[-1] - max(float(each.read_text()) for each in notes.glob("node-*")))
        for each in notes.glob("node-*"):
            each.unlink()
    assert seconds[0] / seconds[1] >= 1.7, seconds


def test_a_machine_that_does_not_have_the_photos_is_named_and_nothing_is_stored(
    tmp_path, photos, plain, start
):
    cluster, _ = start(2)
    with Library.open(tmp_path / "library", backbone=Elsewhere(photos)) as library:
        with pytest.raises(StoreError, match=r"^the machine .* has no photos in .*photos: mount") as caught:
            library.index([photos], engine=engine(cluster))
        assert "\n" not in str(caught.value)
    photos.rmdir()
    photos.with_name("hidden").rename(photos)
    with Library.open(tmp_path / "library", backbone=One()) as library:
        assert library.catalog.database.number("SELECT count(*) FROM files") == 0
        report = library.index([photos], engine=engine(cluster))
        assert (report.embedded, report.unreadable) == (80, ())
        assert vectors(library) == plain


def test_a_machine_that_cannot_write_shards_is_named(tmp_path, photos, start):
    cluster, _ = start(1)
    shards = tmp_path / "shared"
    shards.mkdir()
    with (
        Library.open(tmp_path / "library", backbone=Unwritable(shards)) as library,
        pytest.raises(StoreError, match=r"^the machine .* cannot write to .*shared.*--shards") as caught,
    ):
        library.index([photos], engine=engine(cluster, shards=shards))
    assert "\n" not in str(caught.value)


def test_a_model_larger_than_the_object_store_is_shared_all_the_same(tmp_path, photos, plain, start):
    cluster, _ = start(2, object_store_memory=LEAST_STORE)
    with Library.open(tmp_path / "library", backbone=Heavy()) as library:
        library.index([photos], engine=engine(cluster))
        assert vectors(library) == plain


def test_an_object_store_without_room_on_its_disk_is_one_line(tmp_path, photos, start, monkeypatch):
    monkeypatch.setenv("RAY_local_fs_capacity_threshold", "0.0001")
    cluster, _ = start(1, object_store_memory=LEAST_STORE)
    with (
        Library.open(tmp_path / "library", backbone=Heavy()) as library,
        pytest.raises(StoreError, match="Ray cannot go on: ") as caught,
    ):
        library.index([photos], engine=engine(cluster))
    assert "\n" not in str(caught.value)


@pytest.mark.weights
def test_the_head_is_killed_and_the_same_command_goes_on_with_another(tmp_path, start):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(320):
        with Image.open(SAMPLES / "animals/cat-1.jpg") as image:
            image.resize((200 + number, 300)).save(photos / f"{number}.jpg", quality=80)

    def command(address):
        words = ["--library", tmp_path / "library", "index", photos, "--model", WEIGHTS]
        words += ["--engine", "ray", "--ray-address", address]
        return [sys.executable, "-m", "vitsearch", *map(str, words)]

    cluster, _ = start(2)
    with subprocess.Popen(
        command(cluster.address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        until = time.monotonic() + 120
        while count(tmp_path / "library") == 0 and time.monotonic() < until:
            time.sleep(0.2)
        assert first.poll() is None
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        said, complaint = first.communicate(timeout=120)
    assert (first.returncode, said) == (1, "")
    # A slow machine says after half a minute how far it is.
    (complaint,) = [line for line in complaint.splitlines() if not line.endswith(" since the start)")]
    assert "Ray cannot go on: " in complaint
    kept = count(tmp_path / "library")
    assert 0 < kept < 320
    cluster.shutdown()
    cluster, _ = start(2)
    again = subprocess.run(command(cluster.address), capture_output=True, text=True, check=False, timeout=240)
    assert again.returncode == 0, again.stderr
    counted = re.fullmatch(r"320 photos in 320 files: (\d+) new, (\d+) unchanged\n", again.stdout)
    assert counted, again.stdout
    new, unchanged = map(int, counted.groups())
    assert new + unchanged == 320
    assert unchanged >= kept  # and shards that were written, and not merged yet


def note_time(times, progress):
    times.append(time.time())


def count(folder):
    if not (folder / "library.db").exists():
        return 0
    with Library.open(folder) as library:
        return int(library.catalog.database.number("SELECT count(*) FROM vectors"))
