"""Two models on the same photos: which is first, how sure that is, what their page shows and does not do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.backbones import Embeddings
from vitsearch.cli import cli
from vitsearch.errors import HeadError, LibraryError, VitsearchError
from vitsearch.estimates import Estimate
from vitsearch.evaluation.compare import Candidate, compare, distribution, find_photos, separation
from vitsearch.evaluation.evaluate import score_labels
from vitsearch.pages.comparison import verdict, write_comparison_page

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.evaluation.compare import Comparison

COLOURS = {"beach": (220, 190, 120), "forest": (70, 130, 70), "night": (60, 60, 90)}


class Noise(MeanColour):
    """A model that sees nothing: each picture gets a direction by chance, always the same one."""

    def __init__(self) -> None:
        super().__init__(model="noise")

    def embed_batch(self, pixels: np.ndarray) -> Embeddings:
        seeds = [int(picture.astype(np.int64).sum()) * 31 + int(picture[0, 0, 0]) for picture in pixels]
        rows = np.array([np.random.default_rng(seed).normal(size=13) for seed in seeds]).reshape(-1, 13)
        return Embeddings.from_raw(rows.astype(np.float32))


def candidates(*backbones: MeanColour) -> tuple[Candidate, Candidate]:
    first, second = backbones
    return Candidate(first, 1_000_000, 4_000_000), Candidate(second, 2_000_000, 8_000_000)


def make_photos(folder: Path) -> Path:
    """Twelve photos a label, each with a little texture of its own."""
    random = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(12):
            tint = colour + random.normal(0, 18, 3) + random.normal(0, 12, (6, 8, 3))
            small = Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8))
            small.resize((64, 48)).save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A model that sees and one that does not, on photos with labels."""
    folder = tmp_path_factory.mktemp("labelled")
    return run(make_photos(folder / "photos"), folder, MeanColour(), Noise())


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The same without labels, in the other order."""
    folder = tmp_path_factory.mktemp("unlabelled")
    return run(make_photos(folder / "photos"), folder, Noise(), MeanColour(), use_labels=False, most=14)


def run(
    photos: Path, tmp_path: Path, *backbones: MeanColour, most: int = 1000, use_labels: bool = True
) -> Comparison:
    files = find_photos(photos, most=most, use_labels=use_labels)
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return compare(candidates(*backbones), files, tmp_path / "scratch")


def rows_of(backbone: MeanColour, files: tuple[Path, ...]) -> np.ndarray:
    rows = []
    for path in files:
        with Image.open(path) as image:
            rows.append(backbone.embed_batch(backbone.prepare(image.convert("RGB"))[None]).rows[0])
    return np.array(rows).astype(np.float16).astype(np.float32)


def test_the_model_that_sees_is_first_by_labels_in_either_order(labelled, photos, tmp_path):
    assert (labelled.first, labelled.clear) == ("mean-colour", True)
    assert labelled.difference.low > 0
    result = run(photos, tmp_path, Noise(), MeanColour())
    assert (result.first, result.ranked_by, result.clear) == ("mean-colour", "mean average precision", True)
    assert result.difference.high < 0
    assert [side.model for side in result.models] == ["noise", "mean-colour"]
    assert result.photos == 36
    assert result.labels == tuple(path.parent.name for path in result.files)
    assert re.fullmatch(
        r"mean-colour is better by mean average precision: by 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) on the same queries\.",
        verdict(result),
    )


def test_each_model_is_measured_in_its_own_space_as_eval_does(labelled):
    result = labelled
    for side, backbone in zip(result.models, (MeanColour(), Noise()), strict=True):
        rows = rows_of(backbone, result.files)
        expected = score_labels(rows, result.labels, space=backbone.space)
        assert side.labels.knn == expected.knn
        assert side.labels.linear_probe == expected.linear_probe
        cosines = (rows @ rows.T)[np.triu_indices(36, 1)]
        assert side.cosines.mean == pytest.approx(cosines.mean(), abs=1e-6)
        assert side.cosines.pairs == 36 * 35 // 2 == side.same_label.pairs + side.other_label.pairs
    assert result.models[0].separation > 0.8
    assert abs(result.models[1].separation - 0.5) < 0.1
    sizes = [
        (side.parameters, side.weights_bytes, side.vector_bytes, side.dimension) for side in result.models
    ]
    assert sizes == [(1_000_000, 4_000_000, 26, 13), (2_000_000, 8_000_000, 26, 13)]
    assert all(side.seconds > 0 for side in result.models)


def test_without_labels_the_model_that_finds_copies_is_first(unlabelled):
    result = unlabelled
    assert (result.first, result.ranked_by, result.clear) == ("mean-colour", "copies found first", True)
    assert result.labels == ()
    assert [side.labels for side in result.models] == [None, None]
    families = [[family.family for family in side.copies] for side in result.models]
    assert families[0] == families[1]
    first = {family.family: family.first.value for family in result.models[1].copies}
    assert first["codec"] > 0.9
    assert {family.copies for family in result.models[0].copies} == {14}


def test_a_model_is_not_better_than_itself(photos, tmp_path):
    result = run(photos, tmp_path, MeanColour(), MeanColour(model="twin"))
    assert result.difference == Estimate(0.0, 0.0, 0.0)
    assert not result.clear
    assert verdict(result).startswith("No clear difference by mean average precision: +0.000 for mean-colour")
    assert result.overlap.value == 1.0
    assert {answers.agreement for answers in result.answers} == {1.0}


def test_the_queries_on_which_the_models_differ_most_come_first(labelled):
    result = labelled
    agreements = [answers.agreement for answers in result.answers]
    assert agreements == sorted(agreements)
    assert agreements[0] < agreements[-1]
    assert sorted(answers.query for answers in result.answers) == list(range(36))
    for backbone, place in ((MeanColour(), 0), (Noise(), 1)):
        rows = rows_of(backbone, result.files)
        for answers in result.answers:
            cosines = rows @ rows[answers.query]
            cosines[answers.query] = -np.inf
            best = np.sort(cosines)[::-1][:10]
            assert answers.cosines[place] == pytest.approx(best.tolist(), abs=1e-6)
            assert cosines[list(answers.nearest[place])] == pytest.approx(best, abs=1e-6)
    shared = [len(set(answers.nearest[0]) & set(answers.nearest[1])) / 10 for answers in result.answers]
    assert result.overlap.value == pytest.approx(np.mean(shared))


def test_subfolders_are_labels_only_where_all_photos_lie_in_them(photos, picture):
    assert {file.label for file in find_photos(photos, most=1000)} == set(COLOURS)
    assert {file.label for file in find_photos(photos, most=1000, use_labels=False)} == {None}
    assert {file.label for file in find_photos(photos / "beach", most=1000)} == {None}
    picture(photos / "loose.png")
    assert {file.label for file in find_photos(photos, most=1000)} == {None}


def test_a_large_folder_is_sampled_and_always_in_the_same_way(photos):
    chosen = find_photos(photos, most=20)
    assert len({file.path for file in chosen}) == 20
    assert chosen == find_photos(photos, most=20)
    assert {file.label for file in chosen} == set(COLOURS)


def test_labels_of_one_photo_each_are_no_labels(tmp_path, picture):
    for place, colour in enumerate(("red", "green", "blue", "white")):
        picture(tmp_path / "photos" / str(place) / "photo.png", colour)
    result = run(tmp_path / "photos", tmp_path, MeanColour(), MeanColour(model="twin"))
    assert (result.labels, result.ranked_by) == ((), "copies found first")


def test_unreadable_photos_are_left_out_and_listed_and_copies_count_once(photos, tmp_path):
    (photos / "beach" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (photos / "beach" / "again.png").write_bytes((photos / "beach" / "00.png").read_bytes())
    result = run(photos, tmp_path, MeanColour(), Noise())
    assert result.photos == 36
    assert [item.path.name for item in result.unreadable] == ["broken.png"]


def test_a_photo_under_two_labels_is_an_error_with_a_way_out(photos, tmp_path):
    (photos / "night" / "again.png").write_bytes((photos / "beach" / "00.png").read_bytes())
    with pytest.raises(HeadError, match=r"same photo under two labels.*--no-labels"):
        run(photos, tmp_path, MeanColour(), Noise())


def test_folders_without_enough_photos_are_refused(tmp_path, picture):
    with pytest.raises(LibraryError, match="is not a folder"):
        find_photos(tmp_path / "nowhere", most=10)
    (tmp_path / "photos").mkdir()
    with pytest.raises(LibraryError, match="no photos in"):
        find_photos(tmp_path / "photos", most=10)
    picture(tmp_path / "photos" / "one.png", "red")
    picture(tmp_path / "photos" / "two.png", "red")
    with pytest.raises(LibraryError, match="only 1 different photos"):
        run(tmp_path / "photos", tmp_path, MeanColour(), Noise())


def test_a_distribution_is_told_by_percentiles_and_counts():
    found = distribution(np.array([-1.0, 0.0, 0.5, 0.5, 1.0]))
    assert (found.pairs, found.mean) == (5, 0.2)
    assert found.percentiles == pytest.approx((-0.96, -0.8, 0.0, 0.5, 0.5, 0.9, 0.98))
    assert [(place, count) for place, count in enumerate(found.histogram) if count] == [
        (0, 1),
        (50, 1),
        (75, 2),
        (99, 1),
    ]


def test_separation_is_the_share_of_pairs_in_the_right_order():
    assert separation(np.array([0.9, 0.5]), np.array([0.1, 0.5, 0.7])) == pytest.approx((3 + 1.5) / 6)


class Page(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.policy = ""
        self.alternatives: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.sources += [found[name] or "" for name in ("src", "href", "srcset", "data") if name in found]
        self.handlers += [name for name in found if name.startswith("on")]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        if tag == "img":
            self.alternatives.append(found["alt"] or "")


def test_the_page_holds_all_it_shows_and_names_cannot_act(photos, tmp_path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>.png'.replace("/", "-")
    (photos / "beach" / "00.png").rename(photos / "beach" / evil)
    (photos / "night").rename(photos / "<b>night</b>".replace("/", "-"))
    result = run(photos, tmp_path, MeanColour(), Noise())
    result = replace(result, models=(result.models[0], replace(result.models[1], model="<i>noise</i>")))
    write_comparison_page(result, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert {"script", "i", "b", "link", "iframe"} & set(page.tags) == set()
    assert page.handlers == []
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert len(page.sources) == 24 * (1 + 10 + 10) == len(page.alternatives)
    assert evil in page.alternatives
    assert "http" not in re.sub(r"data:image/jpeg;base64,[\w+/=]+|http-equiv", "", text)
    assert page.tags.count("section") == 24
    assert verdict(result) in text


def test_the_page_marks_what_has_the_label_and_what_both_find(labelled, tmp_path):
    result = labelled
    write_comparison_page(result, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = result.answers[:24]
    right = sum(
        result.labels[found] == result.labels[answers.query]
        for answers in shown
        for side in answers.nearest
        for found in side
    )
    both = sum(2 * len(set(answers.nearest[0]) & set(answers.nearest[1])) for answers in shown)
    assert (text.count('<span class="mark">✓'), text.count('<li class="right">')) == (right, right)
    assert text.count('<span class="mark">✗') == 24 * 20 - right
    assert len(re.findall(r"\d =", text.split("What they find")[1])) == both


def test_a_page_without_labels_marks_nothing(unlabelled, tmp_path):
    write_comparison_page(unlabelled, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "✓" not in text
    assert "original of a copy is first: crop" in text
    with pytest.raises(VitsearchError, match="cannot write the page"):
        write_comparison_page(unlabelled, tmp_path / "no folder" / "page.html")


def test_the_command_compares_real_checkpoints_and_leaves_the_library_alone(photos, tmp_path):
    models = [make_checkpoint("vit", tmp_path / "first"), make_checkpoint("dinov2", tmp_path / "second")]
    options = ["--library", tmp_path / "library", "--cache", tmp_path / "cache", "models", "compare", *models]
    options += ["--on", photos, "--sample", 24, "--html", tmp_path / "page.html"]
    done = CliRunner().invoke(cli, [str(part) for part in (*options, "--json")])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [side["model"] for side in document["models"]] == [str(model) for model in models]
    assert document["photos"] == 24
    for side, model in zip(document["models"], models, strict=True):
        assert side["weights_bytes"] == (model / "model.safetensors").stat().st_size
        assert side["dimension"] == 32
        assert side["parameters"] > 10_000
    assert (tmp_path / "page.html").stat().st_size > 100_000
    assert not (tmp_path / "library").exists()
