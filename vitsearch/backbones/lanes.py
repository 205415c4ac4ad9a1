"""One graphics processor at work: a batch of a fixed shape is computed while the next one is copied.

A lane also runs on the CPU, without streams and graphs, so that what is built on it can be tested everywhere.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from vitsearch.backbones.fused_blocks import compiled_blocks, use_fast_gelu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy.typing as npt

    from vitsearch.backbones.vision_tower import VisionTower

Attention = Literal["flash", "cudnn", "any"]
_BACKENDS = {
    "flash": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "cudnn": [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ],
}
# One batch is computed, one is copied, and one is being filled.
_SLOTS = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a lane runs its tower.

    `batch`: images at a time; `attention`: whose kernel; `fast_gelu`: whether matrix products apply the activation;
    `compile`: a mode of `torch.compile` for the blocks, or None.
    """

    batch: int
    attention: Attention = "any"
    fast_gelu: bool = False
    compile: str | None = None


class Ticket:
    """A batch that was submitted; `rows` waits for its raw readouts, (n, d) float32."""

    def __init__(self, fetch: Callable[[], npt.NDArray[np.float32]]) -> None:
        self._fetch: Callable[[], npt.NDArray[np.float32]] | None = fetch
        self._rows: npt.NDArray[np.float32] | None = None

    def rows(self) -> npt.NDArray[np.float32]:
        """Wait for the readouts; they are fetched once."""
        if self._fetch is not None:
            self._rows, self._fetch = self._fetch(), None
        assert self._rows is not None
        return self._rows


class Lane:
    """Runs a tower on one device. Not for several threads at a time."""

    def __init__(
        self, tower: VisionTower, device: str, *, shape: tuple[int, int], dimension: int, recipe: Recipe
    ) -> None:
        self.device = torch.device(device)
        self.half: torch.dtype | None = None
        self.busy_seconds = 0.0
        self.tower = tower.to(self.device)
        self._shape, self._dimension = shape, dimension
        self.recipe = recipe
        use_fast_gelu(self.tower, wanted=recipe.fast_gelu)
        self._is_cuda = self.device.type == "cuda"
        self._slots: list[_Slot] = []
        self._turn = 0
        self._graph: _Graph | None = None
        self._can_capture = True
        if self._is_cuda:
            self._copying, self._computing = (torch.cuda.Stream(self.device) for _ in range(2))  # type: ignore[no-untyped-call]
            self.use_half(torch.float16)

    def use(self, recipe: Recipe) -> None:
        """Go on with another recipe; what was submitted is finished first."""
        self._release()
        self.recipe = recipe
        use_fast_gelu(self.tower, wanted=recipe.fast_gelu)

    def use_half(self, half: torch.dtype) -> None:
        """Compute in another half precision from now on; what the weights lost in one does not come back in another."""
        self._release()
        self.half = half
        if self.tower.takes_levels:
            self.tower = self.tower.to(half)

    def submit(self, images: Sequence[npt.NDArray[np.uint8]]) -> Ticket:
        """Submit at most a batch of images, each (height, width, 3) uint8.

        Raises:
            RuntimeError: out of memory, as torch says it; nothing was submitted.

        """
        if not self._is_cuda:
            rows = self._run(torch.from_numpy(np.stack(images))).cpu().numpy()
            return Ticket(lambda: rows)
        with torch.cuda.device(self.device), torch.inference_mode():
            return self._submit(images)

    def prepare(self) -> None:
        """Do now what a first full batch would wait for.

        Raises:
            RuntimeError: out of memory, as torch says it.

        """
        if self._is_cuda and self._graph is None and self._can_capture:
            with torch.cuda.device(self.device), torch.inference_mode():
                self._graph = self._captured()

    def seconds_per_image(self, recipe: Recipe, *, seconds: float) -> float:
        """Measure a recipe on noise for about this many seconds, and keep using it.

        Raises:
            RuntimeError: out of memory, as torch says it, or something that this recipe cannot do here.

        """
        self.use(recipe)
        self.prepare()
        noise = torch.randint(0, 256, (recipe.batch, *self._shape, 3), dtype=torch.uint8)
        if self._graph is not None:
            with torch.inference_mode():
                self._graph.pixels.copy_(noise)
        best, until = float("inf"), time.perf_counter() + seconds
        for turn in range(1000):
            started = time.perf_counter()
            if self._graph is None:
                self._run(noise)
            else:
                self._graph.replay()
            if self._is_cuda:
                torch.cuda.synchronize(self.device)
            if turn:  # the first one may still load something
                best = min(best, time.perf_counter() - started)
            if turn >= 2 and time.perf_counter() > until:
                break
        return best / recipe.batch

    def _release(self) -> None:
        for slot in self._slots:
            slot.finish()
        self._slots, self._graph = [], None
        if self._is_cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()

    def _submit(self, images: Sequence[npt.NDArray[np.uint8]]) -> Ticket:
        n, batch = len(images), self.recipe.batch
        if not self._slots:
            self._slots = [_Slot(batch, self._shape, self._dimension, self.device) for _ in range(_SLOTS)]
        # A few images, as a search has them, are not worth a whole batch.
        is_full = 2 * n > batch
        if is_full:
            self.prepare()
        slot = self._slots[self._turn % _SLOTS]
        slot.finish()
        np.stack(images, out=slot.pixels.numpy()[:n])
        with torch.cuda.stream(self._copying):
            slot.staged[:n].copy_(slot.pixels[:n], non_blocking=True)
            slot.copied.record()
        with torch.cuda.stream(self._computing):
            slot.copied.wait()
            slot.started.record()
            if is_full and self._graph is not None:
                self._graph.pixels[:n].copy_(slot.staged[:n])
                self._graph.replay()
                rows = self._graph.rows
            else:
                rows = self._run(slot.staged[:n])
            slot.rows[:n].copy_(rows[:n], non_blocking=True)
            slot.done.record()
        self._turn += 1

        def fetch() -> npt.NDArray[np.float32]:
            slot.done.synchronize()
            self.busy_seconds += slot.started.elapsed_time(slot.done) / 1000
            return slot.rows[:n].numpy().copy()

        slot.ticket = Ticket(fetch)
        return slot.ticket

    def _captured(self) -> _Graph | None:
        """Capture the forward pass of a full batch; None where this tower cannot be captured."""
        pixels = torch.zeros((self.recipe.batch, *self._shape, 3), dtype=torch.uint8, device=self.device)
        with compiled_blocks(self.tower, self.recipe.compile):
            with torch.cuda.stream(self._computing):
                for _ in range(2):  # libraries choose and load their kernels, which a capture may not
                    self._run(pixels)
            torch.cuda.synchronize(self.device)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, stream=self._computing):
                    rows = self._run(pixels)
            except RuntimeError as error:
                # The end of a capture that failed fails too, and hides why.
                for reason in (error, error.__context__):
                    if isinstance(reason, torch.OutOfMemoryError):
                        raise reason from None
                self._can_capture = False
                return None
        return _Graph(pixels, rows, graph.replay, graph)

    def _run(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), self._precision(), _attention(self.recipe.attention):
            return self.tower(pixels.to(self.device))  # type: ignore[no-any-return]

    def _precision(self) -> AbstractContextManager[object]:
        if self.half in (None, torch.float32) or self.tower.takes_levels:
            return nullcontext()
        # A captured graph must not read copies of weights that autocast keeps for the time of a call.
        return torch.autocast(self.device.type, dtype=self.half, cache_enabled=False)


def wider(device: torch.device) -> torch.dtype:
    """Return what a device computes in fast and holds what overflows float16."""
    is_new = device.type != "cuda" or torch.cuda.get_device_capability(device)[0] >= 8
    return torch.bfloat16 if is_new else torch.float32


def smaller(recipe: Recipe) -> Recipe:
    """Return the recipe with batches of half the size."""
    return replace(recipe, batch=max(1, recipe.batch // 2))


@dataclass(frozen=True, slots=True)
class _Graph:
    """A captured forward pass of one shape: `replay` computes `rows` from what is in `pixels`."""

    pixels: torch.Tensor
    rows: torch.Tensor
    replay: Callable[[], None]
    owner: object


class _Slot:
    """Buffers of one batch on its way through a lane, used again and again; host memory is pinned."""

    ticket: Ticket | None = None

    def __init__(self, batch: int, shape: tuple[int, int], dimension: int, device: torch.device) -> None:
        images: tuple[Any, ...] = (batch, *shape, 3)
        self.pixels = torch.empty(images, dtype=torch.uint8, pin_memory=True)
        self.staged = torch.empty(images, dtype=torch.uint8, device=device)
        self.rows = torch.empty((batch, dimension), dtype=torch.float32, pin_memory=True)
        self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.started = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        # A thread that waits for it leaves its core to the decoders.
        self.done = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Wait for what was submitted last, and keep its rows for who asks later."""
        if self.ticket is not None:
            self.ticket.rows()
            self.ticket = None


@contextmanager
def _attention(wanted: Attention) -> Iterator[None]:
    if wanted == "any":
        yield
    else:
        with sdpa_kernel(_BACKENDS[wanted], set_priority=True):
            yield
