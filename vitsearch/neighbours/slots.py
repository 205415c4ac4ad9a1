"""Maps photo ids to slots of the rows file, and back, and knows which slots are live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


class SlotTable:
    """The photo id of each slot and the slot of each photo. A photo that is added again moves to a new slot.

    - `ids`: (n,) int64, the map of the ids file.
    - `removed`: (n,) bool.
    - `ascending`: whether the ids are, which they are until a photo is added again; slots are then found without an
      index.
    """

    def __init__(self, ids: Ids, *, removed: Mask, ascending: bool) -> None:
        self.ids = ids
        self.removed = removed
        self.ascending = ascending
        self.removed_count = int(np.count_nonzero(removed))
        self._sorted: tuple[Ids, Ids] | None = None

    def __len__(self) -> int:
        return len(self.ids) - self.removed_count

    def find(self, photos: Ids) -> Ids:
        """Return the slot of each photo: (m,) int64, -1 if there is none."""
        keys, slots = (self.ids, None) if self.ascending else self._sorted_ids()
        if len(keys) == 0:
            return np.full(len(photos), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(keys, photos), len(keys) - 1)
        found = at if slots is None else slots[at]
        return np.where((keys[at] == photos) & ~self.removed[found], found, -1)

    def find_known(self, photos: Ids) -> Ids:
        """Return the slots of the photos that have one: (m,) int64."""
        slots = self.find(photos)
        return slots[slots >= 0]

    def append(self, photos: Ids, ids: Ids) -> None:
        """Register photos in new slots at the end; `ids` is the extended map of the ids file.

        The old slots of photos that were there already are marked as removed.
        """
        old = self.find_known(photos)
        if self.ascending and (self._sorted is not None or not self._continues(photos)):
            self._sorted = self._sorted_ids()
            self.ascending = False
        if not self.ascending:
            self._sorted = self._merged(photos)
        self.ids = ids
        self.removed = np.concatenate([self.removed, np.zeros(len(photos), dtype=bool)])
        self.remove(old)

    def remove(self, slots: Ids) -> None:
        """Mark live slots as removed."""
        self.removed[slots] = True
        self.removed_count += len(slots)

    def _continues(self, photos: Ids) -> bool:
        return bool((np.diff(photos) > 0).all()) and (len(self.ids) == 0 or bool(photos[0] > self.ids[-1]))

    def _sorted_ids(self) -> tuple[Ids, Ids]:
        """Return the ids in ascending order and the slot of each, the last one if an id was added again."""
        if self._sorted is None:
            order = np.argsort(self.ids, kind="stable")
            keys = self.ids[order]
            last = np.ones(len(keys), dtype=bool)
            last[:-1] = keys[1:] != keys[:-1]
            self._sorted = keys[last], order[last]
        return self._sorted

    def _merged(self, photos: Ids) -> tuple[Ids, Ids]:
        """Return the sorted ids including photos about to be appended; merging is cheaper than sorting again."""
        keys, slots = self._sorted_ids()
        order = np.argsort(photos)
        new, new_slots = photos[order], len(self.ids) + order
        at = np.searchsorted(keys, new)
        again = np.isin(new, keys, assume_unique=True)
        slots = slots.copy()
        slots[at[again]] = new_slots[again]
        return np.insert(keys, at[~again], new[~again]), np.insert(slots, at[~again], new_slots[~again])
