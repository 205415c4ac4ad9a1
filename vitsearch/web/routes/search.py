"""Search by photos of the library, uploads, regions of either, text, and labels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from vitsearch.errors import BadQuery
from vitsearch.records import SearchResult
from vitsearch.searching.matches import MatchOptions, query_direction
from vitsearch.searching.queries import QueryImage
from vitsearch.storage.listing import Listing
from vitsearch.web.filters import Narrowed
from vitsearch.web.responses import Answer, Conflict, NotFound, PhotoIds
from vitsearch.web.server import Served, Server

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.library import Library
    from vitsearch.searching.queries import Crop

    Vector = npt.NDArray[np.float32]

router = APIRouter(prefix="/api", tags=["search"])

_UPLOAD = r"^[0-9a-f]{32}$"
_COUNTER = r"^(photo:[0-9]{1,18}|upload:[0-9a-f]{32})$"
_CROP = r"^[0-9]{1,6},[0-9]{1,6},[0-9]{1,6},[0-9]{1,6}$"


@dataclass(frozen=True, slots=True)
class PageResult(SearchResult):
    """The result of `vitsearch search --json`, and how long it took."""

    seconds: float = 0.0


@router.get("/search", response_model=PageResult)
def search(
    server: Served,
    narrowing: Narrowed,
    photo: PhotoIds = [],  # noqa: B006 - FastAPI copies it
    upload: Annotated[list[Annotated[str, Query(pattern=_UPLOAD)]], Query(max_length=20)] = [],  # noqa: B006
    negatives: Annotated[
        list[Annotated[str, Query(pattern=_COUNTER)]], Query(alias="not", max_length=20)
    ] = [],  # noqa: B006
    crop: Annotated[str | None, Query(pattern=_CROP)] = None,
    text: Annotated[str | None, Query(max_length=1000)] = None,
    k: Annotated[int, Query(ge=1, le=1000)] = 100,
    distinct: bool = False,
    only_matches: bool = False,
) -> Response:
    """Find the photos most similar to the examples, and unlike the negative ones, among those that match the filters.

    `photo` and `upload` may be repeated, and so may `not` (photo:ID or upload:TOKEN). `crop` is x, y, width and height
    in upright pixels of the single example. With a label and no example, returns the photos with that label, most
    probable first.
    """
    started = time.perf_counter()
    if not (photo or upload or text):
        if narrowing.label is None:
            raise BadQuery(
                "there is nothing to search for: choose a photo, drop an image, or say what to look for"
            )
        if negatives or crop is not None or distinct or only_matches:
            raise BadQuery(
                "not, crop, distinct and only_matches go with an example or words: a label alone has no use for them"
            )
        result = _by_label(server, narrowing, k)
    else:
        if crop is not None and len(photo) + len(upload) != 1:
            raise BadQuery("a region belongs to exactly one example")
        box = _box(crop) if crop else None
        # Before a reader is borrowed for the search: the model may be busy for long.
        asked = _Asked(server, words=bool(text))
        examples = [asked.photo(number, box) for number in photo]
        examples += [asked.upload(token, box) for token in upload]
        if text:
            examples.append(asked.text(text))
        away = [
            asked.photo(int(name[6:]), None) if name.startswith("photo:") else asked.upload(name[7:], None)
            for name in negatives
        ]
        with server.libraries.library() as library:
            if library.space_for(words=bool(text)) != asked.searched:
                raise Conflict("the library's model has just been changed: search again")
            options = MatchOptions(
                k=k,
                criteria=narrowing.criteria,
                among=narrowing.with_label(library),
                leave_out=() if box else tuple(each.photo for each in examples if each.photo is not None),
                distinct=distinct,
                only_matches=only_matches,
            )
            result = library.search_by_vectors(
                [example.vector for example in examples],
                [example.vector for example in away],
                names=tuple(example.name for example in examples),
                options=options,
                searched=asked.searched,
            )
    answer = {name: getattr(result, name) for name in ("query", "model", "results", "matches_above")}
    return Answer({**answer, "seconds": round(time.perf_counter() - started, 4)})


def _by_label(server: Server, narrowing: Narrowed, k: int) -> SearchResult:
    from vitsearch.heads.labelling import Labeller
    from vitsearch.heads.store import HeadStore

    assert narrowing.head is not None
    assert narrowing.label is not None
    with server.libraries.library() as library:
        labeller = Labeller(HeadStore(library), narrowing.head)
        return labeller.search(narrowing.label, k=k, criteria=narrowing.criteria or None)


def _box(text: str) -> Crop:
    left, top, width, height = (int(number) for number in text.split(","))
    return left, top, width, height


@dataclass(frozen=True, slots=True)
class _Example:
    """A part of a query: its name in the result, its embedding (d,) float32, and its photo id in the library."""

    name: str
    vector: Vector
    photo: int | None = None


class _Asked:
    """Embeds the parts of a query. Stored embeddings are looked up; others are computed once and cached.

    A library is borrowed for each look-up only, so that none is held while waiting for the model.
    """

    def __init__(self, server: Server, *, words: bool) -> None:
        with server.libraries.library() as library:
            self.searched = library.space_for(words=words)
        self._server = server
        self._space_id, self._space = self.searched

    def photo(self, photo: int, crop: Crop | None) -> _Example:
        """Return a photo of the library, or a region of it."""
        with self._server.libraries.library() as library:
            details = Listing(library.catalog).details(photo)
            stored = self._stored(library, photo) if crop is None else None
        if details is None:
            raise NotFound(f"the library has no photo {photo}")
        vector = stored
        if vector is None:
            path = details.present
            if path is None:
                raise NotFound(
                    f"no file of photo {photo} is there now: mount its drive, or run `vitsearch index`"
                )
            vector = self._embedded(details.photo_hash, path, crop)
        return _Example(str(details.files[0].path), vector, photo)

    def upload(self, token: str, crop: Crop | None) -> _Example:
        """Return an upload, or a region of it."""
        hashes, _ = self._server.uploads.header(token)
        with self._server.libraries.library() as library:
            known = library.catalog.photo_id(*hashes, present=True)
            stored = self._stored(library, known) if known is not None and crop is None else None
        if stored is None:
            stored = self._embedded(hashes[0].hex(), self._server.uploads.path(token), crop)
        return _Example("an uploaded image", stored, known)

    def text(self, text: str) -> _Example:
        """Return a text."""

        def embed() -> Vector:
            with self._server.model() as library:
                return library.embed_words(self._space, text)

        return _Example(text, self._server.vectors.get((self._space, text), embed))

    def _stored(self, library: Library, photo: int) -> Vector | None:
        _, rows = library.catalog.vectors(self._space_id, self._space.dimension, np.array([photo]))
        return np.asarray(rows[0], np.float32) if len(rows) else None

    def _embedded(self, photo_hash: str, path: Path, crop: Crop | None) -> Vector:
        space = self._space

        def embed() -> Vector:
            if space.is_imported:
                with self._server.model() as library:
                    library.backbone(space)  # which says that how it sees a photo is not known
            with self._server.decoders.open(path) as photo:
                views = QueryImage("the image", photo).views(space.preprocessing, crop)
            with self._server.model() as library:
                rows = library.backbone(space).embed_batch(views).rows
            return query_direction(list(rows))

        return self._server.vectors.get((self._space, photo_hash, crop), embed)
