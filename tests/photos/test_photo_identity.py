"""One photo stays one photo: whatever is written beside its pixels, and whichever version named it first."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.written_files import dng
from vitsearch.library import Library
from vitsearch.photos.photo import parse_photo, read_photo
from vitsearch.storage.filters import Filter

DATA = Path(__file__).parents[1] / "data"
SAMPLES = Path(__file__).parents[2] / "sample_images"
KINDS = ("jpg", "png", "webp", "heic", "avif", "tif", "gif", "jxl", "dng")

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not here: apt install libimage-exiftool-perl"
)


def scene(shift=0):
    y, x = np.mgrid[0:120, 0:160]
    return Image.fromarray(np.stack([x + shift, y * 2, (x * y) % 200], axis=2).astype(np.uint8))


def write_photos(folder):
    """One photo of each kind, each with a picture of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(KINDS):
        image = scene(number * 8)
        if kind == "heic":
            shutil.copyfile(SAMPLES / "copies/bridge-1.heic", folder / "a.heic")
        elif kind == "jxl":
            shutil.copyfile(DATA / "photo.jxl", folder / "a.jxl")
        elif kind == "dng":
            (folder / "raw.dng").write_bytes(dng(image))  # not the shot of a.jpg
        else:
            image.save(folder / f"a.{kind}")
    return [folder / ("raw.dng" if kind == "dng" else f"a.{kind}") for kind in KINDS]


def tag(*files):
    command = [
        "exiftool",
        "-q",
        "-overwrite_original",
        "-XMP:Rating=5",
        "-XMP:Subject=holiday",
        "-XMP:Title=A day",
    ]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    return done.stderr


@needs_exiftool
def test_tagging_with_exiftool_leaves_every_photo_what_it_is(tmp_path):
    for path in write_photos(tmp_path):
        before, data = read_photo(path), path.read_bytes()
        complaints = tag(path)
        assert path.read_bytes() != data, complaints
        after = read_photo(path)
        assert after.photo_hash == before.photo_hash, path.name
        assert after.file_hash != before.file_hash
        assert (after.facts.rating, after.facts.keywords) == (5, ("holiday",)), path.name
        assert np.array_equal(np.asarray(after.pixels()), np.asarray(before.pixels()))


@needs_exiftool
def test_tagged_photos_are_not_embedded_again_and_keep_what_people_said_of_them(tmp_path):
    files = write_photos(tmp_path / "photos")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index([tmp_path / "photos"]).embedded == len(KINDS)
        ids = {path: known(library, path) for path in files}
        label(library, ids.values())
        tag(*files)
        report = library.index()
        assert (report.embedded, report.photos) == (0, len(KINDS))
        assert {path: known(library, path) for path in files} == ids
        assert labels(library) == len(KINDS)
        assert len(library.search(files[0], where=Filter(rating=5), k=20).results) == len(KINDS) - 1
        assert len(library.search(files[0], where=Filter(keyword="Holiday"), k=20).results) == len(KINDS) - 1
        assert library.search(files[0], where=Filter(keyword="winter")).results == ()


def known(library, path):
    return library.catalog.photo_id(*read_photo(path).hashes)


def label(library, photos):
    with library.catalog.database.write():
        library.catalog.database.run_many(
            "INSERT INTO head_examples (head, photo, label) VALUES ('pets', ?, 'cat')", [(i,) for i in photos]
        )


def labels(library):
    return library.catalog.database.scalar(
        "SELECT count(*) FROM head_examples e JOIN photos p ON p.id = e.photo"
    )


def as_before(library):
    """Give photos the hashes and the space that the version before gave them."""
    return library.receiving(library.backbone(MeanColour().space).space.with_colours("stored"), use=True)


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.tif", "a.gif", "a.jpg", "a.png"])
def test_the_earlier_hash_is_what_the_version_before_made_of_a_file(tmp_path, name):
    write_photos(tmp_path)
    photo, data = read_photo(tmp_path / name), (tmp_path / name).read_bytes()
    whole = blake3(bytes([1]) + data).digest()
    if name in ("a.jpg", "a.png"):
        assert photo.earlier_hash is None
    else:
        assert photo.earlier_hash == whole != photo.photo_hash


@needs_exiftool
def test_what_the_version_before_had_indexed_follows_with_its_labels_when_the_library_is_upgraded(tmp_path):
    files = write_photos(tmp_path / "photos")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        with as_before(library):
            pass
        library.index([tmp_path / "photos"])
        heic = next(path for path in files if path.suffix == ".heic")
        earlier = read_photo(heic).earlier_hash
        assert earlier is not None
        assert library.catalog.photo_id(earlier) is not None  # unmixed until then
        ids = {path: known(library, path) for path in files}
        label(library, ids.values())
        library.index(upgrade=True)
        assert library.catalog.photo_id(earlier) is None
        tag(*files)
        assert library.index().embedded == 0
        assert {path: known(library, path) for path in files} == ids
        assert labels(library) == len(KINDS)


def test_one_photo_under_both_hashes_becomes_one_with_what_was_said_of_either(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    scene().save(folder / "a.tif")
    scene(40).save(folder / "b.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        with as_before(library):
            pass
        library.index([folder])
        photo, other = known(library, folder / "a.tif"), known(library, folder / "b.png")
        with library.catalog.database.write():
            run = library.catalog.database.run
            run(
                "INSERT INTO photos (photo_hash, format, width, height) VALUES (?, 'TIFF', 160, 120)",
                [read_photo(folder / "a.tif").photo_hash],
            )
            second = library.catalog.database.scalar("SELECT max(id) FROM photos")
            run("INSERT INTO not_duplicates VALUES (?, ?)", [other, second])
            run("INSERT INTO head_examples (head, photo, label) VALUES ('pets', ?, 'cat')", [second])
        library.index(upgrade=True)
        rows = library.catalog.database.rows
        assert rows("SELECT id FROM photos ORDER BY id") == [(photo,), (other,)]
        assert rows("SELECT * FROM not_duplicates") == [(min(photo, other), max(photo, other))]
        assert rows("SELECT photo FROM head_examples") == [(photo,)]


def test_other_pixels_are_another_photo_in_every_format(tmp_path):
    for kind in ("TIFF", "GIF", "AVIF", "JPEG2000", "PPM"):
        hashes = set()
        for shift in (0, 60):
            buffer = io.BytesIO()
            scene(shift).save(buffer, kind)
            hashes.add(parse_photo(buffer.getvalue(), name="it").photo_hash)
        assert len(hashes) == 2


@needs_exiftool
def test_turning_a_photo_by_its_tag_makes_another_one(tmp_path):
    scene().save(tmp_path / "a.tif")
    before = read_photo(tmp_path / "a.tif")
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", "-n", "-Orientation=6", str(tmp_path / "a.tif")], check=True
    )
    after = read_photo(tmp_path / "a.tif")
    assert after.photo_hash != before.photo_hash
    assert (after.facts.width, after.facts.height) == (120, 160)
