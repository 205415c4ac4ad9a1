"""The heads of a library, as Python has them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vitsearch.heads import labelling
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadShelf
from vitsearch.notebook.answers import SearchResult, fields_of
from vitsearch.notebook.frames import frame
from vitsearch.storage.filters import ALL_PHOTOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

    from vitsearch.records import Progress
    from vitsearch.storage.filters import Filter

    AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class LabelResult(labelling.LabelResult):
    """What a head says of many files: a sequence of `LabelledPhoto`, and pictures in a notebook.

    `labels`: a `LabelledPhoto` for each file; `unreadable`: files that could not be read; `offline`: how many photos
    of the library are on drives that are not mounted; `lacks`: what the head lacks to tell photos that show none of
    its labels, None if it can.
    """

    @classmethod
    def of(cls, result: labelling.LabelResult) -> Self:
        """Return the core's answer as one of these."""
        return cls(**fields_of(result))

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[labelling.LabelledPhoto]:
        return iter(self.labels)

    def __getitem__(self, place: int) -> labelling.LabelledPhoto:
        return self.labels[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each file and label.

        Columns: `path`, `label`, `probability` (0 to 1), `rank` (1 for the best), `abstained`.

        Raises:
            VitsearchError: pandas is not installed.

        """
        rows = [
            (photo, label, rank) for photo in self.labels for rank, label in enumerate(photo.labels, start=1)
        ]
        return frame(
            {
                "path": [str(photo.path) for photo, _, _ in rows],
                "label": [label.label for _, label, _ in rows],
                "probability": [label.probability for _, label, _ in rows],
                "rank": [rank for _, _, rank in rows],
                "abstained": [photo.abstained for photo, _, _ in rows],
            }
        )

    def _repr_html_(self) -> str:
        from vitsearch.notebook.html import Item, Row, gallery

        items = [
            Item(
                photo.path,
                f"{photo.labels[0].label} {photo.labels[0].probability:.0%}" if photo.labels else "no label",
                photo.abstained,
            )
            for photo in self.labels
        ]
        return gallery(f"{len(items)} files by the head {self.head}", [Row("", items)])


class Heads(HeadShelf):
    """The heads of a library by name: `"pets" in library.heads`, `library.heads.label("pets", "photos")`.

    A head is a linear classifier on the vectors; making one under a name that is taken gives it the next version.
    """

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __repr__(self) -> str:
        return f"Heads({', '.join(self.names())})"

    def label(
        self,
        name: str,
        files: AnyPath | Iterable[AnyPath] = (),
        *,
        k: int = 5,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> LabelResult:
        """Name the k best labels of files, of those in folders, or of the whole library where nothing is named.

        Files that the head's model has not seen yet are embedded first.

        Raises:
            HeadMissing: no head is called this.
            HeadError: a file or folder does not exist.

        """
        sources = [files] if isinstance(files, (str, os.PathLike)) else list(files)
        labeller = Labeller(self, name, on_progress=on_progress)
        return LabelResult.of(labeller.label([Path(each).absolute() for each in sources], k=k))

    def search(self, name: str, label: str, *, k: int = 10, where: Filter = ALL_PHOTOS) -> SearchResult:
        """Find the photos of the library that have a label, most probable first; the score is the probability.

        Raises:
            HeadMissing: no head is called this.
            HeadError: it has no such label.

        """
        return SearchResult.of(Labeller(self, name).search(label, k=k, criteria=where))
