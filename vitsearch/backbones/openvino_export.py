"""From a checkpoint in torch to an OpenVINO graph, once; what comes out is checked against torch before it is kept."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vitsearch.backbones.graphs import new_graph
from vitsearch.backbones.openvino_import import import_openvino
from vitsearch.backbones.vision_tower import load_tower, quiet_transformers
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.vision_tower import VisionTower
    from vitsearch.space import BackboneSpec

_FAITHFUL = 0.999


def export(spec: BackboneSpec, folder: Path, *, cache: Path) -> None:
    """Export a checkpoint folder's image tower and keep the graph in `cache`.

    Raises:
        WeightsUnavailable: the checkpoint cannot be loaded.
        ModelError: OpenVINO cannot convert it faithfully, or the graph cannot be saved.

    """
    openvino = import_openvino()
    pre = spec.space.preprocessing
    tower = load_tower(folder, pre, spec.space.readout, spec.prefix_tokens)
    # Noise is the hardest input: photographs come out closer.
    noise = np.random.default_rng(0).integers(0, 256, (2, pre.height, pre.width, 3), dtype=np.uint8)
    try:
        with torch.inference_mode():
            expected = tower(torch.from_numpy(noise)).numpy()
        graph = _convert(tower, noise)
        graph.reshape({graph.inputs[0]: openvino.PartialShape([-1, pre.height, pre.width, 3])})
        with new_graph(spec, cache=cache) as (target, precisions):
            # Half-precision weights would halve the file, but cost a quarter more of the error that bf16 makes.
            openvino.save_model(graph, target / "graph.xml", compress_to_fp16=False)
            precisions += _faithful_precisions(openvino, target / "graph.xml", noise, expected)
            if not precisions:
                raise ModelError(f"OpenVINO computes other vectors for {spec.space.model} than torch")
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"OpenVINO cannot convert {spec.space.model} ({reason})") from error


def _convert(tower: VisionTower, example: npt.NDArray[np.uint8]) -> Any:  # noqa: ANN401
    """Convert through the PyTorch front end itself: the converter around it sends usage events."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), quiet_transformers(), torch.no_grad():
        # Tracing warns of every size that Python sees; all sizes but the batch are fixed, and the batch is checked.
        warnings.simplefilter("ignore")
        # Nor does it need to run once more to compare itself with itself: the graph is compared with torch.
        decoder = TorchScriptPythonDecoder(
            tower, example_input=(torch.from_numpy(example),), trace_kwargs={"check_trace": False}
        )
    front_end = FrontEndManager().load_by_framework("pytorch")
    return front_end.convert(front_end.load(decoder))


def _faithful_precisions(
    openvino: Any,  # noqa: ANN401
    model_file: Path,
    noise: npt.NDArray[np.uint8],
    expected: npt.NDArray[np.float32],
) -> list[str]:
    """Return the precisions in which the graph agrees with torch, for a batch and for one image alone."""
    core = openvino.Core()
    faithful = []
    for precision in ("f32", "bf16"):
        compiled = core.compile_model(model_file, "CPU", {"INFERENCE_PRECISION_HINT": precision})
        found = np.concatenate([compiled(noise)[0], compiled(noise[:1])[0]])
        wanted = np.concatenate([expected, expected[:1]])
        cosines = (
            (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        )
        if cosines.min() >= _FAITHFUL:
            faithful.append(precision)
    return faithful
