"""Training: what is learned, how it is judged, and what is refused."""

import numpy as np
import pytest

from tests.support.labelled_clusters import DIMENSION, joined, make_clusters, make_space, unit
from vitsearch.errors import HeadError
from vitsearch.estimates import wilson_interval
from vitsearch.heads.evaluation import abstention_threshold, calibration_error, fit_temperature
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.folds import assign_folds, near_duplicate_groups
from vitsearch.heads.training import train

SPACE = make_space()


def share_right(head, examples: LabelledRows) -> float:
    result = head.top(examples.rows, np.ones(len(examples.rows), np.float32), k=1)
    right = [(each.labels[0].label,) == truth for each, truth in zip(result, examples.labels, strict=True)]
    return float(np.mean(right))


def test_clusters_that_lie_apart_are_learned_without_a_mistake():
    training = train("animals", make_clusters(), space=SPACE)
    assert training.head.labels == ("cat", "dog", "owl")
    assert share_right(training.head, make_clusters(seed=1)) == 1.0
    assert training.report.accuracy == 1.0
    assert training.report.confusion == ((20, 0, 0), (0, 20, 0), (0, 0, 20))
    assert [(each.label, each.photos, each.f1) for each in training.report.labels] == [
        ("cat", 20, 1.0),
        ("dog", 20, 1.0),
        ("owl", 20, 1.0),
    ]


def test_the_estimate_holds_on_photos_that_were_never_seen():
    training = train("animals", make_clusters(photos=60, spread=2.0), space=SPACE)
    fresh = make_clusters(photos=2000, spread=2.0, seed=1)
    truth = share_right(training.head, fresh)
    low, high = training.report.interval
    assert 0.5 < truth < 0.95, "the clusters must overlap for the estimate to mean anything"
    assert low <= truth <= high
    assert training.report.calibration_error < 0.12
    probabilities = training.head.probabilities(fresh.rows, np.ones(len(fresh.rows), np.float32))
    members = fresh.membership(training.head.labels)
    right = members[np.arange(len(members)), probabilities.argmax(axis=1)]
    assert calibration_error(probabilities.max(axis=1), right) < 0.08


def test_photos_kept_by_abstention_are_right_as_often_as_promised():
    training = train("animals", make_clusters(photos=200, spread=1.5), space=SPACE)
    assert training.report.accuracy < 0.95
    fresh = make_clusters(photos=1000, spread=1.5, seed=1)
    result = training.head.top(fresh.rows, np.ones(len(fresh.rows), np.float32), k=1)
    kept = ~result.abstained
    right = fresh.membership(training.head.labels)[np.arange(len(kept)), result.indices[:, 0]]
    assert 0.2 < kept.mean() < 0.95
    assert right[kept].mean() > 0.92


def test_copies_of_a_photo_do_not_flatter_the_estimate():
    # Labels are noise: only copies that leak from the training folds can be told apart.
    random = np.random.default_rng(0)
    rows = unit(random.standard_normal((60, 64)))
    labels = tuple((label,) for label in random.permutation(["cat", "dog"] * 30).tolist())
    copies = LabelledRows(np.repeat(rows, 4, axis=0), tuple(label for label in labels for _ in range(4)))
    space = make_space(dimension=64)
    assert train("noise", copies, space=space).report.accuracy < 0.7
    leaking = train("noise", copies, space=space, groups=np.arange(240)).report.accuracy
    assert leaking > 0.9, "without groups the copies must leak, or this test shows nothing"


def test_a_rare_label_is_found_although_the_others_outnumber_it():
    common = make_clusters(("cat", "dog"), photos=200, spread=1.0)
    rare = make_clusters(("cat", "dog", "owl"), photos=10, spread=1.0, seed=3)
    owls = LabelledRows(rare.rows[20:], rare.labels[20:])
    training = train("animals", joined(common, owls), space=SPACE)
    assert training.report.labels[2].photos == 10
    assert training.report.labels[2].recall >= 0.9


def test_photos_with_several_labels_or_none_make_independent_sigmoids():
    random = np.random.default_rng(0)
    has = random.random((300, 2)) < 0.4
    rows = 0.3 * random.standard_normal((300, DIMENSION))
    rows[:, 0] += has[:, 0]
    rows[:, 1] += has[:, 1]
    rows[:, 2] += 1
    names = np.array(["beach", "people"])
    examples = LabelledRows(unit(rows), tuple(tuple(names[row].tolist()) for row in has))
    training = train("scenes", examples, space=SPACE)
    assert training.head.kind == "sigmoid"
    assert training.report.confusion == ()
    assert training.report.calibration_error < 0.05
    assert [each.photos for each in training.report.labels] == has.sum(axis=0).tolist()
    assert min(each.f1 for each in training.report.labels) > 0.85
    both = np.zeros((1, DIMENSION))
    both[0, :3] = 1
    assert training.head.probabilities(unit(both), np.ones(1, np.float32)).min() > 0.8


def test_one_label_and_photos_without_it_make_a_detector():
    cats = make_clusters(("cat", "other"))
    examples = LabelledRows(
        cats.rows, tuple(() if labels == ("other",) else labels for labels in cats.labels)
    )
    training = train("cats", examples, space=SPACE)
    assert (training.head.kind, training.head.labels) == ("sigmoid", ("cat",))
    assert training.report.accuracy == 1.0


def test_the_same_photos_give_the_same_head():
    first, second = (train("animals", make_clusters(spread=2.0), space=SPACE) for _ in range(2))
    np.testing.assert_array_equal(first.head.weight, second.head.weight)
    assert first.head.abstain_below == second.head.abstain_below


@pytest.mark.slow
def test_a_thousand_labels_are_trained():
    random = np.random.default_rng(0)
    centres = random.standard_normal((1000, DIMENSION))
    rows = unit(
        (centres[:, None] + 0.3 * random.standard_normal((1000, 2, DIMENSION))).reshape(-1, DIMENSION)
    )
    labels = tuple((f"label {label:04}",) for label in range(1000) for _ in range(2))
    training = train("many", LabelledRows(rows, labels), space=SPACE, groups=np.arange(2000))
    assert len(training.head.labels) == 1000
    assert training.report.accuracy > 0.9


def test_labels_of_500_characters_are_trained():
    long = ("a" * 500, "b" * 500)
    assert train("long", make_clusters(long), space=SPACE).head.labels == long


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (make_clusters(("cat",)), "all photos have the one label 'cat'"),
        (
            make_clusters(photos=1),
            "only one of 'cat', 'dog', 'owl': add photos, or use `heads from-examples`",
        ),
        (
            make_clusters(tuple(f"label {i}" for i in range(9)), photos=1),
            "only one of 'label 0', 'label 1', 'label 2' and 6 more",
        ),
        (LabelledRows(np.zeros((0, DIMENSION), np.float32), ()), "needs labels"),
    ],
)
def test_too_little_to_learn_from_is_refused_in_one_line(examples, message):
    with pytest.raises(HeadError, match=message) as caught:
        train("few", examples, space=SPACE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_copies_of_one_photo_count_as_one():
    clusters = make_clusters(("cat", "dog"))
    lone = LabelledRows(np.repeat(clusters.rows[:1], 5, axis=0), (("owl",),) * 5)
    with pytest.raises(HeadError, match="only one of 'owl'"):
        train("copies", joined(clusters, lone), space=SPACE)


def test_rows_that_are_not_finite_are_refused():
    with pytest.raises(HeadError, match="not finite"):
        LabelledRows(np.full((1, 2), np.nan, np.float32), (("cat",),))


def test_near_duplicates_share_a_group_also_through_a_third():
    angles = np.radians([0, 15, 30, 90, 180])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = near_duplicate_groups(rows)
    assert len({*groups[:3].tolist()}) == 1
    assert len({*groups[2:].tolist()}) == 3


def test_a_collection_where_everything_is_alike_still_falls_apart_into_groups():
    rows = unit(np.ones((200, DIMENSION)) + 0.15 * np.random.default_rng(0).standard_normal((200, DIMENSION)))
    assert (rows @ rows.T).mean() > 0.95
    assert len(np.unique(near_duplicate_groups(rows))) > 100


def test_groups_are_found_across_the_blocks_of_a_large_set():
    random = np.random.default_rng(0)
    rows = unit(random.standard_normal((1500, 64)))
    rows[1400] = rows[3]
    groups = near_duplicate_groups(rows)
    assert groups[1400] == groups[3]
    assert len(np.unique(groups)) == 1499


def test_folds_keep_groups_together_and_spread_every_label():
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8])
    strata = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
    folds = assign_folds(strata, groups, count=5, seed=0)
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    assert [len(np.unique(folds[strata == label])) for label in range(3)] == [5, 2, 2]


def test_calibration_error_is_the_gap_between_confidence_and_truth():
    confidence = np.array([0.9] * 10 + [0.5] * 10)
    right = np.array([True] * 9 + [False] + [True] * 2 + [False] * 8)
    assert calibration_error(confidence, right) == pytest.approx(0.5 * 0 + 0.5 * 0.3)


def test_the_temperature_of_logits_that_are_twice_too_large_is_two():
    random = np.random.default_rng(0)
    logits = random.standard_normal((20000, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (random.random((20000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    temperature, _ = fit_temperature(2 * logits, drawn[:, None] == np.arange(3), "softmax")
    assert temperature == pytest.approx(2, rel=0.05)


def test_predictions_that_are_all_right_do_not_become_certainty():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    temperature, _ = fit_temperature(logits, logits == 1, "softmax")
    probability = 1 / (1 + np.exp(-1 / temperature))
    assert probability == pytest.approx(1 - 1 / 22, abs=0.01)


def test_the_threshold_keeps_what_is_right_often_enough():
    confidence = np.array([0.99, 0.98, 0.97, 0.96, 0.7, 0.6, 0.5])
    right = np.array([True, True, True, True, True, False, True])
    assert abstention_threshold(confidence, right) == 0.7
    assert abstention_threshold(confidence, ~right) == 0.95


def test_the_interval_is_wilsons():
    low, high = wilson_interval(0.9, 100)
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)
