"""Text searches: whether a library can answer them, and what would enable it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.borrowed_text import borrows_text
from vitsearch.backbones.rates import ENOUGH_PHOTOS, known_rate, scaled_rate
from vitsearch.backbones.words import model_for_words
from vitsearch.records import WordsStep

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.space import Space
    from vitsearch.storage.catalog import Catalog


def words_step(catalog: Catalog, main: tuple[int, Space], photos: int, *, cache: Path) -> WordsStep:
    """Return what would enable text searches in a library with this many photos, whose main space reads no text."""
    if borrows_text(main[1]):  # its text tower is fetched, and no photo is embedded again
        return WordsStep(main[1].model, f"vitsearch index --also {main[1].model}", 0, None)
    model = model_for_words(cache=cache)
    rate = known_rate(model, cache=cache) or _scaled(catalog, main, model, cache=cache)
    return WordsStep(
        model=model,
        command=f"vitsearch index --also {model}",
        photos=photos,
        seconds=round(photos / rate, 1) if rate else None,
    )


def _scaled(catalog: Catalog, main: tuple[int, Space], model: str, *, cache: Path) -> float | None:
    """Estimate the speed of a model that has not run here yet, from the measured speed of the main one."""
    space_id, space = main
    measured = known_rate(space.model, cache=cache) or catalog.embedding_rate(
        space_id, at_least=ENOUGH_PHOTOS
    )
    return scaled_rate(measured, space.model, model) if measured else None


def sentence(step: WordsStep, model: str) -> str:
    """Return the message for a text search in a library that has no model for it."""
    if not step.photos:
        takes = ", which fetches its text tower from the Hugging Face hub and embeds no photo again"
    else:
        takes = f", about {_duration(step.seconds)} for {step.photos:,} photos" if step.seconds else ""
    return f"{model} reads no words: run `{step.command}` once{takes}, then search again"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{max(1, round(seconds))} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
