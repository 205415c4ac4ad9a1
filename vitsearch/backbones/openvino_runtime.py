"""The CPU runtime: an exported graph in OpenVINO, which needs neither torch nor transformers."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.backbones.backbone import Embeddings
from vitsearch.backbones.calibration import Calibration
from vitsearch.backbones.checkpoint_backbone import CheckpointBackbone
from vitsearch.backbones.graphs import find_graph, remove_graph
from vitsearch.backbones.light_graph import LightGraph
from vitsearch.backbones.openvino_import import import_openvino
from vitsearch.errors import SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from vitsearch.backbones.graphs import StoredGraph
    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.space import Space

_MIN_BATCH = 16
# Up to so many images, as a search has them, go in one request that is compiled whenever a graph is opened. The first
# ones of a process go through the light graph, where there is one: many more repay packing the weights.
_FEW = 8
_WAIT_MS = 50


class OpenVINOBackbone(CheckpointBackbone):
    """A backbone that runs an exported graph on the CPU."""

    device = "cpu"

    def __init__(
        self, graph: StoredGraph, *, cache: Path, batch_size: int | None, notice: Callable[[str], None]
    ) -> None:
        self.spec = graph.spec
        self.space = graph.spec.space
        self.batch_size = batch_size or max(_MIN_BATCH, 4 * (os.cpu_count() or 1))
        self._cache = cache
        self._notice = notice
        self._lock = threading.Lock()
        self._processor = _Processor(graph)
        self.precision = self._processor.precision
        # An asked-for batch size is the size of one request.
        self._calibration = None if batch_size else Calibration(self._processor.notes)
        self._light_left = 0
        self._requests: dict[str, list[Any]] = {}
        light = None if batch_size else self._processor.light(self._say_preparing)
        if light is not None:
            self._requests["LIGHT"], self._light_left = light, _FEW
        else:
            self._requests["LATENCY"] = self._processor.requests("LATENCY")

    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8."""
        if not len(pixels):
            return self._no_embeddings()
        pixels = np.ascontiguousarray(pixels)
        with self._lock:
            if len(pixels) <= _FEW or self._calibration is None:
                return Embeddings.from_raw(self._run_few(pixels))
            self._release_light()
            full = len(pixels) >= self.batch_size
            setting = self._calibration.setting(full=full)
            begun = time.perf_counter()
            raw = self._run(*setting, pixels)
            if full:
                self._calibration.record(setting, (time.perf_counter() - begun) / len(pixels))
            return Embeddings.from_raw(raw)

    def _run_few(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self._light_left -= len(pixels)
        if self._light_left >= 0:
            return self._run("LIGHT", 1, pixels)
        self._release_light()
        return self._run("LATENCY", self.batch_size, pixels)

    def _release_light(self) -> None:
        """Release the light graph, so that embedding many images keeps the weights in memory only once."""
        self._light_left = 0
        self._requests.pop("LIGHT", None)

    def _say_preparing(self) -> None:
        self._notice(f"preparing {self.space.model} for quick searches on this CPU (once)")

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts in the same space, as `CheckpointBackbone` does, one thread at a time."""
        with self._lock:
            return super().embed_texts(texts)

    def _load_texts(self) -> TextTower:
        from vitsearch.backbones.checkpoint import fingerprint
        from vitsearch.backbones.text_tower import TextTower
        from vitsearch.backbones.weights import obtain_for_space

        checkpoint = obtain_for_space(self.space, cache=self._cache, notice=self._notice)
        if fingerprint(checkpoint.folder, cache=self._cache) != self.space.fingerprint:
            raise SpaceMismatch(
                f"{checkpoint.folder} is not the {self.space.model} that these vectors were made with: bring the same "
                "weights back, or index into a new library with --library"
            )
        return TextTower(checkpoint.folder, device="cpu")

    def _run(self, hint: str, size: int, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if hint not in self._requests:
            self._requests[hint] = self._processor.requests(hint)
        requests = self._requests[hint]
        starts = range(0, len(pixels), size)
        raw = np.empty((len(pixels), self.space.dimension), dtype=np.float32)

        def collect(turn: int) -> None:
            request, start = requests[turn % len(requests)], starts[turn]
            # In short waits: Python handles Ctrl-C only between them, and a request of a large model takes seconds.
            while not request.wait_for(_WAIT_MS):
                pass
            rows = request.get_output_tensor(0).data
            raw[start : start + len(rows)] = rows

        try:
            # In turns and without callbacks, which OpenVINO frees in its own threads: that kills Python at its exit.
            for turn, start in enumerate(starts):
                if turn >= len(requests):
                    collect(turn - len(requests))
                requests[turn % len(requests)].start_async(
                    {0: pixels[start : start + size]}, share_inputs=True
                )
            for turn in range(max(0, len(starts) - len(requests)), len(starts)):
                collect(turn)
        except BaseException:
            # An interrupted request is still busy until it is cancelled: the next batch gets new ones.
            for request in self._requests.pop(hint):
                request.cancel()
            raise
        return raw


def open_graph(
    space: Space, *, cache: Path, batch_size: int | None, notice: Callable[[str], None]
) -> OpenVINOBackbone | None:
    """Open a space's exported graph, or return None if there is no usable one.

    Raises:
        ModelError: OpenVINO cannot be imported.

    """
    graph = find_graph(space, cache=cache)
    if graph is None:
        return None
    import_openvino()
    try:
        return OpenVINOBackbone(graph, cache=cache, batch_size=batch_size, notice=notice)
    except RuntimeError:
        # Of the right length and yet unreadable: a cache is made again, not repaired.
        remove_graph(graph)
        return None


class _Processor:
    """Compiles a graph for this machine's processor and caches the result."""

    def __init__(self, graph: StoredGraph) -> None:
        import blake3

        self.openvino = import_openvino()
        self._core = self.openvino.Core()
        self._graph = graph
        native = self._core.get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
        # Half precision only where the processor computes in it; what it emulates is slower and no more exact.
        self.precision = "bf16" if native == "bf16" and "bf16" in graph.precisions else "f32"
        facts = [
            self._core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
        ]
        key = blake3.blake3(f"{facts} {os.cpu_count()} {self.precision}".encode()).hexdigest()[:16]
        self.notes = graph.folder / f"calibration-{key}.json"
        self._blobs = graph.folder / f"compiled-{key}"
        self._light = LightGraph(graph, self._blobs)

    def light(self, notice: Callable[[], None]) -> list[Any] | None:
        """Return requests for single images in the light graph, which is created if necessary; None without one."""
        if self._light.known() is None:
            # Where nothing can be kept the graph itself does it all. OpenVINO says RuntimeError of a full disk, too:
            # that must not look like a damaged graph, which is found when it is opened.
            with suppress(OSError, RuntimeError):
                self._light.make(self._core, self._embed, notice)
        if not self._light.known():
            return None
        try:
            return self.requests("LIGHT")
        except RuntimeError:
            self._light.remove()
            return None

    def requests(self, form: str) -> list[Any]:
        """Return as many inference requests for a graph as the processor runs best in parallel.

        `form` is a performance hint, or "LIGHT" for the light graph, which takes one image.
        """
        compiled = self.compile(form)
        return [
            compiled.create_infer_request()
            for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        ]

    def compile(self, form: str) -> Any:  # noqa: ANN401
        """Compile a form of the graph, or load it from the cache of an earlier run."""
        # What was compiled of a light graph goes when that is made anew.
        blobs = self._light.folder / "compiled" if form == "LIGHT" else self._blobs / form.lower()
        if blobs.is_dir():
            try:
                return self._compile(form, blobs)
            except RuntimeError:
                shutil.rmtree(blobs, ignore_errors=True)
        try:
            self._blobs.mkdir(exist_ok=True)
            staging = Path(tempfile.mkdtemp(dir=self._blobs, prefix=".incoming-"))
        except OSError:
            return self._compile(form, None)
        try:
            compiled = self._compile(form, staging)
            # A compiled form is whole where it has its final name; another process may have been first.
            with suppress(OSError):
                staging.rename(blobs)
        except RuntimeError:
            # A full disk must not look like a damaged graph.
            compiled = self._compile(form, None)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return compiled

    def _compile(self, form: str, blobs: Path | None) -> Any:  # noqa: ANN401
        is_light = form == "LIGHT"
        settings = {
            "PERFORMANCE_HINT": "LATENCY" if is_light else form,
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        if is_light:
            settings |= self._light.settings
        if blobs is not None:
            # OPTIMIZE_SIZE keeps no second copy of the weights.
            settings |= {"CACHE_DIR": str(blobs), "CACHE_MODE": "OPTIMIZE_SIZE"}
        file = self._light.model_file if is_light else self._graph.model_file
        return self._core.compile_model(file, "CPU", settings)

    def _embed(self, file: Path, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the graph, or a light one before it is kept, on one image after another."""
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": self.precision}
        if file != self._graph.model_file:
            settings |= self._light.settings
        request = self._core.compile_model(file, "CPU", settings).create_infer_request()
        return np.concatenate([request.infer({0: image[None]})[0].copy() for image in pixels])
