"""Plans, journals, heads, names and queries that somebody made up: refused in one line, or taken for what they are."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.labelled_clusters import make_clusters, make_space
from tests.support.mean_colour import MeanColour
from vitsearch.cli.output import shown
from vitsearch.duplicates.cleanup.applying import apply_plan
from vitsearch.duplicates.cleanup.journal import Journal, check_journal
from vitsearch.duplicates.cleanup.plan_files import read_plan
from vitsearch.duplicates.cleanup.plans import PlannedFile
from vitsearch.errors import HeadError, PlanError, VitsearchError
from vitsearch.heads.files import head_from_json, head_to_json
from vitsearch.heads.training import train
from vitsearch.jsonable import to_jsonable
from vitsearch.library import Library
from vitsearch.records import FoundFile, UnreadableFile
from vitsearch.storage.filters import Filter

ALL = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Names as a file system may hold them: bytes that are not UTF-8 come as surrogates.
NAMES = st.binary(min_size=1, max_size=40).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**400), 10**400),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            ["", "/", "..", "/etc/passwd", "a\0b", "\x1b[2J", "\ud800", "/" + "x" * 5000, "0" * 64]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)


def places(document, here=()):
    """The keys that lead to every value inside a document, itself included."""
    yield here
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from places(value, (*here, key))
        else:
            yield (*here, key)


def check_refusal(error):
    assert "\n" not in shown(str(error))
    assert len(str(error)) < 12_000


def spoilt(document, data):
    """A copy of a document with one to three of its values replaced, removed, or put somewhere else."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        if not isinstance(document, (dict, list)) or not document:
            break
        *path, last = data.draw(st.sampled_from([place for place in places(document) if place]))
        inner = document
        for key in path:
            inner = inner[key]
        if data.draw(st.booleans()):
            inner[last] = data.draw(VALUES)
        else:
            del inner[last]
    return document


@pytest.fixture
def plan(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        (folder / name).write_bytes(b"one")
    (folder / "loop").symlink_to("loop")
    return {
        "version": 1,
        "action": "move",
        "destination": str(tmp_path / "moved"),
        "roots": [str(folder)],
        "groups": [
            {
                "tier": "identical",
                "score": 1.0,
                "reason": "same bytes",
                "keep": {"path": str(folder / "a.jpg"), "content": "0" * 64},
                "files": [{"path": str(folder / "sub/b.jpg"), "content": "0" * 64}],
            }
        ],
    }


@ALL
@given(data=st.data())
def test_a_made_up_plan_is_refused_in_one_line_or_stays_in_its_roots(plan, tmp_path, data):
    document = spoilt(plan, data)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    try:
        read = read_plan(path)
    except PlanError as error:
        check_refusal(error)
        return
    for group in read.groups:
        assert math.isfinite(group.score)
        for file in (group.keep, *group.files):
            assert isinstance(file, PlannedFile)
            assert any(file.path.is_relative_to(root) for root in read.roots)
            assert ".." not in file.path.parts


def test_a_plan_whose_path_is_a_loop_of_links_does_nothing(plan, tmp_path):
    plan["groups"][0]["files"][0]["path"] = str(tmp_path / "photos/loop/b.jpg")
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanError, match="changed"):
        apply_plan(tmp_path / "plan.json")


@ALL
@given(data=st.data())
def test_a_made_up_journal_is_refused_in_one_line_or_belongs_to_its_plan(plan, tmp_path, data):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    step = {
        "path": plan["groups"][0]["files"][0]["path"],
        "target": f"{plan['destination']}/sub/b.jpg",
        "keep": plan["groups"][0]["keep"]["path"],
        "content": "0" * 64,
        "action": "move",
        "state": "done",
    }
    (tmp_path / "plan.json.journal").write_text(json.dumps(spoilt(step, data)) + "\n")
    try:
        with Journal(path) as journal:
            check_journal(journal, read_plan(path))
    except PlanError as error:
        check_refusal(error)
        return
    for found in journal.steps.values():
        assert found.action in {"trash", "move", "hardlink", "symlink"}
        assert found.state in {"begun", "done", "undone"}
        assert len(bytes.fromhex(found.file_hash)) == 32
        assert ".." not in found.target.parts


@pytest.mark.parametrize("line", ["[" * 100_000, '{"path": ' * 50_000])
def test_a_journal_nested_without_end_is_refused(plan, tmp_path, line):
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "plan.json.journal").write_text(line + "\n")
    with pytest.raises(PlanError, match="is damaged at line 1"), Journal(tmp_path / "plan.json"):
        pass


def test_a_journal_that_names_a_file_beside_the_destination_moves_nothing(plan, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/out").symlink_to(tmp_path)
    for target in ("moved/../outside.jpg", "moved/out/outside.jpg"):
        step = {
            "path": plan["groups"][0]["files"][0]["path"],
            "target": f"{tmp_path}/{target}",
            "keep": plan["groups"][0]["keep"]["path"],
            "content": "0" * 64,
            "action": "move",
            "state": "done",
        }
        (tmp_path / "plan.json.journal").write_text(json.dumps(step) + "\n")
        with (
            Journal(tmp_path / "plan.json") as journal,
            pytest.raises(PlanError, match=r"leads out of|in none of its roots"),
        ):
            check_journal(journal, read_plan(tmp_path / "plan.json"))


@pytest.fixture(scope="module")
def head():
    return train("animals", make_clusters(), space=make_space()).head


@ALL
@given(data=st.data())
def test_a_made_up_head_is_refused_in_one_line_or_gives_probabilities(head, data):
    text = json.dumps(spoilt(json.loads(head_to_json(head)), data))
    try:
        read = head_from_json(text, weight=head.weight, bias=head.bias)
    except HeadError as error:
        check_refusal(error)
        return
    rows = make_clusters().rows
    found = read.probabilities(rows, np.ones(len(rows), np.float32))
    assert ((found >= 0) & (found <= 1)).all()


@given(name=NAMES)
def test_any_name_is_shown_without_acting_on_a_terminal_and_comes_through_json(name):
    assert shown(name).isprintable()
    record = UnreadableFile(Path("/photos") / name, "why")
    text = json.dumps(to_jsonable(record))
    assert text.isascii()
    assert text.isprintable()
    assert Path(json.loads(text)["path"]) == record.path
    assert FoundFile(Path("/photos"), name, 1, 1).path == Path("/photos") / name


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    from PIL import Image

    home = tmp_path_factory.mktemp("queries")
    (home / "photos").mkdir()
    for number in range(4):
        Image.new("RGB", (32, 24), (number * 60, 99, 99)).save(home / "photos" / f"{number}.png")
    with Library.open(home / "library", backbone=MeanColour()) as opened:
        opened.index([home / "photos"])
        yield opened


EDGES = st.integers(-(2**70), 2**70) | st.integers(-40, 40)


@ALL
@given(
    k=EDGES,
    crop=st.none() | st.tuples(EDGES, EDGES, EDGES, EDGES),
    after=st.none() | st.text(max_size=12) | st.dates().map(str),
    before=st.none() | st.text(max_size=12) | st.dates().map(str),
    camera=st.none() | st.text(max_size=12) | st.sampled_from(["%", "_", "'", "\0", "\ud800"]),
    folders=st.lists(st.text(max_size=12), max_size=2),
    flags=st.tuples(*[st.booleans()] * 4),
)
def test_a_made_up_query_is_answered_or_refused_in_one_line(
    library, k, crop, after, before, camera, folders, flags
):
    include_self, distinct, only_matches, exact = flags
    query = library.roots()[0].path / "1.png"
    try:
        found = library.search(
            query,
            k=k,
            crop=crop,
            where=Filter(folders=folders, after=after, before=before, camera=camera),
            include_self=include_self,
            distinct=distinct,
            only_matches=only_matches,
            exact=exact,
        )
    except VitsearchError as error:
        check_refusal(error)
        return
    assert len(found.results) <= min(k, 4)
    assert [match.score for match in found.results] == sorted((m.score for m in found.results), reverse=True)
