"""Searches that a Milvus collection answers, with the same filters and the same matches as the library's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.engines.milvus.collection import MOST_ROWS, MilvusCollection
from vitsearch.engines.milvus.filters import expression, fits
from vitsearch.engines.milvus.rows import FIELDS, facts_of, quoted
from vitsearch.neighbours.reference_sample import REFERENCE_SAMPLE, ReferenceScores
from vitsearch.records import Match, PhotoFacts, SearchResult
from vitsearch.searching.matches import as_match, distinct, placed
from vitsearch.searching.store import check_held
from vitsearch.storage.rows import PhotoRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vitsearch.engines.milvus.address import Address
    from vitsearch.engines.milvus.rows import Row
    from vitsearch.searching.matches import MatchOptions, Vector
    from vitsearch.storage.filters import Filter

# Hashes are uniform: a range that should hold this many more photos than the sample hardly ever holds fewer.
_SPARE = 512


class MilvusSearch(MilvusCollection):
    """A collection that answers searches."""

    # A few seconds behind at most. An export ends only when the server shows all that it wrote, so nothing is missed.
    _consistency = "Bounded"

    def __init__(self, address: Address, *, timeout: float = 60.0) -> None:
        """Connect, as `MilvusCollection` does."""
        super().__init__(address, timeout=timeout)
        self.searched_space = self.space()

    def vector(self, photo_hash: bytes) -> Vector | None:
        """Return the stored unit row (d,) float32 of a photo, or None."""
        rows = self.rows(f"photo == {quoted(photo_hash.hex())}", ["vector"])
        return np.asarray(rows[0]["vector"], np.float32) if rows else None

    def example(self, photo: int) -> tuple[bytes, Vector] | None:
        """Return the hash of a photo and its unit row (d,), by the id that matches name it by, or None."""
        rows = self.rows(f"id == {photo}", ["photo", "vector"], limit=1)
        if not rows:
            return None
        return bytes.fromhex(rows[0]["photo"]), np.asarray(rows[0]["vector"], np.float32)

    def find(
        self, query: Vector, own: Sequence[bytes], options: MatchOptions, *, offline: Collection[Path] = ()
    ) -> tuple[tuple[Match, ...], float | None]:
        """Return the best matches of a unit query (d,), best first, and the score above which photos really match.

        `own`: hashes of photos that are the query itself. Places below `offline` roots are left out.
        """
        reference = self._reference_scores(query, own)
        floor = reference.outlier_threshold
        found = self._nearest_present(query, own, options, offline)
        if options.only_matches and floor is not None:
            found = [(photo, score) for photo, score in found if score >= floor]
        return tuple(as_match(photo, score, reference.percentile(score)) for photo, score in found), floor

    def find_label(
        self, head: str, label: str, *, k: int, criteria: Filter, offline: Collection[Path] = ()
    ) -> SearchResult:
        """Find the photos that have a label, most probable first, as they were labelled when they were exported.

        Raises `BadQuery` for a filter on what the collection does not hold.
        """
        check_held(criteria)
        asked = self.count(f"array_contains(labels, {quoted(f'{head}/')})")
        stored: list[float] = []
        given: list[tuple[float, int, PhotoRow]] = []
        places = criteria.places
        for row in self.all_rows(f"array_contains(labels, {quoted(f'{head}/{label}')})", [*FIELDS, "said"]):
            for said_head, said_label, probability, is_given, by_person in json.loads(row["said"]):
                if (said_head, said_label) != (head, label):
                    continue
                if not by_person:
                    stored.append(probability)
                if is_given and fits(row, criteria):
                    photo = placed(_photo(row, offline), places)
                    if photo.paths:
                        given.append((-probability, photo.id, photo))
        scores = np.sort(np.array(stored))
        matches = []
        for negative, _, photo in sorted(given, key=lambda each: each[:2])[:k]:
            at_least = len(scores) - int(np.searchsorted(scores, -negative, side="left"))
            matches.append(as_match(photo, -negative, 100.0 * (asked - at_least) / max(1, asked)))
        return SearchResult((label,), self.searched_space.model, tuple(matches))

    def _cameras(self) -> set[str]:
        """The cameras that the collection's photos were taken with, in small letters."""
        known: set[str] = set()
        while True:
            others = f" and camera_lower not in [{', '.join(map(quoted, sorted(known)))}]" if known else ""
            rows = self.rows(f'camera_lower != ""{others}', ["camera_lower"])
            known.update(row["camera_lower"] for row in rows)
            if len(rows) < MOST_ROWS:
                return known

    def _reference_scores(self, query: Vector, own: Sequence[bytes]) -> ReferenceScores:
        """How the library's fixed random sample, the photos with the smallest hashes, scores against a query."""
        count = max(1, self.count())
        share = min(1.0, (REFERENCE_SAMPLE + _SPARE) / count)
        bound = f"photo < {quoted(f'{int(share * ((1 << 32) - 1)):08x}')}" if share < 1 else ""
        hits = self.nearest(query, bound, ["photo"], limit=REFERENCE_SAMPLE + 3 * _SPARE)
        sample = sorted((row["photo"], score) for row, score in hits)[:REFERENCE_SAMPLE]
        left_out = {photo_hash.hex() for photo_hash in own}
        scores = [score for photo, score in sample if photo not in left_out]
        return ReferenceScores(np.sort(np.array(scores, np.float32)))

    def _nearest_present(
        self, query: Vector, own: Sequence[bytes], options: MatchOptions, offline: Collection[Path]
    ) -> list[tuple[PhotoRow, float]]:
        conditions = expression(options.criteria, self._cameras)
        if own:
            conditions.append(f"photo not in [{', '.join(quoted(photo_hash.hex()) for photo_hash in own)}]")
        fields = [*FIELDS, "vector"] if options.distinct else list(FIELDS)
        width = options.k + 8
        places = options.criteria.places
        while True:
            width = min(width, MOST_ROWS)
            hits = self.nearest(query, " and ".join(conditions), fields, limit=width)
            present = []
            for row, score in hits:
                photo = placed(_photo(row, offline), places)
                if photo.paths and fits(row, options.criteria):
                    present.append((photo, score, row))
            if options.distinct and present:
                rows = np.array([row["vector"] for *_, row in present], np.float32)
                present = [present[index] for index in distinct(rows)]
            if len(present) >= options.k or len(hits) < width or width == MOST_ROWS:
                return [(photo, score) for photo, score, _ in present[: options.k]]
            width *= 4


def _photo(row: Row, offline: Collection[Path]) -> PhotoRow:
    facts = PhotoFacts(**facts_of(row))
    paths = [
        Path(os.path.join(root, path))  # noqa: PTH118 - a root may be a URL or of another system
        for root, path in json.loads(row["files"])
        if Path(root) not in offline
    ]
    return PhotoRow(int(row["id"]), facts, tuple(paths))
