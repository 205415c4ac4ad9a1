"""What an index run embeds, skips, stores and reports."""

import os
import random
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.backbones.backbone import Embeddings
from vitsearch.cli.index import print_report
from vitsearch.decoding.blocks import ProtectedBlock
from vitsearch.decoding.decoders import ProtectedPhoto
from vitsearch.errors import BadQuery, LibraryError, LibraryMissing
from vitsearch.library import Library
from vitsearch.records import Progress, UnreadableFile
from vitsearch.storage.filters import Filter
from vitsearch.storage.status import unreadable_files

COLOURS = ["red", "lime", "blue", "white", "black", "yellow", "cyan", "magenta", "gray", "orange"]


@pytest.fixture
def folder(tmp_path, picture):
    for colour in COLOURS[:6]:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


def stored(library):
    """The stored vector of every file that is present, by its name below `photos`."""
    space_id, space = library.catalog.active_space()
    ids = library.catalog.embedded_ids(space_id)
    ids, rows = library.catalog.vectors(space_id, space.dimension, ids)
    photos = library.catalog.photos([int(i) for i in ids])
    return {
        str(path).partition("/photos/")[2]: row
        for i, row in zip(ids, rows, strict=True)
        for path in photos[int(i)].paths
    }


def test_every_photo_is_embedded_once_and_a_second_run_embeds_nothing(library, backbone, folder):
    first = library.index([folder])
    assert figures(first) == {"photos": 6, "files": 6, "embedded": 6}
    assert (first.model, first.interrupted, first.unreadable) == ("mean-colour", False, ())
    assert backbone.batches == [4, 2]
    assert figures(library.index([folder])) == {"photos": 6, "files": 6, "unchanged": 6}
    assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 6}
    assert backbone.batches == [4, 2]


def test_a_second_run_never_even_asks_for_the_model(library, folder, tmp_path):
    library.index([folder])
    space = library.catalog.require_space().space
    with Library.open(tmp_path / "library", cache=tmp_path / "no-weights") as again:
        assert figures(again.index()) == {"photos": 6, "files": 6, "unchanged": 6}
        assert again.catalog.require_space().space == space


def test_the_stored_vectors_are_those_of_the_backbone_as_float16(library, folder):
    library.index([folder])
    backbone = MeanColour()
    for name, row in stored(library).items():
        with Image.open(folder / name) as image:
            expected = backbone.embed_batch(backbone.prepare(image.convert("RGB"))[None]).rows[0]
        np.testing.assert_array_equal(row, expected.astype(np.float16))


def test_a_photo_gets_the_same_vector_alone_and_in_any_batch(tmp_path, folder):
    vectors = []
    for batch_size in (1, 2, 5, 64):
        with Library.open(
            tmp_path / f"by-{batch_size}", backbone=MeanColour(batch_size=batch_size)
        ) as library:
            library.index([folder], workers=1 if batch_size == 2 else 8)
            vectors.append(stored(library))
    for other in vectors[1:]:
        assert other.keys() == vectors[0].keys()
        for name, row in other.items():
            np.testing.assert_array_equal(row, vectors[0][name])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9])
def test_batches_are_full_but_for_the_last(library, backbone, picture, tmp_path, count):
    for colour in COLOURS[:count]:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    assert library.index([tmp_path / "photos"]).embedded == count
    assert backbone.batches == [4] * (count // 4) + ([count % 4] if count % 4 else [])


def test_the_same_photo_twice_is_embedded_once_and_known_at_both_places(library, backbone, picture, tmp_path):
    first = picture(tmp_path / "photos/a.png", "red")
    shutil.copy(first, tmp_path / "photos/b.png")
    assert figures(library.index([tmp_path / "photos"])) == {"photos": 1, "files": 2, "embedded": 1}
    assert backbone.batches == [1]
    (match,) = library.search(first, include_self=True).results
    assert (match.path, match.other_paths) == (first, (tmp_path / "photos/b.png",))


def test_copies_in_different_batches_are_one_photo(library, picture, tmp_path):
    photos = tmp_path / "photos"
    for name, colour in zip("abcdefgh", COLOURS, strict=False):
        picture(photos / f"{name}.png", colour)
    for name in "abcdefgh":
        shutil.copy(photos / f"{name}.png", photos / f"z-{name}.png")
    assert figures(library.index([photos])) == {"photos": 8, "files": 16, "embedded": 8}
    assert len(library.catalog.embedded_ids(1)) == 8


def test_new_photos_are_added_and_the_old_ones_left_alone(library, backbone, folder, picture):
    library.index([folder])
    picture(folder / "new.png", "pink")
    assert figures(library.index()) == {"photos": 7, "files": 7, "embedded": 1, "unchanged": 6}
    assert backbone.batches == [4, 2, 1]
    assert folder / "new.png" in places(library, folder / "red.png")


def test_replaced_content_is_another_photo_under_the_old_name(library, folder, picture):
    library.index([folder])
    before = library.search(folder / "lime.png", include_self=True, k=1).results[0].photo
    picture(folder / "lime.png", "navy")
    assert figures(library.index()) == {"photos": 6, "files": 6, "embedded": 1, "unchanged": 5}
    (match,) = library.search(folder / "lime.png", include_self=True, k=1).results
    assert (match.path, match.score) == (folder / "lime.png", pytest.approx(1, abs=1e-3))
    assert match.photo != before


def test_a_file_that_only_got_a_new_time_is_read_and_not_embedded(library, backbone, folder):
    library.index([folder])
    os.utime(folder / "red.png", ns=(1, 1))
    assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 5}
    assert backbone.embedded == 6
    assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 6}


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_a_rating_written_into_a_file_embeds_nothing(library, backbone, tmp_path, name):
    photo = tmp_path / "photos" / name
    photo.parent.mkdir()
    image = Image.effect_noise((40, 30), 80).convert("RGB")
    image.save(photo, quality=90)
    library.index([photo.parent])
    (before,) = library.search(photo, include_self=True).results
    exif = Image.Exif()
    exif[0x4746] = 5
    image.save(photo, quality=90, exif=exif)
    os.utime(photo, ns=(1, 1))
    assert figures(library.index()) == {"photos": 1, "files": 1}
    assert backbone.embedded == 1
    assert library.search(photo, include_self=True).results == (before,)


def test_a_date_or_camera_corrected_in_a_file_is_what_filters_see(library, tmp_path):
    photo = tmp_path / "photos/a.jpg"
    photo.parent.mkdir()
    image = Image.new("RGB", (40, 30), "teal")
    write_with_facts(image, photo, taken="1980:01:01 00:00:00", camera="Wrong")
    library.index([photo.parent])
    write_with_facts(image, photo, taken="2024:05:17 12:00:00", camera="Right")
    os.utime(photo, ns=(1, 1))
    assert library.index().embedded == 0
    (match,) = library.search(
        photo, include_self=True, where=Filter(after="2024-05-17", camera="right")
    ).results
    assert (match.taken, match.camera) == ("2024-05-17T12:00:00", "Right")
    assert library.search(photo, include_self=True, where=Filter(before="1990")).results == ()


def test_a_copy_without_metadata_does_not_take_the_facts_away(library, tmp_path):
    photo = tmp_path / "photos/a.jpg"
    photo.parent.mkdir()
    image = Image.new("RGB", (40, 30), "teal")
    write_with_facts(image, photo, taken="2024:05:17 12:00:00", camera="Right")
    library.index([photo.parent])
    image.save(photo.with_name("stripped.jpg"))
    assert figures(library.index()) == {"photos": 1, "files": 2, "unchanged": 1}
    (match,) = library.search(photo, include_self=True).results
    assert (match.taken, match.camera) == ("2024-05-17T12:00:00", "Right")


def write_with_facts(image, path, *, taken, camera):
    exif = Image.Exif()
    exif[0x0110] = camera
    exif[0x0132] = taken
    image.save(path, exif=exif)


def test_unreadable_files_are_reported_on_every_run_with_their_reasons(library, backbone, folder):
    (folder / "empty.jpg").touch()
    (folder / "notes.jpg").write_text("hello")
    whole = (folder / "red.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "readme.txt").write_text("not an image and not named like one")
    expected = (
        UnreadableFile(folder / "empty.jpg", "the file is empty"),
        UnreadableFile(folder / "gone.jpg", "No such file or directory"),
        UnreadableFile(folder / "half.png", "it is truncated (its image data ends early)"),
        UnreadableFile(folder / "notes.jpg", "it is not an image in a format that is read here"),
    )
    first = library.index([folder])
    assert figures(first) == {"photos": 6, "files": 6, "embedded": 6, "unreadable": 4}
    assert first.unreadable == expected
    assert library.index().unreadable == expected
    assert len(places(library, folder / "red.png")) == 6


def test_unreadable_files_are_read_again_when_they_change_or_with_retry(library, folder, picture):
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"broken")
    library.index([folder])
    picture(folder / "a.png", "pink")
    assert figures(library.index()) == {
        "photos": 7, "files": 7, "embedded": 1, "unchanged": 6, "unreadable": 1,
    }  # fmt: skip
    kept = (folder / "b.png").stat()
    good = picture(folder / "b.png", "navy").read_bytes()
    (folder / "b.png").write_bytes(good)
    library.index()
    (folder / "b.png").write_bytes(b"x" * len(good))
    os.utime(folder / "b.png", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    assert figures(library.index())["unreadable"] == 1
    (folder / "b.png").write_bytes(good)
    os.utime(folder / "b.png", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    assert figures(library.index())["unreadable"] == 1
    assert figures(library.index(retry=True)) == {"photos": 8, "files": 8, "unchanged": 7}


def test_a_file_that_becomes_unreadable_is_offered_no_more_and_costs_no_embedding_when_mended(
    library, backbone, folder
):
    library.index([folder])
    whole = (folder / "red.png").read_bytes()
    (folder / "red.png").write_bytes(whole[:20])
    assert figures(library.index()) == {"photos": 5, "files": 5, "unchanged": 5, "unreadable": 1}
    assert folder / "red.png" not in places(library, folder / "blue.png")
    (folder / "red.png").write_bytes(whole)
    os.utime(folder / "red.png", ns=(1, 1))
    assert figures(library.index()) == {"photos": 6, "files": 6, "unchanged": 5}
    assert backbone.embedded == 6
    assert folder / "red.png" in places(library, folder / "blue.png")


def test_one_bad_photo_never_costs_its_batch(library, picture, tmp_path):
    for number in range(20):
        path = tmp_path / "photos" / f"{number:02}.png"
        if number % 2:
            picture(path, (number * 12, 0, 90))
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    report = library.index([tmp_path / "photos"])
    assert figures(report) == {"photos": 10, "files": 10, "embedded": 10, "unreadable": 10}


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (2, 3), (16_000, 9)])
def test_a_photo_of_any_shape_is_indexed(library, picture, tmp_path, size):
    photo = picture(tmp_path / "photos/odd.png", "red", size=size)
    assert figures(library.index([photo.parent])) == {"photos": 1, "files": 1, "embedded": 1}
    (match,) = library.search(photo, include_self=True).results
    assert (match.width, match.height) == size


def test_photos_without_a_finite_vector_are_reported_and_not_stored(tmp_path, picture):
    class Blind(MeanColour):
        def embed_batch(self, pixels):
            made = super().embed_batch(pixels)
            dark = pixels.reshape(len(pixels), -1).max(axis=1) == 0 if len(pixels) else np.zeros(0, bool)
            rows, norms = made.rows.copy(), made.norms.copy()
            rows[dark], norms[dark] = np.nan, np.nan
            return Embeddings(rows, norms)

    photos = tmp_path / "photos"
    dark = picture(photos / "dark.png", "black")
    shutil.copy(dark, photos / "dark-too.png")
    picture(photos / "red.png", "red")
    reason = "the model gave no finite vector for it"
    with Library.open(tmp_path / "library", backbone=Blind()) as library:
        report = library.index([photos])
        assert figures(report) == {"photos": 1, "files": 1, "embedded": 1, "unreadable": 2}
        assert {item.reason for item in report.unreadable} == {reason}
        assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1, "unreadable": 2}


def test_a_model_that_fails_ends_the_run_and_keeps_what_was_committed(tmp_path, folder):
    class Failing(MeanColour):
        def embed_batch(self, pixels):
            if self.batches:
                raise RuntimeError("out of memory")
            return super().embed_batch(pixels)

    before = threading.active_count()
    with (
        Library.open(tmp_path / "library", backbone=Failing()) as library,
        pytest.raises(RuntimeError, match="out of memory"),
    ):
        library.index([folder])
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 6, "files": 6, "embedded": 2, "unchanged": 4}
    assert threading.active_count() == before


def test_names_that_are_not_utf8_or_hold_control_characters_are_indexed_and_found(library, tmp_path, picture):
    folder = tmp_path / "photos"
    names = [b"caf\xe9.png", b"d\xe9/x.png", b"new\nline.png", b"\x1b[31m.png", "ünï.png".encode()]
    for name, colour in zip(names, COLOURS, strict=False):
        picture(folder / os.fsdecode(name), colour)
    (folder / os.fsdecode(b"bad\xff.png")).write_bytes(b"broken")
    report = library.index([folder])
    assert figures(report) == {"photos": 5, "files": 5, "embedded": 5, "unreadable": 1}
    assert report.unreadable[0].path == folder / os.fsdecode(b"bad\xff.png")
    expected = sorted(folder / os.fsdecode(name) for name in names)
    assert places(library, expected[0]) == expected
    assert figures(library.index()) == {"photos": 5, "files": 5, "unchanged": 5, "unreadable": 1}


def test_a_folder_whose_name_is_not_utf8_can_be_a_root_a_part_and_a_filter(library, tmp_path, picture):
    folder = tmp_path / os.fsdecode(b"r\xe9")
    inner = picture(folder / os.fsdecode(b"d\xe9") / "x.png", "red")
    outer = picture(folder / "y.png", "blue")
    mixed = picture(folder / os.fsdecode(b"d\xe9") / os.fsdecode(b"z\xfc.png"), "lime")
    assert figures(library.index([folder])) == {"photos": 3, "files": 3, "embedded": 3}
    assert figures(library.index([inner.parent])) == {"photos": 2, "files": 2, "unchanged": 2}
    assert places(library, outer, where=Filter(folders=(inner.parent,))) == sorted([inner, mixed])
    assert [root.path for root in library.roots()] == [folder]


def test_a_part_of_a_root_is_counted_by_its_whole_folder_name(library, tmp_path, picture):
    names = ("2024/a.png", "2024/may/b.png", "2024-b/c.png", "20/d.png", "%/e.png", "_/f.png")
    for name, colour in zip(names, COLOURS, strict=False):
        picture(tmp_path / "photos" / name, colour)
    library.index([tmp_path / "photos"])
    for part, count in (("2024", 2), ("2024/may", 1), ("20", 1), ("%", 1), ("_", 1)):
        report = library.index([tmp_path / "photos" / part])
        assert (part, report.files, report.unchanged) == (part, count, count)
        assert (
            len(
                places(
                    library,
                    tmp_path / "photos/2024/a.png",
                    where=Filter(folders=(tmp_path / "photos" / part,)),
                )
            )
            == count
        )


def test_folders_may_be_given_relative_with_dots_through_links_and_twice(
    library, folder, monkeypatch, tmp_path
):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    report = library.index(["photos", "./photos/../photos", tmp_path / "link", folder])
    assert figures(report) == {"photos": 6, "files": 6, "embedded": 6}
    assert [root.path for root in library.roots()] == [folder]


def test_progress_is_told_from_the_walk_to_the_last_photo(library, folder):
    (folder / "broken.jpg").write_bytes(b"broken")
    told: list[Progress] = []
    library.index([folder], on_progress=told.append)
    assert told[:2] == [Progress("scan", 0, None), Progress("embed", 0, 7)]
    assert told[-1] == Progress("embed", 7, 7)
    assert [step.done for step in told] == sorted(step.done for step in told)


def test_a_library_inside_the_folder_that_it_indexes_does_not_index_itself(tmp_path, picture):
    picture(tmp_path / "photos/a.png", "red")
    library_folder = tmp_path / "photos" / "library"
    with Library.open(library_folder, backbone=MeanColour()) as library:
        for _ in range(2):
            library.index([tmp_path / "photos"])
            picture(library.layout.thumbnails / f"00/{'0' * 62}-320.jpg", "blue")
        assert places(library, tmp_path / "photos/a.png") == [tmp_path / "photos/a.png"]


def test_a_library_that_is_the_folder_that_it_indexes_finds_the_photos_in_it(tmp_path, picture):
    picture(tmp_path / "photos/a.png", "red")
    with Library.open(tmp_path / "photos", backbone=MeanColour()) as library:
        assert figures(library.index([tmp_path / "photos"])) == {"photos": 1, "files": 1, "embedded": 1}
        assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_is_bounded_by_the_batch_and_the_workers(tmp_path, picture, monkeypatch, workers):
    decoded = []
    alone, together = ProtectedPhoto.prepared_with_thumbnail, ProtectedBlock.prepared

    def counted(photo, preprocessing, box):
        decoded.append(photo.name)
        return alone(photo, preprocessing, box)

    def counted_together(block, preprocessing, wanted, *, boxes):
        decoded.extend(wanted)
        return together(block, preprocessing, wanted, boxes=boxes)

    class Slow(MeanColour):
        most_ahead = 0

        def embed_batch(self, pixels):
            time.sleep(0.1)  # long enough to decode all photos, were nothing to stop that
            self.most_ahead = max(self.most_ahead, len(decoded) - self.embedded)
            return super().embed_batch(pixels)

    for number in range(60):
        picture(tmp_path / "photos" / f"{number}.png", (number * 4, 255 - number * 4, 99), size=(16, 16))
    monkeypatch.setattr(ProtectedPhoto, "prepared_with_thumbnail", counted)
    monkeypatch.setattr(ProtectedBlock, "prepared", counted_together)
    backbone = Slow(batch_size=4)
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        assert library.index([tmp_path / "photos"], workers=workers).embedded == 60
    assert 4 <= backbone.most_ahead <= 3 * 4 + workers


def test_bad_folders_are_refused_before_anything_is_done(library, backbone, folder, tmp_path):
    file = folder / "red.png"
    for bad, message in (
        (
            tmp_path / "nowhere",
            f"{tmp_path / 'nowhere'} does not exist: check the spelling, or mount its drive",
        ),
        (file, f"{file} is a file: give the folder that it is in"),
    ):
        with pytest.raises(LibraryError) as caught:
            library.index([folder, bad])
        assert str(caught.value) == message
    assert backbone.batches == []
    with pytest.raises(LibraryError, match="no folder was indexed yet: name one"):
        library.index()


def test_a_misspelt_folder_loads_no_model_and_makes_no_space(tmp_path):
    with (
        Library.open(tmp_path / "library", cache=tmp_path / "weights") as library,
        pytest.raises(LibraryError, match="does not exist: check the spelling"),
    ):
        library.index([tmp_path / "nowhere"])
    assert not (tmp_path / "weights").exists()
    assert not (tmp_path / "library").exists()


def test_an_empty_folder_is_a_run_with_nothing_in_it(library, tmp_path):
    (tmp_path / "photos").mkdir()
    assert figures(library.index([tmp_path / "photos"])) == {}
    with pytest.raises(LibraryMissing):
        Library.open(tmp_path / "elsewhere").search(Path(__file__))
    with pytest.raises(BadQuery):
        library.search()


@pytest.mark.parametrize("seed", range(4))
def test_the_same_end_state_whatever_the_order_of_runs(tmp_path, picture, seed):
    source = random.Random(seed)
    folder = tmp_path / "photos"
    names = [f"{group}/{number}.png" for group in "abc" for number in range(4)]
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        folder.mkdir()
        (folder / "keep.txt").touch()
        for step in range(12):
            name = source.choice(names)
            action = source.choice(["write", "write", "delete", "rename", "part"])
            path = folder / name
            if action == "write":
                picture(path, source.choice(COLOURS))
                os.utime(path, ns=(step, step))
            elif action == "delete":
                path.unlink(missing_ok=True)
            elif action == "rename" and path.exists():
                path.rename(path.with_name(f"renamed-{step}.png"))
            elif action == "part" and path.parent.exists():
                library.index([path.parent])
            if source.random() < 0.5:
                library.index([folder])
        final = library.index([folder])
        present = sorted(folder.rglob("*.png"))
        assert final.files == len(present)
        assert places(library, present[0]) == present
        with Library.open(tmp_path / "fresh", backbone=MeanColour()) as fresh:
            assert fresh.index([folder]).photos == final.photos
            assert places(fresh, present[0]) == present
            kept, made = stored(library), stored(fresh)
            assert kept.keys() == made.keys() == {path.relative_to(folder).as_posix() for path in present}
            for name, row in kept.items():
                np.testing.assert_array_equal(row, made[name])


def test_a_link_to_nothing_and_a_closed_folder_are_counted_and_told_as_new_once(library, own_folder, picture):
    photos = own_folder / "photos"
    picture(photos / "red.png", "red")
    picture(photos / "closed/blue.png", "blue")
    (photos / "nowhere.jpg").symlink_to(own_folder / "drive/nowhere.jpg")
    (photos / "closed").chmod(0)
    try:
        told = (
            UnreadableFile(photos / "closed", "Permission denied"),
            UnreadableFile(photos / "nowhere.jpg", "No such file or directory"),
        )
        first = library.index([photos])
        assert first.unreadable == first.newly_unreadable == told
        assert library.status().unreadable == 2
        assert unreadable_files(library.catalog) == told
        again = library.index()
        assert (again.unreadable, again.newly_unreadable) == (told, ())
        library.index(prune=True)
        assert library.status().unreadable == 2
    finally:
        (photos / "closed").chmod(0o700)
    picture(own_folder / "drive/nowhere.jpg", "green")
    report = library.index()
    assert (report.photos, report.embedded, report.unreadable) == (3, 2, ())
    assert library.status().unreadable == 0


def test_a_link_that_is_removed_is_forgotten(library, tmp_path, picture):
    picture(tmp_path / "photos/red.png", "red")
    link = tmp_path / "photos/nowhere.jpg"
    link.symlink_to(tmp_path / "nowhere.jpg")
    library.index([tmp_path / "photos"])
    link.unlink()
    report = library.index()
    assert (report.unreadable, report.missing) == ((), 0)
    assert library.status().unreadable == 0


def test_images_that_nothing_here_reads_are_called_images_with_their_formats(library, folder, capsys):
    for name in ("a.eps", "b.EPS", "c.pcx", "notes.txt"):
        (folder / name).write_bytes(b"x")
    report = library.index([folder])
    left_out = {item.kind: item for item in report.left_out}
    images = left_out["image of a kind that is not read"]
    assert (images.count, images.formats) == (3, ("EPS", "PCX"))
    assert left_out["file that is no image"].formats == ()
    print_report(report)
    told = capsys.readouterr().err
    assert "left out: 3 images of kinds that are not read (EPS, PCX), 1 file that is no image\n" in told
    for name in ("b.EPS", "c.pcx"):
        (folder / name).unlink()
    print_report(library.index())
    assert "left out: 1 image of a kind that is not read (EPS), 1 file" in capsys.readouterr().err
