"""Photos that are linked, directly or through others, as disjoint sets that grow together."""

from __future__ import annotations

from collections import defaultdict


class Sets:
    """Disjoint sets of photos, by id; each begins alone."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def join(self, first: int, second: int) -> None:
        """Put the sets of two photos together."""
        self._above[self.top(second)] = self.top(first)

    def joined(self, first: int, second: int) -> bool:
        """Whether two photos are in one set."""
        return self.top(first) == self.top(second)

    def all(self) -> list[list[int]]:
        """The sets, each with its ids in order."""
        sets: dict[int, list[int]] = defaultdict(list)
        for photo in sorted(self._above):
            sets[self.top(photo)].append(photo)
        return list(sets.values())

    def top(self, photo: int) -> int:
        """The photo that stands for the set of this one."""
        above = self._above
        while above.setdefault(photo, photo) != photo:
            above[photo] = above[above[photo]]
            photo = above[photo]
        return photo
