"""A place that a batch has chosen and not reached yet may go to another plan: its file is not taken for ours."""

import os

import pytest

from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.journal import Journal
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, content_hash

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(
        not hasattr(os, "fork"), reason="a child is killed, and the desktop's trash is Linux's"
    ),
]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of one name in several folders, of the same drive as the desktop's trash."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    for folder, content in {"a": b"one", "b": b"one", "c": b"one", "d": b"two", "e": b"two"}.items():
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / "F.jpg").write_bytes(content * 100)
    return tmp_path / "photos"


def plan_of(photos, name, *pairs):
    """A plan that keeps the first of each pair of folders' photos and puts the second into the trash."""

    def planned(folder):
        path = photos / folder / "F.jpg"
        return PlannedFile(path, content_hash(path))

    groups = tuple(PlannedGroup(planned(keep), (planned(copy),)) for keep, copy in pairs)
    write_plan(Plan("trash", (photos,), groups), photos.parent / name)
    return photos.parent / name


def after_the_places_are_chosen(monkeypatch, act):
    """Do something once a batch is in the journal, before any of it has moved."""
    note_all = Journal.note_all

    def noting(self, steps, state):
        note_all(self, steps, state)
        if state == "begun":
            monkeypatch.setattr(Journal, "note_all", note_all)
            act()

    monkeypatch.setattr(Journal, "note_all", noting)


def killed(monkeypatch, plan):
    child = os.fork()
    if not child:
        after_the_places_are_chosen(monkeypatch, lambda: os._exit(9))
        apply_plan(plan)
    os.waitpid(child, 0)


def contents(photos):
    return {path.parent.name: path.read_bytes()[:3] for path in photos.glob("*/F.jpg")}


@pytest.mark.parametrize("then", ["undo", "apply"])
@pytest.mark.parametrize("other", [("c", "b"), ("d", "e")], ids=["of the same bytes", "another photo"])
def test_a_killed_plan_leaves_what_another_one_has_put_there(photos, monkeypatch, then, other):
    before = contents(photos)
    killed_plan, second = plan_of(photos, "one.json", ("c", "a")), plan_of(photos, "two.json", other)
    killed(monkeypatch, killed_plan)
    assert all(outcome.done for outcome in apply_plan(second))
    outcomes = undo_plan(killed_plan) if then == "undo" else apply_plan(killed_plan)
    assert [outcome.done for outcome in outcomes] == [True]
    assert all(outcome.done for outcome in undo_plan(second))
    undo_plan(killed_plan)
    assert contents(photos) == before


def test_a_plan_of_everything_after_a_kill_can_be_undone_in_any_order(photos, monkeypatch):
    before = contents(photos)
    killed_plan = plan_of(photos, "one.json", ("c", "a"))
    second = plan_of(photos, "two.json", ("d", "e"), ("c", "a"))
    killed(monkeypatch, killed_plan)
    assert all(outcome.done for outcome in apply_plan(second))
    undo_plan(killed_plan)
    assert all(outcome.done for outcome in undo_plan(second))
    assert contents(photos) == before


@pytest.mark.parametrize("other", [("b", "c"), ("c", "a")], ids=["its kept file", "its copy"])
def test_two_plans_at_once_do_not_take_each_others_files_out_of_the_trash(photos, monkeypatch, other):
    before = contents(photos)
    first, second = plan_of(photos, "one.json", ("c", "a")), plan_of(photos, "two.json", other)
    told = []
    after_the_places_are_chosen(monkeypatch, lambda: told.extend(apply_plan(second)))
    assert [outcome.done for outcome in apply_plan(first)] == [False]
    assert [outcome.done for outcome in told] == [True]
    assert other[1] not in contents(photos)
    assert all(outcome.done for outcome in undo_plan(second))
    assert contents(photos) == before
