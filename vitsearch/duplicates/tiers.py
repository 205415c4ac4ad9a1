"""The tiers of duplicates, from the same bytes to another shot of the same moment: one record each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Tier = Literal["exact", "pixels", "near", "burst"]
TIERS: tuple[Tier, ...] = get_args(Tier)

_DONE = "{}"


@dataclass(frozen=True, slots=True)
class TierRecord:
    """What tells one tier from another, for people and for the program.

    `groups`: what its groups are called; `means`: what help says of it; `note`: what the page says below that.
    `file`: what one of its files is to the kept one, where {} stands for what was done to it; `known`: the same where
    nothing more is known of it.
    `are_copies`: its files show the same shot, so that all but one may go: only these stand in a plan.
    `why_unplanned`: of a tier that does not, what is said of the files beside one of it.
    """

    groups: str
    means: str
    note: str
    file: str
    known: str
    are_copies: bool = True
    why_unplanned: str = ""

    @property
    def tells_what_was_done(self) -> bool:
        """Whether its files differ in what was done to each."""
        return _DONE in self.file

    def said_of(self, done: str) -> str:
        """Return what a file is to the kept one, to which this was done."""
        return self.file.replace(_DONE, done)


RECORDS: dict[Tier, TierRecord] = {
    "exact": TierRecord(
        "identical files",
        "the same bytes",
        "Byte for byte the same as the file that stays.",
        "identical file",
        "identical",
    ),
    "pixels": TierRecord(
        "same picture",
        "the same picture in another format or with other metadata",
        "The same picture as the file that stays, in another format or with other metadata.",
        "same picture, in another format or with other metadata",
        "same picture",
    ),
    "near": TierRecord(
        "edited copies",
        "edited copies: re-encoded, resized, recoloured, cropped, framed, turned or mirrored",
        "The same shot as the file that stays: smaller, cropped, brighter, with a border …",
        _DONE,
        "edited copy",
    ),
    "burst": TierRecord(
        "bursts",
        "other shots of the moment, never part of a plan",
        "Shots of one moment: they are shown, and never part of a plan.",
        f"another shot, {_DONE}",
        "another shot of the moment",
        are_copies=False,
        why_unplanned="are a burst, whose photos are no duplicates",
    ),
}
COPIES: frozenset[str] = frozenset(tier for tier, record in RECORDS.items() if record.are_copies)


def tiers_in_words() -> str:
    """Return what each tier means, from the strongest to the weakest."""
    return "; ".join(f"`{tier}` {record.means}" for tier, record in RECORDS.items())
