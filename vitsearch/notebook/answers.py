"""What `vitsearch.Library` answers with: the core's records, which a notebook shows and pandas takes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from vitsearch import records
from vitsearch.notebook.frames import frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def fields_of(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    """Return the fields of a record by name."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


@dataclass(frozen=True, slots=True)
class SearchResult(records.SearchResult):
    """A query and its matches, best first: a sequence of `Match`, and pictures in a notebook.

    `query`: what was asked, in words; `model`: whose vectors were compared; `results`: the matches;
    `matches_above`: the cosine similarity above which a photo stands out from the library, None where that is not
    known.
    """

    @classmethod
    def of(cls, result: records.SearchResult) -> Self:
        """Return the core's answer as one of these."""
        return cls(**fields_of(result))

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[records.Match]:
        return iter(self.results)

    def __getitem__(self, place: int) -> records.Match:
        return self.results[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each match, best first, and the fields of `Match` as columns.

        `path` and `other_paths` hold text.

        Raises:
            VitsearchError: pandas is not installed.

        """
        columns: dict[str, list[object]] = {
            each.name: [getattr(match, each.name) for match in self.results] for each in fields(records.Match)
        }
        columns["path"] = [str(match.path) for match in self.results]
        columns["other_paths"] = [tuple(map(str, match.other_paths)) for match in self.results]
        return frame(columns)

    def _repr_html_(self) -> str:
        from vitsearch.notebook.html import Item, Row, gallery

        floor = self.matches_above
        items = [
            Item(
                match.path,
                f"{match.score:.3f} · above {match.percentile:.1f} %",
                floor is not None and match.score < floor,
            )
            for match in self.results
        ]
        title = f"{len(items)} photos like {', '.join(self.query)}, by {self.model}"
        return gallery(title, [Row("", items)])


@dataclass(frozen=True, slots=True, eq=False)
class StoredVectors:
    """Vectors of a library's photos. Unpacks as `paths, vectors`.

    `paths`: where each photo is, one path a row; `vectors`: (n, d) float32, unit rows, exact to float16;
    `photos`: (n,) int64, the ids that `Match.photo` has too; `model`: whose vectors they are.
    """

    paths: tuple[Path, ...]
    vectors: npt.NDArray[np.float32]
    photos: npt.NDArray[np.int64]
    model: str

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.paths, self.vectors))

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each photo: `path`, `photo`, and `vector`, each a (d,) float32 array.

        Raises:
            VitsearchError: pandas is not installed.

        """
        return frame(
            {"path": list(map(str, self.paths)), "photo": self.photos.tolist(), "vector": list(self.vectors)}
        )


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhotos:
    """Files and their vectors. Unpacks as `paths, vectors`.

    `paths`: the files that could be read, in the order that was given; `vectors`: (n, d) float32, unit rows, as the
    model computed them; `unreadable`: the other files, each with the reason; `model`: whose vectors they are.
    """

    paths: tuple[Path, ...]
    vectors: npt.NDArray[np.float32]
    unreadable: tuple[records.UnreadableFile, ...]
    model: str

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.paths, self.vectors))

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each file: `path`, and `vector`, each a (d,) float32 array.

        Raises:
            VitsearchError: pandas is not installed.

        """
        return frame({"path": list(map(str, self.paths)), "vector": list(self.vectors)})
