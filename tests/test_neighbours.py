"""What a neighbours cache finds, keeps through a save, and refuses to load."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitsearch.errors import SpaceMismatch
from vitsearch.neighbours import Neighbours, StaleCache

DIMENSION = 24


def unit_rows(count, *, dimension=DIMENSION, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def built(folder, ids, rows, *, generation=1):
    half = len(ids) // 2
    batches = [(ids[:half], rows[:half]), (ids[half:], rows[half:])]
    return Neighbours.build(rows.shape[1], batches, folder=folder, generation=generation)


def brute_force(ids, rows, queries, k):
    """The truth in float64 on the rows as float16 holds them, ties in ascending order of id."""
    scores = queries.astype(np.float64) @ rows.astype(np.float16).astype(np.float64).T
    found_scores = np.full((len(queries), k), -np.inf, dtype=np.float64)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    for query, line in enumerate(scores):
        order = np.lexsort((ids, -line))[:k]
        found_scores[query, : len(order)], found[query, : len(order)] = line[order], ids[order]
    return found_scores, found


def assert_finds(neighbours, ids, rows, queries, k, **options):
    expected_scores, expected = brute_force(ids, rows, queries, k)
    scores, found = neighbours.search(queries, k, **options)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(scores, expected_scores, atol=2e-6)


@pytest.fixture
def ids():
    return np.sort(np.random.default_rng(5).choice(10_000, 500, replace=False)).astype(np.int64)


@pytest.fixture
def rows():
    return unit_rows(500)


@pytest.fixture
def queries():
    return unit_rows(40, seed=1)


def test_search_finds_what_brute_force_finds(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    assert (len(neighbours), neighbours.dimension, neighbours.generation, neighbours.recall) == (
        500,
        24,
        1,
        1.0,
    )
    assert_finds(neighbours, ids, rows, queries, 10)
    assert_finds(neighbours, ids, rows, queries[:1], 1)
    np.testing.assert_array_equal(neighbours.ids(), ids)


@pytest.mark.parametrize("dimension", [1, 2, 3, 5, 7, 64, 383])
def test_every_dimension_can_be_searched(tmp_path, ids, dimension):
    rows = unit_rows(500, dimension=dimension)
    neighbours = built(tmp_path, ids, rows)
    assert_finds(neighbours, ids, rows, unit_rows(3, dimension=dimension, seed=2), 7)


def test_a_loaded_cache_answers_as_the_built_one_did(tmp_path, ids, rows, queries):
    before = built(tmp_path, ids, rows, generation=7).search(queries, 5)
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION)
    assert (len(loaded), loaded.generation) == (500, 7)
    for got, expected in zip(loaded.search(queries, 5), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_ids_may_come_in_any_order(tmp_path, ids, rows, queries):
    order = np.random.default_rng(3).permutation(500)
    neighbours = built(tmp_path, ids[order], rows[order])
    assert_finds(neighbours, ids, rows, queries, 10)
    np.testing.assert_array_equal(neighbours.rows(ids[[7, 3]]), rows[[7, 3]].astype(np.float16))
    neighbours.remove(ids[:100])
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids, rows, queries, 10)
    assert_finds(neighbours, ids[100:], rows[100:], queries, 10)


def test_added_photos_are_found_before_and_after_a_save(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids[:400], rows[:400])
    neighbours.add(ids[400:], rows[400:])
    assert_finds(neighbours, ids, rows, queries, 10)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids[:400], rows[:400], queries, 10)
    neighbours.save(generation=2)
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION)
    assert loaded.generation == 2
    assert_finds(loaded, ids, rows, queries, 10)


def test_adding_a_photo_writes_only_its_row(tmp_path, ids, rows):
    neighbours = built(tmp_path, ids[:-1], rows[:-1])
    big = next(tmp_path.glob("rows-*"))
    before = (big.stat().st_ino, big.read_bytes())
    neighbours.add(ids[-1:], rows[-1:])
    neighbours.save(generation=2)
    after = (big.stat().st_ino, big.read_bytes())
    assert after == (before[0], before[1] + rows[-1:].astype(np.float16).tobytes())


def test_removed_photos_are_not_found_before_and_after_a_save(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    gone = np.append(ids[::10], 123_456)
    left = ~np.isin(ids, gone)
    neighbours.remove(gone)
    assert len(neighbours) == 450
    assert_finds(neighbours, ids[left], rows[left], queries, 10)
    neighbours.save(generation=2)
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION)
    np.testing.assert_array_equal(loaded.ids(), ids[left])
    assert_finds(loaded, ids[left], rows[left], queries, 10)


def test_a_photo_that_is_added_again_gets_its_new_row(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    changed = rows.copy()
    changed[100:110] = unit_rows(10, seed=9)
    neighbours.add(ids[100:110], changed[100:110])
    assert len(neighbours) == 500
    assert_finds(neighbours, ids, changed, queries, 10)
    neighbours.remove(ids[105:106])
    neighbours.add(ids[105:106], changed[105:106])
    neighbours.save(generation=2)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids, changed, queries, 10)


def test_many_removals_shrink_the_files(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    neighbours.remove(ids[100:])
    neighbours.save(generation=2)
    assert_finds(neighbours, ids[:100], rows[:100], queries, 10)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids[:100], rows[:100], queries, 10)
    assert sorted(path.stat().st_size for path in tmp_path.glob("*-*")) == [100 * 8, 100 * DIMENSION * 2]


def test_equal_vectors_come_in_ascending_order_of_id(tmp_path, queries):
    ids = np.random.default_rng(4).permutation(300).astype(np.int64)
    rows = np.repeat(unit_rows(3, seed=8), 100, axis=0)
    neighbours = built(tmp_path, ids, rows)
    assert_finds(neighbours, ids, rows, queries, 7)
    assert_finds(neighbours, ids, rows, queries[:1], 150)


def test_within_keeps_only_these_photos(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    for step in (2, 100):
        kept = np.arange(0, 500, step)
        within = np.append(ids[kept], 123_456)
        assert_finds(neighbours, ids[kept], rows[kept], queries, 4, within=within)
    none = neighbours.search(queries, 2, within=np.empty(0, dtype=np.int64))
    assert [array.tolist() for array in none] == [[[-np.inf] * 2] * 40, [[-1] * 2] * 40]


def test_exclude_leaves_these_photos_out(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids, rows)
    left = np.arange(500) % 3 > 0
    assert_finds(neighbours, ids[left], rows[left], queries, 10, exclude=np.append(ids[~left], 123_456))
    few = np.arange(0, 60, 3)
    assert_finds(neighbours, ids[few[1:]], rows[few[1:]], queries, 5, within=ids[few], exclude=ids[:1])


def test_more_neighbours_than_photos_are_padded(tmp_path, ids, rows, queries):
    neighbours = built(tmp_path, ids[:3], rows[:3])
    assert_finds(neighbours, ids[:3], rows[:3], queries, 5)


def test_an_empty_cache_can_be_saved_loaded_searched_and_filled(tmp_path, ids, rows, queries):
    Neighbours.build(DIMENSION, [], folder=tmp_path / "new", generation=0)
    neighbours = Neighbours.load(tmp_path / "new", dimension=DIMENSION)
    assert len(neighbours) == 0
    assert_finds(neighbours, ids[:0], rows[:0], queries, 3)
    neighbours.remove(ids)
    neighbours.add(ids, rows)
    neighbours.save(generation=1)
    assert_finds(Neighbours.load(tmp_path / "new", dimension=DIMENSION), ids, rows, queries, 3)


def test_no_queries_give_no_answers(tmp_path, ids, rows):
    scores, found = built(tmp_path, ids, rows).search(np.empty((0, DIMENSION), dtype=np.float32), 4)
    assert (scores.shape, found.shape) == ((0, 4), (0, 4))


def test_rows_returns_the_stored_vectors_in_the_order_asked_for(tmp_path, ids, rows):
    neighbours = built(tmp_path, ids, rows)
    got = neighbours.rows(ids[[400, 2, 2]])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, rows[[400, 2, 2]].astype(np.float16).astype(np.float32))
    with pytest.raises(StaleCache, match="photo 123456 is not in it"):
        neighbours.rows(np.array([123_456]))


def test_vectors_that_do_not_fit_are_refused(tmp_path, ids, rows):
    neighbours = built(tmp_path, ids, rows)
    with pytest.raises(SpaceMismatch, match="24 dimensions"):
        neighbours.search(unit_rows(1, dimension=23), 3)
    with pytest.raises(SpaceMismatch, match="24 dimensions"):
        neighbours.add(np.array([1]), unit_rows(1, dimension=23))
    with pytest.raises(ValueError, match="twice"):
        neighbours.add(np.array([20_001, 20_001]), rows[:2])
    with pytest.raises(ValueError, match="negative"):
        neighbours.add(np.array([-1]), rows[:1])
    with pytest.raises(ValueError, match="unit length"):
        neighbours.add(np.array([20_001]), rows[:1] * np.nan)
    np.testing.assert_array_equal(neighbours.ids(), ids)


def change_manifest(folder, **fields):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def overwrite(path, content):
    path.write_bytes(content)


DAMAGES = {
    "no folder": (shutil.rmtree, "none yet"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "none yet"),
    "empty manifest": (lambda folder: (folder / "manifest.json").write_bytes(b""), "cannot be read"),
    "garbage manifest": (
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff\x00" * 9),
        "cannot be read",
    ),
    "a list for a manifest": (lambda folder: (folder / "manifest.json").write_text("[1]"), "format"),
    "a later format": (lambda folder: change_manifest(folder, format=99), "format"),
    "an unknown field": (lambda folder: change_manifest(folder, colour="red"), "malformed"),
    "a count that is text": (lambda folder: change_manifest(folder, count="many"), "malformed"),
    "a negative count": (lambda folder: change_manifest(folder, count=-1), "malformed"),
    "too large a count": (lambda folder: change_manifest(folder, count=501), "expected"),
    "a file elsewhere": (lambda folder: change_manifest(folder, rows="../rows.f16"), "elsewhere"),
    "no rows": (lambda folder: next(folder.glob("rows-*")).unlink(), "missing"),
    "no ids": (lambda folder: next(folder.glob("ids-*")).unlink(), "missing"),
    "truncated rows": (lambda folder: next(folder.glob("rows-*")).write_bytes(b"12"), "expected"),
    "truncated removals": (lambda folder: next(folder.glob("removed-*")).write_bytes(b""), "expected"),
    "garbage rows": (
        lambda folder: next(folder.glob("rows-*")).write_bytes(
            np.random.default_rng(0).bytes(500 * DIMENSION * 2)
        ),
        "unit length",
    ),
    "garbage ids": (lambda folder: next(folder.glob("ids-*")).write_bytes(b"\x07" * 4000), "ids are damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cache_that_does_not_fit_is_refused_and_can_be_rebuilt(tmp_path, ids, rows, queries, damage):
    folder = tmp_path / "cache"
    neighbours = built(folder, ids, rows)
    neighbours.remove(ids[:2])
    neighbours.save(generation=2)
    harm, reason = DAMAGES[damage]
    harm(folder)
    with pytest.raises(StaleCache, match=reason) as caught:
        Neighbours.load(folder, dimension=DIMENSION)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    built(folder, ids, rows, generation=3)
    assert_finds(Neighbours.load(folder, dimension=DIMENSION), ids, rows, queries, 3)


def test_a_cache_of_another_dimension_is_refused(tmp_path, ids, rows):
    built(tmp_path, ids, rows)
    with pytest.raises(StaleCache, match="24 dimensions, not 48"):
        Neighbours.load(tmp_path, dimension=48)


def test_readers_keep_what_they_loaded_while_a_writer_goes_on(tmp_path, ids, rows, queries):
    writer = built(tmp_path, ids[:400], rows[:400])
    reader = Neighbours.load(tmp_path, dimension=DIMENSION)
    writer.add(ids[400:], rows[400:])
    writer.save(generation=2)
    assert_finds(reader, ids[:400], rows[:400], queries, 10)
    writer.remove(ids[:300])
    writer.save(generation=3)
    built(tmp_path, ids[:9], rows[:9], generation=4)
    assert_finds(reader, ids[:400], rows[:400], queries, 10)


def test_a_writer_whose_cache_was_replaced_is_told(tmp_path, ids, rows, queries):
    late = built(tmp_path, ids[:400], rows[:400])
    built(tmp_path, ids[:300], rows[:300], generation=2)
    with pytest.raises(StaleCache, match="another process"):
        late.save(generation=3)
    with pytest.raises(StaleCache, match="another process"):
        late.add(ids[400:], rows[400:])
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids[:300], rows[:300], queries, 3)


def test_only_the_files_that_count_stay(tmp_path, ids, rows):
    for generation in range(3):
        neighbours = built(tmp_path, ids, rows, generation=generation)
        neighbours.remove(ids[generation : generation + 1])
        neighbours.save(generation=generation)
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == [
        "ids",
        "manifest.json",
        "removed",
        "rows",
    ]


KILLED_WRITER = """
import sys
from pathlib import Path
import numpy as np
from vitsearch.neighbours import Neighbours
folder, rows = Path(sys.argv[1]), np.load(sys.argv[2])
neighbours = Neighbours.load(folder, dimension=rows.shape[1])
for start in range(100, len(rows), 10):
    part = np.arange(start, start + 10)
    neighbours.add(part, rows[part])
    neighbours.remove(part[:3])
    neighbours.save(generation=start)
    print(start, flush=True)
"""


def test_a_killed_writer_leaves_its_last_commit_or_the_next(tmp_path, queries):
    rows, ids, folder = unit_rows(20_000), np.arange(20_000), tmp_path / "cache"
    np.save(tmp_path / "rows.npy", rows)
    built(folder, ids[:100], rows[:100], generation=90)
    arguments = [sys.executable, "-c", KILLED_WRITER, str(folder), str(tmp_path / "rows.npy")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        reported = [int(writer.stdout.readline()) for _ in range(25)][-1]
        writer.kill()
    loaded = Neighbours.load(folder, dimension=DIMENSION)
    assert loaded.generation >= reported
    there = ids[: loaded.generation + 10]
    there = there[(there < 100) | (there % 10 >= 3)]
    np.testing.assert_array_equal(loaded.ids(), there)
    assert_finds(loaded, there, rows[there], queries, 10)
    fresh = np.arange(30_000, 30_010)
    loaded.add(fresh, rows[:10])
    loaded.save(generation=99_999)
    np.testing.assert_array_equal(Neighbours.load(folder, dimension=DIMENSION).ids(), [*there, *fresh])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "save", "load"]), st.lists(st.integers(0, 40), unique=True)
        ),
        max_size=12,
    )
)
def test_any_sequence_of_changes_equals_a_dictionary(tmp_path, queries, steps):
    source, truth, saved = np.random.default_rng(11), {}, {}
    neighbours = Neighbours.build(DIMENSION, [], folder=tmp_path / "any", generation=0)
    for step, numbers in steps:
        ids = np.array(numbers, dtype=np.int64)
        if step == "add":
            fresh = unit_rows(len(ids), seed=int(source.integers(1 << 30)))
            neighbours.add(ids, fresh)
            truth |= dict(zip(numbers, fresh, strict=True))
        elif step == "remove":
            neighbours.remove(ids)
            truth = {key: row for key, row in truth.items() if key not in numbers}
        elif step == "save":
            neighbours.save(generation=1)
            saved = dict(truth)
        else:
            neighbours = Neighbours.load(tmp_path / "any", dimension=DIMENSION)
            truth = dict(saved)
        there = np.array(sorted(truth), dtype=np.int64)
        known = np.array([truth[key] for key in sorted(truth)], dtype=np.float32).reshape(-1, DIMENSION)
        np.testing.assert_array_equal(neighbours.ids(), there)
        np.testing.assert_array_equal(neighbours.rows(there), known.astype(np.float16))
        assert_finds(neighbours, there, known, queries[:2], 5)
