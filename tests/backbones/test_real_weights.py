"""The main job on real photos with real weights: these tests are about meaning."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from PIL import Image

from tests.support.samples import SAMPLES, WEIGHTS
from vitsearch.backbones import load_backbone
from vitsearch.library import Library

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def clip():
    return load_backbone(WEIGHTS, cache=platformdirs.user_cache_path("vitsearch", appauthor=False))


@pytest.fixture(scope="module")
def samples(clip, indexed_samples, tmp_path_factory):
    folder = shutil.copytree(indexed_samples, tmp_path_factory.mktemp("samples") / "library")
    with Library.open(folder, backbone=clip) as library:
        yield library


def subject(path: Path) -> str:
    return re.sub(r"-\d.*", "", path.name)


def test_each_sample_photo_finds_another_of_its_subject_first(samples):
    originals = [path for path in sorted(SAMPLES.glob("*/*-?.jpg")) if path.parent.name != "copies"]
    subjects = [subject(path) for path in originals]
    queries = [path for path in originals if subjects.count(subject(path)) > 1]
    found = [samples.search(path, k=1).results[0].path for path in queries]
    right = sum(subject(match) == subject(query) for match, query in zip(found, queries, strict=True))
    assert right / len(queries) >= 0.95


@pytest.mark.parametrize(
    "copy", sorted(path.name for path in (SAMPLES / "copies").iterdir() if "truncated" not in path.name)
)
def test_each_readable_copy_finds_its_original_first(samples, copy):
    query = SAMPLES / "copies" / copy
    best = samples.search(query, k=1).results[0]
    (original,) = re.findall(r"^[a-z]+-\d", copy)
    assert best.path.stem == original


def test_the_truncated_copy_is_the_one_file_that_cannot_be_read(samples):
    report = samples.index()
    assert [item.path.name for item in report.unreadable] == ["pyramid-1-truncated.jpg"]
    assert "truncated" in report.unreadable[0].reason


def test_a_photo_in_all_eight_exif_orientations_gives_nearly_the_same_vector(clip, tmp_path):
    upright = Image.open(SAMPLES / "travel" / "castle-1.jpg").convert("RGB")
    undo = {tag: Image.Transpose(value) for tag, value in {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.items()}
    for orientation in range(1, 9):
        stored = upright if orientation == 1 else upright.transpose(undo[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / f"{orientation}.jpg", quality=92, exif=exif)
    with Library.open(tmp_path / "library", backbone=clip) as library:
        assert library.index([tmp_path]).embedded == 8
        neighbours = library.neighbours()
        rows = neighbours.rows(neighbours.ids())
    assert float((rows @ rows.T).min()) >= 0.98


def test_a_rating_and_a_keyword_written_into_exif_embed_nothing(clip, tmp_path):
    photo = tmp_path / "photos" / "dog.jpg"
    photo.parent.mkdir()
    shutil.copy(SAMPLES / "animals" / "dog-1.jpg", photo)
    with Library.open(tmp_path / "library", backbone=clip) as library:
        assert library.index([photo.parent]).embedded == 1
        data = photo.read_bytes()
        exif = Image.Exif()
        exif[0x4746] = 5  # rating
        exif[0x9C9E] = "dog;holiday".encode("utf-16-le")  # keywords
        block = exif.tobytes()
        photo.write_bytes(data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:])
        with Image.open(photo) as written:
            assert written.getexif()[0x4746] == 5
        report = library.index()
    assert (report.embedded, report.unchanged, report.photos) == (0, 0, 1)


def test_a_photo_alone_and_in_a_batch_has_the_same_vector(clip):
    photos = sorted(SAMPLES.glob("animals/*.jpg"))
    pixels = np.stack([clip.prepare(Image.open(path).convert("RGB")) for path in photos])
    together = clip.embed_batch(pixels).rows
    alone = np.concatenate([clip.embed_batch(one[None]).rows for one in pixels])
    assert float((together * alone).sum(axis=1).min()) >= 0.999


def test_the_demos_search_answers_from_the_command_line(answer, run):
    assert run("index", SAMPLES / "animals", "--model", WEIGHTS).returncode == 0
    found = answer("search", SAMPLES / "animals" / "cat-1.jpg", "-k", "2")
    assert found["model"] == WEIGHTS
    assert {Path(match["path"]).name for match in found["results"]} == {"cat-2.jpg", "cat-3.jpg"}
