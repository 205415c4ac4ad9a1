"""What comes from outside holds no more memory and time than is stated, at its limit and beyond it."""

import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathspec import PathSpec
from PIL import Image

import vitsearch.decoding.process as process_module
from tests.support.mean_colour import MeanColour
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.errors import BadQuery, HeadError, UnreadablePhoto, VitsearchError
from vitsearch.folders import ignoring
from vitsearch.folders.ignoring import IGNORE_FILE, is_ignored, read_ignores
from vitsearch.folders.scan import walk
from vitsearch.heads.xmp import write_labels
from vitsearch.searching.queries import QueryImage

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc"),
]


def spec_of(tmp_path, *lines):
    (tmp_path / IGNORE_FILE).write_text("\n".join(lines))
    return read_ignores(tmp_path / IGNORE_FILE)


@pytest.mark.parametrize(
    "line",
    [
        "*a*a*a*a*a*a*a*a*a*a*a*a*b",
        "*?*?*?*?*?*?*?*?*?*?*?*b",
        "**/*a*a*a*a*a*b/**/*a*a*a*a*b/**/*a*a*a*c",
        "*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[0-9]",
        "*" * 4000 + "b",
    ],
)
def test_one_line_never_hangs_a_run(tmp_path, line):
    spec = spec_of(tmp_path, line)
    path = f"{'a' * 255}/{'a' * 255}/{'a' * 255}"
    started = time.process_time()
    for _ in range(10):
        assert not is_ignored(path, (("", spec),))
    assert time.process_time() - started < 1


@given(
    st.lists(
        st.sampled_from(["*", "a", "b", "?", "[ab]", "[!a]", "/", "**/", "/**", ".", "**"]),
        min_size=1,
        max_size=9,
    ),
    st.lists(st.sampled_from(["a", "b", ".", "c", "/"]), min_size=1, max_size=12),
)
@settings(max_examples=1500, deadline=None)
def test_a_pattern_leaves_out_exactly_what_pathspec_says(parts, letters):
    line, path = "".join(parts), "".join(letters)
    if "//" in path or path[0] == "/":
        return
    theirs = PathSpec.from_lines("gitignore", [line])
    ours = PathSpec([ignoring._pattern_class()(line)])
    assert ours.match_file(path) == theirs.match_file(path), (line, path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\n" * (1 << 18), "more than 256 kB"),
        (b"".join(b"p%d\n" % number for number in range(1001)), "more than 1,000 patterns"),
        (b"x" * 4097, "more than 4,096 characters"),
        (b"a/**/b/**/c/**/d", "more than 2 times ** inside"),
        (b"[z-a]", "bad character range"),
        (b"\xff\xfe", "utf-8"),
        (b"a\\", "Invalid git pattern"),
    ],
)
def test_what_is_beyond_a_limit_or_makes_no_sense_is_one_clear_line(tmp_path, content, reason):
    (tmp_path / IGNORE_FILE).write_bytes(content)
    with pytest.raises(VitsearchError, match=re.escape(reason)) as caught:
        list(walk(tmp_path))
    assert str(tmp_path / IGNORE_FILE) in str(caught.value)
    assert "mend or remove it" in str(caught.value)


def test_what_is_at_a_limit_is_used(tmp_path, picture):
    picture(tmp_path / "p7.png")
    picture(tmp_path / "kept.png")
    lines = [f"p{number}.png" for number in range(999)]
    spec_of(tmp_path, *lines, "x" * 4096, "#" * 9000, "# comment")
    assert [found.path.name for found in walk(tmp_path)] == ["kept.png"]


def test_a_file_of_three_gigabytes_is_not_read(tmp_path):
    with (tmp_path / IGNORE_FILE).open("wb") as file:
        file.truncate(3 << 30)
    started = time.process_time()
    with pytest.raises(VitsearchError, match="more than 256 kB"):
        read_ignores(tmp_path / IGNORE_FILE)
    assert time.process_time() - started < 0.5


@contextmanager
def holding_at_most(megabytes):
    """See to it that this process holds no more than so many bytes more within the block."""

    def held(name):
        (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(kilobytes) * 1024

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held("VmRSS")
    yield
    assert held("VmHWM") - before < megabytes << 20


def test_a_decoder_that_is_stopped_is_ended_and_the_next_photo_gets_another(tmp_path, picture):
    photo = picture(tmp_path / "a.png", "red")
    with Decoders(limits=Limits(seconds=1)) as decoders:
        with decoders.open(photo) as opened:
            assert opened.pixels().size == (64, 48)
        process = decoders._processes[0]._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(UnreadablePhoto, match="longer than 1 seconds"), decoders.open(photo):
            pass
        assert time.monotonic() - started < 10
        assert process.poll() is not None
        with decoders.open(photo) as opened:
            assert opened.pixels().size == (64, 48)


def test_one_that_is_stopped_before_it_is_ready_is_ended_too(tmp_path, picture, monkeypatch):
    photo = picture(tmp_path / "a.png", "red")
    monkeypatch.setattr(process_module, "_START_SECONDS", 0.5)
    with Decoders() as decoders:
        os.kill(decoders._processes[0].start().pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(VitsearchError, match="does not start"), decoders.open(photo):
            pass
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("size", [(9000, 9000), (30_000, 300)])
def test_a_view_is_scaled_in_the_process_that_decodes_it(tmp_path, size):
    # A PNG cannot be decoded at a smaller scale: 243 MB of pixels.
    Image.new("RGB", size, "teal").save(tmp_path / "large.png")
    with Decoders() as decoders, decoders.open(tmp_path / "large.png") as photo:
        with holding_at_most(60):
            image = photo.pixels(box=(2048, 2048))
        assert max(image.size) == 2048


def test_a_decoder_that_sends_more_than_it_was_asked_for_is_not_believed(tmp_path, picture):
    photo = picture(tmp_path / "a.png", "red", size=(640, 480))
    with Decoders() as decoders, decoders.open(photo) as opened:
        asked = opened._process.ask

        def larger(request, data=b"", **options):
            return asked({**request, "box": None}, data, **options)

        opened._process.ask = larger
        with pytest.raises(UnreadablePhoto, match="makes no sense"):
            opened.pixels(box=(64, 64))


def test_a_region_is_cut_out_and_prepared_in_the_process(tmp_path):
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    space = MeanColour().space
    for crop in (None, (10, 20, 200, 150), (0, 0, 400, 300)):
        with QueryImage.open(tmp_path / "noise.png", decoders=None) as query:
            here = query.prepared(space.preprocessing, crop)
        with Decoders() as decoders, QueryImage.open(tmp_path / "noise.png", decoders=decoders) as query:
            there = query.prepared(space.preprocessing, crop)
        np.testing.assert_array_equal(here, there)
    with (
        Decoders() as decoders,
        QueryImage.open(tmp_path / "noise.png", decoders=decoders) as query,
        pytest.raises(BadQuery, match="does not lie within"),
    ):
        query.prepared(space.preprocessing, (300, 0, 101, 10))


def test_a_sidecar_beyond_a_limit_is_refused_and_stays(tmp_path, picture):
    photo = picture(tmp_path / "a.png")
    write_labels(photo, ["cat"], head="pets")
    path = tmp_path / "a.png.xmp"
    sound = path.read_bytes()
    fill = b"<x:n/>" * 100_001
    for content in (
        sound.replace(b"<rdf:RDF", b"<!--" + b"x" * (8 << 20) + b"--><rdf:RDF"),
        sound.replace(b"<rdf:Description", b"<x:more>" + fill + b"</x:more><rdf:Description", 1),
    ):
        path.write_bytes(content)
        started = time.process_time()
        with pytest.raises(HeadError, match=r"a\.png\.xmp"):
            write_labels(photo, ["dog"], head="pets")
        assert time.process_time() - started < 5
        assert path.read_bytes() == content


def test_a_sidecar_at_the_limit_costs_little_time_and_memory(tmp_path, picture):
    photo = picture(tmp_path / "a.png")
    write_labels(photo, ["cat"], head="pets")
    path = tmp_path / "a.png.xmp"
    sound = path.read_bytes()
    for fill in (
        b"<x:n/>" * 99_000,
        b"<x:t>" + b"a&amp;" * 1_000_000 + b"</x:t>",
        b"<x:t>" + b"a\n" * 3_500_000 + b"</x:t>",
    ):
        more = b"<x:more>" + fill + b"</x:more><rdf:Description"
        path.write_bytes(sound.replace(b"<rdf:Description", more, 1))
        started = time.process_time()
        with holding_at_most(150):
            change = write_labels(photo, ["cat"], head="pets")
            assert (change.added, change.removed) == ((), ())
        assert time.process_time() - started < 5
