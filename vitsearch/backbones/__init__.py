"""Backbones: which models exist, where their weights come from, how pixels become unit vectors."""

from vitsearch.backbones.backbone import Backbone, Embeddings
from vitsearch.backbones.loading import (
    ModelDescription,
    describe,
    list_models,
    load_backbone,
    load_for_space,
    load_vision_model,
    pull,
)
from vitsearch.backbones.spec import BackboneSpec, Preprocessing, Space
from vitsearch.backbones.weights import canonical_name

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
]
