"""The cut-offs that a library has calibrated: measured once on a sample of its own photos, and kept beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vitsearch.duplicates.calibrate.calibration import (
    Calibration,
    calibrate,
    evidence_of_copies,
    strictness_of,
    thresholds_at,
)
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.propose.candidates import (
    HASH_DISTANCE,
    NEIGHBOURS,
    learned_whitening,
    nearest_by_embedding,
)
from vitsearch.duplicates.tables import dismissed_pairs, hashes_of, present_photos
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.duplicates.verify.fine_detail import may_be_graphic
from vitsearch.duplicates.verify.verifier import Verifier, verifying_threads
from vitsearch.errors import LibraryError, UnreadablePhoto
from vitsearch.photos.perceptual_hash import in_all_orientations
from vitsearch.storage import atomic
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]
    Pair = tuple[int, int]

SAMPLE = 60
EDITS_EACH = 4
# Fewer photos say nothing about a library that is to grow.
FEWEST = 30
_GROWTH = 1.5
# Edits are tried at this size: a third of a second would go into each full-size JPEG otherwise.
_EDITED_SIDE = 640
_BACKGROUND = 4096
# Pairs that a person has told apart, at most so many, are evidence wherever they are.
_MOST_DISMISSED = 500
# Of a library in whose sample no copies turn up, no less is expected: one photo in fifty.
_FEWEST_COPIES = 0.02
# How far, in units of strictness (0 the defaults, 1 perfection), a fitted tail is believed.
_BEYOND = 1.0
_VERSION = 2


@dataclass(frozen=True, slots=True)
class CalibratedThresholds:
    """Cut-offs and where they come from: `calibration` is None where the library is too small to earn its own.

    `dismissed`: the pairs of photos that a person had told apart, as far as the cut-offs rest on them.
    """

    thresholds: Thresholds
    calibration: Calibration | None
    photos: int
    dismissed: tuple[Pair, ...] = ()

    @property
    def recall(self) -> dict[str, float]:
        """The share of synthetic copies that were found, 0 to 1, by family of edits."""
        if self.calibration is None:
            return {}
        families: dict[str, list[float]] = defaultdict(list)
        for edit in EDITS:
            if edit.name in self.calibration.recall:
                families[edit.family].append(self.calibration.recall[edit.name])
        return {family: sum(shares) / len(shares) for family, shares in families.items()}


def calibrated_thresholds(
    library: Library,
    *,
    max_false_share: float,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CalibratedThresholds:
    """Return the cut-offs for this library and its space.

    They are measured anew when it has grown by half, or a person has taken back what they rest on.
    """
    ids = present_photos(library.catalog)
    known = known_thresholds(library, max_false_share=max_false_share)
    if known is not None and _is_current(known, len(ids), library):
        return known
    if len(ids) < FEWEST:
        return CalibratedThresholds(Thresholds(), None, len(ids))
    measured = _measured(library, ids, max_false_share, on_progress)
    _keep(library, max_false_share, measured)
    return measured


def are_due(library: Library, *, max_false_share: float) -> bool:
    """Whether the next search measures cut-offs, if a person has told photos apart."""
    photos = len(present_photos(library.catalog))
    known = known_thresholds(library, max_false_share=max_false_share)
    return photos >= FEWEST and (known is None or not _is_current(known, photos, library))


def _is_current(known: CalibratedThresholds, photos: int, library: Library) -> bool:
    is_of_this_size = known.photos / _GROWTH <= photos <= known.photos * _GROWTH
    return is_of_this_size and dismissed_pairs(library.catalog).issuperset(known.dismissed)


def known_thresholds(library: Library, *, max_false_share: float) -> CalibratedThresholds | None:
    """Return the cut-offs that were measured last for the library's space, or None if there are none."""
    entry = _read(library).get(_key(library, max_false_share))
    try:
        if entry is None:
            return None
        calibration = Calibration.from_json(json.dumps(entry["calibration"]))
        dismissed = tuple(
            (int(first), int(second)) for first, second in cast("list[Any]", entry["dismissed"])
        )
        return CalibratedThresholds(calibration.thresholds, calibration, int(str(entry["photos"])), dismissed)
    except (ValueError, KeyError, TypeError):
        return None


def _measured(
    library: Library, ids: Ids, max_false_share: float, on_progress: Callable[[int, int], None]
) -> CalibratedThresholds:
    neighbours = library.neighbours()
    ids = np.intersect1d(ids, neighbours.ids(), assume_unique=True)
    space, _ = _active(library)
    background = library.catalog.reference_ids(space, _BACKGROUND)
    sample = background[np.isin(background, ids)][:SAMPLE]
    verifier = Verifier(library.catalog)
    apart = dismissed_pairs(library.catalog)
    present = set(ids.tolist())
    dismissed = {pair for pair in apart if pair[0] != pair[1] and present.issuperset(pair)}
    evident = tuple(sorted(dismissed)[:_MOST_DISMISSED])
    pairs = _proposed(library, ids, sample) | set(evident)
    verifier.prepare({photo for pair in pairs for photo in pair} | set(sample.tolist()))
    total = len(pairs) + len(sample)
    with verifying_threads(verifier) as pool:
        seen = []
        for evidence in pool.map(lambda pair: _seen(verifier, pair), sorted(pairs)):
            seen.append(evidence)
            on_progress(len(seen), total)
        copies: dict[str, list[Evidence]] = defaultdict(list)
        groups = [sample[start : start + 10].tolist() for start in range(0, len(sample), 10)]
        for done, found in enumerate(
            pool.map(_copies, [verifier] * len(groups), groups, range(len(groups))), 1
        ):
            for name, some in found.items():
                copies[name] += some
            on_progress(len(pairs) + min(10 * done, len(sample)), total)
    negatives, right = [], 0
    for pair, evidence in zip(sorted(pairs), seen, strict=True):
        if evidence is None:
            continue
        # What passes counts for a copy unless a person has said otherwise: many copies are no evidence of false pairs.
        if pair not in apart and evidence.confirms(Thresholds()):
            right += 1
        else:
            negatives.append(evidence)
    per_photo = len(ids) / max(1, len(sample))
    # A pair is met from both of its ends.
    proposed = max(1, round(len(pairs) * per_photo / 2))
    copies_expected = max(right * per_photo / 2, _FEWEST_COPIES * len(ids))
    calibration = _believed(
        calibrate(
            copies, negatives, max_false_share=max_false_share, proposed=proposed, right=copies_expected
        ),
        copies,
        negatives,
        proposed=proposed,
        right=copies_expected,
    )
    return CalibratedThresholds(calibration.thresholds, calibration, len(ids), evident)


def _believed(
    calibration: Calibration,
    copies: Mapping[str, Sequence[Evidence]],
    negatives: Sequence[Evidence],
    *,
    proposed: int,
    right: float,
) -> Calibration:
    """Stay with the default thresholds, unless a pair that is known to be false passes them.

    The default ones were chosen on tens of thousands of pairs; the few negatives of one library say less, unless they
    are false pairs. Even then go no further beyond the strongest of these than `_BEYOND`.
    """
    strongest = max((strictness_of(seen) for seen in negatives), default=0.0)
    passing = any(seen.confirms(Thresholds()) for seen in negatives)
    limit = thresholds_at(max(0.0, strongest + _BEYOND) if passing else 0.0)
    if passing and Thresholds().share <= calibration.thresholds.share <= limit.share:
        return calibration
    mistaken = sum(seen.confirms(limit) for seen in negatives)
    wrong = proposed * mistaken / max(1, len(negatives))
    return replace(
        calibration,
        thresholds=limit,
        false_share=wrong / (wrong + right),
        mistaken=mistaken,
        recall={
            name: sum(seen.confirms(limit) for seen in found) / len(found)
            for name, found in copies.items()
            if found
        },
    )


def _proposed(library: Library, ids: Ids, sample: Ids) -> set[Pair]:
    """The pairs with one photo of the sample that a search for duplicates would propose."""
    neighbours = library.neighbours()
    pairs: set[Pair] = set()
    if not len(sample):
        return pairs
    nearest = nearest_by_embedding(sample, ids, neighbours, learned_whitening(ids, neighbours))
    for photo, others in zip(sample.tolist(), nearest.tolist(), strict=True):
        pairs.update(_pair(photo, other) for other in others)
    hashed, words = hashes_of(library.catalog, ids)
    chosen = np.isin(hashed, sample)
    for photo, turned in zip(hashed[chosen].tolist(), in_all_orientations(words[chosen]), strict=True):
        apart = np.min([np.bitwise_count(words ^ one).sum(axis=1) for one in turned], axis=0)
        nearest_hashes = np.argsort(apart, kind="stable")[: NEIGHBOURS + 1]
        others = hashed[nearest_hashes[apart[nearest_hashes] <= HASH_DISTANCE]].tolist()
        pairs.update(_pair(photo, other) for other in others if other != photo)
    return pairs


def _seen(verifier: Verifier, pair: Pair) -> Evidence | None:
    """What is seen of a pair; nothing where a photo cannot be read, or where both may be pages or drawings.

    Those are told apart by their details: they say nothing about how alike two photos may be.
    """
    try:
        seen = verifier.look.compare(*pair)
        graphics = all(may_be_graphic(verifier.look.view(photo).grey) for photo in pair)
    except UnreadablePhoto:
        return None
    return None if graphics else seen


def _copies(verifier: Verifier, photos: Sequence[int], seed: int) -> dict[str, list[Evidence]]:
    images: list[Image] = []
    for photo in photos:
        try:
            image = verifier.pixels(photo, _EDITED_SIDE)
        except UnreadablePhoto:
            continue
        factor = _EDITED_SIDE / min(image.size)
        if factor < 1:
            image = image.resize((round(image.width * factor), round(image.height * factor)))
        images.append(image)
    return evidence_of_copies(images, seed=seed, edits_each=EDITS_EACH)


def _pair(first: int, second: int) -> Pair:
    return (first, second) if first < second else (second, first)


def _active(library: Library) -> tuple[int, str]:
    active = library.catalog.active_space()
    assert active is not None
    space_id, space = active
    return space_id, blake2b(space.to_json().encode(), digest_size=8).hexdigest()


def _file(library: Library) -> Path:
    return Layout.of(library.folder).cutoffs


def _key(library: Library, max_false_share: float) -> str:
    return f"{_active(library)[1]} {max_false_share:g}"


def _read(library: Library) -> dict[str, dict[str, object]]:
    """What is kept; a file that is missing, damaged or of another version keeps nothing."""
    try:
        document = json.loads(_file(library).read_text(encoding="utf-8"))
        return dict(document["entries"]) if document["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(library: Library, max_false_share: float, calibrated: CalibratedThresholds) -> None:
    """Write it beside the library; where that is read-only, the next run measures again."""
    assert calibrated.calibration is not None
    entries = _read(library)
    entries[_key(library, max_false_share)] = {
        "photos": calibrated.photos,
        "dismissed": calibrated.dismissed,
        "calibration": json.loads(calibrated.calibration.to_json()),
    }
    layout = Layout.of(library.folder)
    with suppress(OSError, LibraryError):
        layout.make_private()
        content = json.dumps({"version": _VERSION, "entries": entries}, indent=1).encode()
        atomic.write(layout.cutoffs, content, private=True)
