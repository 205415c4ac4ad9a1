"""A light twin of a graph, for processes that embed a few images and end: its weights stay in the eight bits they have.

Such a process spends most of its time and memory on weights. Where a checkpoint was published in eight bits, the twin
holds those, and OpenVINO widens them as it multiplies: a quarter of the bytes are read, and none are packed anew in
16 bits. Once weights are packed the graph itself is faster, so that it embeds everything else.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.backbones.notes import read_note, write_note

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from vitsearch.backbones.graphs import StoredGraph

    Pixels = npt.NDArray[np.uint8]
    Rows = npt.NDArray[np.float32]

_FORMAT = 1
_NOTE = "light.json"
_FAITHFUL = 0.9999
# Of eight bits the levels from -127 to 127 are used.
_HIGHEST = 127
_SETTINGS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Weights alone have eight bits: what is multiplied with them is not rounded to as many."""


class LightGraph:
    """The light twin that a graph has in a folder of its own, for one processor."""

    settings = _SETTINGS

    def __init__(self, graph: StoredGraph, folder: Path) -> None:
        self._graph = graph
        self.folder = folder / f"light-{_FORMAT}"

    @property
    def model_file(self) -> Path:
        """The twin's XML file, which has its weights beside it."""
        return self.folder / "graph.xml"

    def known(self) -> bool | None:
        """Whether there is a twin to use; None where that was not found out yet, or for another graph."""
        note = read_note(self.folder / _NOTE)
        if note.get("graph") != self._digest():
            return None
        if not note.get("faithful"):
            return False
        try:
            whole = all((self.folder / name).stat().st_size == size for name, size in note["sizes"].items())
        except (OSError, KeyError, AttributeError):
            return None
        return True if whole else None

    def make(self, core: Any, embed: Callable[[Path, Pixels], Rows], notice: Callable[[], None]) -> None:  # noqa: ANN401
        """Make the twin if the weights have eight bits, and keep it if its vectors are the graph's own.

        `embed` runs a graph on images, (n, height, width, 3) uint8, to raw rows (n, d) float32. `notice` is told when
        there is something to make. Raises `RuntimeError` where OpenVINO cannot read the graph, `OSError` where nothing
        can be kept.
        """
        import openvino

        model = core.read_model(self._graph.model_file)
        kept = _compress(model)
        self.folder.parent.mkdir(exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=".incoming-"))
        try:
            note: dict[str, Any] = {"graph": self._digest(), "faithful": False}
            if kept:
                notice()
                pre = self._graph.spec.space.preprocessing
                # Of a fixed shape: OpenVINO's kernels for any number of images have returned NaN with such weights.
                model.reshape({model.inputs[0]: openvino.PartialShape([1, pre.height, pre.width, 3])})
                openvino.save_model(model, staging / "graph.xml", compress_to_fp16=False)
                noise = np.random.default_rng(0).integers(
                    0, 256, (3, pre.height, pre.width, 3), dtype=np.uint8
                )
                found, wanted = embed(staging / "graph.xml", noise), embed(self._graph.model_file, noise)
                lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
                note["faithful"] = bool((np.vecdot(found, wanted) >= _FAITHFUL * lengths).all())
            if note["faithful"]:
                note["sizes"] = {path.name: path.stat().st_size for path in staging.iterdir()}
            else:
                for path in staging.iterdir():
                    path.unlink()
            write_note(staging / _NOTE, note)
            shutil.rmtree(self.folder, ignore_errors=True)
            staging.rename(self.folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def remove(self) -> None:
        """Remove a twin that turned out to be damaged."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _digest(self) -> str:
        import blake3

        return blake3.blake3(self._graph.model_file.read_bytes()).hexdigest()


def _compress(model: Any) -> bool:  # noqa: ANN401
    """Store a model's matrices in eight bits; return whether they were all published in as many, and it is worth it."""
    import openvino.opset13 as operations

    found = []
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "MatMul" or not operation.get_attributes()["transpose_b"]:
            continue
        constant = operation.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or len(constant.shape) != 2:
            continue
        rows = constant.data
        parts = None if rows.dtype != np.float32 else levels_of(rows)
        if parts is None:
            return False
        found.append((operation, *parts))
    for operation, levels, scale in found:
        widened = operations.convert(operations.constant(levels), "f32")
        operation.input(1).replace_source_output(
            operations.multiply(widened, operations.constant(scale)).output(0)
        )
    return bool(found)


def levels_of(rows: Rows) -> tuple[npt.NDArray[np.int8], Rows] | None:
    """Split a matrix (n, m) float32 into whole numbers (n, m) int8 and a scale for each row, (n, 1) float32.

    None unless their products are exactly the matrix. A row of hundreds of numbers has one next to zero: the scale.
    """
    for part in (rows[:8], rows):  # nearly all matrices are told by a few rows
        size = np.abs(part)
        scale = np.where(size > 0, size, np.inf).min(axis=1, keepdims=True)
        scale[np.isinf(scale)] = 1
        levels = np.rint(part / scale)
        if np.abs(levels).max() > _HIGHEST or not np.array_equal(levels * scale, part):
            return None
    return levels.astype(np.int8), scale.astype(np.float32)
