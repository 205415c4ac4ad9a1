"""Groups that do not chain: each file of a group is confirmed against the one to keep."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vitsearch.duplicates.group.edits import why_made_by_hand
from vitsearch.duplicates.group.fits import what_is_lost
from vitsearch.duplicates.group.frames import larger_frames, with_frames
from vitsearch.duplicates.group.keep import Candidate, choose, why_better, why_kept
from vitsearch.duplicates.group.sidecars import are_one_item
from vitsearch.duplicates.tiers import COPIES, TIERS, Tier
from vitsearch.duplicates.verify.altered import is_visibly_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from vitsearch.duplicates.verify.evidence import Evidence

    Pair = tuple[int, int]
    Confirm = Callable[[int, int], "Link | None"]
    Each = Callable[[Confirm, Sequence[Pair]], Iterable["Link | None"]]

# Seconds between two shots of one moment.
BURST_SECONDS = 10.0
# In a crowd of look-alikes that are no copies, asking for each link that nobody proposed would take for ever: so many
# are asked for a photo, and in a small crowd all.
_ASKED_PER_PHOTO, _ASKED_AT_LEAST = 8, 4096
# How often another photo is taken instead of the chosen one, when that turns out to be a part of others or framed.
_CHOICES = 3


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two photos (`first` < `second`): its tier, its `score` from 0 to 1, and the evidence for it."""

    first: int
    second: int
    tier: Tier
    score: float
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class GroupedFile:
    """A file in a group, and how it was confirmed against the kept file (`tier`, `score`, `evidence`).

    `width` and `height` are those of the upright picture, in pixels. `edit` says why the file counts as somebody's edit
    of the kept one, which plans leave in place; it is "" for other files. `copy_of` is the edit in the group that this
    file is a copy of, or None if it is a copy of the kept file.
    """

    path: Path
    photo: int
    file_hash: bytes
    tier: Tier
    score: float
    evidence: Evidence | None = None
    width: int = 0
    height: int = 0
    bytes: int = 0
    edit: str = ""
    copy_of: Path | None = None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Files that show the same shot or, in a burst, the same moment; the kept file comes first in `files`.

    `tier` is the weakest tier of the links to the kept file, and `score` is their lowest score: 1 for the same bytes or
    pixels, the share of the picture that agrees times how closely it agrees for `near`, and the cosine similarity for
    a burst.
    """

    tier: Tier
    score: float
    keep: Path
    reason: str
    files: tuple[GroupedFile, ...]


@dataclass(frozen=True, slots=True)
class KeptApart:
    """A file that is in no group with another one because it shows or holds more; `lost` says what would be lost."""

    path: Path
    other: Path
    lost: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of duplicates in a library, and the files that were kept out of them."""

    groups: list[DuplicateGroup]
    apart: list[KeptApart]


def group(
    files: Iterable[Candidate],
    links: Iterable[Link],
    *,
    tiers: Collection[Tier] = TIERS,
    rejected: Collection[Pair] = (),
    prefer: Sequence[Path] = (),
    confirm: Confirm | None = None,
    each: Each | None = None,
) -> Grouping:
    """Group files by the links between their photos.

    Pairs of photos in `rejected` are never grouped (smaller id first; an id with itself stands for the copies of one
    photo). `confirm` verifies a pair that was not proposed, for photos that are connected only through a third one;
    `each` calls it for many pairs, perhaps in several threads, and returns the answers in order.
    Bursts come last; within both parts, groups are sorted by the path of the kept file. A file is in at most one group
    of copies, and only if the kept file shows and holds everything that it does.
    """
    places: dict[int, list[Candidate]] = defaultdict(list)
    for file in files:
        places[file.photo].append(file)
    known = {
        (link.first, link.second): link
        for link in links
        if link.tier in tiers and (link.first, link.second) not in rejected
    }
    stars = _Stars(
        places, known, tiers, frozenset(rejected), prefer, confirm or _nobody_knows, each or _one_by_one
    )
    groups = sorted(stars.groups(), key=lambda found: found.keep)
    bursts = sorted(stars.bursts(), key=lambda found: found.keep)
    grouped = {file.path for found in groups for file in found.files[1:]}
    apart = [one for one in stars.apart if one.path not in grouped]
    return Grouping(groups + bursts, sorted(apart, key=lambda one: (one.path, one.other)))


@dataclass(frozen=True, slots=True)
class _Stars:
    places: Mapping[int, list[Candidate]]
    known: dict[Pair, Link]
    tiers: Collection[Tier]
    rejected: frozenset[Pair]
    prefer: Sequence[Path]
    confirm: Confirm
    each: Each
    apart: list[KeptApart] = field(default_factory=list)

    def groups(self) -> Iterable[DuplicateGroup]:
        copies = {pair: link for pair, link in self.known.items() if link.tier in COPIES}
        larger = larger_frames(seen_of(copies.values()), self.places)
        asked: dict[Pair, Link | None] = dict(copies)
        for component in _components(self.places, copies):
            left = set(component)
            budget = _Budget(max(_ASKED_AT_LEAST, _ASKED_PER_PHOTO * len(component)))
            while left:
                members, result = self._star(left, asked, larger, budget)
                left -= members
                if result is not None:
                    yield result

    def bursts(self) -> Iterable[DuplicateGroup]:
        for tier in TIERS:
            if tier not in COPIES:
                yield from self._bursts_of(tier)

    def _bursts_of(self, tier: Tier) -> Iterable[DuplicateGroup]:
        shots = {pair: link for pair, link in self.known.items() if link.tier == tier}
        for component in _components(self.places, shots):
            left = set(component)
            while len(left) > 1:
                keep, reason = choose(
                    [file for photo in left for file in self.places[photo]], prefer=self.prefer
                )
                linked = {photo: shots[pair] for photo in left if (pair := _pair(keep.photo, photo)) in shots}
                left -= {keep.photo, *linked}
                if linked:
                    kept = _entry(keep, tier)
                    others = [_grouped(self._shown(photo), link) for photo, link in sorted(linked.items())]
                    yield _finished([kept, *others], reason)

    def _shown(self, photo: int) -> Candidate:
        """The file that stands for a photo in a burst: the one that stays when its copies go."""
        return choose(self.places[photo], prefer=self.prefer)[0]

    def _star(
        self,
        left: set[int],
        asked: dict[Pair, Link | None],
        larger: Mapping[int, set[int]],
        budget: _Budget,
    ) -> tuple[set[int], DuplicateGroup | None]:
        """Take one group, or one photo that belongs to none, out of the photos that are left."""
        candidates = [
            replace(file, part=not left.isdisjoint(larger.get(photo, ())))
            for photo in sorted(left)
            for file in self.places[photo]
        ]
        keep, reason = choose(candidates, prefer=self.prefer)
        for _ in range(_CHOICES):
            self._ask(keep.photo, left, asked, budget)
            # Seen from the kept one itself, it may turn out to be framed, captioned or cropped.
            known = [link for photo in left if (link := asked.get(_pair(keep.photo, photo))) is not None]
            candidates = self._seen_anew(candidates, keep.photo, known)
            before = keep.photo
            keep, reason = choose(candidates, prefer=self.prefer)
            if keep.photo == before:
                break
        else:
            self._ask(keep.photo, left, asked, budget)
        grouped = [_entry(keep, "exact")]
        members = {keep.photo}
        for photo in sorted(left):
            link = None if photo == keep.photo else asked.get(_pair(keep.photo, photo))
            if photo != keep.photo and (link is None or not self._may_go(keep, photo, link)):
                continue
            members.add(photo)
            for file in self.places[photo]:
                if file.path == keep.path or file.stays or are_one_item(file.path, keep.path):
                    continue
                if photo == keep.photo and (lost := what_is_lost(keep, file, None)) is not None:
                    self.apart.append(KeptApart(file.path, keep.path, lost))
                    continue
                grouped += self._confirmed(keep, file, link)
        if len(grouped) < 2:
            return members, None
        by_path = {file.path: file for file in candidates}
        others = [by_path[file.path] for file in grouped[1:]]
        edits = self._edits(keep, others, asked, budget)
        grouped = [replace(file, **edits.get(file.path, {})) for file in grouped]
        return members, _finished(grouped, why_kept(keep, others, prefer=self.prefer, chosen=reason))

    def _edits(
        self, keep: Candidate, others: Sequence[Candidate], asked: dict[Pair, Link | None], budget: _Budget
    ) -> dict[Path, dict[str, Any]]:
        """Find the edits among the files of a group, and their copies: what their entries say of that."""
        left = [file for file in others if _is_changed(keep, file, asked)]
        made = {file.path: why for file in left if (why := why_made_by_hand(file))}
        found: dict[Path, dict[str, Any]] = {}
        while waiting := [file for file in left if file.path in made]:
            edit = self._best_edit(waiting)
            why = made[edit.path]
            same = self._same_as(edit, left, asked, budget)
            # A copy of the edit may be the better one of them: it may be larger, and have lost its notes.
            best = self._best_edit([edit, *same])
            if best.path != edit.path:
                edit, same = best, self._same_as(best, left, asked, budget)
            found[edit.path] = {"edit": why}
            found.update((file.path, {"copy_of": edit.path}) for file in same)
            left = [file for file in left if file.path not in found]
        return found

    def _best_edit(self, files: Sequence[Candidate]) -> Candidate:
        """Of an edit and its copies, the one that stays: what was done to all of them counts against none."""
        alike = [
            replace(
                file,
                software=None,
                details=replace(file.details, programs=()),
                part=False,
                added=False,
                grey=False,
                burnt=False,
                blurred=False,
                saved_again=False,
            )
            for file in files
        ]
        best, _ = choose(alike, prefer=self.prefer)
        return next(file for file in files if file.path == best.path)

    def _same_as(
        self, edit: Candidate, files: Sequence[Candidate], asked: dict[Pair, Link | None], budget: _Budget
    ) -> list[Candidate]:
        """The files that show what an edit shows, and no more."""
        self._ask(edit.photo, {file.photo for file in files}, asked, budget)
        return [
            file
            for file in files
            if file.path != edit.path
            and not _is_changed(edit, file, asked)
            and what_is_lost(edit, file, _seen_from(edit, file, asked)) is None
        ]

    def _seen_anew(
        self, candidates: Sequence[Candidate], keep: int, links: Sequence[Link]
    ) -> list[Candidate]:
        """Add what links to the kept photo say of it."""
        mine = [file for file in candidates if file.photo == keep]
        parts = larger_frames(seen_of(links), self.places).get(keep)
        made_again = [file for file in candidates if file.saved_again and file.photo != keep]
        (*framed,) = with_frames([*mine, *made_again], seen_of(links))
        seen = {
            file.path: replace(
                file,
                part=old.part or bool(parts),
                added=old.added or file.added,
                share=min(old.share, file.share),
            )
            for old, file in zip(mine, framed, strict=False)
        }
        return [seen.get(file.path, file) for file in candidates]

    def _may_go(self, keep: Candidate, photo: int, link: Link) -> bool:
        """Whether nothing is lost with the files of a photo that is linked to the kept one; what is, is noted."""
        seen = link.evidence
        if seen is not None and link.first != keep.photo:
            seen = seen.turned_round()
        for file in self.places[photo]:
            lost = what_is_lost(keep, file, seen)
            if lost is None and keep.stays and not file.stays:
                better = why_better(file, keep)
                lost = None if better is None else f"it is the better file: {better}"
            if lost is not None:
                self.apart.append(KeptApart(file.path, keep.path, lost, link.evidence))
                return False
        return True

    def _confirmed(self, keep: Candidate, file: Candidate, link: Link | None) -> Iterable[GroupedFile]:
        if link is not None:
            yield _grouped(file, link)
            return
        tier: Tier = "exact" if file.file_hash == keep.file_hash else "pixels"
        if tier in self.tiers and (keep.photo, keep.photo) not in self.rejected:
            yield _entry(file, tier)

    def _ask(
        self, keep: int, photos: Collection[int], asked: dict[Pair, Link | None], budget: _Budget
    ) -> None:
        """Learn what photos are to the one that is kept, as far as that is not known and the budget goes."""
        pairs = [_pair(keep, photo) for photo in sorted(photos) if photo != keep]
        asked.update((pair, None) for pair in pairs if pair in self.rejected)
        unknown = [pair for pair in pairs if pair not in asked]
        for pair, link in zip(unknown, self.each(self.confirm, budget.take(unknown)), strict=False):
            is_copy = link is not None and link.tier in COPIES and link.tier in self.tiers
            asked[pair] = link if is_copy else None


def _is_changed(keep: Candidate, file: Candidate, asked: Mapping[Pair, Link | None]) -> bool:
    """Whether a file shows another one visibly changed, or was not found to be a copy of it at all."""
    if file.photo == keep.photo:
        return False
    link = asked.get(_pair(keep.photo, file.photo))
    return link is None or (link.evidence is not None and is_visibly_changed(link.evidence))


def _seen_from(keep: Candidate, file: Candidate, asked: Mapping[Pair, Link | None]) -> Evidence | None:
    """What was seen of a pair with `keep` as its first photo; None for files of one photo."""
    link = asked.get(_pair(keep.photo, file.photo))
    if link is None or link.evidence is None:
        return None
    return link.evidence if link.first == keep.photo else link.evidence.turned_round()


def seen_of(links: Iterable[Link]) -> list[tuple[int, int, Evidence]]:
    """What was seen of the pairs that show the same shot, edited."""
    return [
        (link.first, link.second, link.evidence)
        for link in links
        if link.tier == "near" and link.evidence is not None
    ]


@dataclass(slots=True)
class _Budget:
    """How many pairs may still be asked for."""

    left: int

    def take(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """As many of these as there are left."""
        taken = pairs[: self.left]
        self.left -= len(taken)
        return taken


def moments_apart(first: str | None, second: str | None) -> float | None:
    """Seconds between two capture times in ISO 8601, or None where one is unknown."""
    then, now = moment(first), moment(second)
    return None if then is None or now is None else abs((now - then).total_seconds())


def moment(taken: str | None) -> datetime | None:
    """Read a capture time; cameras write a 30th of February, too, which is none."""
    try:
        return None if taken is None else datetime.fromisoformat(taken)
    except ValueError:
        return None


def _nobody_knows(_first: int, _second: int) -> None:
    return None


def _one_by_one(confirm: Confirm, pairs: Sequence[Pair]) -> Iterable[Link | None]:
    return [confirm(*pair) for pair in pairs]


def _components(places: Mapping[int, list[Candidate]], links: Mapping[Pair, Link]) -> Iterable[list[int]]:
    """Photos that are connected by links, and photos that lie in several places; the rest is left out."""
    neighbours: dict[int, list[int]] = defaultdict(list)
    for first, second in links:
        if first in places and second in places:
            neighbours[first].append(second)
            neighbours[second].append(first)
    seen: set[int] = set()
    for start in sorted(places):
        if start in seen or (start not in neighbours and len(places[start]) == 1):
            continue
        component, stack = [], [start]
        seen.add(start)
        while stack:
            photo = stack.pop()
            component.append(photo)
            fresh = [other for other in neighbours[photo] if other not in seen]
            seen.update(fresh)
            stack += fresh
        yield sorted(component)


def _pair(first: int, second: int) -> Pair:
    return (first, second) if first < second else (second, first)


def _grouped(file: Candidate, link: Link) -> GroupedFile:
    return _entry(file, link.tier, link.score, link.evidence)


def _entry(file: Candidate, tier: Tier, score: float = 1.0, evidence: Evidence | None = None) -> GroupedFile:
    return GroupedFile(
        file.path, file.photo, file.file_hash, tier, score, evidence, file.width, file.height, file.size
    )


def _finished(files: Sequence[GroupedFile], reason: str) -> DuplicateGroup:
    others = sorted(files[1:], key=lambda file: file.path)
    tier = max((file.tier for file in others), key=TIERS.index)
    score = min(file.score for file in others)
    return DuplicateGroup(tier, score, files[0].path, reason, (files[0], *others))
