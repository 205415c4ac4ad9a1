"""Whitened embeddings: what many photos have in common does not decide which are alike."""

import numpy as np
import pytest

from vitsearch.duplicates.propose import candidates
from vitsearch.duplicates.propose.whitening import Whitening
from vitsearch.neighbours.neighbours import Neighbours

ORIGINALS, COPIES, DIMENSION = 600, 40, 64


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def watermarked() -> np.ndarray:
    """Originals, and copies of the first ones that are pulled the same way by what was drawn over them."""
    random = np.random.default_rng(3)
    originals = unit(random.standard_normal((ORIGINALS, DIMENSION)))
    mark = unit(random.standard_normal((1, DIMENSION)))
    noise = unit(random.standard_normal((COPIES, DIMENSION)))
    return np.concatenate([originals, unit(0.5 * originals[:COPIES] + mark + 0.2 * noise)])


@pytest.mark.parametrize("exact_up_to", [candidates.EXACT_UP_TO, 10])
def test_copies_that_resemble_each_other_are_proposed_with_their_originals(
    exact_up_to, tmp_path, monkeypatch
):
    monkeypatch.setattr(candidates, "EXACT_UP_TO", exact_up_to)
    rows = watermarked()
    ids = np.arange(len(rows)) * 3 + 7
    neighbours = Neighbours.build(DIMENSION, [(ids, rows)], folder=tmp_path, generation=1)
    originals, copies = ids[:COPIES], ids[ORIGINALS:]
    _, nearest = neighbours.search(rows[ORIGINALS:], candidates.NEIGHBOURS + 1)
    assert np.mean((nearest == originals[:, np.newaxis]).any(axis=1)) < 0.1
    found = candidates.pairs_by_embedding(ids, neighbours)
    proposed = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert set(zip(originals.tolist(), copies.tolist(), strict=True)) <= proposed
    assert len(proposed) <= candidates.NEIGHBOURS * len(ids)


def test_whitened_rows_are_unit_rows_that_lean_no_way():
    leaning = unit(watermarked()[:ORIGINALS] + np.full(DIMENSION, 0.2, np.float32))
    whitened = Whitening.learned(leaning).apply(leaning)
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(leaning.mean(axis=0)) > 0.8
    assert np.linalg.norm(whitened.mean(axis=0)) < 0.02


@pytest.mark.parametrize("count", [1, 5])
def test_photos_that_are_all_the_same_are_whitened_to_nothing(count):
    rows = np.repeat(unit(np.ones((1, DIMENSION))), count, axis=0)
    whitened = Whitening.learned(rows).apply(rows)
    assert np.isfinite(whitened).all()


def test_fewer_than_two_photos_propose_nothing(tmp_path):
    rows = watermarked()[:1]
    neighbours = Neighbours.build(DIMENSION, [(np.array([4]), rows)], folder=tmp_path, generation=1)
    assert len(candidates.pairs_by_embedding(np.array([4]), neighbours)) == 0
    assert len(candidates.pairs_by_embedding(np.empty(0, np.int64), neighbours)) == 0
