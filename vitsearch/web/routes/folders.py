"""The folders of a library: forgotten, watched; and the models that could look at their photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.web.responses import Answer, Conflict, NotFound
from vitsearch.web.server import Served

router = APIRouter(prefix="/api", tags=["indexing"])


class KnownRoot(BaseModel):
    """A folder that the library knows, by its whole path."""

    folder: Annotated[str, Field(min_length=1, max_length=4096)]


class Watch(BaseModel):
    """Whether what changes in the folders is to be indexed at once, now and when the page is started again."""

    on: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many photos were only in the folder that was forgotten."""

    photos: int


@dataclass(frozen=True, slots=True)
class Watching:
    """Whether what changes in the folders is indexed at once."""

    on: bool


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model that can look at photos. `here`: its weights are on this machine; `text`: it reads words too."""

    name: str
    dimension: int
    text: bool
    here: bool
    notes: str


@dataclass(frozen=True, slots=True)
class ModelsAnswer:
    """The models that have a name here."""

    models: tuple[ModelAnswer, ...]


@router.post("/roots/forget", response_model=Forgotten)
def forget(server: Served, root: Annotated[KnownRoot, Body()]) -> Response:
    """Drop a folder from the library. Its photos are not touched, and what was said of them is kept."""
    if server.index_runs.running:
        raise Conflict("an index run is at work: pause it first")
    with server.libraries.library() as library:
        if root.folder not in {str(one.path) for one in library.catalog.roots()}:
            raise NotFound("the library knows no such folder")
        return Answer(Forgotten(library.forget_root(root.folder)))


@router.get("/watch", response_model=Watching)
def watching(server: Served) -> Response:
    """Say whether what changes in the folders is indexed at once."""
    return Answer(Watching(server.is_watching))


@router.post("/watch", response_model=Watching)
def watch(server: Served, wanted: Annotated[Watch, Body()]) -> Response:
    """Begin or stop to index at once what changes in the folders, and remember that."""
    with server.libraries.library() as library:
        library.catalog.set_watched(wanted.on)
    if wanted.on:
        server.watch()
    else:
        server.stop_watching()
    return Answer(Watching(server.is_watching))


@router.get("/models", response_model=ModelsAnswer)
def models(server: Served) -> Response:
    """List the models that could look at the photos."""
    from vitsearch.backbones import list_models
    from vitsearch.backbones.weights import is_cached

    with server.settings.open() as library:
        cache = library.cache_folder
    return Answer(
        ModelsAnswer(
            tuple(
                ModelAnswer(
                    model.name,
                    model.facts.dimension,
                    model.facts.has_text,
                    is_cached(model.name, cache=cache),
                    model.notes,
                )
                for model in list_models()
            )
        )
    )
