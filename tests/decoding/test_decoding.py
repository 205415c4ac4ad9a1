"""Decoding in processes of their own: what a file does to its decoder, it does to nothing else."""

import functools
import io
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.summaries import figures, places
from vitsearch.backbones.preprocessing import prepare
from vitsearch.decoding.answers import Header, Prepared
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.decoding.thumbnails import GRID_BOX
from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.library import Library
from vitsearch.photos.perceptual_hash import perceptual_hash
from vitsearch.photos.photo import parse_photo, read_photo
from vitsearch.space import Preprocessing

pytestmark = pytest.mark.usefixtures("started_decoders")

SQUARE = Preprocessing(224, 224, 224, "crop", 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PHOTO = SAMPLES / "animals/cat-1.jpg"
LIMIT = "it took longer than 2 seconds to decode"
REASONS = {
    "CRASH": "the decoder crashed on it (SIGSEGV)",
    "EXIT": "the decoder crashed on it (status 1)",
    "LIE": "the decoder crashed on it (its answer makes no sense)",
    "HANG": LIMIT,
    "SPIN": LIMIT,
}


@pytest.fixture(scope="module")
def hostile():
    with Decoders(1, limits=Limits(seconds=2), program="tests.support.hostile_decoder") as decoders:
        yield decoders


def file_that_says(path, word):
    """A good photo with a word after its end, where no decoder looks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PHOTO.read_bytes() + word.encode())
    return path


def refused(decoders, source, **options):
    with pytest.raises(UnreadablePhoto) as caught, decoders.open(source, **options) as photo:
        photo.prepared(SQUARE)
    return caught.value.reason


def children():
    """The process ids of this process's children, zombies included."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()) if LINUX else set()


LINUX = Path("/proc/self").exists()
needs_proc = pytest.mark.skipif(not LINUX, reason="looks into /proc")


def test_a_photo_is_the_same_as_if_it_were_decoded_here():
    paths = [*sorted((SAMPLES / "copies").iterdir()), *sorted((SAMPLES / "nature").iterdir())[:3]]
    damaged = SAMPLES / "copies/pyramid-1-truncated.jpg"
    paths.remove(damaged)
    with Decoders(1) as decoders:
        with pytest.raises(UnreadablePhoto) as caught:
            read_photo(damaged).pixels()
        assert refused(decoders, damaged) == caught.value.reason
        for path in paths:
            here = read_photo(path)
            image = here.pixels(min_side=SQUARE.decode_side)
            with decoders.open(path) as there:
                assert (there.file_hash, there.photo_hash, there.facts) == (
                    here.file_hash,
                    here.photo_hash,
                    here.facts,
                )
                hashed, pixels = there.prepared(SQUARE)
            assert hashed == perceptual_hash(image)
            np.testing.assert_array_equal(pixels, prepare(image, SQUARE))


def test_a_thumbnail_in_passing_changes_nothing_and_is_whole_or_large_enough(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(PHOTO).resize((2000, 1500))
    sizes = {"turned": (240, 320), "tiny": (40, 30), "wide": (1920, 107)}
    photo.save(tmp_path / "turned.jpg", exif=exif)
    photo.resize((40, 30)).save(tmp_path / "tiny.jpg")
    photo.resize((3600, 200)).save(tmp_path / "wide.jpg")
    with Decoders(1) as decoders:
        for name, size in sizes.items():
            with decoders.open(tmp_path / f"{name}.jpg") as opened:
                plain = opened.prepared(SQUARE)
                perceptual, pixels, small = opened.prepared_with_thumbnail(SQUARE, GRID_BOX)
                whole = opened.pixels()
            assert perceptual == plain[0]
            np.testing.assert_array_equal(pixels, plain[1])
            assert small is not None
            assert small.size == size
            same = np.asarray(whole.resize(size, Image.Resampling.BOX), float)
            assert np.abs(same - np.asarray(small, float)).mean() < 4
        # Decoded for a model that sees 56 pixels only, it would be blurred in the grid.
        low = replace(SQUARE, resize=56, height=56, width=56)
        with decoders.open(tmp_path / "turned.jpg") as opened:
            assert opened.prepared_with_thumbnail(low, GRID_BOX)[2] is None


def test_bytes_are_decoded_like_the_file_that_they_came_from():
    data = PHOTO.read_bytes()
    here = parse_photo(data, name="it")
    with Decoders(1) as decoders, decoders.open(data, name="it") as there:
        assert there.facts == here.facts
        full, small = there.pixels(), there.pixels(min_side=100)  # each decodes anew
        assert full.tobytes() == here.pixels().tobytes()
        assert small.tobytes() == parse_photo(data, name="it").pixels(min_side=100).tobytes()
        assert there.prepared(SQUARE)[1].shape == (224, 224, 3)


def test_photos_of_a_block_are_the_same_as_alone(tmp_path):
    paths = sorted((SAMPLES / "copies").iterdir())
    (tmp_path / "text.jpg").write_text("no photo")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "tiny.png")
    paths += [tmp_path / "text.jpg", tmp_path / "gone.jpg", tmp_path / "tiny.png"]
    with Decoders(1) as decoders:
        with decoders.open_block(paths) as block:
            readable = [place for place, header in enumerate(block.headers) if isinstance(header, Header)]
            readable.reverse()
            boxes = [GRID_BOX if place % 2 else None for place in readable]
            found = block.prepared(SQUARE, readable, boxes=boxes)
        for place in sorted(set(range(len(paths))) - set(readable)):
            header = block.headers[place]
            assert isinstance(header, UnreadablePhoto)
            assert header.reason == refused(decoders, paths[place])
        for place, box, prepared in zip(readable, boxes, found, strict=True):
            if isinstance(prepared, UnreadablePhoto):
                assert prepared.reason == refused(decoders, paths[place])
                continue
            with decoders.open(paths[place]) as alone:
                assert block.headers[place] == alone.header
                perceptual, pixels, small = alone.prepared_with_thumbnail(SQUARE, box)
            assert isinstance(prepared, Prepared)
            assert prepared.perceptual == perceptual
            np.testing.assert_array_equal(prepared.pixels, pixels)
            if small is None:
                assert prepared.thumbnail is None
            else:
                assert prepared.thumbnail is not None
                assert prepared.thumbnail.tobytes() == small.tobytes()
    assert sum(isinstance(each, UnreadablePhoto) for each in found) == 1
    assert len(paths) - len(readable) == 2


@pytest.mark.parametrize("word", REASONS)
def test_a_file_that_crashes_or_hangs_its_decoder_is_refused_with_a_reason_and_the_next_one_is_read(
    hostile, tmp_path, word
):
    assert refused(hostile, file_that_says(tmp_path / "bad.jpg", word)) == REASONS[word]
    with hostile.open(PHOTO) as photo:
        np.testing.assert_array_equal(
            photo.prepared(SQUARE)[1], prepare(read_photo(PHOTO).pixels(min_side=448), SQUARE)
        )


def test_a_photo_does_not_pay_for_memory_that_an_earlier_one_damaged(hostile, tmp_path):
    path = file_that_says(tmp_path / "good.jpg", "ONCE")
    with hostile.open(path) as photo:
        hashed, _ = photo.prepared(SQUARE)
    assert hashed == perceptual_hash(read_photo(path).pixels(min_side=448))
    assert Path(f"{path}.seen").exists()


def test_what_a_library_prints_is_not_taken_for_an_answer(hostile, tmp_path):
    with hostile.open(file_that_says(tmp_path / "good.jpg", "PRINT")) as photo:
        assert photo.prepared(SQUARE)[1].shape == (224, 224, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_photo_that_needs_more_memory_than_the_limit_says_so(tmp_path):
    Image.new("RGB", (6000, 6000)).save(tmp_path / "large.png", compress_level=1)
    with Decoders(1, limits=Limits(memory=200 << 20)) as decoders:
        assert refused(decoders, tmp_path / "large.png") == "it needs more memory than the limit of 200 MB"
        with decoders.open(PHOTO) as photo:
            assert photo.prepared(SQUARE)[1].any()
    with Decoders(1) as decoders, decoders.open(tmp_path / "large.png") as photo:
        assert not photo.prepared(SQUARE)[1].any()


def test_a_process_that_does_not_start_is_one_clear_line_and_no_fault_of_the_photo():
    message = "the process that decodes photos does not start"
    with (
        Decoders(1, program="no_such_module") as decoders,
        pytest.raises(VitsearchError, match=message) as caught,
        decoders.open(PHOTO),
    ):
        pass
    assert not isinstance(caught.value, UnreadablePhoto)


@needs_proc
def test_closing_ends_everything_at_once_and_leaves_neither_processes_nor_descriptors(tmp_path):
    path = file_that_says(tmp_path / "bad.jpg", "HANG")
    before, descriptors = children(), set(Path("/dev/fd").iterdir())
    decoders = Decoders(3, program="tests.support.hostile_decoder")
    decoders.start()
    outcomes = []

    def decode():
        try:
            with decoders.open(path) as photo:
                photo.prepared(SQUARE)
        except BaseException as error:  # noqa: BLE001
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert len(children() - before) == 3
    started = time.monotonic()
    decoders.close()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - started < 5
    assert outcomes == ["ProcessStopped", "ProcessStopped"]
    assert children() == before
    # What tests before this one had open may have been closed meanwhile.
    assert set(Path("/dev/fd").iterdir()) <= descriptors


@pytest.fixture
def folder(tmp_path, picture):
    for number in range(12):
        picture(tmp_path / "photos" / f"{number:02}.png", (number * 20, 99, 200 - number * 9))
    for word in ("CRASH", "HANG", "LIE", "EXIT", "PRINT"):
        file_that_says(tmp_path / "photos" / f"{word.lower()}.jpg", word)
    return tmp_path / "photos"


def test_an_index_run_survives_every_decoder_that_dies_and_says_what_it_could_not_read(
    tmp_path, folder, monkeypatch, capfd
):
    monkeypatch.setattr(
        "vitsearch.indexing.embedding.Decoders",
        functools.partial(Decoders, limits=Limits(seconds=2), program="tests.support.hostile_decoder"),
    )
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([folder])
        assert {item.path.name: item.reason for item in report.unreadable} == {
            f"{word.lower()}.jpg": REASONS[word] for word in ("CRASH", "EXIT", "HANG", "LIE")
        }
        assert len(places(library, folder / "00.png")) == 13
    assert capfd.readouterr() == ("", "")
    monkeypatch.undo()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 13, "files": 13, "unchanged": 13, "unreadable": 4}
        # With decoders that are mended, they can be read after all.
        assert figures(library.index(retry=True)) == {
            "photos": 17,
            "files": 17,
            "embedded": 4,
            "unchanged": 13,
        }


def test_a_bad_file_among_many_small_ones_costs_itself_and_no_other(tmp_path, picture, monkeypatch):
    words = {number * 7: word for number, word in enumerate((*REASONS, "HEADER", "KILL", "ONCE", "PRINT"), 1)}
    for number in range(72):
        path = tmp_path / "photos" / f"{number:02}.jpg"
        if number in words:
            file_that_says(path, words[number])
        else:
            picture(path.with_suffix(".png"), (number * 3, 99, 200 - number))
    monkeypatch.setattr(
        "vitsearch.indexing.embedding.Decoders",
        functools.partial(Decoders, limits=Limits(seconds=2), program="tests.support.hostile_decoder"),
    )
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"], workers=1)  # nine files a block
        assert {words[int(item.path.stem)]: item.reason for item in report.unreadable} == {
            **REASONS,
            "HEADER": REASONS["CRASH"],
            "KILL": "the system ended the decoder on it, as when there is too little memory",
        }
        assert len(places(library, tmp_path / "photos/00.png")) == 65


def test_a_photo_is_refused_for_its_memory_only_by_a_process_that_has_read_no_other(tmp_path):
    limit = "it needs more memory than the limit of 300 MB"
    with Decoders(
        1, limits=Limits(seconds=2, memory=300 << 20), program="tests.support.hostile_decoder"
    ) as decoders:
        for word in ("PIECES", "OTHER", "PIECES"):
            with decoders.open(file_that_says(tmp_path / f"{word}.jpg", word)) as photo:
                assert photo.prepared(SQUARE)[1].shape == (224, 224, 3)
        assert refused(decoders, file_that_says(tmp_path / "large.jpg", "MEMORY")) == limit
        with decoders.open(PHOTO) as photo:
            assert photo.prepared(SQUARE)[1].shape == (224, 224, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_large_photos_that_need_the_memory_one_at_a_time_are_read_though_they_lie_side_by_side(
    tmp_path, picture, monkeypatch
):
    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (6000, 6000), (number, 0, 0)).save(
            tmp_path / f"photos/{number:02}.png", compress_level=1
        )
    for number in range(2, 16):
        picture(tmp_path / f"photos/{number:02}.png", (number * 15, 99, 0))
    monkeypatch.setattr(
        "vitsearch.indexing.embedding.Decoders", functools.partial(Decoders, limits=Limits(memory=300 << 20))
    )
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"], workers=1)  # two files a block
    assert (report.embedded, report.unreadable) == (16, ())


def test_a_search_with_decoders_survives_what_it_is_given(tmp_path, hostile, picture):
    picture(tmp_path / "photos/a.png", "red")
    with Library.open(tmp_path / "library", backbone=MeanColour(), decoders=hostile) as library:
        library.index([tmp_path / "photos"])
        for word in ("CRASH", "HANG"):
            with pytest.raises(UnreadablePhoto) as caught:
                library.search(io.BytesIO(PHOTO.read_bytes() + word.encode()))
            assert caught.value.reason == REASONS[word]
        (match,) = library.search(PHOTO, negatives=[tmp_path / "photos/a.png"], include_self=True).results
        assert match.path == tmp_path / "photos/a.png"
        assert library.search(PHOTO, crop=(10, 10, 50, 50)).results[0].path == match.path


HUNG_RUN = """
import functools, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with it ignored
sys.path.insert(0, {root!r})
import vitsearch.indexing.embedding
from tests.support.mean_colour import MeanColour
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.library import Library

vitsearch.indexing.embedding.Decoders = functools.partial(
    Decoders, program="tests.support.hostile_decoder", limits=Limits(seconds={seconds})
)
with Library.open({library!r}, backbone=MeanColour()) as library:
    report = library.index([{photos!r}], on_progress=lambda step: step.stage == "embed" and print("embed", flush=True))
print(report.interrupted, report.embedded, flush=True)
"""


@contextmanager
def hung_run(tmp_path, *, seconds):
    file_that_says(tmp_path / "photos/a.jpg", "HANG")
    file_that_says(tmp_path / "photos/b.jpg", "SPIN")
    code = HUNG_RUN.format(
        root=str(Path(__file__).parents[2]),
        library=str(tmp_path / "library"),
        photos=str(tmp_path / "photos"),
        seconds=seconds,
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "embed\n"
            time.sleep(1)
            yield process
        finally:
            process.kill()


def test_ctrl_c_ends_a_run_whose_decoders_hang(tmp_path):
    with hung_run(tmp_path, seconds=300) as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("True 0\n", "")


@needs_proc
def test_decoders_of_a_run_that_is_killed_end_by_themselves_even_where_they_hang(tmp_path):
    with hung_run(tmp_path, seconds=4) as process:
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        orphans = [pid for thread in threads for pid in (thread / "children").read_text().split()]
        process.kill()
        process.communicate()
    assert orphans
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in orphans):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_libtiff_thinks_of_a_damaged_file_stays_out_of_the_terminal(tmp_path, capfd):
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "TIFF", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    data[40:3000] = os.urandom(2960)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.tif").write_bytes(data)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert len(library.index([tmp_path / "photos"]).unreadable) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_memory_for_large_files_is_kept_from_one_to_the_next(tmp_path):
    path = tmp_path / "a.bmp"
    Image.new("RGB", (4000, 4000), "red").save(path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    with Decoders(1) as decoders:
        for _ in range(5):
            with decoders.open(path):
                pass
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
    assert faults < 2 * path.stat().st_size // resource.getpagesize()
