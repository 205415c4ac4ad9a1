"""The speed of each model on this machine: that of the latest run that was long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.notes import read_note, write_note
from vitsearch.backbones.words import relative_cost

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH_PHOTOS = 100


def note_rate(model: str, photos: int, seconds: float, *, cache: Path) -> None:
    """Store how many photos this machine embedded in how many seconds, including reading and decoding."""
    if photos >= ENOUGH_PHOTOS and seconds > 0:
        rates = read_note(_note(cache))
        write_note(_note(cache), {**rates, model: photos / seconds})


def known_rate(model: str, *, cache: Path) -> float | None:
    """Return the photos per second of the latest run with a model on this machine, or None."""
    value = read_note(_note(cache)).get(model)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def scaled_rate(rate: float, measured: str, other: str) -> float | None:
    """Estimate the photos per second of another model from the cost of both image towers; None if unknown."""
    costs = relative_cost(measured), relative_cost(other)
    return rate * costs[0] / costs[1] if costs[0] and costs[1] else None


def _note(cache: Path) -> Path:
    return cache / "rates.json"
