"""Which models read text, and which one to recommend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.borrowed_text import borrows_text, can_borrow
from vitsearch.backbones.registry import find_model, models_that_read_text
from vitsearch.backbones.weights import find_locally, is_cached
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.space import Space

# Published zero-shot retrieval: the best of those of its size (docs/models.md).
BEST_FOR_WORDS = "siglip2-base"


def reads_text(space: Space, *, cache: Path) -> bool:
    """Return whether the model of a space has a text tower, without loading it."""
    if space.is_imported:
        return False
    if borrows_text(space):
        return can_borrow(cache=cache)
    known = find_model(space.model)
    if known is not None:
        return known.facts.has_text
    from vitsearch.backbones.architectures import read_config
    from vitsearch.backbones.families import FAMILIES
    from vitsearch.backbones.graphs import find_graph

    graph = find_graph(space, cache=cache)
    if graph is not None:
        return graph.spec.has_text
    try:
        checkpoint = find_locally(space.model, cache=cache, revision=space.revision)
        if checkpoint is None:
            return False
        return FAMILIES[read_config(checkpoint.folder)["model_type"]].text is not None
    except ModelError:
        return False


def check_reads_text(model: str) -> None:
    """Raise `ModelError` for a model known to read no text, before its weights are downloaded."""
    known = find_model(model)
    if known is not None and not known.facts.has_text:
        raise reads_no_text(known.name)


def reads_no_text(model: str) -> ModelError:
    """Build the error for an additional model that reads no text."""
    return ModelError(
        f"{model} reads no text, and searches use a second model for words alone: name one that "
        '`vitsearch models list` marks with "reads text"'
    )


def model_for_words(*, cache: Path) -> str:
    """Return the recommended model for text searches: one that is on this machine, or else the best of its size."""
    names = sorted(models_that_read_text(), key=lambda name: name != BEST_FOR_WORDS)
    return next((name for name in names if is_cached(name, cache=cache)), BEST_FOR_WORDS)


def relative_cost(model: str) -> float | None:
    """Return the multiplications per photo of a registered model's image tower; None if unknown."""
    known = find_model(model)
    return known.facts.parameters * float(known.facts.patches + known.facts.prefix_tokens) if known else None
