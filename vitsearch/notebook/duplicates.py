"""Duplicate reports, with HTML for notebooks and `to_pandas`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vitsearch.duplicates import find
from vitsearch.notebook.answers import fields_of
from vitsearch.notebook.frames import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from vitsearch.duplicates.group.grouping import DuplicateGroup


@dataclass(frozen=True, slots=True)
class DuplicateReport(find.DuplicateReport):
    """The groups of duplicates in a library: a sequence of `DuplicateGroup` that a notebook renders as pictures.

    - `groups`: the groups; each starts with the file to keep.
    - `alike`: pairs of pages or drawings that differ in a detail, and are therefore in no group.
    - `contains`: files that show more than a copy of another file, and are therefore in no group.
    - `calibrated`: the thresholds of the geometric verification, or None if no requested tier uses it.
    - `photos` and `pairs`: how many photos were compared, and how many pairs were verified.
    - `skipped`: files that are gone, have changed or cannot be read.
    """

    @classmethod
    def of(cls, report: find.DuplicateReport) -> Self:
        """Convert a report of the core."""
        return cls(**fields_of(report))

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[DuplicateGroup]:
        return iter(self.groups)

    def __getitem__(self, place: int) -> DuplicateGroup:
        return self.groups[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with one row per file of each group, the file to keep first.

        Columns: `group` (its name on the command line), `tier` (how the file was confirmed), `score` (0 to 1), `keep`
        (whether this is the file to keep), `path`, `photo` (the photo's id).

        Raises:
            VitsearchError: pandas is not installed.

        """
        rows = [(found, file) for found in self.groups for file in found.files]
        return frame(
            {
                "group": [find.group_name(found) for found, _ in rows],
                "tier": [file.tier for _, file in rows],
                "score": [file.score for _, file in rows],
                "keep": [file.path == found.keep for found, file in rows],
                "path": [str(file.path) for _, file in rows],
                "photo": [file.photo for _, file in rows],
            }
        )

    def _repr_html_(self) -> str:
        from vitsearch.notebook.html import Item, Row, gallery

        rows = [
            Row(
                f"{found.tier} {found.score:.3f}, group {find.group_name(found)}",
                [
                    Item(file.path, "keep" if file.path == found.keep else f"{file.tier} {file.score:.3f}")
                    for file in found.files
                ],
            )
            for found in self.groups
        ]
        return gallery(f"{len(self.groups)} groups among {self.photos} photos", rows)
