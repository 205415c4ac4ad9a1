"""Clusters of vectors, by FAISS's k-means."""

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

    The same rows have the same clusters. `begin`: centroids to start from, so that clusters of yesterday stay what they
    are when photos come. FAISS trains on 256 rows a cluster at most.
    """
    faiss = import_faiss()
    count = min(count, len(rows))
    means = faiss.Kmeans(
        rows.shape[1], count, niter=_ROUNDS, seed=_SEED, spherical=True, min_points_per_centroid=1
    )
    means.train(rows, init_centroids=begin if begin is not None and len(begin) == count else None)
    _, nearest = means.index.search(rows, 1)
    return np.array(means.centroids, np.float32), np.asarray(nearest[:, 0], np.int64)
