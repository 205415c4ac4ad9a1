"""Backbones: the available models, where their weights come from, and how they turn pixels into unit vectors."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitsearch.backbones.backbone import Backbone, Embeddings
    from vitsearch.backbones.loading import (
        ModelDescription,
        describe,
        list_models,
        load_backbone,
        load_for_space,
        load_vision_model,
        pull,
        remove,
    )
    from vitsearch.backbones.weights import canonical_name
    from vitsearch.space import BackboneSpec, Preprocessing, Space

__all__ = [
    "Backbone",
    "BackboneSpec",
    "Embeddings",
    "ModelDescription",
    "Preprocessing",
    "Space",
    "canonical_name",
    "describe",
    "list_models",
    "load_backbone",
    "load_for_space",
    "load_vision_model",
    "pull",
    "remove",
]

# `loading` and `weights` know of checkpoints and the hub: a search for a photo of the library needs neither.
_HOMES = {
    "vitsearch.backbones.backbone": ("Backbone", "Embeddings"),
    "vitsearch.space": ("BackboneSpec", "Preprocessing", "Space"),
    "vitsearch.backbones.weights": ("canonical_name",),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "vitsearch.backbones.loading")
    return getattr(import_module(home), name)
