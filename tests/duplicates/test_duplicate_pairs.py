"""All near pairs: none missed, none invented, in bounded memory."""

import numpy as np
import pytest

from vitsearch.duplicates.propose import pairs as module
from vitsearch.duplicates.propose.pairs import Pairs, near_pairs


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks even for a few hundred rows."""
    monkeypatch.setattr(module, "BLOCK", 64)


def crowd(count: int, *, dimension: int = 24, seed: int = 0) -> np.ndarray:
    """Rows in loose clusters, so that many cosines lie on both sides of a cut-off."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((12, dimension))
    rows = centres[random.integers(0, 12, count)] + 0.6 * random.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute(rows: np.ndarray, against: np.ndarray, cutoff: float) -> set[tuple[int, int]]:
    cosines = rows.astype(np.float64) @ against.astype(np.float64).T
    assert np.abs(cosines - cutoff).min() > 1e-7, "a pair lies on the cut-off: choose another one"
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(cosines >= cutoff, 1))}


def as_set(found: Pairs) -> set[tuple[int, int]]:
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return set(pairs)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 300])
def test_the_pairs_are_those_of_brute_force(kind, count):
    rows = crowd(count).astype(kind)
    found = near_pairs(rows, 0.8123)
    expected = brute(rows, rows, 0.8123) if count else set()
    assert as_set(found) == expected
    for i, j, cosine in zip(found.first, found.second, found.cosines, strict=True):
        assert cosine == pytest.approx(float(rows[i].astype(float) @ rows[j].astype(float)), abs=1e-5)


def test_rows_can_be_compared_with_others_that_belong_to_the_same_photos():
    rows, turned = crowd(200, seed=1), crowd(200, seed=2)
    assert as_set(near_pairs(rows, 0.4567, against=turned)) == brute(rows, turned, 0.4567)


def test_a_memory_mapped_file_will_do(tmp_path):
    rows = crowd(150)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert as_set(near_pairs(mapped, 0.8123)) == brute(rows, rows, 0.8123)


@pytest.mark.parametrize("waiting", [50, 10**9])
def test_most_keeps_each_pair_that_is_among_the_best_of_one_of_its_rows(monkeypatch, waiting):
    monkeypatch.setattr(module, "_WAITING", waiting)
    rows = crowd(200)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    best = {(min(i, j), max(i, j)) for i in range(200) for j in np.argsort(-cosines[i])[:3].tolist()}
    expected = {(i, j) for i, j in best if cosines[i, j] >= 0.7}
    assert as_set(near_pairs(rows, 0.7, most=3)) == expected
