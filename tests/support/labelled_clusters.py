"""Labelled unit rows with an answer that is known: clusters around directions of their own."""

from __future__ import annotations

import numpy as np

from vitsearch.heads.examples import LabelledRows
from vitsearch.space import Preprocessing, Readout, Space

DIMENSION = 16


def make_space(model: str = "clusters", *, dimension: int = DIMENSION, readout: Readout = "cls") -> Space:
    preprocessing = Preprocessing(8, 8, 8, "squeeze", 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Space(model, "0" * 64, preprocessing, readout, dimension)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_clusters(
    labels: tuple[str, ...] = ("cat", "dog", "owl"), *, photos: int = 20, spread: float = 0.5, seed: int = 0
) -> LabelledRows:
    """`photos` rows a label; `spread` 0.5 keeps clusters apart, 2 makes them overlap."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(labels), DIMENSION))
    noise = random.standard_normal((len(labels), photos, DIMENSION))
    rows = (centres[:, None] + spread * noise).reshape(-1, DIMENSION)
    return LabelledRows(unit(rows), tuple((label,) for label in labels for _ in range(photos)))


def joined(*parts: LabelledRows) -> LabelledRows:
    rows = np.concatenate([part.rows for part in parts])
    return LabelledRows(rows, tuple(labels for part in parts for labels in part.labels))
