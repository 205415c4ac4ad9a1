"""Results of `vitsearch.Library`: the core's records, with HTML for notebooks and `to_pandas`."""

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
    """The matches of a query, best first: a sequence of `Match` that a notebook renders as pictures.

    - `query`: the query, described in words.
    - `model`: the model whose embeddings were compared.
    - `results`: the matches.
    - `matches_above`: the cosine similarity above which a match stands out from the library, or None if unknown.
    - `scored`: False if the query had filters only; matches are then sorted by date, newest first.
    """

    @classmethod
    def of(cls, result: records.SearchResult) -> Self:
        """Convert a search result of the core."""
        return cls(**fields_of(result))

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[records.Match]:
        return iter(self.results)

    def __getitem__(self, place: int) -> records.Match:
        return self.results[place]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with one row per match, best first, and the fields of `Match` as columns.

        `path` and `other_paths` are strings.

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
    """The embeddings of a library's photos. Unpacks as `paths, vectors`.

    - `paths`: one path per row.
    - `vectors`: (n, d) float32 unit rows, stored with float16 precision.
    - `photos`: (n,) int64 photo ids, the same as `Match.photo`.
    - `model`: the model that computed the embeddings.
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
        """Return a DataFrame with one row per photo: `path`, `photo` and `vector`, a (d,) float32 array.

        Raises:
            VitsearchError: pandas is not installed.

        """
        return frame(
            {"path": list(map(str, self.paths)), "photo": self.photos.tolist(), "vector": list(self.vectors)}
        )


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhotos:
    """Files and their embeddings. Unpacks as `paths, vectors`.

    - `paths`: the files that could be read, in the order given.
    - `vectors`: (n, d) float32 unit rows, at the model's full precision.
    - `unreadable`: the files that could not be read, each with a reason.
    - `model`: the model that computed the embeddings.
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
        """Return a DataFrame with one row per file: `path` and `vector`, a (d,) float32 array.

        Raises:
            VitsearchError: pandas is not installed.

        """
        return frame({"path": list(map(str, self.paths)), "vector": list(self.vectors)})
