"""The search for duplicates in a library: tiers, evidence, what is never grouped, and decisions that last."""

import os
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.raw_files import TAKEN, tiff_raw
from tests.support.samples import SAMPLES
from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.find import find_duplicates, group_name
from vitsearch.duplicates.group.keep import Candidate
from vitsearch.duplicates.group.quality import quality_of
from vitsearch.duplicates.propose import candidates
from vitsearch.duplicates.propose.pairs import Pairs
from vitsearch.duplicates.tables import dismiss, dismissed_pairs, files_of, hashes_of, present_photos
from vitsearch.duplicates.verify import geometric
from vitsearch.duplicates.verify.check import check_files
from vitsearch.duplicates.verify.verifier import Verifier
from vitsearch.errors import BadQuery, LibraryError, UnreadablePhoto
from vitsearch.library import Library
from vitsearch.storage.layout import Layout

# By SOURCES.md: a copy belongs to its original, and some originals are crops of another one. dandelion-2.jpg
# is a part of dandelion-1.jpg in more than twice its resolution, and dog-3.jpg of dog-2.jpg: neither may go for the
# other. Nor may bridge-2.jpg, bee-2.jpg, dandelion-3.jpg and fruit-2.jpg, which show detail that their wholes lack.
GROUPS = {
    frozenset({"bird-1.jpg", "bird-1-bordered.jpg"}): "near",
    frozenset({"cat-1.jpg", "cat-1-mirrored.jpg"}): "near",
    frozenset({"dog-1.jpg", "dog-1-orientation-6.jpg"}): "near",
    frozenset({"bridge-1.heic", "bridge-1.jpg"}): "near",
    frozenset({"bridge-3.jpg", "bridge-4.jpg"}): "near",
    frozenset({"bee-1.jpg", "bee-1-reencoded.jpg"}): "near",
    frozenset({"mountain-3.jpg", "mountain-3-cropped.jpg", "mountain-4.jpg"}): "near",
    frozenset({"fruit-1.jpg", "fruit-3.jpg"}): "near",
    frozenset({"fruit-4.jpg", "fruit-4.webp"}): "near",
    frozenset({"castle-1.jpg", "castle-1-resized.jpg"}): "near",
    frozenset({"castle-3.jpg", "castle-3-grey.jpg"}): "near",
    frozenset({"windmill-1.jpg", "windmill-1-really-a-png.jpg"}): "pixels",
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    with Library.open(tmp_path_factory.mktemp("samples"), backbone=MeanColour()) as library:
        library.index([SAMPLES])
        yield library


@pytest.fixture(scope="module")
def report(samples):
    return find_duplicates(samples)


@pytest.fixture
def photos(tmp_path):
    """A folder with one real photo in it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(SAMPLES / "animals" / "cat-1.jpg", folder / "cat.jpg")
    return folder


def names(found) -> set[str]:
    return {file.path.name for file in found.files}


def brief(report) -> list[tuple[str, set[str]]]:
    return [(found.tier, names(found)) for found in report.groups]


def edited(source: Path, target: Path, edit: str, seed: int = 0) -> None:
    with Image.open(source) as image:
        apply = next(one for one in EDITS if one.name == edit).apply
        apply(image.convert("RGB"), Random(seed)).save(target, quality=90)


def shot(path: Path, taken: str, *, shift: int = 0, camera: str = "Canon EOS R5") -> None:
    """Write a shot of one scene; `shift` moves the camera by so many pixels."""
    exif = Image.Exif()
    exif[0x0110] = camera
    exif[0x0132] = taken
    with Image.open(SAMPLES / "travel" / "castle-2.jpg") as scene:
        scene.convert("RGB").crop((shift, 0, 700 + shift, 500)).save(path, quality=90, exif=exif)


def test_the_sample_photos_fall_into_the_groups_that_they_were_made_for(report):
    found = {frozenset(names(group)): group.tier for group in report.groups}
    assert found == GROUPS


def test_every_file_of_a_group_is_confirmed_against_the_kept_one(report):
    for found in report.groups:
        assert found.keep == found.files[0].path
        assert found.score == min(file.score for file in found.files)
        for file in found.files[1:]:
            again = check_files(found.keep, file.path)
            assert again.tier == file.tier, (found.keep, file.path)


def test_the_evidence_says_what_was_done_to_the_copy_and_not_to_the_kept_file(report):
    said = {
        frozenset({found.keep.name, file.path.name}): (found.keep.name, file.evidence.transform)
        for found in report.groups
        for file in found.files[1:]
    }
    keep, transform = said[frozenset({"castle-3.jpg", "castle-3-grey.jpg"})]
    assert transform == "with other colours"
    assert said[frozenset({"cat-1.jpg", "cat-1-mirrored.jpg"})][1] == "mirrored"
    keep, transform = said[frozenset({"mountain-3.jpg", "mountain-3-cropped.jpg"})]
    assert (keep, transform) == ("mountain-3.jpg", "cropped to 64% of the picture")


def test_a_second_search_gives_the_same_groups_with_the_same_evidence(samples, report):
    assert find_duplicates(samples) == report


def test_photos_that_fell_out_of_the_cache_are_looked_at_again_to_the_very_end(samples, report, monkeypatch):
    monkeypatch.setattr(geometric, "_CACHED_VIEWS", 1)
    Layout.of(samples.folder).answers.unlink()
    assert find_duplicates(samples) == report


def test_in_a_crowd_of_copies_few_pairs_are_looked_at(library, photos):
    """A tree of links connects them; of those to the kept file, the largest one, most are in it."""
    with Image.open(photos / "cat.jpg") as image:
        for number in range(30):
            image.resize((400 + number, 225 + number // 2)).save(
                photos / f"{number}.jpg", quality=60 + number
            )
    library.index([photos])
    report = find_duplicates(library)
    (group,) = report.groups
    assert len(group.files) == report.photos
    assert report.pairs < report.photos


def test_a_photo_that_is_removed_while_it_is_looked_at_cannot_be_read(library, photos):
    library.index([photos])
    photo = int(present_photos(library.catalog)[0])
    with pytest.raises(UnreadablePhoto, match="not there any more"):
        Verifier(library.catalog).pixels(photo, None)


def test_every_fact_of_a_file_is_read_into_its_own_field(library, photos):
    shot(photos / "shot.jpg", "2024:05:01 10:00:00")
    with Image.open(photos / "shot.jpg") as image:
        exif = image.getexif()
        exif[0x0131] = "GIMP 2.10"
        image.save(photos / "shot.jpg", exif=exif)
    library.index([photos])
    (photo,) = (file for file in files_of(library.catalog, present_photos(library.catalog)) if file.camera)
    status = (photos / "shot.jpg").stat()
    assert photo == Candidate(
        photos / "shot.jpg",
        photo=photo.photo,
        file_hash=blake3((photos / "shot.jpg").read_bytes()).digest(),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        format="JPEG",
        width=700,
        height=500,
        taken="2024-05-01T10:00:00",
        camera="Canon EOS R5",
        software="GIMP 2.10",
    )


def test_exact_copies_metadata_edits_and_edited_copies_have_their_tiers(library, photos):
    shutil.copy(photos / "cat.jpg", photos / "same.jpg")
    library.index([photos])
    assert brief(find_duplicates(library)) == [("exact", {"cat.jpg", "same.jpg"})]
    exif = Image.Exif()
    exif[0x010E] = "my cat"
    data = (photos / "cat.jpg").read_bytes()
    block = exif.tobytes()
    (photos / "described.jpg").write_bytes(
        data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    )
    edited(photos / "cat.jpg", photos / "small.jpg", "resize-50%")
    library.index([photos])
    groups = find_duplicates(library).groups
    assert len(groups) == 1
    assert {file.path.name: file.tier for file in groups[0].files[1:]} in (
        {"same.jpg": "exact", "described.jpg": "pixels", "small.jpg": "near"},
        {"cat.jpg": "exact", "described.jpg": "pixels", "small.jpg": "near"},
        {"cat.jpg": "pixels", "same.jpg": "pixels", "small.jpg": "near"},
    )
    # Without the tier between, what has the same bytes is still found.
    assert brief(find_duplicates(library, tiers=["exact"])) == [("exact", {"cat.jpg", "same.jpg"})]


def test_the_same_pixels_in_another_container_are_found_among_featureless_pictures_too(
    library, picture, tmp_path
):
    picture(tmp_path / "photos" / "red.png", "red")
    picture(tmp_path / "photos" / "red.bmp", "red")
    picture(tmp_path / "photos" / "darker.png", (250, 0, 0))
    library.index([tmp_path / "photos"])
    assert brief(find_duplicates(library)) == [("pixels", {"red.png", "red.bmp"})]


def test_shots_of_one_moment_are_a_burst_and_never_near_however_alike(library, photos):
    (photos / "cat.jpg").unlink()
    shot(photos / "1.jpg", "2024:05:01 10:00:00")
    shot(photos / "2.jpg", "2024:05:01 10:00:02", shift=1)
    shot(photos / "3.jpg", "2024:05:01 10:00:03", shift=8)
    shot(photos / "later.jpg", "2024:05:01 11:00:00", shift=30)
    library.index([photos])
    report = find_duplicates(library, tiers=["burst"])
    assert brief(report) == [("burst", {"1.jpg", "2.jpg", "3.jpg"})]
    assert all(
        found.tier == "burst" or "later.jpg" in names(found) for found in find_duplicates(library).groups
    )


@pytest.mark.parametrize(("taken", "groups"), [(TAKEN, 1), ("2019:05:06 07:09:09", 0)])
def test_raw_files_of_two_times_are_two_shots_however_alike(library, tmp_path, taken, groups):
    image = Image.open(SAMPLES / "travel/castle-1.jpg").convert("RGB").resize((640, 480))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/1.arw").write_bytes(tiff_raw(image, "SONY", "ILCE-7M3"))
    nearer = image.crop((40, 30, 600, 450)).resize((640, 480), Image.Resampling.LANCZOS)
    (tmp_path / "raw/2.arw").write_bytes(tiff_raw(nearer, "SONY", "ILCE-7M3", taken=taken))
    library.index([tmp_path / "raw"])
    assert len(find_duplicates(library).groups) == groups


def test_a_copy_of_a_shot_is_no_other_shot_of_its_moment(library, photos):
    (photos / "cat.jpg").unlink()
    shot(photos / "1.jpg", "2024:05:01 10:00:00")
    with Image.open(photos / "1.jpg") as image:
        image.reduce(2).save(photos / "small.jpg", exif=image.getexif())
    library.index([photos])
    assert find_duplicates(library, tiers=["burst"]).groups == ()
    assert brief(find_duplicates(library)) == [("near", {"1.jpg", "small.jpg"})]


def test_two_cameras_at_one_moment_are_no_burst(library, photos):
    shot(photos / "1.jpg", "2024:05:01 10:00:00")
    shot(photos / "2.jpg", "2024:05:01 10:00:02", shift=8, camera="Nikon Z9")
    library.index([photos])
    assert find_duplicates(library, tiers=["burst"]).groups == ()


def test_a_time_that_no_calendar_has_is_no_time(library, photos):
    shot(photos / "1.jpg", "2024:02:30 10:00:00")
    shot(photos / "2.jpg", "2024:02:30 10:00:02", shift=8)
    library.index([photos])
    assert find_duplicates(library, tiers=["burst"]).groups == ()


def test_files_that_have_gone_or_changed_since_are_left_out_with_a_note(library, photos):
    for name in ("gone.jpg", "changed.jpg", "same.jpg"):
        shutil.copy(photos / "cat.jpg", photos / name)
    library.index([photos])
    (photos / "gone.jpg").unlink()
    (photos / "changed.jpg").write_bytes(b"other")
    report = find_duplicates(library)
    assert brief(report) == [("exact", {"cat.jpg", "same.jpg"})]
    assert [(file.path.name, file.reason.split(":")[0]) for file in report.skipped] == [
        ("changed.jpg", "it has changed since it was indexed"),
        ("gone.jpg", "No such file or directory"),
    ]


def test_a_photo_that_was_damaged_behind_our_back_costs_only_itself(library, photos):
    edited(photos / "cat.jpg", photos / "small.jpg", "resize-50%")
    edited(photos / "cat.jpg", photos / "broken.jpg", "mirror")
    library.index([photos])
    status = (photos / "broken.jpg").stat()
    data = (photos / "broken.jpg").read_bytes()
    (photos / "broken.jpg").write_bytes(data[:2000] + bytes(len(data) - 2000))
    os.utime(photos / "broken.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    report = find_duplicates(library)
    assert brief(report) == [("near", {"cat.jpg", "small.jpg"})]


def test_between_returns_what_is_in_both_folders_and_nothing_else(library, photos, tmp_path):
    phone = tmp_path / "phone"
    phone.mkdir()
    shutil.copy(photos / "cat.jpg", photos / "again.jpg")
    for name in ("dog-1.jpg", "dog-2.jpg"):
        shutil.copy(SAMPLES / "animals" / name, phone / name)
    shutil.copy(phone / "dog-1.jpg", photos / "dog.jpg")
    edited(SAMPLES / "animals" / "dog-2.jpg", photos / "dog-2-small.jpg", "resize-50%")
    edited(SAMPLES / "animals" / "dog-2.jpg", photos / "dog-2-grey.jpg", "grey")
    library.index([photos, phone])
    assert brief(find_duplicates(library, between=(phone, photos))) == [
        ("exact", {"dog-1.jpg", "dog.jpg"}),
        ("near", {"dog-2.jpg", "dog-2-small.jpg", "dog-2-grey.jpg"}),
    ]
    assert brief(find_duplicates(library, folders=[photos], tiers=["exact"])) == [
        ("exact", {"cat.jpg", "again.jpg"})
    ]


def test_of_two_folders_nothing_goes_from_the_one_that_was_named_first(library, photos, tmp_path):
    phone = tmp_path / "phone"
    phone.mkdir()
    shutil.copy(photos / "cat.jpg", photos / "cat-copy.jpg")
    shutil.copy(photos / "cat.jpg", phone / "IMG_1.jpg")
    edited(SAMPLES / "animals" / "dog-2.jpg", photos / "small.jpg", "resize-50%")
    shutil.copy(SAMPLES / "animals" / "dog-2.jpg", phone / "whole.jpg")
    shutil.copy(SAMPLES / "animals" / "dog-1.jpg", photos / "dog-1.jpg")
    edited(SAMPLES / "animals" / "dog-1.jpg", phone / "thumb.jpg", "resize-50%")
    library.index([photos, phone])
    for between, prefer in (((photos, phone), ()), ((phone, photos), (photos,))):
        report = find_duplicates(library, between=between, prefer=prefer)
        assert {found.keep.parent for found in report.groups} == {photos}
        going = {file.path for found in report.groups for file in found.files[1:]}
        assert going == {phone / "IMG_1.jpg", phone / "thumb.jpg"}
        # What is better on the other side does not go for what is worse.
        (better,) = report.contains
        assert (better.path, better.other) == (phone / "whole.jpg", photos / "small.jpg")
        assert better.lost == "it has more detail"
    report = find_duplicates(library, between=(phone, photos))
    assert {found.keep.parent for found in report.groups} == {phone}
    going = {file.path for found in report.groups for file in found.files[1:]}
    assert going == {photos / "cat.jpg", photos / "cat-copy.jpg", photos / "small.jpg"}


def test_of_a_folder_inside_of_the_other_one_the_files_are_those_of_the_inner_one(library, photos):
    inner = photos / "phone"
    inner.mkdir()
    shutil.copy(photos / "cat.jpg", inner / "a.jpg")
    library.index([photos])
    for between in ((photos, inner), (inner, photos)):
        (found,) = find_duplicates(library, between=between).groups
        assert found.keep.parent == between[0]


def test_a_preferred_folder_decides_between_equal_files(library, photos, tmp_path):
    best = photos / "best"
    best.mkdir()
    shutil.copy2(photos / "cat.jpg", best / "cat.jpg")
    library.index([photos])
    (found,) = find_duplicates(library, prefer=[best]).groups
    assert (found.keep, found.reason) == (best / "cat.jpg", f"in the preferred folder {best}")
    assert find_duplicates(library).groups[0].keep == photos / "cat.jpg"


def test_photos_told_apart_stay_apart_until_a_new_one_joins(library, photos, tmp_path):
    edited(photos / "cat.jpg", photos / "small.jpg", "resize-50%")
    library.index([photos])
    (found,) = find_duplicates(library).groups
    name = group_name(found)
    assert dismiss(library.catalog, [int(photo) for photo in name.split("-")]) == 1
    assert find_duplicates(library).groups == ()

    # Renamed, moved, touched and indexed again: still apart.
    (photos / "moved").mkdir()
    (photos / "small.jpg").rename(photos / "moved" / "little.jpg")
    os.utime(photos / "cat.jpg")
    library.index([photos])
    assert find_duplicates(library).groups == ()

    # Embedded anew by another model: still apart.
    library.close()
    with Library.open(library.folder, backbone=MeanColour(model="other")) as other:
        other.index([photos], change_model=True)
        assert find_duplicates(other).groups == ()

        edited(photos / "cat.jpg", photos / "grey.jpg", "grey")
        other.index([photos])
        (found,) = find_duplicates(other).groups
        assert "grey.jpg" in names(found)


def test_copies_of_one_photo_can_be_wanted(library, photos):
    shutil.copy(photos / "cat.jpg", photos / "same.jpg")
    library.index([photos])
    (found,) = find_duplicates(library).groups
    assert dismiss(library.catalog, [int(group_name(found))]) == 1
    assert find_duplicates(library).groups == ()
    assert len(dismissed_pairs(library.catalog)) == 1


def test_a_photo_that_is_not_there_cannot_be_told_apart(library, photos):
    library.index([photos])
    with pytest.raises(BadQuery, match="the library has no photo 77"):
        dismiss(library.catalog, [1, 77])
    assert dismissed_pairs(library.catalog) == frozenset()


def test_what_cannot_be_asked_is_said(library, photos, tmp_path):
    library.index([photos])
    with pytest.raises(LibraryError, match="is in no folder that was indexed"):
        find_duplicates(library, folders=(tmp_path / "elsewhere",))
    with pytest.raises(BadQuery, match="leave out the others"):
        find_duplicates(library, folders=[photos], between=(photos, photos))
    with pytest.raises(BadQuery, match="between 0 and 1"):
        find_duplicates(library, max_false_share=0)


def test_a_library_with_one_photo_or_an_offline_folder_has_no_duplicates(library, photos):
    library.index([photos])
    assert find_duplicates(library).groups == ()
    shutil.copy(photos / "cat.jpg", photos / "same.jpg")
    library.index([photos])
    photos.rename(photos.with_name("unplugged"))
    report = find_duplicates(library)
    assert (report.groups, report.photos) == ((), 0)


def pairs_of(found) -> set[tuple[int, int]]:
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_a_very_large_library_proposes_its_near_copies_too(library, monkeypatch, tmp_path):
    """Beyond `EXACT_UP_TO` the nearest neighbours and equal runs of hash bits take the place of all pairs."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((SAMPLES / "animals").glob("*.jpg")):
        with Image.open(path) as image:
            image.reduce(2).save(photos / path.name)
            image.reduce(4).transpose(Image.Transpose.ROTATE_90).save(photos / f"turned-{path.name}")
    library.index([photos])
    ids, neighbours = present_photos(library.catalog), library.neighbours()
    exact = pairs_of(candidates.pairs_by_embedding(ids, neighbours))
    by_hash = pairs_of(candidates.pairs_by_hash(*hashes_of(library.catalog, ids)))
    monkeypatch.setattr(candidates, "EXACT_UP_TO", 5)
    assert pairs_of(candidates.pairs_by_embedding(ids, neighbours)) == exact
    files = {file.photo: file.path.name for file in files_of(library.catalog, ids.tolist())}
    turned = {
        tuple(sorted((photo, other)))
        for photo, name in files.items()
        for other, copy in files.items()
        if copy == f"turned-{name}"
    }
    assert len(turned) == 14
    assert turned <= by_hash
    found = pairs_of(candidates.pairs_by_hash(*hashes_of(library.catalog, ids)))
    assert found <= by_hash
    assert len(turned & found) >= 12


def test_pairs_are_walked_through_so_that_a_photo_is_decoded_about_once():
    rng = np.random.default_rng(0)
    names = rng.permutation(600)
    ends = np.array([sorted((names[i], names[i + step])) for i in range(590) for step in (1, 3)])
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    pairs = Pairs(ends[:, 0], ends[:, 1], np.ones(len(ends), np.float32))
    order = candidates.walking_order(pairs)
    assert sorted(order.tolist()) == list(range(len(ends)))

    def decoded(rows: np.ndarray) -> int:
        held: dict[int, None] = {}
        count = 0
        for photo in rows.reshape(-1).tolist():
            count += held.pop(photo, 1) is not None
            held[photo] = None
            if len(held) > 32:
                held.pop(next(iter(held)))
        return count

    assert decoded(ends[order]) <= 620
    assert decoded(ends) > 1000


def jpeg_quality(path: Path) -> int | None:
    with Decoders() as decoders, decoders.open(path) as opened:
        return quality_of(opened.details().table)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 85, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_header(picture, tmp_path, quality):
    assert jpeg_quality(picture(tmp_path / "a.jpg", quality=quality)) == pytest.approx(quality, abs=5)


def test_only_a_jpeg_has_a_quality(picture, tmp_path):
    assert jpeg_quality(picture(tmp_path / "a.png")) is None
    assert jpeg_quality(picture(tmp_path / "a.webp")) is None


@pytest.mark.weights
def test_with_real_weights_every_crop_of_the_samples_is_found_too(tmp_path, indexed_samples):
    with Library.open(shutil.copytree(indexed_samples, tmp_path / "library")) as library:
        found = {frozenset(names(group)): group.tier for group in find_duplicates(library).groups}
    assert found == GROUPS


def test_a_file_that_is_seen_through_a_link_too_is_no_duplicate_of_itself(photos, tmp_path):
    shutil.copy(photos / "cat.jpg", tmp_path / "copy.jpg")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy.jpg").rename(tmp_path / "elsewhere/copy.jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos, tmp_path / "elsewhere"])
        (found,) = find_duplicates(library, tiers=["exact"]).groups
        assert len(found.files) == 2
        shutil.rmtree(photos / "linked", ignore_errors=True)
        (photos / "cat.jpg").unlink()
        library.index()
        assert find_duplicates(library, tiers=["exact"]).groups == ()
