"""What a search finds, in which order, with which scores: worked out by hand for a backbone that sees mean colours."""

import io
import os
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from tests.support.mean_colour import MeanColour
from tests.support.summaries import places
from vitsearch.errors import BadQuery, NoTextTower, UnreadablePhoto
from vitsearch.library import Library
from vitsearch.neighbours.reference_sample import ReferenceSample
from vitsearch.searching.matches import query_direction
from vitsearch.storage.filters import Filter

# No two of them score alike against any of them or pink: the order is known beyond rounding.
COLOURS = "red crimson orange sandybrown darkkhaki aqua royalblue mediumpurple thistle fuchsia".split()
FLOAT16 = 1e-3  # what storing a unit row as float16 may change of a score


def seen(*colours):
    """The vector of a picture: one colour, or one for each quarter (top left, top right, bottom left, bottom right)."""
    quarters = colours * 4 if len(colours) == 1 else colours
    values = [channel / 255 for colour in quarters for channel in ImageColor.getrgb(colour)]
    vector = np.array([*values, 0.1])
    return vector / np.linalg.norm(vector)


def ranking(query, names):
    """Names with their scores against a query vector, best first."""
    scores = {name: float(seen(name) @ query / np.linalg.norm(query)) for name in names}
    return sorted(scores.items(), key=lambda item: -item[1])


def answered(result):
    return [(match.path.stem, match.score) for match in result.results]


def assert_answer(result, expected):
    assert [name for name, _ in answered(result)] == [name for name, _ in expected]
    for (_, score), (_, wanted) in zip(answered(result), expected, strict=True):
        assert score == pytest.approx(wanted, abs=FLOAT16)


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def indexed(library, photos):
    library.index([photos])
    return library


@pytest.mark.parametrize("query", COLOURS)
def test_every_other_photo_is_found_best_first_with_its_cosine_similarity(indexed, photos, query):
    result = indexed.search(photos / f"{query}.png", k=100)
    assert_answer(result, ranking(seen(query), [name for name in COLOURS if name != query]))
    assert (result.query, result.model) == ((str(photos / f"{query}.png"),), "mean-colour")


@pytest.mark.parametrize("k", [1, 2, 5, 9, 10, 1000, 2**70])
def test_k_is_how_many_of_the_best_are_returned(indexed, photos, k):
    everything = indexed.search(photos / "red.png", k=100).results
    assert indexed.search(photos / "red.png", k=k).results == everything[:k]


@pytest.mark.parametrize("k", [0, -1])
def test_less_than_one_match_cannot_be_asked_for(indexed, photos, k):
    with pytest.raises(BadQuery, match=f"k is {k}: ask for at least one match"):
        indexed.search(photos / "red.png", k=k)


def test_a_query_that_is_not_in_the_library_is_embedded_by_the_model(indexed, backbone, tmp_path, picture):
    query = picture(tmp_path / "query.png", "pink")
    before = backbone.embedded
    assert_answer(indexed.search(query, k=3), ranking(seen("pink"), COLOURS)[:3])
    assert backbone.embedded == before + 1


def test_a_photo_of_the_library_is_searched_for_without_any_model(indexed, photos, tmp_path):
    shutil.copy(photos / "red.png", tmp_path / "a copy elsewhere.png")
    with Library.open(indexed.folder, cache=tmp_path / "no-weights") as library:
        assert_answer(
            library.search(tmp_path / "a copy elsewhere.png", k=2), ranking(seen("red"), COLOURS[1:])[:2]
        )
    assert not (tmp_path / "no-weights").exists()


def test_a_photo_identical_to_the_query_is_left_out_unless_asked_for(indexed, photos, tmp_path):
    shutil.copy(photos / "red.png", tmp_path / "copy.png")
    image = Image.open(tmp_path / "copy.png")
    exif = Image.Exif()
    exif[0x4746] = 5
    image.save(tmp_path / "tagged.png", exif=exif)
    for query in (photos / "red.png", tmp_path / "copy.png", tmp_path / "tagged.png"):
        assert "red" not in [name for name, _ in answered(indexed.search(query))]
        (best, *_) = indexed.search(query, include_self=True).results
        assert (best.path, best.score) == (photos / "red.png", pytest.approx(1, abs=FLOAT16))


def test_a_photo_that_only_looks_the_same_is_not_left_out(indexed, photos, picture):
    picture(photos / "red again.png", "red", size=(65, 48))
    indexed.index()
    best = indexed.search(photos / "red.png", k=1).results[0]
    assert (best.path.name, best.score) == ("red again.png", pytest.approx(1, abs=FLOAT16))


def test_several_examples_are_searched_for_by_their_mean_direction(indexed, photos):
    result = indexed.search(photos / "crimson.png", photos / "royalblue.png", k=100)
    others = [name for name in COLOURS if name not in ("crimson", "royalblue")]
    assert_answer(result, ranking(seen("crimson") + seen("royalblue"), others))
    assert result.query == (str(photos / "crimson.png"), str(photos / "royalblue.png"))
    assert answered(result)[0][0] == "mediumpurple"


def test_counter_examples_pull_away_by_half_their_mean(indexed, photos):
    result = indexed.search(
        photos / "fuchsia.png", negatives=[photos / "royalblue.png", photos / "aqua.png"], k=100
    )
    direction = seen("fuchsia") - 0.5 * (seen("royalblue") + seen("aqua")) / 2
    assert_answer(result, ranking(direction, [name for name in COLOURS if name != "fuchsia"]))


def test_examples_and_counter_examples_that_cancel_out_are_refused():
    east = np.array([1, 0], np.float32)
    with pytest.raises(BadQuery, match="cancel each other out"):
        query_direction([east, -east])
    np.testing.assert_allclose(query_direction([east], [east]), east)


def test_a_crop_is_searched_for_like_a_file_of_that_region(indexed, tmp_path):
    image = Image.new("RGB", (80, 60), "lime")
    image.paste("red", (40, 30, 80, 60))
    image.save(tmp_path / "scene.png")
    image.crop((40, 30, 80, 60)).save(tmp_path / "region.png")
    cropped = indexed.search(tmp_path / "scene.png", crop=(40, 30, 40, 30), k=100)
    assert answered(cropped) == answered(indexed.search(tmp_path / "region.png", k=100))
    assert_answer(cropped, ranking(seen("red"), COLOURS))


def test_a_crop_is_measured_in_the_upright_image(indexed, tmp_path):
    upright = Image.new("RGB", (60, 80), "lime")
    upright.paste("royalblue", (0, 0, 60, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert_answer(
        indexed.search(tmp_path / "turned.png", crop=(0, 0, 60, 20), k=100),
        ranking(seen("royalblue"), COLOURS),
    )


def test_a_crop_of_a_photo_of_the_library_may_find_that_photo(indexed, photos):
    result = indexed.search(photos / "red.png", crop=(3, 4, 10, 10), k=1)
    assert result.results[0].path == photos / "red.png"


@pytest.mark.parametrize(
    "crop", [(0, 0, 65, 48), (60, 0, 5, 5), (-1, 0, 5, 5), (0, 0, 0, 5), (0, 47, 5, 2), (10**9, 0, 1, 1)]
)
def test_a_crop_that_leaves_the_image_is_refused(indexed, photos, crop):
    with pytest.raises(BadQuery) as caught:
        indexed.search(photos / "red.png", crop=crop)
    numbers = ",".join(map(str, crop))
    assert str(caught.value) == f"the crop {numbers} does not lie within {photos / 'red.png'} (64 x 48)"


def test_a_crop_belongs_to_one_example(indexed, photos):
    with pytest.raises(BadQuery, match="a crop needs exactly one example image"):
        indexed.search(photos / "red.png", photos / "aqua.png", crop=(0, 0, 1, 1))


@pytest.fixture
def album(library, tmp_path):
    """Five photos with folders, dates and cameras; the query is red."""
    for name, colour, taken, camera in (
        ("2023/a.jpg", "red", "2023:12:31 23:59:59", "Canon EOS R5"),
        ("2024/b.jpg", "maroon", "2024:01:01 00:00:00", "Canon EOS R6"),
        ("2024/may/c.jpg", "orange", "2024:05:17 12:00:00", "NIKON Z 6"),
        ("2024/may/d.jpg", "yellow", "2024:05:18 00:00:00", None),
        ("e.jpg", "blue", None, "Pixel 8"),
    ):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if taken:
            exif[0x0132] = taken
        if camera:
            exif[0x0110] = camera
        Image.new("RGB", (64, 48), colour).save(path, exif=exif, quality=95)
    library.index([tmp_path / "album"])
    return tmp_path / "album"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "abcde"),
        ({"folders": ["2024"]}, "bcd"),
        ({"folders": ["2024/may"]}, "cd"),
        ({"folders": ["2023", "2024/may"]}, "acd"),
        ({"folders": ["."]}, "abcde"),
        ({"folders": ["202"]}, ""),
        ({"after": "2024"}, "bcd"),
        ({"after": "2024-05-17"}, "cd"),
        ({"after": "2024-05-18"}, "d"),
        ({"before": "2024"}, "a"),
        ({"before": "2024-05-18"}, "abc"),
        ({"before": "2024-05"}, "ab"),
        ({"after": "2024", "before": "2024-05-18"}, "bc"),
        ({"after": "2025"}, ""),
        ({"camera": "canon"}, "ab"),
        ({"camera": "EOS R6"}, "b"),
        ({"camera": "z 6"}, "c"),
        ({"camera": "%"}, ""),
        ({"camera": "_"}, ""),
        ({"camera": "canon", "after": "2024", "folders": ["2024"]}, "b"),
        ({"camera": "pixel", "before": "2030"}, ""),
    ],
)
def test_filters_keep_exactly_the_photos_that_they_describe(
    library, album, tmp_path, picture, options, expected
):
    query = picture(tmp_path / "query.png", "red")
    if "folders" in options:
        options = {**options, "folders": [album / folder for folder in options["folders"]]}
    found = "".join(match.path.stem for match in library.search(query, where=Filter(**options)).results)
    assert "".join(sorted(found)) == expected
    everything = [match.path.stem for match in library.search(query).results]
    assert list(found) == [name for name in everything if name in expected]


def test_a_filter_is_answered_also_when_a_thousand_better_matches_are_outside_of_it(
    library, tmp_path, picture
):
    for number in range(300):
        picture(tmp_path / "photos/many" / f"{number}.png", (255, number % 40, number // 40), size=(8, 8))
    far = picture(tmp_path / "photos/few/blue.png", "blue")
    library.index([tmp_path / "photos"])
    query = picture(tmp_path / "query.png", "red")
    (match,) = library.search(query, where=Filter(folders=(far.parent,)), k=3).results
    assert (match.path, match.score) == (far, pytest.approx(float(seen("red") @ seen("blue")), abs=FLOAT16))


def test_facts_of_a_match_are_those_of_its_file(library, album):
    (match,) = library.search(album / "2024/may/c.jpg", include_self=True, k=1).results
    assert (match.width, match.height, match.taken, match.camera) == (
        64,
        48,
        "2024-05-17T12:00:00",
        "NIKON Z 6",
    )


def test_the_percentile_is_the_share_of_the_other_photos_that_score_lower(indexed, photos):
    expected = {name: score for name, score in ranking(seen("orange"), COLOURS) if name != "orange"}
    for match in indexed.search(photos / "orange.png", k=100).results:
        lower = sum(score < expected[match.path.stem] for score in expected.values())
        assert match.percentile == round(100 * lower / 9, 2)


def test_a_query_from_elsewhere_is_measured_against_the_whole_library(indexed, tmp_path, picture):
    query = picture(tmp_path / "query.png", "pink")
    percentiles = [match.percentile for match in indexed.search(query, k=100).results]
    assert percentiles == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]


def test_photos_that_look_the_same_share_their_percentile(library, tmp_path, picture):
    for number in range(8):
        picture(tmp_path / "photos" / f"red {number}.png", "red", size=(40 + number, 40))
        picture(tmp_path / "photos" / f"blue {number}.png", "blue", size=(40 + number, 40))
    library.index([tmp_path / "photos"])
    query = picture(tmp_path / "query.png", "orange")
    by_colour: dict[str, set[float]] = {"red": set(), "blue": set()}
    for match in library.search(query, k=100).results:
        by_colour[match.path.stem.split()[0]].add(match.percentile)
    assert by_colour == {"red": {50.0}, "blue": {0.0}}


def test_a_library_of_one_photo_scores_above_nothing(library, tmp_path, picture):
    only = picture(tmp_path / "photos/red.png", "red")
    library.index([only.parent])
    (match,) = library.search(only, include_self=True).results
    assert match.percentile == 0
    assert library.search(only).results == ()


@pytest.fixture
def crowd(library, tmp_path):
    """Forty dull photos around grey, two red ones, and a red query from elsewhere."""
    source = np.random.default_rng(4)
    (tmp_path / "photos").mkdir()
    for number in range(40):
        colour = tuple(int(value) for value in 128 + source.integers(-12, 13, 3))
        Image.new("RGB", (24, 24), colour).save(tmp_path / "photos" / f"dull-{number}.png")
    for name, colour in (("real-1", (250, 10, 10)), ("real-2", (240, 20, 30))):
        Image.new("RGB", (24, 24), colour).save(tmp_path / "photos" / f"{name}.png")
    library.index([tmp_path / "photos"])
    Image.new("RGB", (24, 24), "red").save(tmp_path / "query.png")
    return tmp_path / "query.png"


def test_only_matches_are_those_above_the_fence_of_the_background(library, crowd):
    everything = library.search(crowd, k=100)
    scores = np.array([match.score for match in everything.results])
    low, high = np.quantile(scores, (0.25, 0.75))
    assert everything.matches_above == pytest.approx(high + 1.5 * (high - low), abs=1e-5)
    only = library.search(crowd, k=100, only_matches=True)
    assert [match.path.stem for match in only.results] == ["real-1", "real-2"]
    assert only.results == everything.results[:2]


def test_where_nothing_stands_out_there_are_no_matches(library, crowd, tmp_path):
    Image.new("RGB", (24, 24), (60, 60, 200)).save(tmp_path / "blue.png")
    assert library.search(tmp_path / "blue.png", k=100, only_matches=True).results == ()
    assert len(library.search(tmp_path / "blue.png", k=100).results) == 42


def test_no_score_is_above_one_although_stored_rows_are_rounded(library, crowd, tmp_path):
    Image.new("RGB", (24, 24), (128, 128, 128)).save(tmp_path / "dull.png")
    assert max(match.score for match in library.search(tmp_path / "dull.png", k=100).results) == 1.0


def test_a_library_so_varied_that_no_score_could_stand_out_cuts_nothing(library, tmp_path, picture):
    for number in range(20):
        picture(tmp_path / "photos" / f"{number}.png", (250 - number * 12, number * 12, 0))
    library.index([tmp_path / "photos"])
    result = library.search(tmp_path / "photos/0.png", only_matches=True, include_self=True, k=100)
    assert (result.matches_above, len(result.results)) == (None, 20)


def test_a_library_too_small_for_a_background_cuts_nothing(indexed, photos):
    result = indexed.search(photos / "red.png", only_matches=True, k=100)
    assert (result.matches_above, len(result.results)) == (None, 9)


def test_the_background_is_a_fixed_sample_whatever_the_order_of_indexing(tmp_path, photos):
    samples = []
    for name, order in (("one", COLOURS), ("two", COLOURS[::-1])):
        with Library.open(tmp_path / name, backbone=MeanColour()) as library:
            for index, colour in enumerate(order):
                path = tmp_path / f"{name}-{index}" / f"{colour}.png"
                path.parent.mkdir()
                shutil.copy(photos / f"{colour}.png", path)
                library.index([path.parent])
            catalog, (space, _) = library.catalog, library.catalog.require_space()
            found = catalog.photos([int(photo) for photo in catalog.reference_ids(space, 4)])
            samples.append({row.paths[0].name for row in found.values()})
            assert len(samples[-1]) == 4
            sample = ReferenceSample.of(catalog, space, 13)
            scores = sample.against(seen("red").astype(np.float32)).scores
            assert sorted(scores) == list(scores)
            assert len(scores) == 10
    assert samples[0] == samples[1]


def test_distinct_keeps_the_better_of_photos_that_show_the_same(library, tmp_path, picture):
    shades = {
        "a": (255, 0, 0),
        "b": (230, 20, 0),
        "c": (220, 0, 40),
        "d": (200, 200, 0),
        "e": (200, 190, 10),
        "f": "blue",
    }
    for name, colour in shades.items():
        picture(tmp_path / "photos" / f"{name}.png", colour)
    library.index([tmp_path / "photos"])
    query = picture(tmp_path / "query.png", (255, 0, 0), size=(9, 9))
    everything = [match.path.stem for match in library.search(query, k=10).results]
    assert everything == ["a", "b", "c", "e", "d", "f"]
    for k, expected in ((1, "a"), (2, "ae"), (3, "aef"), (10, "aef")):
        assert [match.path.stem for match in library.search(query, k=k, distinct=True).results] == list(
            expected
        )


def test_an_image_may_come_from_an_open_file(indexed, photos):
    data = io.BytesIO((photos / "red.png").read_bytes())
    result = indexed.search(data, k=3)
    assert result.query == ("-",)
    assert result.results == indexed.search(photos / "red.png", k=3).results


def test_paths_may_be_text_and_relative(indexed, photos, monkeypatch):
    monkeypatch.chdir(photos)
    here: Any = "."
    assert (
        indexed.search("red.png", negatives=["aqua.png"], where=Filter(folders=here)).results
        == indexed.search(
            photos / "red.png", negatives=[photos / "aqua.png"], where=Filter(folders=(photos,))
        ).results
    )


@pytest.mark.parametrize("role", ["example", "negative example"])
def test_a_query_that_cannot_be_read_is_named_with_the_reason(indexed, photos, tmp_path, role):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    os.mkfifo(tmp_path / "pipe.jpg")
    half = (photos / "red.png").read_bytes()
    (tmp_path / "half.png").write_bytes(half[: len(half) // 2])
    for path, reason in (
        (tmp_path / "none.jpg", "No such file or directory"),
        (tmp_path, "it is a folder; name one image in it"),
        (tmp_path / "empty.jpg", "the file is empty"),
        (tmp_path / "text.jpg", "it is not an image in a format that is read here"),
        (tmp_path / "pipe.jpg", "it is not a regular file"),
        (tmp_path / "half.png", "it is truncated (its image data ends early)"),
    ):
        examples, negatives = ([path], []) if role == "example" else ([], [path])
        with pytest.raises(UnreadablePhoto) as caught:
            indexed.search(photos / "red.png", *examples, negatives=negatives)
        assert str(caught.value) == f"cannot read {path}: {reason}"


def test_an_open_file_that_cannot_be_read_is_called_standard_input(indexed):
    with pytest.raises(UnreadablePhoto) as caught:
        indexed.search(io.BytesIO(b""))
    assert str(caught.value) == "cannot read the image on standard input: the file is empty"


def test_a_question_without_an_image_or_words_is_refused(indexed):
    for question in ({}, {"text": ""}, {"negatives": ["red.png"]}):
        with pytest.raises(BadQuery, match="there is nothing to search for: give an image or --text"):
            indexed.search(**question)


def test_words_need_a_model_that_reads_them(indexed):
    with pytest.raises(
        NoTextTower, match=r"^mean-colour reads no words: run `vitsearch index --also siglip2-base` once"
    ):
        indexed.search(text="a red car")


def test_an_exact_search_answers_the_same_in_a_small_library(indexed, photos):
    assert indexed.search(photos / "red.png", exact=True) == indexed.search(photos / "red.png")


def test_a_search_changes_nothing_in_the_library(indexed, photos, tmp_path, picture):
    query = picture(tmp_path / "query.png", "pink")
    files = [path for path in indexed.folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    indexed.search(query)
    indexed.search(photos / "red.png", where=Filter(after="2020"), include_self=True)
    after = {path: path.read_bytes() for path in indexed.folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_photo_in_several_places_is_one_match_with_all_of_them(indexed, photos):
    for name in ("b/copy.png", "a/copy.png"):
        (photos / name).parent.mkdir()
        shutil.copy(photos / "red.png", photos / name)
        indexed.index()
    (match,) = [match for match in indexed.search(photos / "orange.png").results if "red" in match.path.stem]
    assert (match.path, match.other_paths) == (
        photos / "red.png",
        (photos / "b/copy.png", photos / "a/copy.png"),
    )
    assert len(places(indexed, photos / "red.png")) == 12


def test_a_folder_filter_shows_the_copy_that_is_in_that_folder(indexed, photos):
    (photos / "album").mkdir()
    shutil.copy(photos / "red.png", photos / "album/copy.png")
    indexed.index()
    (match,) = indexed.search(photos / "orange.png", where=Filter(folders=(photos / "album",))).results
    assert (match.path, match.other_paths) == (photos / "album/copy.png", (photos / "red.png",))


def test_a_photo_whose_copy_in_the_folder_is_offline_is_not_offered_from_elsewhere(
    library, tmp_path, picture
):
    kept = picture(tmp_path / "home/red.png", "red")
    picture(tmp_path / "home/blue.png", "blue")
    (tmp_path / "drive").mkdir()
    shutil.copy(kept, tmp_path / "drive/copy.png")
    library.index([tmp_path / "home", tmp_path / "drive"])
    (tmp_path / "drive").rename(tmp_path / "unmounted")
    query = tmp_path / "home/blue.png"
    assert library.search(query, where=Filter(folders=(tmp_path / "drive",))).results == ()
    (match,) = library.search(query).results
    assert (match.path, match.other_paths) == (kept, ())


def test_a_folder_filter_takes_the_name_of_a_link_inside_of_a_root_and_of_one_that_leads_into_it(
    library, tmp_path, picture
):
    picture(tmp_path / "phone/blue.png", "blue")
    query = picture(tmp_path / "photos/2024/red.png", "red")
    (tmp_path / "photos/Phone").symlink_to(tmp_path / "phone")
    (tmp_path / "pictures").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/z").symlink_to(tmp_path / "photos/2024")
    library.index([tmp_path / "photos"])
    blue = tmp_path / "photos/Phone/blue.png"
    assert places(library, query, where=Filter(folders=(tmp_path / "photos/Phone",))) == [blue]
    assert places(library, query, where=Filter(folders=(tmp_path / "pictures/2024",))) == [query]
    assert places(library, query, where=Filter(folders=(tmp_path / "photos/z",))) == [query]
    assert places(library, query, where=Filter(folders=(tmp_path / "pictures",))) == sorted([blue, query])
