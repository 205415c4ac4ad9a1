"""What to label next, and corrections."""

import numpy as np
import pytest

from tests.support.labelled_clusters import make_space, unit
from vitsearch.errors import HeadError
from vitsearch.heads.active_learning import Question, apply_corrections, next_to_label
from vitsearch.heads.head import Head


def two_sided(kind="softmax") -> Head:
    weight = np.array([[4, 0, 0], [0, 4, 0]], np.float32)
    return Head(
        "sides", ("x", "y"), weight, np.zeros(2, np.float32), make_space(dimension=3), kind, "trained"
    )


def ask(head: Head, rows: np.ndarray, count: int) -> tuple[Question, ...]:
    return next_to_label(
        head, np.arange(100, 100 + len(rows)), rows, np.ones(len(rows), np.float32), count=count
    )


def test_the_least_sure_photo_comes_first_and_no_two_are_alike():
    rows = unit(np.array([[1, 0, 0], [1, 0.9, 0], [1, 0.91, 0.01], [0, 1, 0], [0, 0.1, -1], [1, 0.3, 0.8]]))
    asked = ask(two_sided(), rows, 3)
    assert [question.photo for question in asked] == [102, 104, 105]
    assert [question.label for question in asked] == ["x", "y", "x"]
    assert asked[0].probability < asked[1].probability < asked[2].probability


def test_photos_that_are_alike_fill_the_rest_when_there_are_no_others():
    rows = unit(np.array([[1, 1, 0], [1, 1.01, 0], [1, 1.02, 0]]))
    assert [question.photo for question in ask(two_sided(), rows, 5)] == [100, 101, 102]


def test_a_sigmoid_head_asks_about_the_label_nearest_to_even():
    rows = unit(np.array([[1, 0.05, 0], [1, -1, 0], [0.5, 0.5, 1]]))
    first = ask(two_sided("sigmoid"), rows, 1)[0]
    assert (first.photo, first.label) == (100, "y")
    assert first.probability == pytest.approx(0.55, abs=0.01)


def test_an_empty_library_has_nothing_to_ask():
    assert ask(two_sided(), np.zeros((0, 3), np.float32), 20) == ()


def test_a_count_below_one_is_refused():
    with pytest.raises(HeadError, match="ask for one or more"):
        ask(two_sided(), np.eye(3, dtype=np.float32), 0)


def test_corrections_replace_and_add_and_may_bring_a_new_label():
    labels = {1: ("cat",), 2: ("dog",)}
    assert apply_corrections(labels, {2: ("owl",), 3: ("cat",)}) == {1: ("cat",), 2: ("owl",), 3: ("cat",)}
    assert labels == {1: ("cat",), 2: ("dog",)}


def test_a_correction_to_something_that_is_no_label_is_refused():
    with pytest.raises(HeadError, match="not a label"):
        apply_corrections({}, {1: ("a\nb",)})
