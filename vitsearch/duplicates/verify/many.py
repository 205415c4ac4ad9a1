"""Judge the pairs that were proposed, as few of them as the groups need."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.group.sets import Sets
from vitsearch.duplicates.tiers import COPIES
from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    import numpy.typing as npt

    from vitsearch.duplicates.group.grouping import Link
    from vitsearch.duplicates.propose.pairs import Pairs
    from vitsearch.duplicates.verify.verifier import Verifier

# Pairs whose photos' facts are fetched at once.
_CHUNK = 2048
# Pairs among which those are chosen that are verified first, before what they link is known.
_STEP = 256


def verified_links(
    verifier: Verifier, pool: Executor, pairs: Pairs, on_progress: Callable[[Progress], None]
) -> tuple[list[Link], int]:
    """Return what connects these pairs, and how many of them were asked; what is linked already is not asked again."""
    links: list[Link] = []
    sets = Sets()
    asked = 0
    uses = _Uses(pairs)
    for start in range(0, len(pairs), _CHUNK):
        part = pairs.chosen(np.arange(start, min(start + _CHUNK, len(pairs))))
        verifier.prepare(np.unique(np.concatenate([part.first, part.second])).tolist())
        for step in range(0, len(part), _STEP):
            chosen = slice(step, step + _STEP)
            waiting = list(
                zip(
                    part.first[chosen].tolist(),
                    part.second[chosen].tolist(),
                    part.cosines[chosen].tolist(),
                    strict=True,
                )
            )
            # Links to what is kept are needed in any case.
            waiting.sort(key=lambda pair: max(map(verifier.likely_kept, pair[:2])), reverse=True)
            while waiting:
                on_progress(
                    Progress("look", start + step + len(part.first[chosen]) - len(waiting), len(pairs))
                )
                now, waiting = _without_circles(waiting, sets)
                asked += len(now)
                for link in pool.map(lambda pair: verifier.verify(*pair), now):
                    if link is not None:
                        links.append(link)
                        if link.tier in COPIES:
                            sets.join(link.first, link.second)
            verifier.look.make_room(partial(uses.next_after, start + step + _STEP))
    verifier.look.forget()
    on_progress(Progress("look", len(pairs), len(pairs)))
    return links, asked


class _Uses:
    """When the photos of some pairs come up, one pair after another."""

    def __init__(self, pairs: Pairs) -> None:
        self._never = len(pairs)
        self._photos, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
        self._uses = np.sort(places * (self._never + 1) + np.tile(np.arange(self._never), 2))

    def next_after(self, place: int, photos: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the place of the next pair from `place` on that each photo, (n,), is in, or the number of pairs."""
        owners = np.searchsorted(self._photos, photos) * (self._never + 1)
        found = np.searchsorted(self._uses, owners + place)
        nearest = self._uses[np.minimum(found, len(self._uses) - 1)] - owners
        return np.where((nearest >= place) & (nearest < self._never), nearest, self._never)


_Asked = tuple[int, int, float]


def _without_circles(pairs: Sequence[_Asked], sets: Sets) -> tuple[list[_Asked], list[_Asked]]:
    """Choose pairs that close no circle even if all of them are links; and those that wait for what comes of these.

    What is linked through others already is left out: it is asked again where it matters, against the kept file.
    """
    now, later = [], []
    assumed = Sets()
    for pair in pairs:
        first, second = (sets.top(photo) for photo in pair[:2])
        if first == second:
            continue
        if assumed.joined(first, second):
            later.append(pair)
        else:
            assumed.join(first, second)
            now.append(pair)
    return now, later
