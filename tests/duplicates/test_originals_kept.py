"""Of a photo without a camera's notes and what was made from it, the photo stays, whatever the copies look like."""

import io
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.group.damage import are_as_good, damaged_one
from vitsearch.duplicates.group.grouping import Link, group
from vitsearch.duplicates.group.keep import Candidate
from vitsearch.duplicates.group.origin import blurred, lost_highlights, traits_of, was_enlarged
from vitsearch.duplicates.group.saved_again import was_made_from, was_saved_again
from vitsearch.duplicates.verify.evidence import Evidence
from vitsearch.library import Library

# What is saved at a high quality leaves hardly any trace of its steps in what is made from it.
ORIGINAL, COPY = 93, 97
STEPS = (2,) * 64
"""Too fine to leave a trace."""


def saved(image, quality):
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            return opened.convert("RGB")


def small(image):
    return image.reduce(2)


def bright(image):
    return ImageEnhance.Brightness(image).enhance(1.4)


def framed(image):
    return ImageOps.expand(image, min(image.size) // 12, "white")


def double(image):
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)


def kept(tmp_path, photo, *edits):
    """The file that is kept of a photo and copies that look older, larger and better saved."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / photo) as opened:
        image = opened.convert("RGB")
    image.save(folder / "z-original.jpg", quality=ORIGINAL)
    with Image.open(folder / "z-original.jpg") as opened:
        for edit in edits:
            edit(opened.convert("RGB")).save(folder / f"{edit.__name__}.jpg", quality=COPY)
    for place, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1_000_000 * (place + 1), 1_000_000 * (place + 1)))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert len(found.files) == len(edits) + 1
    return found.keep.name, found.reason


@pytest.mark.parametrize("photo", ["travel/castle-2.jpg", "nature/mountain-3.jpg", "travel/bridge-3.jpg"])
def test_a_brightened_copy_that_lost_highlights_goes(tmp_path, photo):
    name, reason = kept(tmp_path, photo, bright, double, small)
    assert name == "z-original.jpg", reason


def steps_of(image, quality):
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            assert isinstance(opened, JpegImageFile)
            return tuple(opened.quantization[0])


@pytest.mark.parametrize("edit", [ImageOps.mirror, ImageOps.flip])
@pytest.mark.parametrize(("original", "copy"), [(89, 88), (90, 86), (95, 80)])
def test_an_original_is_not_taken_for_a_copy_of_its_edit_that_was_saved_about_as_well(edit, original, copy):
    for photo in ("travel/castle-2.jpg", "nature/mountain-3.jpg", "animals/cat-1.jpg"):
        with Image.open(SAMPLES / photo) as opened:
            image = saved(opened.convert("RGB").resize((640, 424)), original)
        steps = steps_of(edit(image), copy)
        own = steps_of(image, original)
        assert not was_saved_again(traits_of(image).blocks, steps, own=own)
        assert not was_made_from(greys(image), greys(saved(edit(image), copy)), steps, own=own)


@pytest.mark.parametrize(("original", "copy"), [(75, 95), (80, 92), (75, 88)])
def test_a_copy_that_was_saved_better_is_told_by_the_steps_of_its_original(original, copy):
    for photo in ("travel/castle-2.jpg", "nature/mountain-3.jpg", "animals/cat-1.jpg"):
        with Image.open(SAMPLES / photo) as opened:
            image = saved(opened.convert("RGB").resize((640, 424)), original)
        again = saved(ImageOps.mirror(image), copy)
        assert was_saved_again(traits_of(again).blocks, steps_of(image, original), own=steps_of(image, copy))


def greys(image):
    return np.asarray(image.convert("L"))


def turned_left(image):
    return image.transpose(Image.Transpose.ROTATE_90)


def upside_down(image):
    return image.transpose(Image.Transpose.ROTATE_180)


def lightened(image):
    return ImageEnhance.Brightness(image).enhance(1.25)


def darkened(image):
    return ImageEnhance.Brightness(image).enhance(0.8)


def with_more_contrast(image):
    return ImageEnhance.Contrast(image).enhance(1.3)


def same(image):
    return image


@cache
def saved_at(photo, size, quality=None):
    """A photo of this size, saved once where a quality is given. It is not to be changed."""
    if quality is not None:
        return saved(saved_at(photo, size), quality)
    with Image.open(SAMPLES / photo) as opened:
        return opened.convert("RGB").resize(size, Image.Resampling.LANCZOS)


FOUR = ["travel/castle-2.jpg", "nature/mountain-3.jpg", "animals/cat-1.jpg", "animals/dog-2.jpg"]
CHANGES = [same, ImageOps.mirror, turned_left, upside_down, lightened, darkened, with_more_contrast]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("size", "original", "copy"),
    [((640, 424), 75, 95), ((635, 421), 82, 97), ((171, 114), 75, 95), ((171, 114), 93, 98)],
)
def test_of_a_jpeg_and_a_changed_copy_that_was_saved_better_the_copy_is_told(change, size, original, copy):
    """Also where its sides are no multiples of 8, so that turning it moves the grid of the JPEG."""
    for photo in FOUR:
        image, first, better = (saved_at(photo, size, quality) for quality in (None, original, copy))
        again = change(first)
        known = {"table": steps_of(image, original), "own": steps_of(again, copy)}
        assert was_made_from(greys(saved(again, copy)), greys(first), **known)
        # Both made from a third one; and the one that was saved better is the original of the other one.
        assert not was_made_from(greys(saved(change(image), copy)), greys(first), **known)
        assert not was_made_from(greys(better), greys(saved(change(better), original)), **known)


def test_a_copy_of_a_jpeg_whose_orientation_lies_in_its_notes_is_told():
    """Its blocks are turned with it, and do not begin at its upper left corner any more."""
    for photo in FOUR:
        with Image.open(SAMPLES / photo) as opened:
            lying = saved(opened.convert("RGB").resize((635, 421)), 80)
        upright = greys(upside_down(lying)), greys(turned_left(lying))
        for first in upright:
            again = saved(Image.fromarray(first).convert("RGB"), 95)
            steps, own = steps_of(lying, 80), steps_of(again, 95)
            assert was_made_from(greys(again), first, steps, own=own)


def test_of_other_photos_none_is_told_to_be_made_from_the_other_one():
    pictures = []
    for photo in FOUR:
        with Image.open(SAMPLES / photo) as opened:
            pictures.append(opened.convert("RGB").resize((320, 240)))
    steps = steps_of(pictures[0], 75)
    for one in pictures:
        for two in pictures:
            if one is not two:
                assert not was_made_from(greys(saved(one, 95)), greys(saved(two, 75)), steps)
    plain = Image.new("RGB", (320, 240), "grey")
    assert not was_made_from(greys(saved(plain, 95)), greys(saved(plain, 75)), steps)
    assert not was_made_from(greys(pictures[0].reduce(2)), greys(saved(pictures[0], 75)), steps)


@pytest.mark.parametrize("change", [ImageOps.mirror, turned_left, upside_down])
def test_a_turned_copy_goes_although_it_was_saved_better(tmp_path, change):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "nature/mountain-3.jpg") as opened:
        opened.convert("RGB").resize((637, 421)).save(folder / "z-original.jpg", quality=80)
    with Image.open(folder / "z-original.jpg") as opened:
        change(opened.convert("RGB")).save(folder / "a.jpg", quality=92)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert (found.keep.name, found.reason) == ("z-original.jpg", "saved first")


def blurry(image):
    return image.filter(ImageFilter.GaussianBlur(2))


@pytest.mark.parametrize("photo", ["travel/castle-2.jpg", "nature/mountain-3.jpg", "animals/cat-1.jpg"])
def test_a_blurred_copy_goes_although_it_was_saved_better(tmp_path, photo):
    name, reason = kept(tmp_path, photo, blurry)
    assert (name, reason.split("; ")[0]) == ("z-original.jpg", "sharper")


def test_an_original_that_had_the_steps_of_its_copies_before_stays(tmp_path):
    """As a photo that was exported at 90 and saved at 95: its copies at 90 have the same steps by chance."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "animals/cat-1.jpg") as opened:
        exported = saved(opened.convert("RGB"), 90)
    exported.save(folder / "z-original.jpg", quality=95)
    with Image.open(folder / "z-original.jpg") as opened:
        image = opened.convert("RGB")
    with_more_contrast(image).save(folder / "contrast.jpg", quality=90)
    ImageOps.grayscale(image).save(folder / "grey.jpg", quality=90)
    image.save(folder / "coarse.jpg", quality=30)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert found.keep.name == "z-original.jpg", found.reason


def test_an_export_goes_although_a_blurred_copy_goes_first(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "animals/cat-1.jpg") as opened:
        opened.convert("RGB").save(folder / "z-original.jpg", quality=85)
    with Image.open(folder / "z-original.jpg") as opened:
        image = opened.convert("RGB")
    image.save(folder / "export.png")
    blurry(image).save(folder / "blurry.jpg", quality=COPY)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert len(found.files) == 3
    assert found.keep.name == "z-original.jpg", found.reason


@pytest.mark.parametrize("photo", ["travel/castle-2.jpg", "nature/mountain-3.jpg", "animals/cat-1.jpg"])
@pytest.mark.parametrize("strength", [150, 300])
def test_an_original_is_not_taken_for_a_blurred_copy_of_its_sharpened_one(photo, strength):
    with Image.open(SAMPLES / photo) as opened:
        image = saved(opened.convert("RGB"), ORIGINAL)
    sharpened = saved(image.filter(ImageFilter.UnsharpMask(3, strength, 0)), COPY)
    assert blurred({1: traits_of(image), 2: traits_of(sharpened)}) == frozenset()


@pytest.mark.parametrize("photo", ["travel/castle-2.jpg", "nature/mountain-3.jpg", "travel/bridge-3.jpg"])
def test_a_framed_copy_goes_although_it_was_first_met_beside_a_brightened_one(tmp_path, photo):
    name, reason = kept(tmp_path, photo, bright, framed, small)
    assert name == "z-original.jpg", reason


def test_a_darkened_copy_of_a_burnt_out_photo_is_not_taken_for_its_source():
    with Image.open(SAMPLES / "nature" / "mountain-3.jpg") as opened:
        burnt = ImageEnhance.Brightness(opened.convert("RGB")).enhance(1.5)
    darkened = ImageEnhance.Brightness(burnt).enhance(0.7)
    assert not lost_highlights(traits_of(burnt), traits_of(darkened), gain=1 / 0.7)
    softer = ImageEnhance.Brightness(burnt).enhance(0.99)
    assert not lost_highlights(traits_of(burnt), traits_of(softer), gain=1.01)


def test_a_file_that_proves_to_be_framed_beside_the_others_is_not_kept(tmp_path):
    """The pair that shows it is asked for only once the framed file has been chosen."""

    def file(name, photo, **facts):
        values = {
            "file_hash": name.encode(),
            "size": 1000,
            "mtime_ns": 0,
            "format": "JPEG",
            "width": 400,
            "height": 300,
        }
        return Candidate(path=tmp_path / name, photo=photo, **{**values, **facts})

    files = [
        file("framed.jpg", 1, quality=97, width=440, height=330),
        file("middle.jpg", 2, quality=60),
        file("whole.jpg", 3, quality=90),
    ]
    seen = Evidence(share=1.0, closeness=1.0, of_first=1.0, of_second=1.0)
    around = Evidence(
        share=1.0, closeness=1.0, of_first=0.8, of_second=1.0, seam_first=True, content_first=0.8
    )
    links = [Link(1, 2, "near", 0.95, seen), Link(2, 3, "near", 0.95, seen)]
    asked = []

    def confirm(first, second):
        asked.append((first, second))
        return Link(first, second, "near", 0.99, around if (first, second) == (1, 3) else seen)

    (found,) = group(files, links, confirm=confirm).groups
    assert found.keep.name == "whole.jpg"
    assert {one.path.name for one in found.files[1:]} == {"framed.jpg", "middle.jpg"}
    assert asked == [(1, 3)]


def sent(image):
    """As a messenger sends it."""
    return image.resize((round(image.width / 1.8), round(image.height / 1.8)), Image.Resampling.LANCZOS)


def middle(image):
    width, height = image.size
    return image.crop((width // 6, height // 6, width - width // 6, height - height // 6))


@pytest.mark.parametrize("photo", ["travel/castle-2.jpg", "nature/mountain-3.jpg", "travel/bridge-3.jpg"])
def test_a_crop_with_detail_that_the_whole_has_lost_stays_and_one_that_was_enlarged_goes(tmp_path, photo):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / photo) as opened:
        image = opened.convert("RGB")
    middle(image).save(folder / "crop.jpg", quality=90)
    sent(image).save(folder / "sent.jpg", quality=90)
    with Image.open(folder / "sent.jpg") as opened:
        part = middle(opened.convert("RGB"))
    part.resize(middle(image).size, Image.Resampling.BICUBIC).save(folder / "enlarged.jpg", quality=90)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        found = find_duplicates(library)
        going = {file.path.name for one in found.groups for file in one.files if file.path != one.keep}
    assert "enlarged.jpg" in going
    assert not {"crop.jpg", "sent.jpg"} & going


@pytest.mark.parametrize("photo", ["animals/fish-4.jpg", "nature/mountain-4.jpg", "travel/bridge-1.jpg"])
def test_a_photo_that_is_finely_saved_is_told_from_its_enlarged_copy(photo):
    with Image.open(SAMPLES / photo) as opened:
        image = opened.convert("RGB").reduce(2)
    fine = saved(image, 95)
    enlarged = saved(double(fine), 92)
    halved = saved(small(fine), 90)
    assert was_enlarged(traits_of(enlarged), traits_of(fine), STEPS)
    assert not was_enlarged(traits_of(fine), traits_of(halved), STEPS)


SOME = [
    "animals/cat-1.jpg",
    "animals/dog-2.jpg",
    "nature/mountain-3.jpg",
    "travel/bridge-1.jpg",
    "travel/castle-2.jpg",
]


@pytest.mark.parametrize("photo", SOME)
@pytest.mark.parametrize("radius", [0.7, 1.0, 1.3, 2.0])
def test_a_blurred_original_is_not_taken_for_an_enlargement_of_its_half(photo, radius):
    with Image.open(SAMPLES / photo) as opened:
        blurred = saved(opened.convert("RGB").filter(ImageFilter.GaussianBlur(radius)), 88)
    for shrink in (lambda image: image.reduce(2), small):
        assert not was_enlarged(traits_of(blurred), traits_of(saved(shrink(blurred), 92)), ())


@pytest.mark.parametrize("photo", SOME)
@pytest.mark.parametrize(
    "kernel", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
)
def test_an_enlarged_copy_is_told_by_what_enlarging_adds(photo, kernel):
    with Image.open(SAMPLES / photo) as opened:
        original = saved(opened.convert("RGB"), 88)
    enlarged = saved(original.resize((2 * original.width, 2 * original.height), kernel), 92)
    assert was_enlarged(traits_of(enlarged), traits_of(original), ())


def squares(side, count, tones, seed):
    """A picture of squares of one tone each, as a QR code or an old game has them."""
    tone = np.random.default_rng(seed).choice(tones, (count, count)).astype(np.uint8)
    return Image.fromarray(np.kron(tone, np.ones((side, side), np.uint8))).convert("RGB")


@pytest.mark.parametrize("side", [3, 4, 6, 8])
@pytest.mark.parametrize("tones", [(0, 255), (20, 90, 140, 200, 250)])
@pytest.mark.parametrize("factor", [1.5, 1.6, 2, 3])
def test_a_picture_of_squares_is_no_enlargement_of_its_smaller_copy(side, tones, factor):
    picture = squares(side, 480 // side, tones, seed=side)
    size = (round(picture.width / factor), round(picture.height / factor))
    for kernel in (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC):
        copy = saved(picture.resize(size, kernel), 85)
        assert not was_enlarged(traits_of(picture), traits_of(copy), ())


def test_a_page_is_no_enlargement_of_its_half():
    page = Image.new("RGB", (1200, 1600), "white")
    draw = ImageDraw.Draw(page)
    for line in range(40):
        draw.text(
            (80, 60 + 36 * line), "Invoice 4711, 12.50 EUR, paid on the third of May " * 3, fill="black"
        )
    page = saved(page, 90)
    for factor in (1.5, 2, 3):
        size = (round(page.width / factor), round(page.height / factor))
        for kernel in (Image.Resampling.BOX, Image.Resampling.LANCZOS, Image.Resampling.NEAREST):
            assert not was_enlarged(traits_of(page), traits_of(saved(page.resize(size, kernel), 92)), ())


def noted(image, *, size=None):
    """A camera's notes of a photo; of this size, if that is not its own."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS R5"
    notes = exif.get_ifd(0x8769)
    notes[0xA002], notes[0xA003] = size or image.size
    return exif


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_an_enlarged_and_sharpened_copy_goes_by_the_size_that_its_notes_say(tmp_path, factor):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "travel/castle-2.jpg") as opened:
        image = opened.convert("RGB").resize((900, 600), Image.Resampling.LANCZOS)
    image.save(folder / "z-original.jpg", quality=95, exif=noted(image))
    larger = image.resize((round(900 * factor), round(600 * factor)), Image.Resampling.BICUBIC)
    larger = larger.filter(ImageFilter.UnsharpMask(2, 80, 2))
    rng = np.random.default_rng(0)
    larger = Image.fromarray(
        np.clip(np.asarray(larger) + rng.normal(0, 6, (*larger.size[::-1], 3)), 0, 255).astype(np.uint8)
    )
    larger.save(folder / "a.jpg", quality=95, exif=noted(image))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert (found.keep.name, found.reason) == ("z-original.jpg", "not enlarged")


def test_a_copy_that_was_shrunk_a_little_goes_by_the_size_that_its_notes_say(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "travel/castle-2.jpg") as opened:
        image = opened.convert("RGB").resize((900, 600), Image.Resampling.LANCZOS)
    image.save(folder / "z-original.jpg", quality=85, exif=noted(image))
    image.resize((870, 580)).save(folder / "a.jpg", quality=95, exif=noted(image))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert (found.keep.name, found.reason) == ("z-original.jpg", "of the size that the camera noted")


def changed(data, share):
    """A file two bytes of whose image data have changed, so that it is still read to its end."""
    start = data.rfind(b"\xff\xda") + 14
    for place in range(start + round(share * (len(data) - start)), len(data) - 8):
        if 0xFF in data[place - 2 : place + 4]:
            continue
        found = bytearray(data)
        found[place] ^= 0x55
        found[place + 1] ^= 0x22
        if 0xFF in found[place : place + 2]:
            continue
        with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(bytes(found))) as opened:
            differ = np.abs(np.asarray(whole.convert("L"), int) - np.asarray(opened.convert("L"), int))
        # As a tone that is off: blocks that lie elsewhere are told as another shot, and stay for that.
        if (
            12 < differ[differ > 0].mean() < 30
            and (differ > 0).mean() > 0.02
            and (differ > 60).mean() < 0.001
        ):
            return bytes(found)
    raise AssertionError("no change of two bytes shifts the tone")


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_of_two_copies_of_which_one_is_damaged_the_whole_one_stays(tmp_path, orientation, names):
    folder = tmp_path / "photos"
    folder.mkdir()
    whole, rotten = (folder / f"{name}.jpg" for name in names)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(SAMPLES / "travel/castle-2.jpg") as opened:
        opened.convert("RGB").resize((637, 421)).save(whole, quality=90, exif=exif)
    rotten.write_bytes(changed(whole.read_bytes(), 0.3))
    os.utime(rotten, (1_000_000, 1_000_000))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert (found.keep.name, found.reason) == (whole.name, "the other one is damaged")


def test_a_copy_that_differs_by_next_to_nothing_is_not_damaged():
    with Image.open(SAMPLES / "travel/castle-2.jpg") as opened:
        grey = greys(opened).clip(0, 250)
    other = grey.copy()
    other[100:104, 100:108] += 1
    assert are_as_good(grey, other)
    assert not are_as_good(grey, grey + 1)
    other[0, 0] += 5
    assert not are_as_good(grey, other)


def test_of_two_copies_of_which_one_is_damaged_both_stay_where_it_is_not_clear_which(tmp_path):
    """As a picture all of which is off by a level: it breaks off nowhere."""
    with Image.open(SAMPLES / "travel/castle-2.jpg") as opened:
        grey = greys(opened).clip(0, 250)
    assert damaged_one(grey, grey + 1) is None
    files = [
        Candidate(tmp_path / name, photo, name.encode(), 1000, 0, "JPEG", 400, 300, perhaps_damaged=True)
        for photo, name in enumerate(("a.jpg", "b.jpg"))
    ]
    found = group(files, [Link(0, 1, "near", 0.99, Evidence(share=1.0, closeness=0.99))])
    assert found.groups == []
    assert [one.lost for one in found.apart] == ["one of the two is damaged, and which one is not clear"]
    again = group([files[0], replace(files[0], path=tmp_path / "c.jpg")], [])
    assert [len(one.files) for one in again.groups] == [2]


def test_of_two_webps_that_tell_no_quality_the_one_without_loss_stays(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / "animals/bird-2.jpg") as opened:
        image = opened.convert("RGB")
    image.save(folder / "a-lossy.webp", quality=60)
    image.save(folder / "b-lossless.webp", lossless=True)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert (found.keep.name, found.reason) == ("b-lossless.webp", "saved with the most data")


def soft(image):
    """A little out of focus."""
    return image.filter(ImageFilter.GaussianBlur(1.3))


@pytest.mark.parametrize("photo", ["animals/bird-2.jpg", "animals/cat-2.jpg", "nature/bee-1.jpg"])
def test_a_photo_that_is_a_little_out_of_focus_does_not_go_for_its_smaller_copy(tmp_path, photo):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(SAMPLES / photo) as opened:
        image = soft(opened.convert("RGB"))
    image.save(folder / "original.jpg", quality=92)
    halves = image.width // 2, image.height // 2
    image.resize(halves, Image.Resampling.LANCZOS).save(folder / "small.jpg", quality=88)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        (found,) = find_duplicates(library).groups
    assert found.keep.name == "original.jpg", found.reason


def test_a_crop_of_a_large_photo_stays_for_what_is_sharp_beside_a_middle_out_of_focus(tmp_path):
    names = "travel/castle-2 nature/mountain-3 travel/bridge-3 travel/bridge-1 nature/bee-3 animals/bird-2"
    photos = [
        SAMPLES / f"{name}.jpg"
        for name in (*names.split(), "animals/cat-1", "animals/dog-1", "travel/castle-1")
    ]
    image = Image.new("RGB", (3000, 2700))
    for place, photo in enumerate(photos):
        with Image.open(photo) as opened:
            part = ImageOps.fit(opened.convert("RGB"), (1000, 900), centering=(0, 0))
        image.paste(part, (place % 3 * 1000, place // 3 * 900))
    middle_only = Image.new("L", image.size, 0)
    middle_only.paste(255, (650, 500, 2350, 2200))
    image.paste(
        image.filter(ImageFilter.GaussianBlur(2)), mask=middle_only.filter(ImageFilter.GaussianBlur(30))
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    image.crop((250, 225, 2750, 2475)).save(folder / "crop.jpg", quality=92)
    image.resize((1579, 1421), Image.Resampling.LANCZOS).save(folder / "sent.jpg", quality=90)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        assert find_duplicates(library).groups == ()
