"""The tiers of duplicates, from the same bytes to another shot of the same moment: one record each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Tier = Literal["exact", "pixels", "near", "burst"]
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What tells one tier from another.

    `groups`: what its groups are called for people; `known`: what a file of it is to one that the library has.
    `are_copies`: its files show the same shot, so that all but one may go: only these stand in a plan.
    """

    groups: str
    known: str
    are_copies: bool = True


RECORDS: dict[Tier, TierRecord] = {
    "exact": TierRecord("identical files", "identical"),
    "pixels": TierRecord("same picture", "same picture"),
    "near": TierRecord("edited copies", "edited copy"),
    "burst": TierRecord("bursts", "another shot of the moment", are_copies=False),
}
COPIES: frozenset[str] = frozenset(tier for tier, record in RECORDS.items() if record.are_copies)
