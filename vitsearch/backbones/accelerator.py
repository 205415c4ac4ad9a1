"""The CUDA runtime: one lane per GPU, with batches in flight on all of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import torch

from vitsearch.backbones.backbone import Embeddings
from vitsearch.backbones.checkpoint_backbone import CheckpointBackbone
from vitsearch.backbones.lanes import Lane, smaller, wider
from vitsearch.backbones.tuning import FIRST, choose_recipe, note_of, remembered
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.lanes import Recipe, Ticket
    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.backbones.vision_tower import VisionTower
    from vitsearch.space import BackboneSpec

# While one batch is computed, the next is copied.
_IN_FLIGHT = 2
# From this many images on, it pays to measure recipes, and to copy the weights to all devices.
_MANY = 256


class AcceleratorBackbone(CheckpointBackbone):
    """A backbone in half precision on one or more devices of the same kind. Not thread-safe.

    float16 rounds eight times finer than bfloat16; if a model overflows float16, which shows as non-finite rows,
    bfloat16 is used from then on. `devices` are torch device names. Without `batch_size`, one is measured when many
    images are expected.
    """

    def __init__(
        self,
        tower: VisionTower,
        spec: BackboneSpec,
        folder: Path,
        *,
        devices: Sequence[str],
        cache: Path,
        batch_size: int | None,
        notice: Callable[[str], None],
    ) -> None:
        self.space = spec.space
        self.spec = spec
        self.device = devices[0].split(":")[0]
        self._devices = devices
        self._asked = batch_size
        self._folder = folder
        self._notice = notice
        self._lanes = [self._lane(tower, devices[0], FIRST)]
        self._note = note_of(self.space, self._lanes[0].device, cache=cache)
        self._tuned = False
        self._turn = cycle(self._lanes)
        self._use(remembered(self._note) or FIRST)

    @property
    def lane(self) -> Lane:
        """The lane of the first device."""
        return self._lanes[0]

    @property
    def recipe(self) -> Recipe:
        """The settings of all lanes."""
        return self._lanes[0].recipe

    @property
    def busy_seconds(self) -> float:
        """The total time that the devices spent on fetched results."""
        return sum(lane.busy_seconds for lane in self._lanes)

    def expect(self, count: int) -> None:
        """Measure the best settings if none are stored, and use all devices, if enough images are expected."""
        if count < _MANY:
            return
        if not self._tuned and self._asked is None and remembered(self._note) is None:
            self._use(choose_recipe(self._lanes[0], self._note))
        self._tuned = True
        if len(self._lanes) < len(self._devices):
            tower = self._lanes[0].tower
            for name in self._devices[1:]:
                self._lanes.append(self._lane(deepcopy(tower), name, self.recipe))
            self._turn = cycle(self._lanes)
            self.in_flight = _IN_FLIGHT * len(self._lanes)

    def start(self, images: Sequence[npt.NDArray[np.uint8]]) -> Callable[[], Embeddings]:
        """Start embedding prepared images on the next device; batches that do not fit in memory are halved.

        Raises:
            ModelError: not even one image fits; or, when the result is fetched, a value is not finite.

        """
        tickets = self._submitted(images)
        return lambda: self._fetched(images, tickets)

    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8; batches that do not fit in memory are halved.

        Raises:
            ModelError: not even one image fits, or the model returned values that are not finite.

        """
        return self.start(list(pixels))()

    def _load_texts(self) -> TextTower:
        from vitsearch.backbones.text_tower import TextTower

        return TextTower(self._folder, device=self.device)

    def _lane(self, tower: VisionTower, device: str, recipe: Recipe) -> Lane:
        shape = (self.space.preprocessing.height, self.space.preprocessing.width)
        return Lane(tower, device, shape=shape, dimension=self.space.dimension, recipe=recipe)

    def _use(self, recipe: Recipe) -> None:
        recipe = replace(recipe, batch=self._asked or recipe.batch)
        for lane in self._lanes:
            lane.use(recipe)
        self.batch_size = recipe.batch
        self.in_flight = _IN_FLIGHT * len(self._lanes)

    def _submitted(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Ticket]:
        tickets: list[Ticket] = []
        start = 0
        while start < len(images):
            chunk = images[start : start + self.batch_size]
            try:
                tickets.append(next(self._turn).submit(chunk))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._use_smaller_batches()
                continue
            start += len(chunk)
        return tickets

    def _fetched(self, images: Sequence[npt.NDArray[np.uint8]], tickets: Sequence[Ticket]) -> Embeddings:
        rows = _joined(tickets, self.space.dimension)
        if not np.isfinite(rows).all():
            wide = wider(self.lane.device)
            for lane in self._lanes:
                if lane.half == torch.float16:
                    lane.use_half(wide)
                    self._notice(
                        f"{self.space.model} overflows float16: going on in {str(wide).split('.')[-1]}"
                    )
            rows = _joined(self._submitted(images), self.space.dimension)
        return Embeddings.from_raw(rows)

    def _use_smaller_batches(self) -> None:
        before = self.batch_size
        if before == 1:
            raise ModelError(
                f"not even one image fits in the memory of {self.device}: use --device cpu or a smaller model"
            )
        self._asked = smaller(self.recipe).batch
        self._use(self.recipe)
        self._notice(f"out of memory with {before} images at a time: going on with {self.batch_size}")


def _joined(tickets: Sequence[Ticket], dimension: int) -> npt.NDArray[np.float32]:
    rows = [ticket.rows() for ticket in tickets]
    return np.concatenate(rows) if rows else np.zeros((0, dimension), dtype=np.float32)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch means that memory ran out."""
    # MPS and the CPU allocator raise a bare RuntimeError.
    said = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
    )
