"""A head: logits, probabilities, top labels, abstention, and what it refuses."""

from typing import Any

import numpy as np
import pytest

from tests.support.labelled_clusters import make_space, unit
from vitsearch.errors import HeadError, SpaceMismatch
from vitsearch.heads.head import Head, Labelling, LabelProbability

NORMS = np.ones(2, np.float32)


def make_head(**changes) -> Head:
    fields: dict[str, Any] = {
        "name": "animals",
        "labels": ("cat", "dog", "owl"),
        "weight": np.array([[1, 0], [0, 1], [-1, 0]], np.float32),
        "bias": np.array([0, 0.5, 0], np.float32),
        "space": make_space(dimension=2),
        "kind": "softmax",
        "origin": "trained",
    }
    return Head(**fields | changes)


def test_logits_are_weight_times_row_plus_bias_whatever_the_norms():
    rows = np.array([[1, 0], [0.6, 0.8]], np.float32)
    logits = make_head().logits(rows, np.array([7, 9], np.float32))
    np.testing.assert_allclose(logits, [[1, 0.5, -1], [0.6, 1.3, -0.6]], atol=1e-6)


def test_a_head_that_uses_norms_sees_rows_of_their_original_length():
    rows = np.array([[1, 0], [0.6, 0.8]], np.float32)
    logits = make_head(uses_norms=True).logits(rows, np.array([2, 10], np.float32))
    np.testing.assert_allclose(logits, [[2, 0.5, -2], [6, 8.5, -6]], atol=1e-6)


def test_temperature_divides_the_logits_before_the_softmax():
    rows = np.array([[1, 0]], np.float32)
    probabilities = make_head(temperature=0.5).probabilities(rows, NORMS[:1])
    exponentials = np.exp([2, 1, -2])
    np.testing.assert_allclose(probabilities, [exponentials / exponentials.sum()], atol=1e-6)


def test_sigmoid_labels_do_not_share_their_probability_and_do_not_overflow():
    rows = np.array([[1, 0]], np.float32)
    head = make_head(kind="sigmoid", weight=np.array([[900, 0], [0, 1], [-900, 0]], np.float32))
    np.testing.assert_allclose(
        head.probabilities(rows, NORMS[:1]), [[1, 1 / (1 + np.exp(-0.5)), 0]], atol=1e-6
    )


def test_top_names_labels_best_first_and_abstains_below_the_threshold():
    rows = np.array([[1, 0], [0, -1]], np.float32)
    head = make_head(bias=np.zeros(3, np.float32), abstain_below=0.6, temperature=0.5)
    sure, unsure = head.top(rows, NORMS, k=2)
    exponentials = np.exp([2, 0, -2]) / np.exp([2, 0, -2]).sum()
    assert [item.label for item in sure.labels] == ["cat", "dog"]
    assert [item.probability for item in sure.labels] == pytest.approx(exponentials[:2], abs=1e-6)
    assert not sure.abstained
    half = 1 / (2 + np.exp(-2))
    assert unsure.abstained
    assert [(item.label, round(item.probability, 6)) for item in unsure.labels] == [
        ("cat", round(half, 6)),
        ("owl", round(half, 6)),
    ]


def test_k_beyond_the_labels_gives_all_of_them():
    result = make_head().top(np.array([[1, 0]], np.float32), NORMS[:1], k=10)
    assert [item.label for item in next(iter(result)).labels] == ["cat", "dog", "owl"]


def test_no_rows_give_no_labellings():
    result = make_head().top(np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    assert list(result) == []


def test_many_labels_are_ranked_as_a_full_sort_ranks_them():
    random = np.random.default_rng(0)
    rows = unit(random.standard_normal((50, 8)))
    head = make_head(
        labels=tuple(f"label {i}" for i in range(1000)),
        weight=random.standard_normal((1000, 8)).astype(np.float32),
        bias=np.zeros(1000, np.float32),
        space=make_space(dimension=8),
    )
    result = head.top(rows, np.ones(50, np.float32), k=5)
    expected = np.argsort(-(rows @ head.weight.T), axis=1)[:, :5]
    np.testing.assert_array_equal(result.indices, expected)
    assert next(iter(result)) == Labelling(
        tuple(
            LabelProbability(f"label {i}", float(p))
            for i, p in zip(expected[0], result.probabilities[0], strict=True)
        ),
        abstained=False,
    )


def test_rows_of_another_width_are_refused():
    with pytest.raises(SpaceMismatch, match=r"takes rows of 2 dimensions, not of shape \(1, 3\)"):
        make_head().logits(np.zeros((1, 3), np.float32), NORMS[:1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("cat", "dog")}, "2 labels of 2 dimensions"),
        ({"labels": ("cat", "dog", "cat")}, "'cat' is there twice"),
        ({"labels": ("cat", "dog", " ")}, "not a label"),
        ({"labels": ("cat", "dog", "a\nb")}, "without line breaks"),
        ({"labels": ("cat", "dog", "x" * 1001)}, "1001 characters"),
        ({"labels": ()}, "needs labels"),
        ({"weight": np.zeros((3, 2))}, "not float32"),
        ({"bias": np.array([0, np.nan, 0], np.float32)}, "not finite"),
        ({"temperature": 0.0}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"abstain_below": 1.5}, "0 to 1"),
        ({"name": "../evil"}, "not a name"),
        ({"name": ""}, "not a name"),
    ],
)
def test_a_head_that_cannot_be_right_is_refused_in_one_line(changes, message):
    with pytest.raises(HeadError, match=message) as caught:
        make_head(**changes)
    assert "\n" not in str(caught.value)


def test_labels_of_500_characters_are_labels():
    assert make_head(labels=("cat", "dog", "x" * 500)).labels[2] == "x" * 500
