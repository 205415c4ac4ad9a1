"""Values that are computed once for each state of the library, and shared by requests."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from vitsearch.web.services.library_pool import Stamp, StateCache

ONE, TWO = Stamp((1, 1), 1, (1,)), Stamp((1, 1), 2, (1,))
OTHER_LIBRARY = Stamp((1, 2), 1, (1,))


def test_a_value_is_made_once_for_each_state():
    made: list[object] = []
    remembered = StateCache()
    for stamp in (ONE, ONE, TWO, TWO, OTHER_LIBRARY):
        remembered.get("grid", stamp, partial(made.append, stamp))
    assert made == [ONE, TWO, OTHER_LIBRARY]


def test_many_requests_at_once_make_it_once():
    made: list[object] = []
    remembered = StateCache()
    start = threading.Barrier(8)

    def make():
        made.append(1)
        return "value"

    def ask(_):
        start.wait()
        return remembered.get("grid", ONE, make)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"value"}
    assert made == [1]


def test_during_an_index_run_a_value_may_be_a_little_old_but_never_of_another_library():
    remembered = StateCache(patience=60)
    assert remembered.get("grid", ONE, lambda: "old") == "old"
    assert remembered.get("grid", TWO, lambda: "new", patient=True) == "old"
    assert remembered.get("grid", OTHER_LIBRARY, lambda: "other", patient=True) == "other"


def test_while_a_new_value_is_made_others_take_the_old_one_and_do_not_wait():
    remembered = StateCache(patience=0)
    remembered.get("grid", ONE, lambda: "old")
    making, finish = threading.Event(), threading.Event()

    def make():
        making.set()
        assert finish.wait(10)
        return "new"

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(remembered.get, "grid", TWO, make, patient=True)
        assert making.wait(10)
        assert remembered.get("grid", TWO, lambda: "made twice", patient=True) == "old"
        finish.set()
        assert slow.result() == "new"


def test_a_value_that_cannot_be_made_keeps_nobody_waiting():
    remembered = StateCache()
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            remembered.get("grid", ONE, lambda: (_ for _ in ()).throw(ValueError("broken")))
    assert remembered.get("grid", ONE, lambda: "value") == "value"


def test_only_so_many_values_are_kept():
    remembered = StateCache(size=2)
    for key in "abc":
        remembered.get(key, ONE, partial(str, key))
    assert remembered.get("c", ONE, lambda: "again") == "c"
    assert remembered.get("a", ONE, lambda: "again") == "again"
