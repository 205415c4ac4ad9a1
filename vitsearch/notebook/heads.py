"""The public Python API of a library's heads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vitsearch.heads import labelling
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
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
    """The predictions of a head: a sequence of `LabelledPhoto` that a notebook renders as pictures.

    - `labels`: one `LabelledPhoto` per file.
    - `unreadable`: the files that could not be read, each with a reason.
    - `offline`: how many photos of the library are on drives that are not mounted.
    - `lacks`: what the head would need to recognise photos that show none of its labels, or None if it can.
    """

    @classmethod
    def of(cls, result: labelling.LabelResult) -> Self:
        """Convert a label result of the core."""
        return cls(**fields_of(result))

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[labelling.LabelledPhoto]:
        return iter(self.labels)

    def __getitem__(self, place: int) -> labelling.LabelledPhoto:
        return self.labels[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with one row per file and label.

        Columns: `path`, `label`, `probability` (0 to 1), `rank` (1 is the best), `abstained`.

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


class Heads(HeadStore):
    """The heads of a library by name: `"pets" in library.heads`, `library.heads.label("pets", "photos")`.

    A head is a linear classifier on embeddings. Creating a head under a name that exists makes a new version of it.
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
        """Predict the k best labels of files, of the photos in folders, or by default of the whole library.

        Files that the head's model has not embedded yet are embedded first.

        Raises:
            HeadMissing: no head has this name.
            HeadError: a file or folder does not exist.

        """
        sources = [files] if isinstance(files, (str, os.PathLike)) else list(files)
        labeller = Labeller(self, name, on_progress=on_progress)
        return LabelResult.of(labeller.label([Path(each).absolute() for each in sources], k=k))

    def search(self, name: str, label: str, *, k: int = 10, where: Filter = ALL_PHOTOS) -> SearchResult:
        """Find the photos of the library that have a label, most probable first; `score` is the probability.

        Raises:
            HeadMissing: no head has this name.
            HeadError: the head has no such label.

        """
        return SearchResult.of(Labeller(self, name).search(label, k=k, criteria=where))
