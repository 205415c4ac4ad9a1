"""Cut-offs that a library earns on its own photos: measured once, kept beside it, and honest about small libraries."""

import json
import shutil
from random import Random

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.cli import cli
from vitsearch.duplicates.calibrate import library_thresholds as calibrated
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.calibrate.library_thresholds import (
    CalibratedThresholds,
    calibrated_thresholds,
    known_thresholds,
)
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.tables import dismiss, present_photos, restore
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.library import Library


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A few photos are enough to see how it works."""
    monkeypatch.setattr(calibrated, "SAMPLE", 8)
    monkeypatch.setattr(calibrated, "FEWEST", 12)
    monkeypatch.setattr(calibrated, "EDITS_EACH", 2)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((SAMPLES / "travel").glob("*.jpg"))[:14]:
        with Image.open(path) as image:
            image.reduce(2).save(folder / path.name, quality=90)
    return folder


def measured(library: Library, share: float = 0.01) -> tuple[CalibratedThresholds, bool]:
    """Return the cut-offs, and whether they were measured for it."""
    steps = []
    found = calibrated_thresholds(
        library, max_false_share=share, on_progress=lambda done, total: steps.append((done, total))
    )
    assert not steps or steps[-1][0] == steps[-1][1]
    return found, bool(steps)


def test_cutoffs_are_measured_once_for_a_library_a_share_and_a_space(library, photos):
    library.index([photos])
    first, was_measured = measured(library)
    assert was_measured
    assert measured(library) == (first, False)
    assert known_thresholds(library, max_false_share=0.01) == first
    assert known_thresholds(library, max_false_share=0.2) is None
    assert measured(library, 0.2)[1]
    assert measured(library) == (first, False)
    library.close()
    with Library.open(library.folder, backbone=MeanColour(model="other")) as other:
        other.index([photos], change_model=True)
        assert measured(other)[1]


def test_what_was_measured_is_the_same_each_time_and_says_how_much_is_found(library, photos):
    library.index([photos])
    first, _ = measured(library)
    assert set(first.recall) <= {edit.family for edit in EDITS}
    assert len(first.recall) >= 5
    assert first.recall["codec"] == 1
    assert all(0 <= share <= 1 for share in first.recall.values())
    assert first.calibration is not None
    assert first.calibration.max_false_share == 0.01
    assert first.calibration.false_share <= 0.01 or first.thresholds.share > 0.98
    library.layout.cutoffs.unlink()
    assert measured(library) == (first, True)


def test_a_smaller_share_never_loosens_the_cutoffs(library, photos):
    library.index([photos])
    loose, strict = measured(library, 0.2)[0].thresholds, measured(library, 0.0001)[0].thresholds
    assert strict.share >= loose.share
    assert strict.closeness >= loose.closeness


def test_they_are_measured_again_when_the_library_has_grown_by_half(library, photos):
    library.index([photos])
    first, _ = measured(library)
    for index, path in enumerate(sorted((SAMPLES / "animals").glob("*.jpg"))):
        if index < 4:
            shutil.copy(path, photos)
    library.index([photos])
    assert measured(library) == (first, False)
    for path in sorted((SAMPLES / "animals").glob("*.jpg")):
        shutil.copy(path, photos)
    library.index([photos])
    again, was_measured = measured(library)
    assert was_measured
    assert again.photos == 28


def test_a_small_library_gets_the_default_cutoffs_and_says_so(library, photos):
    for path in sorted(photos.iterdir())[11:]:
        path.unlink()
    library.index([photos])
    found, was_measured = measured(library)
    assert (found, was_measured) == (CalibratedThresholds(Thresholds(), None, 11), False)
    assert found.recall == {}
    assert not library.layout.cutoffs.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99, "entries": {}}', '{"version": 2, "entries": 5}']
)
def test_a_damaged_file_is_measured_anew(library, photos, content):
    library.index([photos])
    library.layout.cutoffs.write_text(content)
    assert known_thresholds(library, max_false_share=0.01) is None
    entries = {calibrated._key(library, 0.01): {"photos": 14, "calibration": content}}
    library.layout.cutoffs.write_text(json.dumps({"version": calibrated._VERSION, "entries": entries}))
    assert known_thresholds(library, max_false_share=0.01) is None


def test_a_library_that_cannot_be_written_to_is_measured_each_time(own_folder):
    photos = own_folder / "photos"
    photos.mkdir()
    for path in sorted((SAMPLES / "travel").glob("*.jpg"))[:12]:
        shutil.copy(path, photos)
    with Library.open(own_folder / "library", backbone=MeanColour()) as library:
        library.index([photos])
        library.layout.private.chmod(0o500)
        try:
            first, _ = measured(library)
            assert measured(library) == (first, True)
        finally:
            library.layout.private.chmod(0o700)
        assert sorted(path.name for path in library.layout.private.rglob("*") if "cutoffs" in path.name) == []


def test_photos_that_were_told_apart_are_counterexamples_however_alike(library, photos):
    for number, path in enumerate(sorted(photos.iterdir())):
        with Image.open(path) as image:
            edit = next(one for one in EDITS if one.name == "jpeg-50")
            edit.apply(image.convert("RGB"), Random(number)).save(
                path.with_stem(path.stem + "-copy"), quality=95
            )
    library.index([photos])
    trusting, _ = measured(library)
    ids = library.neighbours().ids().tolist()
    dismiss(library.catalog, ids)
    library.layout.cutoffs.unlink()
    doubting, _ = measured(library)
    assert doubting.thresholds.share > trusting.thresholds.share
    assert doubting.calibration is not None
    assert trusting.calibration is not None
    assert doubting.calibration.negatives > trusting.calibration.negatives


def test_a_photo_that_cannot_be_read_any_more_costs_only_itself(library, photos):
    library.index([photos])
    for path in sorted(photos.iterdir())[:2]:
        path.write_bytes(b"gone bad")
    found, _ = measured(library)
    assert found.calibration is not None
    assert found.calibration.negatives > 0


def test_a_dismissal_says_that_the_next_run_takes_longer_and_that_run_says_what_came_of_it(library, photos):
    library.index([photos])
    one, two, three = present_photos(library.catalog)[[0, 6, 9]].tolist()

    def call(*words):
        return CliRunner().invoke(cli, ["--library", str(library.folder), "duplicates", *words])

    # That copies of one photo are wanted is no evidence.
    assert "takes longer" not in call("dismiss", str(one)).stderr
    told = call("dismiss", f"{one}-{two}", "--force").stderr.splitlines()
    assert told[0] == "remembered: 1 pair of photos told apart"
    assert told[1].startswith("the next `vitsearch duplicates` takes longer: it measures ")
    assert len(told) == 2
    said = call().stderr.splitlines()
    assert "edited copies: judged as usual, as nothing that you dismissed looks like a copy" in said
    # What was measured stays, so that the next run is as fast as ever.
    assert call("dismiss", f"{one}-{three}", "--force").stderr == "remembered: 1 pair of photos told apart\n"


def test_what_was_taken_back_counts_no_more(library, photos):
    for path in sorted(photos.glob("*.jpg"))[:3]:
        with Image.open(path) as image:
            image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(path.with_suffix(".png"))
    library.index([photos])
    near = [
        sorted({file.photo for file in group.files})
        for group in find_duplicates(library, tiers=["near"]).groups
    ]
    assert len(near) == 3
    copies = {photo for group in near for photo in group}
    others = [photo for photo in present_photos(library.catalog).tolist() if photo not in copies]
    for photos_told_apart in (*near, others[:2]):
        dismiss(library.catalog, photos_told_apart)
    tightened = find_duplicates(library, tiers=["near"]).calibrated
    assert tightened is not None
    assert tightened.thresholds != Thresholds()
    for photos_told_apart in near:
        restore(library.catalog, photos_told_apart)
    found = find_duplicates(library, tiers=["near"])
    assert found.calibrated is not None
    assert found.calibrated.calibration is not None
    assert found.calibrated.thresholds == Thresholds()
    assert len(found.groups) == 3
    # What is told apart beyond that is no reason to measure again.
    dismiss(library.catalog, others[2:4])
    assert not measured(library, found.calibrated.calibration.max_false_share)[1]


def test_a_run_that_judges_more_strictly_says_what_that_costs_and_how_to_take_it_back(library, photos):
    for path in sorted(photos.glob("*.jpg"))[:3]:
        with Image.open(path) as image:
            image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(path.with_suffix(".png"))
    library.index([photos])
    with Library.open(library.folder, backbone=MeanColour()) as opened:
        near = find_duplicates(opened, tiers=["near"]).groups
    for group in near:
        dismiss(library.catalog, {file.photo for file in group.files})
    done = CliRunner().invoke(cli, ["--library", str(library.folder), "duplicates"])
    told = done.stderr.splitlines()[-2:]
    assert told[0] == "edited copies: judged more strictly, as pairs that you dismissed look like copies"
    assert told[1].startswith("this may miss real copies: `duplicates dismissed` lists those pairs, ")
