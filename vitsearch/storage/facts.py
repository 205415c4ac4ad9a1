"""The columns of a photo's metadata, in one place for all readers and writers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vitsearch.records import PhotoFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.storage.database import Value

FACT_COLUMNS = (
    "format", "width", "height", "taken", "camera", "latitude", "longitude", "software",
    "taken_from", "utc_offset", "altitude", "lens", "rating", "keywords", "caption",
)  # fmt: skip
"""In the order of `PhotoFacts`' fields; a JSON list stands for keywords."""

FACTS_SQL = ", ".join(FACT_COLUMNS)
# What a photo's metadata says, other than its pixels: the newest file that says something is believed.
EDITABLE_FACTS = FACT_COLUMNS[3:]
# A date and where it came from go together.
_DATED = ("taken", "taken_from", "utc_offset")


def facts_from(row: Sequence[Value]) -> PhotoFacts:
    """Return the metadata in a row of `FACT_COLUMNS`."""
    fields: dict[str, Any] = dict(zip(FACT_COLUMNS, row, strict=True))
    fields["keywords"] = tuple(json.loads(fields["keywords"])) if fields["keywords"] else ()
    return PhotoFacts(**fields)


def facts_values(facts: PhotoFacts) -> list[Value]:
    """Return the values to store, in the order of `FACT_COLUMNS`; unknown ones are None."""
    return [
        (json.dumps(facts.keywords, ensure_ascii=False) if facts.keywords else None)
        if name == "keywords"
        else getattr(facts, name)
        for name in FACT_COLUMNS
    ]


def newest_facts_sql() -> str:
    """Return the assignments of an upsert: what the new file says replaces, what it does not say leaves alone.

    A date from a file's name gives way to one from Google Takeout's notes, and both to one that a camera wrote,
    whichever was seen first.
    """
    rank = "CASE {} WHEN 'name' THEN 1 WHEN 'Takeout' THEN 2 ELSE 3 END"
    weaker = f"{rank.format('excluded.taken_from')} < {rank.format('taken_from')}"
    keeps = f"(excluded.taken IS NULL OR (taken IS NOT NULL AND {weaker}))"
    assignments = [f"{name} = CASE WHEN {keeps} THEN {name} ELSE excluded.{name} END" for name in _DATED]
    others = [name for name in EDITABLE_FACTS if name not in _DATED]
    assignments += [f"{name} = coalesce(excluded.{name}, {name})" for name in others]
    return ", ".join(assignments)
