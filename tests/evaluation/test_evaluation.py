"""What `eval` measures, against plain computations; its intervals in simulations; the command on a library."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.support.mean_colour import MeanColour
from vitsearch.cli import cli
from vitsearch.errors import HeadError, LibraryMissing
from vitsearch.estimates import Estimate, bootstrap_interval
from vitsearch.evaluation.evaluate import (
    evaluate_labels,
    evaluate_library,
    index_recall,
    make_copies,
    score_labels,
)
from vitsearch.evaluation.rankings import agreement, average_precision, overlap, score_queries
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.training import train
from vitsearch.library import Library
from vitsearch.neighbours.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = ("beach", "forest", "night", "street")
COLOURS = {
    "beach": (220, 190, 120),
    "forest": (70, 130, 70),
    "night": (60, 60, 90),
    "street": (120, 120, 110),
}


def clusters(count: int, *, spread: float = 1.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows (n, 24) around six centres, and which; one more row has a label to itself."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 6, count)
    rows = random.normal(size=(6, 24))[numbers] + spread * random.normal(size=(count, 24))
    numbers[0] = 6
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), numbers


def by_hand(rows: np.ndarray, numbers: np.ndarray) -> tuple[dict[int, float], float]:
    """k-NN accuracy by k and mean average precision, one query at a time."""
    right: dict[int, list[bool]] = {1: [], 10: [], 20: [], 100: []}
    precisions = []
    for query in range(len(rows)):
        others = [place for place in range(len(rows)) if place != query]
        cosines = {place: float(rows[query] @ rows[place]) for place in others}
        order = sorted(others, key=lambda place: -cosines[place])
        for k, found in right.items():
            votes: dict[int, float] = {}
            for place in order[:k]:
                votes[numbers[place]] = votes.get(numbers[place], 0) + np.exp(cosines[place] / 0.07)
            found.append(max(votes, key=votes.__getitem__) == numbers[query])
        hits = [rank for rank, place in enumerate(order, 1) if numbers[place] == numbers[query]]
        if hits:
            precisions.append(np.mean([nth / rank for nth, rank in enumerate(hits, 1)]))
    return {k: float(np.mean(found)) for k, found in right.items()}, float(np.mean(precisions))


def test_knn_and_average_precision_agree_with_a_computation_one_query_at_a_time(backbone):
    rows, numbers = clusters(280)
    accuracy, mean_precision = by_hand(rows, numbers)
    scores = score_labels(rows, [f"label {number}" for number in numbers], space=space_of(24))
    assert {row.k: row.accuracy.value for row in scores.knn} == pytest.approx(accuracy, abs=1e-6)
    assert scores.mean_average_precision is not None
    assert scores.mean_average_precision.value == pytest.approx(mean_precision, abs=1e-6)
    assert (scores.photos, scores.labels, scores.queries) == (280, 7, 280)
    assert 0.5 < accuracy[1] < 0.99  # the figures must not agree by being trivial
    # A label of one photo cannot be trained on; the other figures are there.
    assert scores.linear_probe is None
    assert "only one of 'label 6'" in scores.no_probe


def test_the_linear_probe_is_that_of_a_trained_head():
    rows, numbers = clusters(120)
    numbers[0] = 0
    labels = [f"label {number}" for number in numbers]
    report = train(
        "probe", LabelledRows(rows, tuple((label,) for label in labels)), space=space_of(24)
    ).report
    scores = score_labels(rows, labels, space=space_of(24))
    assert scores.linear_probe == Estimate(report.accuracy, *report.interval)
    assert scores.no_probe == ""


def test_few_photos_have_no_figures_for_more_neighbours_than_there_are():
    rows, numbers = clusters(12)
    scores = score_labels(rows, [str(number) for number in numbers], space=space_of(24))
    assert [row.k for row in scores.knn] == [1, 10]


def test_copies_of_a_photo_are_told_as_near_duplicates():
    rows, numbers = clusters(60)
    rows = np.concatenate([rows, rows[:3], rows[:1]])
    labels = [str(number) for number in (*numbers, *numbers[:3], numbers[0])]
    assert score_labels(rows, labels, space=space_of(24)).near_duplicates == 7


@pytest.mark.parametrize("labels", [[], ["one"], ["one", "one", "one"]])
def test_labels_that_tell_nothing_apart_are_refused(labels):
    rows, _ = clusters(len(labels) or 1)
    with pytest.raises(HeadError, match="cannot be told apart"):
        score_labels(rows[: len(labels)], labels, space=space_of(24))


def space_of(dimension: int):
    from dataclasses import replace

    return replace(MeanColour().space, dimension=dimension)


def test_average_precision_of_rankings_worked_out_by_hand():
    relevant = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    np.testing.assert_allclose(average_precision(relevant), [(1 + 2 / 3) / 2, 1 / 4, np.nan, 1])


def test_overlap_and_agreement_of_neighbours_worked_out_by_hand():
    first, second = np.array([[1, 2, 3], [1, 2, 3], [4, 5, 6]]), np.array([[3, 2, 1], [1, 9, 8], [4, 5, 6]])
    np.testing.assert_allclose(overlap(first, second), [1, 1 / 3, 1])
    np.testing.assert_allclose(agreement(first, second), [(0 + 1 / 2 + 1) / 3, (1 + 1 / 2 + 1 / 3) / 3, 1])


def test_neighbours_of_equal_similarity_keep_the_order_of_rows():
    rows = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    assert score_queries(rows, None, np.array([0, 2])).nearest.tolist() == [[1, 2, 3], [1, 3, 0]]


@pytest.mark.parametrize("share", [0.5, 0.85, 0.98])
def test_the_interval_of_a_share_holds_the_truth_in_about_95_of_100_samples(share):
    random = np.random.default_rng(1)
    estimates = [Estimate.of_share(random.random(120) < share) for _ in range(2000)]
    covered = np.mean([estimate.low <= share <= estimate.high for estimate in estimates])
    assert 0.935 <= covered <= 0.985


def test_the_interval_of_a_mean_holds_the_truth_in_about_95_of_100_samples():
    """Average precisions are skewed and lie in 0..1, as a beta distribution does."""
    random = np.random.default_rng(2)
    estimates = [Estimate.of_mean(random.beta(1.5, 0.7, 150)) for _ in range(400)]
    covered = np.mean([estimate.low <= 1.5 / 2.2 <= estimate.high for estimate in estimates])
    assert 0.92 <= covered <= 0.98


def test_the_interval_of_a_difference_uses_that_the_queries_are_the_same():
    random = np.random.default_rng(3)
    difficulty = random.random(200)
    covered, widths = [], []
    for _ in range(300):
        first = difficulty + 0.05 + random.normal(0, 0.05, 200)
        second = difficulty + random.normal(0, 0.05, 200)
        estimate = Estimate.of_difference(first, second)
        covered.append(estimate.low <= 0.05 <= estimate.high)
        widths.append(estimate.high - estimate.low)
    assert 0.91 <= np.mean(covered) <= 0.985
    assert np.mean(widths) < 0.03  # unpaired, it would be 0.11


def test_figures_that_are_all_alike_are_not_certain():
    assert Estimate.of_mean(np.ones(20)) == Estimate.of_share(np.ones(20, bool))
    assert Estimate.of_mean(np.ones(20)).low == pytest.approx(0.839, abs=0.001)


def test_the_bootstrap_is_the_same_each_time():
    values = np.random.default_rng(4).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_the_recall_of_an_approximate_index_is_the_share_of_exact_neighbours_found(tmp_path):
    random = np.random.default_rng(5)
    rows = random.normal(size=(2600, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    neighbours = Neighbours.build(
        32, [(np.arange(2600), rows)], folder=tmp_path, generation=1, approximate_from=2000
    )
    found = index_recall(neighbours)
    queries = np.sort(np.random.default_rng(0).choice(2600, 256, replace=False))
    wide = rows.astype(np.float32)
    _, ids = neighbours.search(wide[queries], 11)
    shares = []
    for query, answers in zip(queries, ids, strict=True):
        cosines = wide @ wide[query]
        cosines[query] = -np.inf
        exact = set(np.argsort(-cosines)[:10].tolist())
        shares.append(len(exact & (set(answers.tolist()) - {query})) / 10)
    assert found is not None
    assert found.value == pytest.approx(np.mean(shares), abs=0.002)
    assert found.low < found.value < 1.0  # random rows have no cells to be found in
    exact_index = index_recall(Neighbours.load(tmp_path, dimension=32, approximate_from=10_000))
    assert exact_index is not None
    assert exact_index.value == 1.0


def test_an_index_of_one_photo_has_no_recall(tmp_path):
    row = np.eye(32, dtype=np.float16)[:1]
    assert index_recall(Neighbours.build(32, [(np.array([3]), row)], folder=tmp_path, generation=1)) is None


@pytest.fixture
def labelled(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Fifteen photos a label, whose colours overlap."""
    random = np.random.default_rng(6)
    for label in LABELS:
        for number in range(15):
            colour = np.clip(COLOURS[label] + random.normal(0, 35, 3), 0, 255).astype(int)
            picture(tmp_path / "labelled" / label / f"{number}.png", tuple(colour.tolist()))
    return tmp_path / "labelled"


def test_photos_of_the_library_are_not_embedded_again(library, backbone, labelled, picture, tmp_path):
    library.index([labelled / "beach", labelled / "night"])
    picture(labelled / "beach" / "cut short.png")
    (labelled / "beach" / "cut short.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert backbone.embedded == 30
    result = evaluate_labels(library, labelled)
    assert backbone.embedded == 60

    rows = [
        library_row(backbone, path)
        for label in LABELS
        for path in sorted((labelled / label).glob("[0-9]*.png"))
    ]
    accuracy, mean_precision = by_hand(np.array(rows), np.repeat(np.arange(4), 15))
    del accuracy[100]
    assert result.labels is not None
    assert result.labels.mean_average_precision is not None
    assert {row.k: row.accuracy.value for row in result.labels.knn} == pytest.approx(accuracy, abs=1e-6)
    assert result.labels.mean_average_precision.value == pytest.approx(mean_precision, abs=1e-6)
    assert result.photos == 30
    assert [item.path.name for item in result.unreadable] == ["cut short.png"]
    assert library.status().photos == 30


def library_row(backbone: MeanColour, path: Path) -> np.ndarray:
    """The row as a library stores it, in float16."""
    with Image.open(path) as image:
        rows = backbone.embed_batch(backbone.prepare(image.convert("RGB"))[None]).rows
    return rows[0].astype(np.float16).astype(np.float32)


def test_labels_come_from_a_csv_file_too_and_photos_without_one_are_counted(library, labelled, tmp_path):
    library.index([labelled])
    lines = [f"labelled/{label}/{number}.png,{label}" for label in LABELS for number in range(15)]
    lines[7] = "labelled/beach/7.png,"
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines]))
    result = evaluate_labels(library, tmp_path / "labels.csv")
    assert result.labels is not None
    assert (result.labels.photos, result.labels.labels, result.unlabelled) == (59, 4, 1)


def test_a_photo_under_two_labels_is_named(library, labelled):
    library.index([labelled])
    (labelled / "night" / "copy.png").write_bytes((labelled / "beach" / "0.png").read_bytes())
    with pytest.raises(HeadError, match=r"beach/0\.png and .*night/copy\.png are the same photo"):
        evaluate_labels(library, labelled)


def test_a_library_that_does_not_exist_is_not_made(library, labelled):
    with pytest.raises(LibraryMissing):
        evaluate_labels(library, labelled)
    assert not library.folder.exists()


def test_copies_of_the_library_s_photos_are_looked_for(tmp_path):
    random = np.random.default_rng(7)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((64, 64), Image.Resampling.NEAREST).save(photos / f"{number:02}.png")
    (photos / "11.png").rename(tmp_path / "gone.png")
    backbone = MeanColour()
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        library.index([photos])
        result = evaluate_library(library, sample=5)
        ids = library.neighbours().ids()
        rows = library.neighbours().rows(ids)
        chosen = np.sort(np.random.default_rng(0).choice(len(ids), 5, replace=False))
        paths = library.catalog.photos(ids[chosen].tolist())
    expected: dict[str, list[tuple[int, float]]] = {}
    for place, photo in enumerate(ids[chosen].tolist()):
        with Image.open(paths[photo].paths[0]) as image:
            copies = make_copies(image.convert("RGB"), Random(place))
        for family, copy in copies.items():
            cosines = rows @ backbone.embed_batch(backbone.prepare(copy)[None]).rows[0]
            own = float(cosines[chosen[place]])
            expected.setdefault(family, []).append((int((cosines > own).sum()), own))
    assert [family.family for family in result.copies] == list(expected)
    assert set(expected) >= {"codec", "crop", "turn"}
    for scores in result.copies:
        ranks = np.array([rank for rank, _ in expected[scores.family]])
        assert scores.copies == 5
        assert scores.first == Estimate.of_share(ranks == 0)
        assert scores.in_ten == Estimate.of_share(ranks < 10)
        assert scores.cosine == pytest.approx(np.mean([own for _, own in expected[scores.family]]), abs=1e-4)
    assert result.photos == 11
    assert result.copies[0].first.value == 1.0


@pytest.fixture
def command(tmp_path: Path):
    def call(*arguments: object):
        options = ["--library", tmp_path / "library", "--cache", tmp_path / "cache", "eval"]
        return CliRunner().invoke(cli, [str(part) for part in (*options, *arguments)])

    return call


def test_the_command_prints_figures_with_intervals_and_the_same_as_json(library, labelled, command):
    library.index([labelled])
    document = json.loads(command("--labels", labelled, "--json").stdout)
    assert list(document) == [
        "model",
        "photos",
        "index_recall",
        "labels",
        "copies",
        "unlabelled",
        "unreadable",
    ]
    assert [row["k"] for row in document["labels"]["knn"]] == [1, 10, 20]
    nearest = document["labels"]["knn"][0]["accuracy"]
    assert nearest["low"] < nearest["value"] < nearest["high"]
    table = command("--labels", labelled).stdout
    wanted = (
        f"1-NN accuracy           {nearest['value']:.3f}  ({nearest['low']:.3f} to {nearest['high']:.3f})"
    )
    assert wanted in table.splitlines()
    assert [line.split("  ")[0] for line in table.splitlines()] == [
        "mean-colour, 60 photos in the library",
        "60 labelled photos, 4 labels",
        "",
        "1-NN accuracy",
        "10-NN accuracy",
        "20-NN accuracy",
        "mean average precision",
        "linear probe accuracy",
        "index recall@10",
    ]


def test_a_label_folder_that_is_not_there_is_one_clear_line(library, labelled, command, tmp_path):
    library.index([labelled])
    done = command("--labels", tmp_path / "nowhere")
    assert isinstance(done.exception, HeadError)
    assert str(done.exception).startswith(f"cannot read {tmp_path / 'nowhere'} (")
