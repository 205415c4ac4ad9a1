"""The folders of a library: forget and watch them; and the models that could embed their photos."""

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
    """An indexed folder, as an absolute path."""

    folder: Annotated[str, Field(min_length=1, max_length=4096)]


class Watch(BaseModel):
    """Whether to index changes in the folders as they happen, now and after a restart."""

    on: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many photos were removed because they were in no other folder."""

    photos: int


@dataclass(frozen=True, slots=True)
class Watching:
    """Whether changes in the folders are indexed as they happen."""

    on: bool


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model. `here`: its weights are on this machine; `text`: it reads text."""

    name: str
    dimension: int
    text: bool
    here: bool
    notes: str


@dataclass(frozen=True, slots=True)
class ModelsAnswer:
    """The registered models."""

    models: tuple[ModelAnswer, ...]


@router.post("/roots/forget", response_model=Forgotten)
def forget(server: Served, root: Annotated[KnownRoot, Body()]) -> Response:
    """Remove a folder from the library. Its photos are not touched, and decisions and labels are kept."""
    if server.index_runs.running:
        raise Conflict("an index run is at work: pause it first")
    with server.libraries.library() as library:
        if root.folder not in {str(one.path) for one in library.catalog.roots()}:
            raise NotFound("the library knows no such folder")
        return Answer(Forgotten(library.forget_root(root.folder)))


@router.get("/watch", response_model=Watching)
def watching(server: Served) -> Response:
    """Return whether changes in the folders are indexed as they happen."""
    return Answer(Watching(server.is_watching))


@router.post("/watch", response_model=Watching)
def watch(server: Served, wanted: Annotated[Watch, Body()]) -> Response:
    """Turn watching of the folders on or off; the setting is stored."""
    with server.libraries.library() as library:
        library.catalog.set_watched(wanted.on)
    if wanted.on:
        server.watch()
    else:
        server.stop_watching()
    return Answer(Watching(server.is_watching))


@router.get("/models", response_model=ModelsAnswer)
def models(server: Served) -> Response:
    """List the registered models."""
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
