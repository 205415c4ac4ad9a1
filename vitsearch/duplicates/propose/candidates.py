"""Which pairs of photos are worth a second look: alike by embedding or hash, or taken at one moment.

Embeddings find what was cropped, framed or recoloured, hashes what was turned or re-encoded. Neither decides anything.
`PROPOSALS` says which tier is proposed how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.group.grouping import BURST_SECONDS, moment
from vitsearch.duplicates.propose.pairs import Pairs, near_pairs
from vitsearch.duplicates.propose.whitening import Whitening
from vitsearch.duplicates.tables import hashes_of
from vitsearch.photos.perceptual_hash import BITS, ORIENTATIONS, as_unit_rows, in_all_orientations
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from vitsearch.duplicates.tiers import Tier
    from vitsearch.library import Library
    from vitsearch.neighbours.neighbours import Neighbours
    from vitsearch.photos.perceptual_hash import Words
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]
    Rows = npt.NDArray[np.float32]
    OnShare = Callable[[float], None]

# Up to so many photos all pairs are compared: five trillion operations for 512 dimensions.
EXACT_UP_TO = 100_000
NEIGHBOURS = 8
# Hashes of other photos differ in 128 of 256 bits, give or take 8; the nearest of eight in about 115.
HASH_DISTANCE = 80
# Of so many photos the whitening is learned, and of so many how alike the nearest ones are.
_LEARNED_FROM, _SAMPLE = 20_000, 1000
# Nine of ten photos have so many others above the cut-off of the whitened cosine.
_ENOUGH, _FEW = 4 * NEIGHBOURS, 0.1
# Beyond `EXACT_UP_TO`, so many of the nearest by cosine are put into the order of whitened cosines.
_WIDE = 64
_REORDERED = 256
_BATCH = 4096
# Beyond `EXACT_UP_TO`, hashes meet that are equal in one of ten runs of 24 bits, in any orientation.
_RUNS, _RUN_BITS = 10, 24
_CROWD = 64
_LONGEST_BURST = 64


def pairs_by_embedding(
    ids: Ids, neighbours: Neighbours, *, on_progress: OnShare = lambda _share: None
) -> Pairs:
    """Return pairs of photos (ids, n ascending) of which one is among the nearest of the other one, both whitened.

    Exactly up to `EXACT_UP_TO` photos, with the library's approximate index beyond; `cosines` are not known (nan).
    `on_progress` is told the share that is done, 0 to 1.
    """
    parts: list[Pairs] = []
    if len(ids) < 2:
        return _united(parts)
    whitening = learned_whitening(ids, neighbours)
    if len(ids) <= EXACT_UP_TO:
        rows = whitening.apply(neighbours.rows(ids))
        found = near_pairs(rows, _cutoff(rows), most=NEIGHBOURS, on_progress=on_progress)
        parts.append(_of_unknown_cosine(ids[found.first], ids[found.second]))
    else:
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            nearest = nearest_by_embedding(part, ids, neighbours, whitening)
            first, second = np.repeat(part, nearest.shape[1]), nearest.reshape(-1)
            parts.append(_of_unknown_cosine(np.minimum(first, second), np.maximum(first, second)))
            on_progress((start + len(part)) / len(ids))
    return _united(parts)


def nearest_by_embedding(photos: Ids, ids: Ids, neighbours: Neighbours, whitening: Whitening) -> Ids:
    """Return the nearest among `ids` of some photos, both whitened: (q, k) int64, themselves left out.

    They are the nearest of the `_WIDE` that are nearest by cosine; k is `NEIGHBOURS`, or less in a tiny library.
    """
    within = None if len(ids) == len(neighbours) else ids
    kept = min(NEIGHBOURS, len(ids) - 1)
    nearest = np.empty((len(photos), kept), np.int64)
    for start in range(0, len(photos), _REORDERED):
        part = photos[start : start + _REORDERED]
        rows = neighbours.rows(part)
        _, wide = neighbours.search(rows, min(_WIDE + 1, len(ids)), within=within)
        others = whitening.apply(neighbours.rows(wide.reshape(-1))).reshape(*wide.shape, -1)
        alike = np.vecdot(others, whitening.apply(rows)[:, np.newaxis])
        alike[wide == part[:, np.newaxis]] = -np.inf
        best = np.argsort(-alike, axis=1, kind="stable")[:, :kept]
        nearest[start : start + len(part)] = np.take_along_axis(wide, best, axis=1)
    return nearest


def learned_whitening(ids: Ids, neighbours: Neighbours) -> Whitening:
    """Learn the whitening of these photos, at least one."""
    return Whitening.learned(neighbours.rows(np.random.default_rng(0).permutation(ids)[:_LEARNED_FROM]))


def pairs_by_hash(ids: Ids, words: Words, *, on_progress: OnShare = lambda _share: None) -> Pairs:
    """Return pairs of photos whose hashes are near in one of the eight orientations; `cosines` are not known (nan).

    `words`: (n, 4) uint64, the hashes of `ids`. `on_progress` is told the share that is done, 0 to 1.
    """
    turned = in_all_orientations(words)
    parts = []
    if len(ids) <= EXACT_UP_TO:
        rows = as_unit_rows(words)
        for orientation in range(len(ORIENTATIONS)):
            found = near_pairs(
                rows,
                1 - 2 * HASH_DISTANCE / BITS,
                against=as_unit_rows(turned[:, orientation]),
                most=NEIGHBOURS,
                on_progress=_part_of(on_progress, orientation, len(ORIENTATIONS)),
            )
            parts.append(_of_unknown_cosine(ids[found.first], ids[found.second]))
    else:
        for meeting, (first, second) in enumerate(_meetings(words, turned)):
            on_progress(meeting / (_RUNS * len(ORIENTATIONS)))
            apart = np.bitwise_count(words[first, np.newaxis] ^ turned[second]).sum(axis=2).min(axis=1)
            near = apart <= HASH_DISTANCE
            parts = [_united([*parts, _of_unknown_cosine(ids[first[near]], ids[second[near]])])]
    return _united(parts)


def pairs_by_time(catalog: Catalog, ids: Ids) -> Pairs:
    """Return pairs taken by one camera within `BURST_SECONDS`; `cosines` are not known (nan)."""
    rows = rows_in(
        catalog.database, "SELECT taken, camera, id FROM photos WHERE taken IS NOT NULL AND id IN (?*)", ids
    )
    first, second = [], []
    cameras: dict[str | None, list[tuple[datetime, int]]] = {}
    for taken, camera, photo in sorted(rows, key=lambda row: (row[0], row[2])):
        now = moment(taken)
        if now is None:
            continue
        recent = cameras.setdefault(camera, [])
        recent[:] = [
            (then, other)
            for then, other in recent[-_LONGEST_BURST:]
            if (now - then).total_seconds() <= BURST_SECONDS
        ]
        first += [min(photo, other) for _, other in recent]
        second += [max(photo, other) for _, other in recent]
        recent.append((now, photo))
    return _united([_of_unknown_cosine(np.array(first, np.int64), np.array(second, np.int64))])


@dataclass(frozen=True, slots=True)
class Proposal:
    """How pairs of some tiers are proposed.

    `pairs` is given the library, photos of it that are embedded (n,) ascending, and what is to be told the share that
    is done, 0 to 1; `work` is its part of the time that all take.
    """

    tiers: tuple[Tier, ...]
    pairs: Callable[[Library, Ids, OnShare], Pairs]
    work: float = 0.0


PROPOSALS = (
    Proposal(
        ("pixels", "near"),
        lambda library, ids, told: pairs_by_embedding(ids, library.neighbours(), on_progress=told),
        work=0.25,
    ),
    Proposal(
        ("pixels", "near"),
        lambda library, ids, told: pairs_by_hash(*hashes_of(library.catalog, ids), on_progress=told),
        work=0.75,
    ),
    Proposal(("burst",), lambda library, ids, _told: pairs_by_time(library.catalog, ids)),
)
"""How each tier is proposed; files of the same bytes need no proposal. Each must stay bounded in a crowd."""


def proposed_pairs(
    library: Library, ids: Ids, tiers: Collection[Tier], *, on_progress: OnShare = lambda _share: None
) -> Pairs:
    """Return the pairs of photos (ids, n ascending) that may be of these tiers, ordered as they are best looked at."""
    wanted = [one for one in PROPOSALS if not set(one.tiers).isdisjoint(tiers)]
    if len(ids) < 2 or not wanted:
        return Pairs.joined(())
    neighbours = library.neighbours()
    embedded = np.intersect1d(ids, neighbours.ids(), assume_unique=True)
    parts: list[Pairs] = []
    done = 0.0
    for one in wanted:
        parts.append(one.pairs(library, embedded, _within(on_progress, done, one.work)))
        done += one.work
    pairs = united(parts, neighbours)
    return pairs.chosen(walking_order(pairs))


def _within(on_progress: OnShare, before: float, work: float) -> OnShare:
    return lambda share: on_progress(before + work * share)


def united(parts: Sequence[Pairs], neighbours: Neighbours) -> Pairs:
    """Join pairs, each once, and fill in the cosines that are not known yet."""
    pairs = _united(parts)
    unknown = np.flatnonzero(np.isnan(pairs.cosines))
    for start in range(0, len(unknown), _BATCH):
        part = unknown[start : start + _BATCH]
        left, right = neighbours.rows(pairs.first[part]), neighbours.rows(pairs.second[part])
        pairs.cosines[part] = np.vecdot(left, right)
    return pairs


def walking_order(pairs: Pairs) -> npt.NDArray[np.intp]:
    """Order pairs so that those of one photo, and of photos connected with it, follow each other.

    A photo that was decoded for one pair is then still at hand for the next: photos are numbered breadth first over
    the connections (Cuthill and McKee, "Reducing the bandwidth of sparse symmetric matrices", 1969).
    """
    photos, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    ends = places.reshape(2, -1)
    order = np.argsort(np.concatenate([ends[0], ends[1]]), kind="stable")
    others = np.concatenate([ends[1], ends[0]])[order]
    starts = np.searchsorted(np.concatenate([ends[0], ends[1]])[order], np.arange(len(photos) + 1))
    number = np.full(len(photos), -1, np.int64)
    count = 0
    for root in range(len(photos)):
        if number[root] >= 0:
            continue
        number[root], count = count, count + 1
        waiting = [root]
        for photo in waiting:
            for other in others[starts[photo] : starts[photo + 1]]:
                if number[other] < 0:
                    number[other], count = count, count + 1
                    waiting.append(int(other))
    numbers = number[ends]
    return np.lexsort((numbers.min(axis=0), numbers.max(axis=0)))


def _cutoff(rows: Rows) -> float:
    """Return a cosine that leaves most of these unit rows `_ENOUGH` others at least, and no row very many."""
    sample = rows[np.random.default_rng(0).permutation(len(rows))[:_SAMPLE]]
    rank = round(_ENOUGH * len(sample) / len(rows))
    if rank >= len(sample) - 1:
        return -np.inf
    cosines = sample @ sample.T
    np.fill_diagonal(cosines, -1)
    enough = np.partition(cosines, -max(1, rank), axis=1)[:, -max(1, rank)]
    return float(np.quantile(enough, _FEW))


def _of_unknown_cosine(first: Ids, second: Ids) -> Pairs:
    return Pairs(first, second, np.full(len(first), np.nan, np.float32))


def _part_of(on_progress: OnShare, part: int, parts: int) -> OnShare:
    return lambda share: on_progress((part + share) / parts)


def _meetings(words: Words, turned: npt.NDArray[np.uint64]) -> Iterator[tuple[Ids, Ids]]:
    """Yield places of hashes, first < second, that are equal in a run of bits, one run after another."""
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    # Runs are scattered over the frequencies: neighbouring bits change together.
    chosen = np.random.default_rng(0).permutation(np.arange(1, BITS))[: _RUNS * _RUN_BITS].reshape(_RUNS, -1)
    powers = (1 << np.arange(_RUN_BITS)).astype(np.int64)
    for run in chosen:
        keys = bits[:, run].astype(np.int64) @ powers
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for orientation in range(len(ORIENTATIONS)):
            packed = np.ascontiguousarray(turned[:, orientation]).astype("<u8").view(np.uint8)
            asked = np.unpackbits(packed, axis=1, bitorder="little")[:, run].astype(np.int64) @ powers
            low = np.searchsorted(ordered, asked, side="left")
            high = np.searchsorted(ordered, asked, side="right")
            many = np.minimum(high - low, _CROWD)
            second = np.repeat(np.arange(len(keys)), many)
            within = np.arange(len(second)) - np.repeat(np.cumsum(many) - many, many)
            first = order[np.repeat(low, many) + within]
            above = first < second
            yield first[above], second[above]


def _united(parts: Sequence[Pairs]) -> Pairs:
    """Each pair once, sorted; of several mentions one with a known cosine is kept."""
    pairs = Pairs.joined(parts)
    pairs = pairs.chosen(np.lexsort((np.isnan(pairs.cosines), pairs.second, pairs.first)))
    new = np.ones(len(pairs), bool)
    new[1:] = (pairs.first[1:] != pairs.first[:-1]) | (pairs.second[1:] != pairs.second[:-1])
    return pairs.chosen(new)
