"""What a neighbours cache finds, keeps through a save, and refuses to load."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitsearch.errors import SpaceMismatch
from vitsearch.neighbours.neighbours import Neighbours, StaleCache

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
    for query, line in enumerate(scores.astype(np.float32)):
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
    assert_finds(neighbours, ids, rows, np.concatenate([queries, queries[::-1]]), 7)


FIRST = """
import json, sys
from pathlib import Path
import numpy as np
from vitsearch.neighbours.neighbours import Neighbours
given = np.load(sys.argv[2])
loaded = Neighbours.load(Path(sys.argv[1]), dimension=given["query"].shape[1])
options = {name: given[name] for name in ("within", "exclude") if name in given}
scores, found = loaded.search(given["query"], int(given["k"]), **options)
print(json.dumps([found.tolist(), scores.tolist(), "faiss" in sys.modules]))
"""


@pytest.mark.parametrize("case", ["all", "many", "few", "without", "ties"])
def test_the_first_query_of_a_process_finds_the_same_without_faiss(tmp_path, ids, rows, queries, case):
    k, options, kept = 10, {}, np.ones(500, bool)
    if case == "ties":
        rows, k = np.repeat(unit_rows(5, seed=8), 100, axis=0), 150
    elif case in ("many", "few"):
        kept = np.arange(500) % (2 if case == "many" else 50) == 0
        options = {"within": ids[kept]}
    elif case == "without":
        kept = np.arange(500) % 3 > 0
        options = {"exclude": ids[~kept]}
    built(tmp_path / "cache", ids, rows)
    np.savez(tmp_path / "given.npz", query=queries[:1], k=k, **options)
    command = [sys.executable, "-c", FIRST, str(tmp_path / "cache"), str(tmp_path / "given.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, scores, with_faiss = json.loads(done.stdout)
    expected_scores, expected = brute_force(ids[kept], rows[kept], queries[:1], k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(scores, expected_scores, atol=2e-6)
    assert not with_faiss
    loaded = Neighbours.load(tmp_path / "cache", dimension=DIMENSION)
    for _ in range(2):  # the second one is FAISS's
        assert_finds(loaded, ids[kept], rows[kept], queries[:1], k, **options)


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
    """Change fields of the manifest and make its sum fit, so that the fields themselves are looked at."""
    path = folder / "manifest.json"
    changed = json.loads(path.read_text()) | fields
    summed = {name: value for name, value in changed.items() if name not in ("format", "sum")}
    changed["sum"] = zlib.crc32(json.dumps(summed, sort_keys=True).encode())
    path.write_text(json.dumps(changed))


def overwrite(path, content):
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
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
        "rows-.* is not what was written",
    ),
    "garbage ids": (
        lambda folder: next(folder.glob("ids-*")).write_bytes(b"\x07" * 4000),
        "ids-.* is not what was written",
    ),
    "a nested manifest": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        "cannot be read",
    ),
    "a field of another value": (
        lambda folder: (folder / "manifest.json").write_text(
            (folder / "manifest.json").read_text().replace('"generation": 2', '"generation": 3')
        ),
        "is not what was written",
    ),
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


def test_the_litter_of_a_killed_run_goes_after_a_day_and_a_running_build_is_left_alone(tmp_path, ids, rows):
    names = [
        "rows-0bad0bad.f16",
        "ids-0bad0bad.i64",
        "removed-0bad0bad.bits",
        "cells-0bad0bad.faiss",
        f".vitsearch-{'0b' * 8}.tmp",
    ]
    strangers = ["notes.txt", "rows-old.f16"]  # nothing that vitsearch made
    for name in [*names, "rows-00000000.f16", *strangers]:
        (tmp_path / name).write_bytes(b"1")
    for name in [*names, *strangers]:
        os.utime(tmp_path / name, (0, 0))
    built(tmp_path, ids, rows)
    kept = [path.name for path in tmp_path.iterdir() if path.stat().st_size == 1]
    assert sorted(kept) == ["notes.txt", "rows-00000000.f16", "rows-old.f16"]


def test_a_build_that_fails_leaves_the_cache_as_it_was(tmp_path, ids, rows, queries):
    def broken():
        yield ids[:100], rows[:100]
        raise KeyboardInterrupt

    built(tmp_path, ids, rows)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        Neighbours.build(DIMENSION, broken(), folder=tmp_path, generation=2)
    assert sorted(tmp_path.iterdir()) == before
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids, rows, queries, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_costs_nothing_that_was_committed(tmp_path, ids, rows, queries):
    import resource

    neighbours = built(tmp_path, ids[:400], rows[:400])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (420 * DIMENSION * 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            neighbours.add(ids[400:], rows[400:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids[:400], rows[:400], queries, 3)
    neighbours.add(ids[400:], rows[400:])
    neighbours.save(generation=2)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids, rows, queries, 3)


def test_a_build_whose_last_sync_fails_leaves_no_manifest_that_names_missing_files(
    tmp_path, ids, rows, queries, monkeypatch
):
    def failing(folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr("vitsearch.storage.atomic.sync_folder", failing)
        with pytest.raises(OSError, match="No space left"):
            built(tmp_path, ids, rows)
    assert_finds(Neighbours.load(tmp_path, dimension=DIMENSION), ids, rows, queries, 3)


def mapped_megabytes():
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"RssFile:\s+(\d+) kB", status)
    return int(kilobytes) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_pass_over_all_rows_does_not_hold_them_in_memory(tmp_path):
    rows = unit_rows(60_000, dimension=512)  # 61 MB on disk
    Neighbours.build(512, [(np.arange(60_000), rows)], folder=tmp_path, generation=1)
    neighbours, queries = Neighbours.load(tmp_path, dimension=512), unit_rows(100, dimension=512, seed=1)
    neighbours.search(queries[:1], 1)
    before = mapped_megabytes()
    neighbours.search(queries, 1)
    assert before - mapped_megabytes() > 50


KILLED_WRITER = """
import sys
from pathlib import Path
import numpy as np
from vitsearch.neighbours.neighbours import Neighbours
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
        assert writer.stdout is not None
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
    source = np.random.default_rng(11)
    truth: dict[int, np.ndarray] = {}
    saved: dict[int, np.ndarray] = {}
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


def clustered_rows(count, *, dimension=DIMENSION, seed=0):
    """Unit rows around 40 centres: approximate search can do well here, as on real embeddings."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, dimension))
    rows = centres[source.integers(40, size=count)] + 0.4 * source.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def recall_at_10(neighbours, ids, rows, queries, **options):
    expected = brute_force(ids, rows, queries, 10)[1]
    found = neighbours.search(queries, 10, **options)[1]
    return np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(found, expected, strict=True)])


MANY_IDS = np.arange(7, 7 + 3 * 4000, 3)
MANY_ROWS = clustered_rows(4000)


@pytest.fixture(scope="module")
def large_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    batches = [
        (MANY_IDS[start : start + 999], MANY_ROWS[start : start + 999]) for start in range(0, 4000, 999)
    ]
    Neighbours.build(DIMENSION, batches, folder=folder, generation=1, approximate_from=2000)
    return folder


@pytest.fixture
def large(tmp_path, large_once):
    shutil.copytree(large_once, tmp_path, dirs_exist_ok=True)
    return Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)


def test_a_large_library_is_searched_approximately_with_the_recall_that_it_reports(large):
    queries = clustered_rows(200, seed=1)
    assert 0.99 <= large.recall <= 1
    assert recall_at_10(large, MANY_IDS, MANY_ROWS, queries) == pytest.approx(large.recall, abs=0.02)
    low = recall_at_10(large, MANY_IDS, MANY_ROWS, queries, recall=0.5)
    assert 0.4 < low < 0.9
    assert_finds(large, MANY_IDS, MANY_ROWS, queries, 10, exact=True)


def test_approximate_scores_are_those_of_the_stored_rows(large):
    queries = clustered_rows(50, seed=2)
    scores, found = large.search(queries, 10)
    stored = MANY_ROWS.astype(np.float16).astype(np.float32)[np.searchsorted(MANY_IDS, found)]
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, stored), atol=2e-6)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_large_cache_that_is_built_twice_answers_the_same(tmp_path, large):
    queries = clustered_rows(50, seed=2)
    batches = [(MANY_IDS, MANY_ROWS)]
    built = Neighbours.build(DIMENSION, batches, folder=tmp_path / "b", generation=1, approximate_from=2000)
    assert built.recall == large.recall
    for got, expected in zip(built.search(queries, 10), large.search(queries, 10), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_large_cache_finds_what_is_added_and_not_what_is_removed(tmp_path, large):
    queries, fresh = clustered_rows(100, seed=3), clustered_rows(300, seed=4)
    new = np.arange(300) * 3 + 8
    large.add(new, fresh)
    large.remove(MANY_IDS[::5])
    left = np.arange(4000) % 5 > 0
    ids, rows = np.append(MANY_IDS[left], new), np.concatenate([MANY_ROWS[left], fresh])
    assert recall_at_10(large, ids, rows, queries) > 0.97
    large.save(generation=2)
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    assert recall_at_10(loaded, ids, rows, queries) > 0.97
    assert np.isin(loaded.search(queries, 30)[1], ids).all()
    np.testing.assert_array_equal(loaded.search(fresh, 1)[1][:, 0], new)


def test_small_additions_leave_the_approximate_index_on_disk_as_it_is(tmp_path, large):
    before = {path.name for path in tmp_path.glob("cells-*")}
    large.add(np.arange(300) * 3 + 8, clustered_rows(300, seed=4))
    large.save(generation=2)
    assert {path.name for path in tmp_path.glob("cells-*")} == before
    assert len(before) == 1


def test_a_library_that_grows_gets_and_renews_its_approximate_index(tmp_path, monkeypatch):
    monkeypatch.setattr("vitsearch.neighbours.neighbours.TAIL_ROWS", 100)
    queries = clustered_rows(100, seed=5)
    neighbours = Neighbours.build(DIMENSION, [], folder=tmp_path, generation=0, approximate_from=1500)
    names = []
    for start in range(0, 4000, 500):
        neighbours.add(MANY_IDS[start : start + 500], MANY_ROWS[start : start + 500])
        neighbours.save(generation=start)
        names.append([path.name for path in tmp_path.glob("cells-*")])
        there = slice(0, start + 500)
        found = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=1500)
        assert recall_at_10(found, MANY_IDS[there], MANY_ROWS[there], queries) > 0.96
    assert names[:2] == [[], []]
    assert [len(line) for line in names[2:]] == [1] * 6
    assert len({line[0] for line in names[2:]}) == 6


def test_a_large_library_that_shrinks_is_compacted_and_then_searched_exactly(tmp_path, large):
    queries = clustered_rows(60, seed=6)
    large.remove(MANY_IDS[::3])
    large.save(generation=2)
    left = np.arange(4000) % 3 > 0
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    assert recall_at_10(loaded, MANY_IDS[left], MANY_ROWS[left], queries) > 0.97
    assert not list(tmp_path.glob("removed-*"))
    loaded.remove(MANY_IDS[900:])
    loaded.save(generation=3)
    few = np.flatnonzero(left[:900])
    assert loaded.recall == 1.0
    assert not list(tmp_path.glob("cells-*"))
    assert_finds(loaded, MANY_IDS[few], MANY_ROWS[few], queries, 10)


def test_a_filter_that_keeps_few_photos_is_exact_in_a_large_library(large):
    queries = clustered_rows(40, seed=7)
    for kept in (np.arange(0, 4000, 40), np.arange(1000, 2900)):
        assert_finds(large, MANY_IDS[kept], MANY_ROWS[kept], queries, 10, within=MANY_IDS[kept], recall=0.1)


def test_a_filter_that_keeps_many_photos_keeps_the_recall(large):
    queries = clustered_rows(200, seed=8)
    kept = np.flatnonzero(np.random.default_rng(0).random(4000) < 0.6)
    assert recall_at_10(large, MANY_IDS[kept], MANY_ROWS[kept], queries, within=MANY_IDS[kept]) > 0.96
    assert recall_at_10(large, MANY_IDS[40:], MANY_ROWS[40:], queries, exclude=MANY_IDS[:40]) > 0.96


def test_a_query_alone_finds_what_it_finds_among_others(large):
    queries = clustered_rows(200, seed=11)
    large.add(np.arange(50) * 3 + 8, clustered_rows(50, seed=12))
    for options in ({}, {"within": MANY_IDS[::2]}, {"exclude": MANY_IDS[:100]}):
        together_scores, together = large.search(queries, 10, **options)
        alone = [large.search(query[None], 10, **options) for query in queries]
        found = np.array([ids[0] for _, ids in alone])
        np.testing.assert_array_equal(found, together)
        scores = np.array([scores[0] for scores, _ in alone])
        np.testing.assert_allclose(scores, together_scores, atol=2e-6)


@pytest.fixture
def _shortlist(monkeypatch):
    """Let so few cells have a shortlist for single queries, too."""
    monkeypatch.setattr("vitsearch.neighbours.cells.SHORTLIST_FROM", 1)
    monkeypatch.setattr("vitsearch.neighbours.single.LEAST_LOOKED_AT", 16)
    monkeypatch.setattr("vitsearch.neighbours.single.SHORTLIST_SHARE", 1)


def has_shortlist(folder):
    import faiss

    (path,) = folder.glob("cells-*")
    index: Any = faiss.read_index(str(path))  # FAISS's types name no parts of what it reads
    cells: Any = faiss.downcast_index(index.index)
    return isinstance(faiss.downcast_index(cells.quantizer), faiss.IndexRefine)


@pytest.mark.usefixtures("_shortlist")
def test_a_query_alone_finds_as_much_by_a_shortlist_of_cells(tmp_path):
    Neighbours.build(DIMENSION, [(MANY_IDS, MANY_ROWS)], folder=tmp_path, generation=1, approximate_from=2000)
    assert has_shortlist(tmp_path)
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    queries, fresh = clustered_rows(200, seed=11), clustered_rows(300, seed=4)
    expected = brute_force(MANY_IDS, MANY_ROWS, queries, 10)[1]
    alone = [loaded.search(query[None], 10)[1][0] for query in queries]
    assert np.mean([np.isin(*pair).mean() for pair in zip(alone, expected, strict=True)]) > 0.98
    loaded.add(np.arange(300) * 3 + 8, fresh)
    loaded.remove(MANY_IDS[::5])
    loaded.save(generation=2)
    again = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    for neighbours in (loaded, again):
        assert [neighbours.search(row[None], 1)[1][0, 0] for row in fresh[:50]] == list(range(8, 158, 3))
        assert not np.isin(neighbours.search(queries[:1], 50)[1], MANY_IDS[::5]).any()


def test_an_index_without_a_shortlist_is_searched_and_gets_one_when_it_is_written_again(
    tmp_path, large, request, monkeypatch
):
    queries = clustered_rows(100, seed=11)
    expected = [large.search(query[None], 10)[1] for query in queries]
    request.getfixturevalue("_shortlist")
    old = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    np.testing.assert_array_equal([old.search(query[None], 10)[1] for query in queries], expected)
    assert not has_shortlist(tmp_path)
    monkeypatch.setattr("vitsearch.neighbours.neighbours.TAIL_ROWS", 100)
    old.add(np.arange(300) * 3 + 8, clustered_rows(300, seed=4))
    old.save(generation=2)
    assert has_shortlist(tmp_path)
    ids = np.append(MANY_IDS, np.arange(300) * 3 + 8)
    rows = np.concatenate([MANY_ROWS, clustered_rows(300, seed=4)])
    truth = brute_force(ids, rows, queries, 10)[1]
    for neighbours in (old, Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)):
        found = [neighbours.search(query[None], 10)[1][0] for query in queries]
        assert np.mean([np.isin(*pair).mean() for pair in zip(found, truth, strict=True)]) > 0.98


def test_a_query_alone_asks_for_more_rows_than_are_copied_at_once(large):
    queries = clustered_rows(5, seed=9)
    for k in (60, 300, 1500):
        together_scores, together = large.search(queries, k)
        for query, scores, ids in zip(queries, together_scores, together, strict=True):
            alone_scores, alone = large.search(query[None], k)
            np.testing.assert_array_equal(alone[0], ids)
            np.testing.assert_allclose(alone_scores[0], scores, atol=2e-6)


def test_threads_may_search_together(large):
    queries = clustered_rows(64, seed=10)
    expected = large.search(queries, 10)[1]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda query: large.search(query[None], 10)[1][0], queries))
    np.testing.assert_array_equal(found, expected)


def test_more_neighbours_than_the_visited_cells_hold_are_found_all_the_same(large):
    assert_finds(large, MANY_IDS, MANY_ROWS, clustered_rows(2, seed=9), 3990, recall=0.1)


def test_many_equal_vectors_among_a_large_library_come_in_ascending_order_of_id(tmp_path):
    rows = clustered_rows(3000)
    rows[1000:2500] = rows[0]
    ids = np.random.default_rng(4).permutation(3000)
    neighbours = Neighbours.build(
        DIMENSION, [(ids, rows)], folder=tmp_path, generation=1, approximate_from=2000
    )
    assert_finds(neighbours, ids, rows, rows[:1], 40, recall=0.1)


def test_a_large_library_of_one_repeated_photo_can_be_searched(tmp_path):
    rows = np.repeat(unit_rows(1), 2500, axis=0)
    neighbours = Neighbours.build(
        DIMENSION, [(np.arange(2500), rows)], folder=tmp_path, generation=1, approximate_from=2000
    )
    assert neighbours.search(rows[:1], 5)[1].tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("dimension", [1, 6, 7])
def test_any_dimension_can_be_searched_approximately(tmp_path, dimension):
    rows = clustered_rows(2500, dimension=dimension)
    neighbours = Neighbours.build(
        dimension, [(np.arange(2500), rows)], folder=tmp_path, generation=1, approximate_from=2000
    )
    scores = neighbours.search(rows[:50], 5)[0]
    expected = brute_force(np.arange(2500), rows, rows[:50], 5)[0]
    assert (np.abs(scores - expected) < 1e-5).mean() > 0.95


@pytest.mark.parametrize("harm", [lambda size: b"", lambda size: b"\x00" * size])
def test_a_damaged_approximate_index_is_never_used(tmp_path, large, harm):
    path = next(tmp_path.glob("cells-*"))
    content = harm(path.stat().st_size)
    path.write_bytes(content)
    if not content:
        with pytest.raises(StaleCache, match="expected"):
            Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
        return
    loaded = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000)
    assert_finds(loaded, MANY_IDS, MANY_ROWS, clustered_rows(50, seed=1), 10)
    with pytest.raises(StaleCache, match=r"cells-.* is damaged"):
        Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000, thorough=True)
    loaded.save(generation=2)
    healed = Neighbours.load(tmp_path, dimension=DIMENSION, approximate_from=2000, thorough=True)
    assert healed.recall == large.recall


def flip_bit(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["rows", "ids", "removed"])
def test_a_single_bit_anywhere_in_a_cache_makes_it_unusable(tmp_path, ids, rows, kind):
    neighbours = built(tmp_path, ids[:400], rows[:400])
    neighbours.remove(ids[:20])
    neighbours.save(generation=2)
    neighbours.add(ids[400:], rows[400:])
    neighbours.save(generation=3)
    (path,) = tmp_path.glob(f"{kind}-*")
    sound = path.read_bytes()
    for at in np.random.default_rng(0).integers(len(sound), size=20):
        flip_bit(path, at)
        with pytest.raises(StaleCache, match=f"{kind}-.* is not what was written"):
            Neighbours.load(tmp_path, dimension=DIMENSION)
        path.write_bytes(sound)
    assert len(Neighbours.load(tmp_path, dimension=DIMENSION)) == 480


def test_a_single_bit_of_a_large_cache_is_found_when_all_rows_are_read(tmp_path, large, monkeypatch):
    monkeypatch.setattr("vitsearch.neighbours.committing.READ_WHOLE_BYTES", 0)
    large.add(MANY_IDS[-1:] + 3, MANY_ROWS[:1])
    large.save(generation=2)
    load = partial(Neighbours.load, tmp_path, dimension=DIMENSION, approximate_from=2000)
    load().check_rows()
    (path,) = tmp_path.glob("rows-*")
    flip_bit(path, 2000 * DIMENSION)
    loaded = load()
    for read in (loaded.check_rows, partial(load, thorough=True)):
        with pytest.raises(StaleCache, match=r"rows-.* is not what was written"):
            read()
    # Copied into new files the damage would get a sum that fits.
    loaded.remove(MANY_IDS[::3])
    with pytest.raises(StaleCache, match=r"rows-.* is not what was written"):
        loaded.save(generation=3)
    (path,) = tmp_path.glob("ids-*")
    flip_bit(path, 77)
    with pytest.raises(StaleCache, match=r"ids-.* is not what was written"):
        load()


def test_a_cache_that_is_still_what_was_saved_is_not_read_again(tmp_path, ids, rows):
    loaded = built(tmp_path, ids, rows)
    assert Neighbours.load(tmp_path, dimension=DIMENSION, known=loaded) is loaded
    other = Neighbours.load(tmp_path, dimension=DIMENSION)
    other.remove(ids[:1])
    other.save(generation=2)
    again = Neighbours.load(tmp_path, dimension=DIMENSION, known=loaded)
    assert (again.generation, len(again), len(loaded)) == (2, 499, 500)
