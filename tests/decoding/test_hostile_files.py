"""Files that mean harm, or only look like it: each costs itself a line with a reason, and everything else is found."""

import io
import json
import os
import re
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.summaries import figures, places
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.errors import LibraryError, UnreadablePhoto
from vitsearch.library import Library
from vitsearch.photos.photo import MAX_PIXELS, read_photo
from vitsearch.space import Preprocessing

pytestmark = pytest.mark.usefixtures("started_decoders")

SQUARE = Preprocessing(224, 224, 224, "crop", 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
LIMIT = 400 << 20
NEEDS_MEMORY = "it needs more memory than the limit of 400 MB"


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(name, body):
    good = encoded(Image.new("RGB", (8, 8)), "PNG")
    return good[:33] + png_chunk(name, body) + good[33:]


def declares(data, old, new):
    """The same file with other numbers in its header."""
    assert data.count(old) >= 1
    return data.replace(old, new)


def jpeg_of_65535():
    small = encoded(Image.new("RGB", (64, 48)), "JPEG")
    return declares(small, struct.pack(">HH", 48, 64), struct.pack(">HH", 65535, 65535))


def gif_of_65535():
    small = encoded(Image.new("P", (64, 48)), "GIF")
    return declares(small, struct.pack("<HH", 64, 48), struct.pack("<HH", 65535, 65535))


def heic_of_a_billion():
    heic = (SAMPLES / "copies/bridge-1.heic").read_bytes()
    at = heic.index(b"ispe") + 8
    return declares(heic, heic[at : at + 8], struct.pack(">II", 1_000_000, 1_000_000))


def avif_of_a_billion():
    avif = encoded(Image.new("RGB", (64, 48)), "AVIF")
    at = avif.index(b"ispe") + 8
    return declares(avif, avif[at : at + 8], struct.pack(">II", 1_000_000, 1_000_000))


def tiff_with_a_tile_of(side):
    """A TIFF of 64 x 48 pixels whose only tile declares `side` x `side`."""
    tags = [
        (256, 4, 64), (257, 4, 48), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, side), (323, 4, side), (324, 4, 0), (325, 4, 0),
    ]  # fmt: skip
    tile = zlib.compress(bytes(100_000))
    offset = 8 + 2 + 12 * len(tags) + 4
    values = {324: offset, 325: len(tile)}
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, values.get(tag, value)) for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tile


def gif_with_frames(count):
    """A GIF whose frames are all the same few bytes."""
    one = encoded(Image.new("P", (8, 8)), "GIF", save_all=True, append_images=[Image.new("P", (8, 8), 1)])
    start = one.index(b"\x2c", 13)
    frame = one[start:-1]
    return one[:start] + frame * count + b"\x3b"


BOMB = zlib.compress(bytes(100_000_000), 9)
TOO_MANY = f"more than the limit of {MAX_PIXELS}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg_of_65535(), TOO_MANY),
        (gif_of_65535(), TOO_MANY),
        (heic_of_a_billion(), ""),
        (avif_of_a_billion(), ""),
        (tiff_with_a_tile_of(1 << 30), ""),
        (tiff_with_a_tile_of(32_768), ""),
    ],
    ids=["JPEG", "GIF", "HEIC", "AVIF", "TIFF tile", "TIFF tile of 1 GB"],
)
def test_a_file_that_unpacks_to_far_more_than_it_holds_is_refused_within_its_limits(data, reason):
    assert len(data) < 200_000
    with Decoders(1, limits=Limits(seconds=20, memory=LIMIT)) as decoders:
        with (
            pytest.raises(UnreadablePhoto) as caught,
            decoders.open(data, name="it") as photo,
        ):
            photo.prepared(SQUARE)
        assert reason.lower() in caught.value.reason.lower()
        with decoders.open(SAMPLES / "animals/cat-1.jpg") as photo:
            assert photo.prepared(SQUARE)[1].any()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        (b"zTXt", b"note\0\0"),
        (b"zTXt", b"Raw profile type exif\0\0"),
        (b"iTXt", b"note\0\1\0\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
        (b"iCCP", b"profile\0\0"),
    ],
)
def test_a_note_that_unpacks_without_end_costs_neither_the_picture_nor_time_nor_memory(name, head):
    with Decoders(1, limits=Limits(seconds=20, memory=LIMIT)) as decoders:
        started = time.monotonic()
        with decoders.open(png_with(name, head + BOMB), name="it") as photo:
            assert photo.pixels().size == (photo.facts.width, photo.facts.height)
        assert time.monotonic() - started < 15


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_picture_within_the_limit_on_pixels_that_needs_more_than_the_limit_on_memory_says_so(kind):
    options: dict[str, dict[str, Any]] = {
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "PNG": {"compress_level": 1},
        "WEBP": {"method": 0},
    }
    data = encoded(Image.new("RGB", (11_000, 11_000)), kind, **options[kind])
    with (
        Decoders(1, limits=Limits(memory=LIMIT)) as decoders,
        pytest.raises(UnreadablePhoto) as caught,
        decoders.open(data, name="it") as photo,
    ):
        photo.prepared(SQUARE)
    assert caught.value.reason in {
        NEEDS_MEMORY,
        "its header is damaged",
    }


WATCHED = """
import sys
from pathlib import Path
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.errors import UnreadablePhoto
with Decoders(1, limits=Limits(memory=400 << 20), program="tests.support.watched_decoder") as decoders:
    for name in sys.argv[1:]:
        try:
            with decoders.open(Path(name)) as photo:
                print(photo.pixels().size)
        except UnreadablePhoto as error:
            print(error.reason)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process how much it holds")
def test_where_the_system_keeps_to_no_limit_a_decoder_watches_its_own_memory(tmp_path):
    Image.new("L", (12_000, 12_000)).save(tmp_path / "large.png", compress_level=1)
    # Linux counts what a parent holds for what it starts: a small one, not this process.
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, tmp_path / "large.png", SAMPLES / "animals/cat-1.jpg"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    with Image.open(SAMPLES / "animals/cat-1.jpg") as image:
        assert done.stdout.splitlines() == [NEEDS_MEMORY, str(image.size)]


def test_of_a_gif_with_100_000_frames_the_first_one_is_looked_at():
    data = gif_with_frames(100_000)
    started = time.process_time()
    with (
        Decoders(1, limits=Limits(seconds=20, memory=LIMIT)) as decoders,
        decoders.open(data, name="it") as photo,
    ):
        assert photo.facts.width == 8
        assert photo.prepared(SQUARE)[1].shape == (224, 224, 3)
    assert time.process_time() - started < 2


def archive(inner):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inner.jpg", inner)
    return buffer.getvalue()


def test_archives_and_other_files_with_an_images_name_are_not_unpacked(tmp_path, picture):
    photos = tmp_path / "photos"
    picture(photos / "good.png", "red")
    (photos / "zip.jpg").write_bytes(archive(archive(bytes(10_000_000))))
    (photos / "gzip.png").write_bytes(b"\x1f\x8b\x08" + bytes(100))
    (photos / "svg.png").write_bytes(b'<svg><image href="file:///etc/passwd"/></svg>')
    (photos / "postscript.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n")
    (photos / "empty.jpg").touch()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([photos])
        assert (report.photos, len(report.unreadable)) == (1, 5)
        assert {item.reason for item in report.unreadable} == {
            "the file is empty",
            "it is not an image in a format that is read here",
        }


def test_a_photo_without_permission_says_so(own_folder, picture):
    closed = picture(own_folder / "closed.png", "blue")
    closed.chmod(0)
    with pytest.raises(UnreadablePhoto) as caught:
        read_photo(closed)
    assert caught.value.reason == "Permission denied"


def test_a_photo_that_changes_between_the_walk_and_its_reading_is_known_by_what_was_read(tmp_path, picture):
    photo = picture(tmp_path / "photos/a.png", "red")

    def overwrite(step):
        if step.stage == "embed" and step.done == 0:
            picture(photo, "blue", size=(80, 60))

    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index([photo.parent], on_progress=overwrite).embedded == 1
        assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}
        (match,) = library.search(
            picture(tmp_path / "query.png", "blue", size=(80, 60)), include_self=True
        ).results
        assert (match.path, match.width) == (photo, 80)


def test_a_photo_that_becomes_a_pipe_or_goes_between_the_walk_and_its_reading_costs_only_itself(
    tmp_path, picture
):
    for name in ("gone.png", "good.png", "pipe.png"):
        picture(tmp_path / "photos" / name, "red", size=(20, len(name) + 9))

    def change(step):
        if step.stage == "embed" and step.done == 0:
            (tmp_path / "photos/gone.png").unlink()
            (tmp_path / "photos/pipe.png").unlink()
            os.mkfifo(tmp_path / "photos/pipe.png")

    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"], on_progress=change)
        assert [(item.path.name, item.reason) for item in report.unreadable] == [
            ("gone.png", "No such file or directory"),
            ("pipe.png", "it is not a regular file"),
        ]
        assert report.photos == 1


def test_a_photo_at_a_path_of_4000_characters_is_indexed_and_found(tmp_path, picture):
    good = picture(tmp_path / "good.png", "red").read_bytes()
    folder = tmp_path / "photos"
    folder.mkdir()
    depth = (4000 - len(str(folder)) - 5) // 201
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    descriptor = os.open("a.png", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(descriptor, good)
    os.close(descriptor)
    os.close(here)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index([folder])) == {"photos": 1, "files": 1, "embedded": 1}
        (place,) = places(library, tmp_path / "good.png")
        assert len(str(place)) > 3700
        assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


# What a terminal would act on, a page would run and a line-based program would take for two names.
NAMES = [
    b"\x1b[2J\x1b]0;title\x07.png",
    b"two\nlines.png",
    b"caf\xe9.png",
    b"<img src=x onerror=alert(1)>.png",
    b"a\xe2\x80\xaeb.png",
]
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\udc80-\udcff]")


@pytest.mark.weights
def test_names_that_act_on_terminals_or_pages_are_never_printed_raw(tmp_path, run):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (40, 30), (number * 50, 90, 30)).save(photos / os.fsdecode(name))
        (photos / os.fsdecode(b"bad-" + name)).write_bytes(b"no image")
    said = run("index", photos)
    assert said.returncode == 0
    query = photos / os.fsdecode(NAMES[0])
    outputs = [
        said,
        run("search", query, "-k", 9, "--html", tmp_path / "page.html", "--sheet", tmp_path / "sheet.png"),
        run("search", query, "-k", 9, "--json"),
        run("duplicates"),
        run("duplicates", "--json"),
        run("status"),
        run("roots", "list"),
        run("search", photos / os.fsdecode(b"bad-" + NAMES[0])),
    ]
    for done in outputs:
        assert ACTIVE.search(done.stdout + done.stderr) is None, done
    found = {os.fsencode(match["path"]) for match in json.loads(outputs[2].stdout)["results"]}
    assert found == {os.fsencode(photos) + b"/" + name for name in NAMES[1:]}
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert ACTIVE.search(page) is None


@pytest.fixture
def linked(tmp_path, picture):
    """A root with a link to a folder elsewhere and a link to a file there, indexed."""
    root, drive = tmp_path / "photos", tmp_path / "drive"
    picture(root / "own.png", "red")
    picture(drive / "album/there.png", "blue")
    picture(drive / "single.png", "lime")
    (root / "album").symlink_to(drive / "album")
    (root / "single.png").symlink_to(drive / "single.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index([root])) == {"photos": 3, "files": 3, "embedded": 3}
        yield library, root, drive


@pytest.mark.parametrize("how", ["the drive is gone", "its folder is empty"])
def test_what_lies_behind_a_link_to_an_unmounted_drive_is_kept_in_mind_and_comes_back(linked, how):
    library, root, drive = linked
    away = drive.with_name("away")
    drive.rename(away)
    if how == "its folder is empty":
        (drive / "album").mkdir(parents=True)
    report = library.index()
    assert figures(report) == {"photos": 1, "files": 1, "unchanged": 1, "offline": 2, "unreadable": 1}
    assert report.offline_roots == (root / "album", root / "single.png")
    assert places(library, root / "own.png") == [root / "own.png"]
    with pytest.raises(LibraryError) as caught:
        library.index(prune=True)
    assert str(caught.value) == (
        f"{root / 'album'} leads to {drive / 'album'}, which is absent or empty, perhaps an unmounted drive: nothing "
        "was pruned. If it is gone for good, remove the link"
    )
    if how == "its folder is empty":
        (drive / "album").rmdir()
        drive.rmdir()
    away.rename(drive)
    assert figures(library.index(prune=True)) == {"photos": 3, "files": 3, "unchanged": 3}


def test_a_link_that_was_removed_leaves_files_that_can_be_pruned(linked):
    library, root, _ = linked
    (root / "album").unlink()
    report = library.index(prune=True)
    assert (report.offline_roots, report.pruned, report.files) == ((), 1, 2)


def test_a_link_into_a_loop_or_out_to_everything_ends_the_walk_where_it_began(tmp_path, picture):
    root = tmp_path / "photos"
    picture(root / "a/b/own.png", "red")
    (root / "a/b/up").symlink_to(root)
    (root / "a/out").symlink_to(tmp_path)
    (root / "self").symlink_to("self")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index([root])) == {"photos": 1, "files": 1, "embedded": 1}


def test_vectors_of_hostile_neighbours_do_not_change_those_of_good_photos(tmp_path, picture):
    photos = tmp_path / "photos"
    for number in range(6):
        picture(photos / f"{number}.png", (number * 40, 20, 90))
    with Library.open(tmp_path / "clean", backbone=MeanColour()) as library:
        library.index([photos])
        clean = rows_of(library)
    for number, data in enumerate(
        [jpeg_of_65535(), b"", tiff_with_a_tile_of(32_768), b"\x89PNG\r\n\x1a\n" + BOMB]
    ):
        (photos / f"{number}-hostile.jpg").write_bytes(data)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert len(library.index([photos]).unreadable) == 4
        np.testing.assert_array_equal(rows_of(library), clean)


def rows_of(library):
    space_id, space = library.catalog.active_space()
    return library.catalog.vectors(space_id, space.dimension, library.catalog.embedded_ids(space_id))[1]
