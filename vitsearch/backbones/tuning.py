"""Find the fastest recipe on this GPU: measured in seconds, once per model, and stored."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch

from vitsearch.backbones.lanes import Recipe
from vitsearch.backbones.notes import read_note, write_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.backbones.lanes import Lane
    from vitsearch.space import Space

FIRST = Recipe(batch=128)
_BATCHES = (64, 256, 512)
# Smaller batches hold less memory and are full sooner: a larger one must be worth it.
_WORTH = 0.97
_SECONDS = 0.15
_LONGEST = 10.0


def note_of(space: Space, device: torch.device, *, cache: Path) -> Path:
    """Return the file that stores the recipe of a model for this kind of device and version of torch."""
    import blake3

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    facts = f"{name} {memory} {torch.__version__} {space.to_json()} 1"
    return cache / "recipes" / f"{blake3.blake3(facts.encode()).hexdigest()[:32]}.json"


def remembered(note: Path) -> Recipe | None:
    """Return the stored recipe, if any."""
    stored = read_note(note).get("recipe")
    try:
        return Recipe(**stored) if isinstance(stored, dict) else None
    except TypeError:
        return None


def choose_recipe(lane: Lane, note: Path) -> Recipe:
    """Measure recipes, choose one and store it; the lane uses it from then on."""
    rates: dict[Recipe, float] = {}
    until = time.perf_counter() + _LONGEST

    def measure(recipe: Recipe) -> bool:
        try:
            rates[recipe] = 1 / lane.seconds_per_image(recipe, seconds=_SECONDS)
        except RuntimeError:
            # It does not fit in memory, or this device has no such kernel.
            return False
        return time.perf_counter() < until

    for recipe in _kernels():
        measure(recipe)
    best = max(rates, key=lambda recipe: rates[recipe], default=FIRST)
    for batch in _BATCHES:
        if not measure(replace(best, batch=batch)) and batch > best.batch:
            break
    most = max(rates.values(), default=0.0)
    chosen = min(
        (recipe for recipe in rates if rates[recipe] >= _WORTH * most),
        key=lambda recipe: recipe.batch,
        default=FIRST,
    )
    lane.use(chosen)
    measured: list[dict[str, Any]] = [
        {**asdict(recipe), "images_per_second": rate} for recipe, rate in rates.items()
    ]
    if rates:
        write_note(note, {"recipe": asdict(chosen), "measured": measured})
    return chosen


def _kernels() -> Iterator[Recipe]:
    for fast_gelu in (False, True):
        for attention in ("flash", "cudnn"):
            yield replace(FIRST, attention=attention, fast_gelu=fast_gelu)
