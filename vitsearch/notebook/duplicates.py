"""Duplicates, as a notebook shows them and pandas takes them."""

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
    """The groups of duplicates that were found: a sequence of `DuplicateGroup`, and pictures in a notebook.

    `groups`: each begins with the file to keep; `alike` and `contains`: what is in no group, pages that differ in a
    detail and files that show more than a copy; `calibrated`: the thresholds of the geometric verification, None
    where there was none; `photos` and `pairs`: how many were compared and verified; `skipped`: files that have gone,
    have changed or cannot be read.
    """

    @classmethod
    def of(cls, report: find.DuplicateReport) -> Self:
        """Return the core's report as one of these."""
        return cls(**fields_of(report))

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[DuplicateGroup]:
        return iter(self.groups)

    def __getitem__(self, place: int) -> DuplicateGroup:
        return self.groups[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each file of each group, the file to keep first.

        Columns: `group` (its name, as the command line writes it), `tier` (how the file was confirmed), `score`
        (0 to 1), `keep` (whether it is the one to keep), `path`, `photo` (its id).

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
