"""A library with a second space, for words: complete after every run, and never mixed with the main one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.doctor.examine import examine
from vitsearch.doctor.upkeep import remove_model
from vitsearch.errors import LibraryError, ModelError, NoTextTower
from vitsearch.library import Library

PHOTOS = 12


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: str(make_checkpoint(name, folder / name)) for name in ("vit", "clip", "siglip")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all: a graph is exported once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def photos(tmp_path):
    for number in range(PHOTOS):
        textured(tmp_path / "photos" / f"{number:02}.png", number)
    return tmp_path / "photos"


def textured(path, seed):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(noise).resize((48, 40), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def opened(tmp_path, cache, said):
    with Library.open(tmp_path / "library", cache=cache, device="cpu", notice=said.append) as library:
        yield library


def vectors(library):
    return {Path(stored.space.model).name: stored.vectors for stored in library.catalog.spaces()}


def left(library):
    return {Path(space.model).name: space.left for space in library.status().spaces if not space.main}


def found(result):
    return sorted(path.name for match in result.results for path in (match.path, *match.other_paths))


def every(photos):
    return sorted(path.name for path in photos.rglob("*.png"))


def test_words_go_to_the_space_that_reads_them_and_examples_to_the_main_one(opened, photos, models):
    report = opened.index([photos], model=models["vit"], also=models["clip"])
    assert (report.model, report.embedded) == (models["vit"], PHOTOS)
    assert [(one.model, one.embedded, one.left) for one in report.also] == [(models["clip"], PHOTOS, 0)]
    assert vectors(opened) == {"vit": PHOTOS, "clip": PHOTOS}

    words = opened.search(text="a red shoe", k=100)
    example = opened.search(photos / "00.png", k=100)
    mixed = opened.search(photos / "00.png", text="a red shoe", k=100)
    assert (words.model, example.model, mixed.model) == (models["clip"], models["vit"], models["clip"])
    assert found(words) == every(photos)
    assert found(example) == found(mixed) == every(photos)[1:]
    status = opened.status()
    assert status.reads_text
    assert status.words_step is None
    assert [(space.main, space.reads_text, space.vectors, space.left) for space in status.spaces] == [
        (True, False, PHOTOS, 0),
        (False, True, PHOTOS, 0),
    ]


def test_scores_of_words_are_those_of_the_text_space_alone(opened, photos, models):
    """Against the two towers, run here once more on each photo."""
    from PIL import Image

    opened.index([photos], model=models["vit"], also=models["clip"])
    _, space = opened.space_for(words=True)
    backbone = opened.backbone(space)
    words = backbone.embed_texts(["a green hat"]).rows[0]
    for match in opened.search(text="a green hat", k=100).results:
        pixels = backbone.prepare(Image.open(match.path).convert("RGB"))
        row = backbone.embed_batch(pixels[None]).rows[0]
        assert match.score == pytest.approx(float(row @ words), abs=2e-3)


def test_an_example_that_no_photo_is_like_is_embedded_by_the_model_that_answers(
    opened, photos, models, tmp_path
):
    opened.index([photos], model=models["vit"], also=models["clip"])
    query = textured(tmp_path / "query.png", 99)
    assert opened.search(query, k=3).model == models["vit"]
    mixed = opened.search(query, text="a shoe", negatives=[photos / "01.png"], k=3)
    assert mixed.model == models["clip"]
    assert len(mixed.results) == 3


def test_both_spaces_stay_complete_over_additions_moves_and_prunes(opened, photos, models):
    opened.index([photos], model=models["vit"], also=models["clip"])
    textured(photos / "new" / "later.png", 50)
    report = opened.index()
    assert (report.embedded, [one.embedded for one in report.also]) == (1, [1])

    (photos / "moved").mkdir()
    (photos / "00.png").rename(photos / "moved" / "zero.png")
    report = opened.index()
    assert (report.moved, report.embedded, [one.embedded for one in report.also]) == (1, 0, [0])
    assert found(opened.search(text="a hat", k=100)) == every(photos)

    (photos / "01.png").unlink()
    report = opened.index(prune=True)
    assert report.pruned == 1
    assert vectors(opened) == {"vit": PHOTOS, "clip": PHOTOS}
    assert found(opened.search(text="a hat", k=100)) == every(photos)
    assert found(opened.search(photos / "02.png", k=100, include_self=True)) == every(photos)


def test_a_photo_that_is_there_twice_is_embedded_once_in_each(opened, photos, models):
    (photos / "copy.png").write_bytes((photos / "00.png").read_bytes())
    report = opened.index([photos], model=models["vit"], also=models["clip"])
    assert [one.embedded for one in report.also] == [PHOTOS]
    assert found(opened.search(text="a hat", k=100)) == every(photos)


def test_an_offline_folder_is_completed_when_it_is_back(opened, said, photos, models, tmp_path):
    opened.index([photos], model=models["vit"])
    photos.rename(tmp_path / "away")
    textured(tmp_path / "others" / "here.png", 70)
    report = opened.index([tmp_path / "others"], also=models["clip"])
    assert [(one.embedded, one.left) for one in report.also] == [(1, PHOTOS)]
    assert left(opened) == {"clip": PHOTOS}
    said.clear()
    assert found(opened.search(text="a hat", k=100)) == ["here.png"]
    (line,) = said
    assert line.startswith(
        f"{PHOTOS} photos are not embedded with {models['clip']} yet, so that words do not find them"
    )
    (tmp_path / "away").rename(photos)
    assert [one.embedded for one in opened.index().also] == [PHOTOS]
    assert left(opened) == {"clip": 0}


def test_a_file_that_breaks_between_the_two_spaces_costs_itself_alone(opened, photos, models):
    opened.index([photos], model=models["vit"])
    (photos / "03.png").write_bytes(b"no picture any more")
    (photos / "nothing").mkdir()
    report = opened.index([photos / "nothing"], also=models["clip"])
    # No walk has seen yet what became of the file: until then it is still to come.
    assert [(one.embedded, one.left) for one in report.also] == [(PHOTOS - 1, 1)]
    report = opened.index()
    assert [item.path.name for item in report.unreadable] == ["03.png"]
    assert [(one.embedded, one.left) for one in report.also] == [(0, 0)]


def test_the_second_model_must_read_text_and_be_another_one(opened, photos, models):
    for useless in (models["vit"], "dinov2-base"):  # the second one is not fetched for it
        with pytest.raises(ModelError, match="reads no text"):
            opened.index([photos], model=models["clip"], also=useless)
    opened.index([photos], model=models["clip"])
    with pytest.raises(LibraryError, match="own model"):
        opened.index([photos], also=models["clip"])
    assert opened.catalog.also_spaces() == []


def test_where_nothing_reads_words_one_line_says_what_to_run(opened, photos, models):
    opened.index([photos], model=models["vit"])
    with pytest.raises(NoTextTower) as refused:
        opened.search(text="a red bicycle")
    assert str(refused.value) == (
        f"{models['vit']} reads no words: run `vitsearch index --also siglip2-base` once, then search again"
    )
    step = opened.status().words_step
    assert (step.model, step.command, step.photos, step.seconds) == (
        "siglip2-base",
        "vitsearch index --also siglip2-base",
        PHOTOS,
        None,
    )


def test_removing_the_second_model_frees_it_and_later_runs_leave_it_alone(opened, photos, models):
    opened.index([photos], model=models["vit"], also=models["clip"])
    assert remove_model(opened, models["clip"]) == PHOTOS
    assert vectors(opened) == {"vit": PHOTOS}
    textured(photos / "more.png", 80)
    assert opened.index().also == ()
    with pytest.raises(NoTextTower):
        opened.search(text="a hat")
    with pytest.raises(LibraryError, match="searches use"):
        remove_model(opened, models["vit"])


def test_a_change_of_the_main_model_leaves_words_as_they_are(opened, photos, models):
    opened.index([photos], model=models["vit"], also=models["clip"])
    report = opened.index(model=models["siglip"], change_model=True)
    assert (report.embedded, [one.embedded for one in report.also]) == (PHOTOS, [0])
    status = opened.status()
    assert [(Path(space.model).name, space.main) for space in status.spaces] == [
        ("siglip", True),
        ("clip", False),
    ]
    # The main one reads text itself now; words stay with the one that was chosen for them.
    assert opened.search(text="a hat").model == models["clip"]
    # And the second one may become the main one.
    assert opened.index(model=models["clip"], change_model=True).embedded == 0
    assert [Path(space.model).name for space in opened.status().spaces] == ["clip"]


def test_a_second_model_that_is_not_here_any_more_does_not_keep_the_first_from_going_on(
    said, opened, photos, models, tmp_path
):
    own = Path(models["clip"]).rename(tmp_path / "clip")
    try:
        opened.index([photos], model=models["vit"], also=str(own))
    finally:
        own.rename(models["clip"])
    opened.close()
    textured(photos / "more.png", 81)
    with Library.open(opened.folder, cache=tmp_path / "empty", device="cpu", notice=said.append) as again:
        report = again.index()
        assert (report.embedded, report.also) == (1, ())
        assert again.search(photos / "more.png", k=1).model == models["vit"]
    assert said[-1].startswith("searches by words lack new photos: ")


def test_each_search_keeps_its_own_cache_current(opened, photos, models):
    """Alternating between the spaces, while another process adds photos."""
    opened.index([photos], model=models["vit"], also=models["clip"])
    for number in range(3):
        textured(photos / f"more-{number}.png", 100 + number)
        with Library.open(opened.folder, cache=opened.cache_folder, device="cpu") as other:
            other.index()
        assert found(opened.search(text="a hat", k=100)) == every(photos)
        assert found(opened.search(photos / "00.png", k=100, include_self=True)) == every(photos)


SLOW_ALSO = """
    import sys, time
    from pathlib import Path
    from vitsearch.backbones.openvino_runtime import OpenVINOBackbone
    from vitsearch.library import Library

    embed = OpenVINOBackbone.embed_batch
    def slow(self, pixels):
        if self.space.model == sys.argv[4]:
            time.sleep(0.1 * len(pixels))
        return embed(self, pixels)
    OpenVINOBackbone.embed_batch = slow

    with Library.open(sys.argv[1], cache=Path(sys.argv[2]), device="cpu", batch_size=1) as library:
        library.index([sys.argv[3]], also=sys.argv[4])
"""


def test_a_run_that_is_killed_goes_on_where_it_was_in_any_later_run(opened, photos, models, cache):
    opened.index([photos], model=models["vit"])
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(SLOW_ALSO)),
            *(str(opened.folder), str(cache), str(photos), models["clip"]),
        ],
    )
    deadline = time.monotonic() + 120
    while vectors(opened).get("clip", 0) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = vectors(opened)["clip"]
    assert 2 <= kept < PHOTOS
    # Words find what is there, and examples all.
    assert len(opened.search(text="a hat", k=100).results) == kept
    assert len(opened.search(photos / "00.png", k=100, include_self=True).results) == PHOTOS
    (noted,) = [one for one in examine(opened.folder).findings if one.check == "photos"]
    assert f"{PHOTOS - kept} are not embedded with {models['clip']} yet, for words" in noted.text
    # A later run that says nothing of it goes on.
    report = opened.index([photos])
    assert (report.embedded, [one.embedded for one in report.also]) == (0, [PHOTOS - kept])
    assert found(opened.search(text="a hat", k=100)) == every(photos)
    assert opened.catalog.database.damage() == []


def test_a_library_of_before_colour_profiles_stays_one_way_in_both_spaces_and_is_upgraded_in_both(
    tmp_path, photos, models, cache
):
    before = MeanColour(model="main")
    before.space = before.space.with_colours("stored")
    with Library.open(tmp_path / "library", backbone=before, cache=cache, device="cpu") as library:
        library.index([photos], also=models["clip"])
        assert [space.preprocessing.colours for _, space in library.catalog.also_spaces()] == ["stored"]
        assert found(library.search(text="a hat", k=100)) == every(photos)
    with Library.open(
        tmp_path / "library", backbone=MeanColour(model="main"), cache=cache, device="cpu"
    ) as library:
        report = library.index(upgrade=True)
        assert (report.embedded, [one.embedded for one in report.also]) == (PHOTOS, [PHOTOS])
        assert [space.preprocessing.colours for _, space in library.catalog.also_spaces()] == ["sRGB"]
        assert found(library.search(text="a hat", k=100)) == every(photos)
        assert library.status().photos == PHOTOS
        # Of the model for words nothing older is kept.
        assert vectors(library) == {"main": PHOTOS, "clip": PHOTOS}
        assert len(library.catalog.spaces()) == 3
