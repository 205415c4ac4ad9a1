"""`index --framing whole`: photos cut to their centre and seen whole, and the mean of both as their vector."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import EDGE, make_checkpoint
from vitsearch import Library
from vitsearch.backbones import load_backbone
from vitsearch.backbones.preprocessing import prepare, with_fit
from vitsearch.cli import cli
from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import SpaceMismatch
from vitsearch.space import Space

FLOAT16 = 1e-3
RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 128, 0)


def cutting():
    """A backbone that sees the centre of a photo, as most are published."""
    backbone = MeanColour()
    backbone.space = replace(backbone.space, preprocessing=replace(backbone.space.preprocessing, fit="crop"))
    return backbone


def unit(row):
    return row / np.linalg.norm(row)


def seen_in_both(path, backbone):
    """The unit mean of a photo cut to its centre and of the whole, each embedded by itself."""
    cut = backbone.space.preprocessing
    image = Image.open(path).convert("RGB")
    rows = [
        backbone.embed_batch(prepare(image, pre)[None]).rows[0] for pre in (cut, with_fit(cut, "squeeze"))
    ]
    return unit(rows[0] + rows[1])


@pytest.fixture
def photos(tmp_path):
    """Two wide photos that agree in the middle and differ at their ends, and twenty of one colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, end in {"red": RED, "green": GREEN}.items():
        image = Image.new("RGB", (96, 32), end)
        image.paste(BLUE, (32, 0, 64, 32))
        image.save(folder / f"{name}.png")
    for number in range(20):
        Image.new("RGB", (48, 32), (12 * number, 60, 200 - 9 * number)).save(folder / f"plain{number}.png")
    return folder


def vectors(library):
    paths, rows = library.vectors()
    return {path.stem: row for path, row in zip(paths, rows, strict=True)}


@pytest.mark.parametrize("where", ["here", "in decoders"])
def test_a_photo_s_vector_is_the_mean_of_both_framings(tmp_path, photos, where):
    decoders = Decoders() if where == "in decoders" else None
    with Library.open(tmp_path / "library", backbone=cutting(), decoders=decoders) as library:
        report = library.index([photos], framing="whole")
        assert report.embedded == 22
        for name, row in vectors(library).items():
            assert row == pytest.approx(seen_in_both(photos / f"{name}.png", cutting()), abs=FLOAT16)
    if decoders is not None:
        decoders.close()


def test_a_strip_at_the_edge_tells_photos_apart_whose_centres_agree(tmp_path, photos):
    scores = {}
    for framing in ("model", "whole"):
        with Library.open(tmp_path / framing, backbone=cutting()) as library:
            library.index([photos], framing=framing)
            found = library.search(photos / "red.png", crop=(0, 0, 24, 32), k=30).results
            scores[framing] = {match.path.stem: match.score for match in found}
    assert scores["model"]["red"] == pytest.approx(scores["model"]["green"], abs=FLOAT16)
    assert scores["whole"]["red"] > scores["whole"]["green"] + 0.1


def test_a_photo_from_elsewhere_is_seen_as_the_library_s_are(tmp_path, photos):
    (photos / "red.png").rename(tmp_path / "elsewhere.png")
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos], framing="whole")
        query = seen_in_both(tmp_path / "elsewhere.png", cutting())
        stored = vectors(library)
        for match in library.search(tmp_path / "elsewhere.png", k=30).results:
            assert match.score == pytest.approx(query @ stored[match.path.stem], abs=2 * FLOAT16)


def test_later_runs_keep_the_framing_and_another_one_is_refused(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos], framing="whole")
        Image.new("RGB", (60, 30), GREEN).save(photos / "new.png")
        assert library.index().embedded == 1
        assert vectors(library)["new"] == pytest.approx(
            seen_in_both(photos / "new.png", cutting()), abs=FLOAT16
        )
        with pytest.raises(SpaceMismatch, match=r"indexed with --framing whole: .*--change-model"):
            library.index(framing="model")
    with Library.open(tmp_path / "other", backbone=cutting()) as library:
        library.index([photos])
        with pytest.raises(SpaceMismatch, match="indexed with --framing model"):
            library.index(framing="whole")


def test_a_change_goes_there_and_back_and_an_upgrade_keeps_it(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos])
        cut = vectors(library)["red"]
        assert library.index(framing="whole", change_model=True).embedded == 22
        both = vectors(library)["red"]
        assert both == pytest.approx(seen_in_both(photos / "red.png", cutting()), abs=FLOAT16)
        assert library.index(upgrade=True).embedded == 0
        assert vectors(library)["red"] == pytest.approx(both)
        library.index(framing="model", change_model=True)
        assert vectors(library)["red"] == pytest.approx(cut)


def test_a_model_that_sees_whole_frames_stays_as_it_is(tmp_path, photos):
    backbone = MeanColour()
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index([photos], framing="whole")
        assert library.existing_space() == backbone.space
        assert library.index(framing="whole").embedded == 0


def test_the_space_is_remembered_as_it_is(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos], framing="whole")
        space = library.existing_space()
    assert space is not None
    assert space.preprocessing.fit == "crop+squeeze"
    assert Space.from_json(space.to_json()) == space != cutting().space
    assert space.preprocessing.shape == (16, 8, 3)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_published_model_is_opened_once_for_both_framings(tmp_path, runtime):
    folder = make_checkpoint("clip", tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2 * EDGE, EDGE, 3), dtype=np.uint8)
    one = load_backbone(str(folder), cache=tmp_path, runtime=runtime)
    both = load_backbone(str(folder), cache=tmp_path, runtime=runtime, fit="crop+squeeze")
    assert both.space.preprocessing.framings[0] == one.space.preprocessing
    views = one.embed_batch(pixels.reshape(10, EDGE, EDGE, 3)).rows
    found = both.embed_batch(pixels)
    assert (found.rows * [unit(mean) for mean in views[::2] + views[1::2]]).sum(axis=1).min() > 0.9999
    assert len(both.start([])().rows) == 0
    assert (both.start(list(pixels))().rows * found.rows).sum(axis=1).min() > 0.999
    assert both.reads_text
    assert both.embed_texts(["a cat"]).rows == pytest.approx(one.embed_texts(["a cat"]).rows)


def test_the_command_line_takes_it_measures_it_and_shows_what_was_seen(tmp_path, photos):
    model = make_checkpoint("vit", tmp_path / "model")
    config = model / "preprocessor_config.json"
    config.write_text(
        f'{{"image_processor_type": "CLIPImageProcessor", "size": {{"shortest_edge": {EDGE}}}, '
        f'"crop_size": {EDGE}, "do_center_crop": true}}'
    )

    def call(*arguments):
        options = ["--library", tmp_path / "library", "--cache", tmp_path / "cache", *arguments]
        return CliRunner().invoke(cli, [str(part) for part in options])

    done = call("index", photos, "--model", model, "--framing", "whole")
    assert done.exit_code == 0, done.output
    done = call("eval", "--framing")
    assert done.exit_code == 0, done.output
    table = [line[:24].strip() for line in done.stdout.splitlines()]
    assert table[2:] == [
        "finds its photo first",
        "a strip at its edge",
        "a fifth of it",
        "a copy without border",
    ]
    assert "sees photos whole, too: `vitsearch index --change-model --framing model`" in done.stderr
    done = call("explain", photos / "red.png", "--out", tmp_path / "seen.png")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.size == (96, 32)
        ends = np.asarray(picture.convert("RGB"), np.int16)[:, [2, 93]]
    assert (ends.max(axis=2) > ends.min(axis=2)).any(), "what was seen is drawn in colours, also at the ends"
