"""The second look: copies are confirmed and described, other photos and other shots of the moment are not."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from random import Random
from threading import Barrier

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.duplicates.verify.geometric import GeometricVerifier, look
from vitsearch.duplicates.verify.views import Planes, View
from vitsearch.duplicates.verify.words import what_was_done
from vitsearch.photos.perceptual_hash import perceptual_hash

SAMPLES = Path(__file__).parents[2] / "sample_images"
CUTOFFS = Thresholds()
# The hardest two edits leave a tenth and a quarter of the photo, which may show nothing but sky.
EVERY_PHOTO = [edit for edit in EDITS if edit.name not in ("crop-10%", "crop-25%")]


def photo(name: str) -> Image.Image:
    with Image.open(SAMPLES / name) as image:
        return image.convert("RGB")


def looked(first: Image.Image, second: Image.Image, *, thresholds: Thresholds = CUTOFFS):
    hashes = (perceptual_hash(first), perceptual_hash(second))
    return look(View.of(first), View.of(second), hashes=hashes, thresholds=thresholds)


@pytest.mark.parametrize("name", ["nature/mountain-3.jpg", "travel/castle-2.jpg"])
@pytest.mark.parametrize("edit", EVERY_PHOTO, ids=lambda edit: edit.name)
def test_a_copy_is_confirmed_whatever_was_done_to_it(name, edit):
    original = photo(name)
    assert looked(original, edit.apply(original, Random(1))).confirms(CUTOFFS)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("jpeg-20", "identical"),
        ("mirror", "mirrored"),
        ("rotate-90", "turned left"),
        ("rotate-180", "upside down"),
        ("crop-50%", "cropped to 50% of the picture"),
        ("mirror+crop", "mirrored, cropped to 70% of the picture"),
        ("border-20%", "identical, with a white border"),
        ("brighter", "brighter"),
        ("contrast-", "with less contrast"),
        ("screenshot", "inside a larger picture"),
        ("rotate+crop", "turned left, cropped to 80% of the picture"),
    ],
)
def test_the_evidence_says_what_was_done(edit, words):
    original = photo("travel/castle-2.jpg")
    chosen = next(one for one in EDITS if one.name == edit)
    assert looked(original, chosen.apply(original, Random(3))).transform == words


@pytest.mark.parametrize(
    "edit",
    [
        "mirror",
        "rotate-90",
        "rotate-180",
        "rotate-270",
        "crop-50%",
        "border-20%",
        "mirror+crop",
        "rotate+crop",
    ],
)
def test_what_was_done_is_known_from_the_other_side_without_another_look(edit):
    original = photo("travel/castle-2.jpg")
    copy = next(one for one in EDITS if one.name == edit).apply(original, Random(3))
    back = what_was_done(looked(original, copy).turned_round())
    assert back == looked(copy, original).transform
    assert back != looked(original, copy).transform or edit in ("mirror", "rotate-180")


def test_a_border_counts_as_something_around_the_photo_not_as_content():
    original = photo("travel/castle-2.jpg")
    bordered = next(one for one in EDITS if one.name == "border-20%").apply(original, Random(0))
    seen = looked(original, bordered)
    size = original.width * original.height / (bordered.width * bordered.height)
    assert seen.of_first == pytest.approx(1, abs=0.02)
    assert seen.of_second == pytest.approx(size, abs=0.02)
    assert seen.content_first == pytest.approx(1, abs=0.02)
    assert seen.content_second == pytest.approx(size, abs=0.03)


def test_other_photos_of_the_same_subject_are_never_confirmed():
    names = [f"travel/windmill-{number}.jpg" for number in (2, 3, 4, 5)]
    names += [f"travel/castle-{number}.jpg" for number in (2, 3, 4)]
    images = [photo(name) for name in names]
    confirmed = [
        (names[i], names[j])
        for i in range(len(names))
        for j in range(i)
        if looked(images[i], images[j]).confirms(CUTOFFS)
    ]
    assert confirmed == []


def test_another_shot_of_the_moment_is_not_the_same_shot():
    """The subject has moved and the camera too, a little: what a burst looks like."""
    scene = photo("travel/castle-2.jpg").resize((640, 480))
    subject = photo("animals/cat-1.jpg").resize((240, 240))
    first, second = scene.copy(), scene.transform(scene.size, Image.Transform.AFFINE, (1, 0, 5, 0, 1, -3))
    first.paste(subject, (120, 180))
    second.paste(subject.rotate(4), (185, 190))
    seen = looked(first, second)
    assert seen.score > 0.3
    assert not seen.confirms(CUTOFFS)


def shot(scene: Image.Image, subject: Image.Image, *, at: tuple[int, int], drift: float) -> Image.Image:
    """One frame of a film: the camera drifts and turns a little, the subject stands at a place, the noise is new."""
    angle = np.radians(drift)
    turned = (np.cos(angle), -np.sin(angle), 6 * drift, np.sin(angle), np.cos(angle), 3 * drift)
    frame = scene.transform(scene.size, Image.Transform.AFFINE, turned, Image.Resampling.BICUBIC)
    mask = Image.new("L", subject.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *subject.size), fill=255)
    frame.paste(subject, at, mask.filter(ImageFilter.GaussianBlur(2)))
    frame = frame.crop((20, 20, scene.width - 20, scene.height - 20))
    noise = np.random.default_rng(at[0]).normal(0, 3, (frame.height, frame.width, 1))
    return Image.fromarray(np.clip(np.asarray(frame) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", ["travel/castle-2.jpg", "travel/bridge-1.jpg", "nature/mountain-3.jpg"])
@pytest.mark.parametrize("step", [12, 40, 96])
def test_frames_of_a_film_are_not_the_same_shot(name, step):
    """A subject on a tenth of the picture moves by 1 to 10 % of its width; all else is as good as the same."""
    scene = photo(name).resize((960, 720), Image.Resampling.LANCZOS)
    subject = photo("animals/cat-1.jpg").resize((300, 230))
    first = shot(scene, subject, at=(300, 250), drift=0)
    assert not looked(first, shot(scene, subject, at=(300 + step, 250), drift=0.3)).confirms(CUTOFFS)
    # The same frame saved once more is: the noise of another exposure alone would not tell them apart.
    assert looked(first, shot(scene, subject, at=(300, 250), drift=0)).confirms(CUTOFFS)


@pytest.mark.parametrize("name", ["travel/castle-2.jpg", "travel/bridge-1.jpg"])
def test_a_fixed_camera_before_which_somebody_turns_and_walks_on_took_two_shots(name):
    """All else is the same to the pixel, and nothing that moved is found again: it looks otherwise from behind."""
    scene = photo(name).resize((960, 720), Image.Resampling.LANCZOS)
    before, after = (photo(f"animals/cat-{number}.jpg").resize((170, 130)) for number in (1, 2))
    first = shot(scene, before, at=(300, 450), drift=0)
    seen = looked(first, shot(scene, after, at=(650, 430), drift=0))
    assert seen.closeness > 0.98
    assert not seen.confirms(CUTOFFS)


def test_a_watermark_on_a_busy_pattern_is_not_taken_for_movement():
    """Half-transparent letters take contrast away and add some: only the light changes one way."""
    random = np.random.default_rng(5)
    pattern = Image.fromarray(random.integers(0, 180, (30, 40, 3), np.uint8)).resize((960, 720), 2)
    layer = Image.new("RGBA", pattern.size)
    draw = ImageDraw.Draw(layer)
    for row in range(3):
        draw.text((40, 80 + 230 * row), "SAMPLE PHOTO", fill=(255, 255, 255, 110), font_size=80)
    marked = Image.alpha_composite(pattern.convert("RGBA"), layer).convert("RGB")
    assert looked(pattern, marked).confirms(CUTOFFS)


def test_something_drawn_over_a_copy_is_told_from_something_that_moved():
    original = photo("travel/castle-2.jpg")
    lettered = original.copy()
    draw = ImageDraw.Draw(lettered)
    for row in range(0, original.height, 120):
        draw.text((10, row), "SAMPLE SAMPLE SAMPLE", fill="white", font_size=48)
    assert looked(original, lettered).confirms(CUTOFFS)


def test_evidence_is_the_same_the_other_way_round():
    original = photo("nature/mountain-3.jpg")
    crop = next(one for one in EDITS if one.name == "crop-50%").apply(original, Random(2))
    there, back = looked(original, crop), looked(crop, original)
    assert there.confirms(CUTOFFS)
    assert back.confirms(CUTOFFS)
    assert (back.of_first, back.of_second) == pytest.approx((there.of_second, there.of_first), abs=0.03)


def test_pictures_without_structure_are_never_confirmed():
    red, blue = Image.new("RGB", (300, 200), "red"), Image.new("RGB", (300, 200), "blue")
    seen = looked(red, blue)
    assert (seen.hash_distance, seen.inliers, seen.score, seen.transform) == (None, 0, 0.0, "none found")


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (3000, 3), (16, 16)])
def test_pictures_of_any_size_can_be_looked_at(size):
    tiny = photo("animals/cat-1.jpg").resize(size)
    seen = looked(tiny, photo("animals/cat-2.jpg"))
    assert not seen.confirms(CUTOFFS)


def test_views_are_decoded_once_while_they_are_in_use():
    decoded = []
    images = {
        1: photo("animals/cat-1.jpg"),
        2: photo("animals/cat-1.jpg").reduce(2),
        3: photo("animals/dog-1.jpg"),
    }

    def pixels(number: int) -> Image.Image:
        decoded.append(number)
        return images[number]

    second_look = GeometricVerifier(pixels, lambda number: perceptual_hash(images[number]))
    verdicts = {
        pair: second_look.compare(*pair, cosine=0.9).confirms(CUTOFFS) for pair in ((1, 2), (1, 3), (2, 3))
    }
    assert verdicts == {(1, 2): True, (1, 3): False, (2, 3): False}
    assert decoded == [1, 2, 3]


def test_photos_that_come_up_again_and_again_are_decoded_once(monkeypatch):
    monkeypatch.setattr("vitsearch.duplicates.verify.geometric._CACHED_PLANES", 1)
    decoded = []
    images = [
        photo(f"{name}.jpg")
        for name in ("animals/cat-1", "animals/dog-1", "travel/castle-2", "animals/bird-1")
    ]

    def pixels(number: int) -> Image.Image:
        decoded.append(number)
        return images[number]

    second_look = GeometricVerifier(pixels, lambda _: None)
    for one, other in combinations(range(len(images)), 2):
        assert not second_look.compare(one, other).confirms(CUTOFFS)
    # Once for the features as they are, once for those in the mirror.
    assert all(decoded.count(number) <= 2 for number in range(len(images)))


def test_threads_find_the_features_of_two_photos_at_one_time():
    both = Barrier(2)

    def planes() -> Planes:
        both.wait(timeout=60)
        return Planes(np.zeros((8, 8), np.uint8))

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda view: view.features, [View(planes), View(planes)]))
    assert [len(features.points) for features in found] == [0, 0]


def test_stricter_cutoffs_confirm_less():
    original = photo("travel/castle-2.jpg")
    seen = looked(original, next(one for one in EDITS if one.name == "caption").apply(original, Random(0)))
    assert seen.confirms(Thresholds(share=0.5))
    assert not seen.confirms(Thresholds(moved=-0.01))
    assert not seen.confirms(Thresholds(closeness=1.01))
    assert np.isclose(seen.score, seen.share * seen.closeness)


def test_of_many_photos_the_features_that_are_needed_next_are_kept(monkeypatch):
    monkeypatch.setattr("vitsearch.duplicates.verify.geometric._CACHED_VIEWS", 4)
    monkeypatch.setattr("vitsearch.duplicates.verify.geometric._CACHED_PLANES", 1)
    names = ("animals/cat-1", "animals/dog-1", "travel/castle-2", "animals/bird-1")
    images = [photo(f"{name}.jpg") for name in names]
    decoded = []

    def pixels(number: int) -> Image.Image:
        decoded.append(number)
        return images[number]

    second_look = GeometricVerifier(pixels, lambda _: None)
    known = [second_look.view(number).features for number in range(4)]
    assert decoded == [0, 1, 2, 3]
    # Photo 1 never comes up again, 3 after all others: there is room for three.
    second_look.make_room(
        lambda photos: np.array([{0: 5, 1: 99, 2: 6, 3: 7}[photo] for photo in photos.tolist()])
    )
    assert [second_look.view(number).features is known[number] for number in (0, 2, 3)] == [True] * 3
    assert decoded == [0, 1, 2, 3]
    assert second_look.view(1).features is not known[1]
