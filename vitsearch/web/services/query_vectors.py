"""A cache of query embeddings."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]


class QueryVectorCache:
    """The most recent query embeddings, (d,) float32 each, so that going back in the browser embeds nothing again."""

    def __init__(self, size: int = 512) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], Vector] = OrderedDict()

    def get(self, key: tuple[object, ...], embed: Callable[[], Vector]) -> Vector:
        """Return the embedding for a key; computes it if it is not cached."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        vector = embed()
        with self._lock:
            self._kept[key] = vector
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return vector
