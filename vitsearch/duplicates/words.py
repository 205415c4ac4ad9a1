"""What a group and its files are called for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.duplicates.tiers import RECORDS

if TYPE_CHECKING:
    from vitsearch.duplicates.group.grouping import GroupedFile
    from vitsearch.duplicates.tiers import Tier

TIER_WORDS: dict[Tier, str] = {tier: record.groups for tier, record in RECORDS.items()}

KNOWN_WORDS: dict[Tier, str] = {tier: record.known for tier, record in RECORDS.items()}
"""What a file is to one that the library has."""


def counted_as_known(tier: Tier, count: int) -> str:
    """Say how many files the library has in this way: "1 edited copy", "1,204 edited copies"."""
    words = RECORDS[tier].groups if tier == "near" and count != 1 else KNOWN_WORDS[tier]
    return f"{count:,} {words}"


def file_in_words(file: GroupedFile, kept: GroupedFile) -> str:
    """Say what a file is to the one that is kept."""
    words = _done_to(file, kept)
    if file.edit:
        return f"{words}; an edit: kept ({file.edit})"
    return words if file.copy_of is None else f"{words}; a copy of {file.copy_of.name}"


def _done_to(file: GroupedFile, kept: GroupedFile) -> str:
    record = RECORDS[file.tier]
    if not record.tells_what_was_done:
        return record.file
    if file.evidence is None:
        return ""
    from vitsearch.duplicates.verify.words import (
        IDENTICAL,
        same_at_another_size,
    )  # with numpy, which --help needs not

    if file.evidence.transform == IDENTICAL:
        return same_at_another_size(file.width * file.height, kept.width * kept.height)
    return record.said_of(file.evidence.transform)
