"""Heads from a few examples."""

import numpy as np
import pytest

from tests.support.labelled_clusters import make_clusters, make_space
from vitsearch.errors import HeadError
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.few_shot import from_examples

SPACE = make_space()


def accuracy(head, examples: LabelledRows) -> float:
    result = head.top(examples.rows, np.ones(len(examples.rows), np.float32), k=1)
    members = examples.membership(head.labels)
    return float(members[np.arange(len(members)), result.indices[:, 0]].mean())


def test_one_example_a_label_finds_the_cluster_that_is_nearest():
    head = from_examples("animals", make_clusters(photos=1, spread=0.2), space=SPACE)
    assert (head.kind, head.origin, head.labels) == ("softmax", "examples", ("cat", "dog", "owl"))
    assert accuracy(head, make_clusters(spread=0.2, seed=1)) == 1.0


def test_a_single_example_is_its_own_prototype_and_is_believed():
    examples = make_clusters(photos=1, spread=0.0)
    head = from_examples("animals", examples, space=SPACE)
    probabilities = head.probabilities(examples.rows, np.ones(3, np.float32))
    assert (np.diag(probabilities) > 0.9).all()


def test_more_examples_make_a_better_head():
    fresh = make_clusters(photos=500, spread=1.5, seed=50)

    def mean_of_ten_draws(photos: int) -> float:
        draws = [make_clusters(photos=photos, spread=1.5, seed=seed) for seed in range(10)]
        return float(np.mean([accuracy(from_examples("a", draw, space=SPACE), fresh) for draw in draws]))

    one, five, twenty = mean_of_ten_draws(1), mean_of_ten_draws(5), mean_of_ten_draws(20)
    assert one < five < twenty
    assert twenty > 0.85


def test_a_direction_in_which_every_label_varies_is_discounted():
    random = np.random.default_rng(0)
    rows = 0.02 * random.standard_normal((200, 16))
    truth = np.arange(200) % 2
    rows[:, 0] += 0.1 * (2 * truth - 1)
    rows[:, 1] += 0.6 * random.standard_normal(200)
    rows[:, 2] += 1
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    labels = tuple((("left", "right")[i],) for i in truth)
    head = from_examples("sides", LabelledRows(rows[:10], labels[:10]), space=SPACE)
    prototypes = np.stack([rows[:10][truth[:10] == label].mean(axis=0) for label in (0, 1)])
    nearest = ((rows[10:, None] - prototypes) ** 2).sum(axis=2).argmin(axis=1)
    plain = (nearest == truth[10:]).mean()
    assert accuracy(head, LabelledRows(rows[10:], labels[10:])) > plain + 0.1


def test_with_enough_examples_confidence_is_calibrated_and_a_threshold_set():
    head = from_examples("animals", make_clusters(photos=100, spread=1.5), space=SPACE)
    fresh = make_clusters(photos=1000, spread=1.5, seed=1)
    result = head.top(fresh.rows, np.ones(3000, np.float32), k=1)
    right = fresh.membership(head.labels)[np.arange(3000), result.indices[:, 0]]
    assert abs(result.probabilities.mean() - right.mean()) < 0.03
    assert 0 < head.abstain_below < 1
    assert right[~result.abstained].mean() > 0.92


def test_labels_with_unequal_numbers_of_examples_are_treated_alike():
    many, few = make_clusters(photos=50), make_clusters(photos=2, seed=5)
    keep = [i for i, label in enumerate(many.labels) if label != ("owl",)]
    rows = np.concatenate([many.rows[keep], few.rows[4:]])
    labels = (*(many.labels[i] for i in keep), *few.labels[4:])
    head = from_examples("animals", LabelledRows(rows, labels), space=SPACE)
    owls = make_clusters(photos=50, seed=9)
    assert accuracy(head, LabelledRows(owls.rows[100:], owls.labels[100:])) > 0.9


def test_copies_of_one_photo_do_not_break_the_fit():
    clusters = make_clusters(photos=1)
    copies = LabelledRows(
        np.repeat(clusters.rows, 10, axis=0), tuple(c for c in clusters.labels for _ in range(10))
    )
    head = from_examples("animals", copies, space=SPACE)
    assert accuracy(head, clusters) == 1.0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((("cat",), ("cat",)), "a single label 'cat' has nothing to be told from"),
        ((("cat", "dog"), ("dog",)), "exactly one label a photo"),
        (((), ("cat",), ("dog",)), "exactly one label a photo"),
    ],
)
def test_examples_that_cannot_be_prototypes_are_refused(labels, message):
    rows = np.eye(16, dtype=np.float32)[: len(labels)]
    with pytest.raises(HeadError, match=message):
        from_examples("bad", LabelledRows(rows, labels), space=SPACE)
