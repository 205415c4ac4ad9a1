"""Runs that are interrupted, killed, crowded or out of disk: what was committed stays, the next run goes on."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.errors import LibraryBusy, LibraryError
from vitsearch.library import Library
from vitsearch.neighbours import cache
from vitsearch.storage.catalog import Catalog

# An index run in a process of its own, slow enough to be caught in the middle. It says what is committed.
SLOW_RUN = """
import sys, time
sys.path.insert(0, {root!r})
from tests.support.mean_colour import MeanColour
from vitsearch.library import Library

class Slow(MeanColour):
    def embed_batch(self, pixels):
        time.sleep({pause})
        return super().embed_batch(pixels)

with Library.open({library!r}, backbone=Slow()) as library:
    report = library.index([{photos!r}], on_progress=lambda step: print(step.stage, step.done, flush=True))
print("interrupted" if report.interrupted else "complete", report.embedded, flush=True)
"""


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(40):
        picture(
            tmp_path / "photos" / f"{number:02}.png",
            (number * 6, 250 - number * 5, number * 3),
            size=(16, 16),
        )
    return tmp_path / "photos"


class Interrupting(MeanColour):
    """Ctrl-C arrives while this batch is being embedded."""

    def __init__(self, *, after):
        super().__init__()
        self.after = after

    def embed_batch(self, pixels):
        if len(self.batches) == self.after:
            raise KeyboardInterrupt
        return super().embed_batch(pixels)


def start(library, photos, *, pause=0.05):
    code = SLOW_RUN.format(
        root=str(Path(__file__).parents[2]), library=str(library), photos=str(photos), pause=pause
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_commits(process, count):
    """Read the process's progress until so many files are committed."""
    for line in process.stdout:
        if line.startswith("embed ") and int(line.split()[1]) >= count:
            return
    raise AssertionError(f"the run ended before that: {process.stderr.read()}")


def stored_vectors(folder):
    """Payload and vector of every photo of a library."""
    with Library.open(folder) as library:
        rows = library.catalog.database.rows(
            "SELECT p.photo_hash, v.vector FROM vectors v JOIN photos p ON p.id = v.photo ORDER BY p.photo_hash"
        )
        assert library.catalog.database.scalar("PRAGMA integrity_check") == "ok"
    return rows


def test_an_interrupted_run_keeps_its_commits_and_the_next_one_continues(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=Interrupting(after=3)) as library:
        report = library.index([photos])
        assert report.interrupted
        assert figures(report) == {"photos": 12, "files": 12, "embedded": 12}
        assert places(library, photos / "00.png") == sorted(photos.iterdir())[:12]
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index()
        assert not report.interrupted
        assert figures(report) == {"photos": 40, "files": 40, "embedded": 28, "unchanged": 12}
        assert places(library, photos / "00.png") == sorted(photos.iterdir())


def test_the_status_says_that_a_run_has_not_ended_and_what_goes_on_with_it(tmp_path, photos, run):
    with Library.open(tmp_path / "library", backbone=Interrupting(after=3)) as library:
        assert library.index([photos]).interrupted
        assert [root.to_come for root in library.status().roots] == [28]
    told = run("status").stdout.splitlines()
    assert told[-2] == (
        f"unfinished  the last index run over {photos} has not ended, at most 28 files still to come"
    )
    assert "`vitsearch index` goes on where it was interrupted" in told[-1]
    with Library.open(tmp_path / "library", backbone=Interrupting(after=2)) as library:
        assert library.index().interrupted
        assert [root.to_come for root in library.status().roots] == [20]
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index()
        assert [root.to_come for root in library.status().roots] == [None]
        assert library.catalog.database.rows("SELECT name FROM settings WHERE name LIKE 'todo%'") == []
    assert "unfinished" not in run("status").stdout


def test_a_run_that_ended_while_it_looked_through_the_folder_is_told_too(tmp_path, photos):
    def interrupt(progress):
        raise KeyboardInterrupt

    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index([photos], on_progress=interrupt).interrupted
        assert [root.to_come for root in library.status().roots] == [0]
        library.forget_root(photos)
        library.index([photos.parent / "photos"])
        assert [root.to_come for root in library.status().roots] == [None]


def test_ctrl_c_between_a_commit_and_its_count_loses_no_count(tmp_path, photos, monkeypatch):
    real, commits = Catalog.store, []

    def interrupted(self, *batch):
        added = real(self, *batch)
        commits.append(added)
        if len(commits) == 2:
            signal.raise_signal(signal.SIGINT)
        return added

    monkeypatch.setattr(Catalog, "store", interrupted)
    # A shell that starts the tests in the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, before)
        library = stack.enter_context(Library.open(tmp_path / "library", backbone=MeanColour()))
        report = library.index([photos])
        assert report.interrupted
        assert 8 <= report.embedded == sum(commits) == len(stored_vectors(tmp_path / "library")) < 40


def test_an_interrupted_run_marks_nothing_missing_and_prunes_nothing(tmp_path, photos, picture):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    (photos / "00.png").unlink()
    picture(photos / "new.png", "red")
    with Library.open(tmp_path / "library", backbone=Interrupting(after=0)) as library:
        report = library.index(prune=True)
        assert (report.interrupted, report.missing, report.pruned) == (True, 0, 0)
        assert library.status().vectors == 40


def test_an_interruption_during_the_walk_leaves_everything_as_it_was(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        other = tmp_path / "others"
        for number in range(1000):
            (other / f"{number // 100}").mkdir(parents=True, exist_ok=True)
            (other / f"{number // 100}" / f"{number}.jpg").touch()

        def stop(step):
            if step.done:
                raise KeyboardInterrupt

        report = library.index([photos, other], on_progress=stop)
        assert figures(report) == {"photos": 40, "files": 40, "unchanged": 40}
        assert report.interrupted
        assert library.roots()[0].missing == 0


@pytest.mark.timing
def test_ctrl_c_ends_a_run_within_two_seconds_and_says_what_was_done(tmp_path, photos):
    process = start(tmp_path / "library", photos, pause=0.2)
    wait_for_commits(process, 8)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 2
    assert (process.returncode, errors) == (0, "")
    state, embedded = output.split()[-2:]
    assert state == "interrupted"
    assert 8 <= int(embedded) < 40
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index().embedded == 40 - int(embedded)


def test_runs_that_are_killed_lose_no_commit_and_end_as_an_undisturbed_one(tmp_path, photos):
    source = random.Random(11)
    acknowledged = 0
    for _ in range(4):
        process = start(tmp_path / "library", photos, pause=0.02)
        wait_for_commits(process, 4)
        time.sleep(source.random() * 0.05)
        process.kill()
        process.communicate()
        kept = len(stored_vectors(tmp_path / "library"))
        assert kept >= min(40, acknowledged + 4)
        acknowledged = kept
    backbone = MeanColour()
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        assert figures(library.index())["photos"] == 40
        assert backbone.embedded == 40 - acknowledged
        assert places(library, photos / "00.png") == sorted(photos.iterdir())
    with Library.open(tmp_path / "undisturbed", backbone=MeanColour()) as library:
        library.index([photos])
    assert stored_vectors(tmp_path / "library") == stored_vectors(tmp_path / "undisturbed")


def test_a_killed_run_leaves_no_lock_behind(tmp_path, photos):
    process = start(tmp_path / "library", photos)
    wait_for_commits(process, 4)
    process.kill()
    process.communicate()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index().photos == 40


class Calling(MeanColour):
    """Does something else once, in the middle of a run."""

    def __init__(self, action, *, at_batch):
        super().__init__()
        self.action = action
        self.at_batch = at_batch
        self.answers = []

    def embed_batch(self, pixels):
        if len(self.batches) == self.at_batch and not self.answers:
            self.answers.append(self.action())
        return super().embed_batch(pixels)


def test_while_a_run_goes_on_another_one_and_every_other_change_is_refused_in_one_line(tmp_path, photos):
    folder = tmp_path / "library"
    attempts = {
        "index": lambda other: other.index([photos]),
        "forget": lambda other: other.forget_root(photos),
        "relocate": lambda other: other.relocate_root(photos, tmp_path),
    }

    def all_refused():
        messages = set()
        for attempt in attempts.values():
            with (
                Library.open(folder, backbone=MeanColour()) as other,
                pytest.raises(LibraryBusy) as caught,
            ):
                attempt(other)
            messages.add(str(caught.value))
        return messages

    backbone = Calling(all_refused, at_batch=2)
    with Library.open(folder, backbone=backbone) as library:
        assert library.index([photos]).embedded == 40
    assert backbone.answers == [
        {f"another run is changing the library in {folder}: wait for it to finish, then try again"}
    ]


def test_a_search_during_the_first_run_finds_what_is_committed_so_far(tmp_path, photos):
    def search():
        with Library.open(tmp_path / "library") as other:
            return places(other, photos / "00.png")

    backbone = Calling(search, at_batch=3)
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index([photos])
    assert backbone.answers == [sorted(photos.iterdir())[:12]]


@pytest.fixture
def grown(tmp_path, photos, picture):
    """A library of 40 photos to which 12 have come; returns those of before."""
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    before = sorted(photos.iterdir())
    for number in range(12):
        picture(photos / f"new {number:02}.png", (200, number * 20, 90))
    return before


def test_a_search_during_a_later_run_finds_what_is_committed_so_far(tmp_path, photos, grown):
    new = sorted(set(photos.iterdir()) - set(grown))

    def search():
        with Library.open(tmp_path / "library") as other:
            return places(other, photos / "00.png")

    backbone = Calling(search, at_batch=2)
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index()
        assert places(library, photos / "00.png") == sorted(photos.iterdir())
    assert backbone.answers == [sorted([*grown, *new[:8]])]


def test_what_stays_open_during_a_run_follows_it_and_keeps_no_copy_afterwards(
    tmp_path, photos, grown, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new = sorted(set(photos.iterdir()) - set(grown))
    counts, copies = [], []
    with Library.open(tmp_path / "library") as other:

        class Asking(MeanColour):
            def embed_batch(self, pixels):
                counts.append(len(places(other, photos / "00.png")))
                copies.append(list(tmp_path.glob("vitsearch-*/manifest.json")))
                return super().embed_batch(pixels)

        with Library.open(tmp_path / "library", backbone=Asking()) as library:
            library.index()
        assert counts[:3] == [40, 44, 48]
        assert [len(kept) for kept in copies[:3]] == [0, 1, 1]
        assert copies[1] == copies[2]
        assert places(other, photos / "00.png") == sorted([*grown, *new])
    assert not any(kept.exists() for kept in copies[1])


def test_a_search_of_a_large_library_during_a_run_answers_from_what_was_there_before(
    tmp_path, photos, grown, monkeypatch
):
    monkeypatch.setattr(cache, "_COPIED_BYTES", 40 * 13 * 2)

    def search():
        with Library.open(tmp_path / "library") as other:
            return places(other, photos / "00.png")

    backbone = Calling(search, at_batch=2)
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index()
    assert backbone.answers == [grown]


def test_a_process_searches_while_another_one_indexes(tmp_path, photos):
    process = start(tmp_path / "library", photos, pause=0.05)
    wait_for_commits(process, 8)
    counts: list[int] = []
    while process.poll() is None and len(counts) < 20:
        with Library.open(tmp_path / "library") as library:
            counts.append(len(places(library, photos / "00.png")))
    output, errors = process.communicate(timeout=60)
    assert (output.split()[-2:], errors) == (["complete", "40"], "")
    assert counts == sorted(counts)
    assert counts[0] >= 8


def test_a_long_lived_search_sees_what_another_process_has_indexed_since(tmp_path, photos, picture):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        assert len(places(library, photos / "00.png")) == 40
        with Library.open(tmp_path / "library", backbone=MeanColour()) as other:
            picture(photos / "new.png", "red")
            (photos / "01.png").unlink()
            other.index(prune=True)
        assert places(library, photos / "00.png") == sorted(photos.iterdir())


def test_a_file_size_limit_ends_a_run_in_one_line_and_the_library_opens_afterwards(tmp_path, photos):
    code = SLOW_RUN.format(
        root=str(Path(__file__).parents[2]), library=str(tmp_path / "library"), photos=str(photos), pause=0
    )
    limited = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (98304, resource.RLIM_INFINITY))
from vitsearch.errors import LibraryError
try:
    exec({code!r})
except LibraryError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    database = tmp_path / "library" / "library.db"
    message = f"the disk that holds {database} reports an error (disk I/O error)"
    assert (done.returncode, done.stdout.splitlines()[-1:], done.stderr) == (0, [message], "")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index([photos]))["photos"] == 40


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a disk of so many kilobytes; a second call gives it another size."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes, *options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kilobytes}k", *options]), "none", disk],
            check=False,
            capture_output=True,
        ).returncode

    if os.geteuid() or mount(64):
        pytest.skip("needs the right to mount a small disk")
    yield disk, lambda kilobytes: mount(kilobytes, "remount")
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("kilobytes", [16, 64, 128, 152, 168])
def test_a_full_disk_ends_a_run_in_one_line_and_loses_no_commit(small_disk, photos, kilobytes):
    disk, resize = small_disk
    resize(kilobytes)
    database = disk / "library" / "library.db"
    with (
        Library.open(disk / "library", backbone=MeanColour()) as library,
        pytest.raises(LibraryError) as caught,
    ):
        library.index([photos])
    assert str(caught.value) == f"the disk that holds {database} is full: make room and run the command again"
    resize(2048)
    with Library.open(disk / "library", backbone=MeanColour()) as library:
        report = library.index([photos])
        assert (report.photos, report.embedded + report.unchanged) == (40, 40)
        assert places(library, photos / "00.png") == sorted(photos.iterdir())
