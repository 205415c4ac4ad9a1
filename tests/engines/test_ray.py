"""Workers of Ray embed what threads of this process would, and a worker that is lost loses nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, vectors

pytest.importorskip("ray", reason="Ray is not installed: `make test-ray` does it")

from vitsearch.engines.ray.embedding import RayEngine
from vitsearch.engines.urls import index_urls
from vitsearch.errors import LibraryError
from vitsearch.library import Library

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # Ray's own warnings of what it will change.
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SMALL = RayEngine(files_a_block=8)


@pytest.fixture(autouse=True)
def workers_find_the_fake_backbone(monkeypatch):
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here.parents[1], here))))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


class DiesOnce(MeanColour):
    """A backbone whose process is killed in the middle of its work, the first time."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def embed_batch(self, pixels):
        if len(pixels) and len(self.batches) == 3 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed_batch(pixels)


@pytest.fixture
def photos(tmp_path, picture):
    folder = tmp_path / "photos"
    for number in range(30):
        picture(folder / f"{number}.png", (number * 8, 255 - number * 8, number * 3))
    (folder / "bad.jpg").write_text("no photo")
    return folder


@pytest.fixture
def plain(tmp_path, photos):
    """What an index run of this process makes of the photos."""
    with Library.open(tmp_path / "plain", backbone=MeanColour()) as library:
        library.index([photos])
        return vectors(library)


def test_the_library_is_the_one_that_threads_make(library, photos, plain):
    report = library.index([photos], engine=SMALL)
    assert figures(report) == {"photos": 30, "files": 30, "embedded": 30, "unreadable": 1}
    assert report.unreadable[0].path == photos / "bad.jpg"
    assert vectors(library) == plain
    assert list((library.layout.shards).iterdir()) == []
    assert figures(library.index([photos], engine=SMALL))["unchanged"] == 30


def test_a_worker_that_is_killed_loses_nothing(tmp_path, photos, plain):
    with Library.open(tmp_path / "library", backbone=DiesOnce(tmp_path / "died")) as library:
        report = library.index([photos], engine=SMALL)
        assert (tmp_path / "died").exists()
        assert (report.photos, report.embedded) == (30, 30)
        assert vectors(library) == plain


def test_photos_below_a_url_are_embedded_once_and_found_where_they_are_mounted(library, photos, plain):
    url = f"file://{photos}"
    assert figures(index_urls(library, [url], SMALL))["embedded"] == 30
    assert "embedded" not in figures(index_urls(library, [url], SMALL))
    library.relocate_root(url, photos)
    assert vectors(library) == plain
    assert len(library.search(photos / "3.png", k=100).results) == 29


def test_a_url_without_photos_and_a_url_without_ray_say_so(library, photos, tmp_path):
    with pytest.raises(LibraryError, match="no photos below"):
        index_urls(library, [f"file://{tmp_path}/none"], SMALL)
    with pytest.raises(LibraryError, match="--engine ray"):
        library.index([f"file://{photos}"])


def test_the_command_line_says_what_it_says_without_ray_and_nothing_of_rays_own(tmp_path, photos):
    command = [sys.executable, "-m", "vitsearch", "--library", tmp_path / "library", "index"]
    done = subprocess.run(
        [*command, photos, "--engine", "ray", "--model", "clip-vit-base-patch16-int8"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "30 photos in 30 files: 30 new, 0 unchanged\n"
    # A slow machine says after half a minute how far it is.
    said = [line for line in done.stderr.splitlines() if not re.fullmatch(r"\w+: .* since the start\)", line)]
    rate, *reasons = said
    assert re.fullmatch(r"clip-vit-base-patch16-int8, [\d.]+ s, [\d.]+ photos/s", rate)
    assert reasons[:2] == [
        "1 file could not be read:",
        f"  {photos / 'bad.jpg'}: it is not an image in a format that is read here",
    ]
    (hint,) = reasons[2:]
    assert re.fullmatch(r"clip-vit-base-patch16-int8 finds photos like one that you have: .*", hint)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:1", "nobody answers at 127.0.0.1:1"), ("head", "Invalid address format")],
)
def test_a_cluster_that_is_not_there_is_one_line(run, photos, address, reason):
    done = run(
        "index", photos, "--engine", "ray", "--model", "clip-vit-base-patch16-int8", "--ray-address", address
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"vitsearch: Ray cannot go on: {reason}.*\n", done.stderr), done.stderr
