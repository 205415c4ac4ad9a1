"""Clusters of embeddings, by FAISS's k-means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.flat import import_faiss

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

_ROUNDS = 20
_SEED = 1


def k_means(
    rows: Vectors, count: int, *, begin: Vectors | None = None
) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Return the unit centroids (count, d) of `count` clusters of unit rows (n, d), and each row's cluster (n,).

    The result is deterministic. `begin`: initial centroids, so that earlier clusters stay recognisable when photos are
    added. FAISS trains on at most 256 rows per cluster.
    """
    faiss = import_faiss()
    count = min(count, len(rows))
    means = faiss.Kmeans(
        rows.shape[1], count, niter=_ROUNDS, seed=_SEED, spherical=True, min_points_per_centroid=1
    )
    means.train(rows, init_centroids=begin if begin is not None and len(begin) == count else None)
    _, nearest = means.index.search(rows, 1)
    return np.array(means.centroids, np.float32), np.asarray(nearest[:, 0], np.int64)
