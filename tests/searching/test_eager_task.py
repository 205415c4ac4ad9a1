"""Work that begins before its result is needed: results, errors, and no thread left behind."""

import threading

import pytest

from vitsearch.searching.eager_task import EagerTask


def test_work_goes_on_beside_the_caller_and_its_result_is_waited_for():
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(10)
        return 7

    with EagerTask(work) as ahead:
        assert begun.wait(10)  # while this one has not asked for anything
        go_on.set()
        assert ahead.result() == 7


def test_an_error_is_raised_where_the_result_is_asked_for():
    def work():
        raise ValueError("no such model")

    with EagerTask(work) as ahead, pytest.raises(ValueError, match="no such model"):
        ahead.result()


def test_the_callers_own_error_comes_first_and_no_thread_outlives_it():
    def work():
        raise ValueError("no such model")

    def search():
        with EagerTask(work):
            raise KeyError("the photo is damaged")

    with pytest.raises(KeyError):
        search()
    assert [thread.name for thread in threading.enumerate() if thread.name == "vitsearch-ahead"] == []
