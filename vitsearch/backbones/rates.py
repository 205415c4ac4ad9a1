"""How fast this machine has embedded photos with each model: the latest run that was long enough to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.notes import read_note, write_note
from vitsearch.backbones.words import relative_cost

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH_PHOTOS = 100


def note_rate(model: str, photos: int, seconds: float, *, cache: Path) -> None:
    """Remember that this machine embedded so many photos in so many seconds, reading and decoding included."""
    if photos >= ENOUGH_PHOTOS and seconds > 0:
        rates = read_note(_note(cache))
        write_note(_note(cache), {**rates, model: photos / seconds})


def known_rate(model: str, *, cache: Path) -> float | None:
    """Return the photos a second of the latest run with a model here, or None."""
    value = read_note(_note(cache)).get(model)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def scaled_rate(rate: float, measured: str, other: str) -> float | None:
    """Return the photos a second of another model by the cost of the two image towers; None where it is not known."""
    costs = relative_cost(measured), relative_cost(other)
    return rate * costs[0] / costs[1] if costs[0] and costs[1] else None


def _note(cache: Path) -> Path:
    return cache / "rates.json"
