"""The forward pass alone, in every runtime: `python benchmarks/forward.py [--model NAME] [--batch 16]`.

Rates are photos a second from prepared pixels to vectors, medians of runs in turns. The machine's peak is that of large
matrix products in the same precision, measured in the same run; a tower's share of it counts the multiplications of
the whole model, also those that vitsearch does not do. ONNX Runtime is measured where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
import torch
from machine import medians, print_machine

from vitsearch.backbones import load_backbone
from vitsearch.backbones.vision_tower import load_vision_model
from vitsearch.backbones.weights import obtain

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.space import BackboneSpec

SIDE = 2048


def peak(dtype: torch.dtype) -> float:
    """Return the best rate of a large matrix product in torch, in GFLOP/s."""
    left, right = torch.randn(SIDE, SIDE, dtype=dtype), torch.randn(SIDE, SIDE, dtype=dtype)
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best / 1e9


def gigaflops(spec: BackboneSpec) -> float:
    """Return the multiplications and additions of one image's whole forward pass, in GFLOP.

    A block has 12 d^2 weights a token, and attention multiplies each token with all others twice.
    """
    tokens, d = spec.patches + spec.prefix_tokens, spec.width
    blocks = spec.layers * (2 * 12 * d * d * tokens + 4 * tokens * tokens * d)
    return float(blocks + 2 * spec.patches * 3 * spec.patch_size**2 * d) / 1e9


def onnx_run(model: torch.nn.Module, values: torch.Tensor) -> Callable[[], object]:
    """Export the plain model to ONNX and return its run in ONNX Runtime, float32."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, (values,), path, dynamo=False, opset_version=17)
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: values.numpy()}
    return lambda: session.run(None, feed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with_onnx = importlib.util.find_spec("onnxruntime") is not None
    print_machine("torch", "transformers", "openvino", *(["onnxruntime"] if with_onnx else []))
    cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
    backbone: Any = load_backbone(arguments.model, cache=cache, runtime="openvino")
    pre, n = backbone.space.preprocessing, arguments.batch
    pixels = np.random.default_rng(0).integers(0, 256, (n, pre.height, pre.width, 3), dtype=np.uint8)
    folder = obtain(arguments.model, cache=cache, notice=print).folder
    eager = load_vision_model(folder, attention="eager")
    values = torch.randn(n, 3, pre.height, pre.width)

    def run(model: torch.nn.Module, *, bfloat16: bool) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return model(values)

    runs: dict[str, Callable[[], object]] = {
        "torch eager, float32": lambda: run(eager, bfloat16=False),
        "torch eager, bfloat16": lambda: run(eager, bfloat16=True),
        "vitsearch, OpenVINO": lambda: backbone.embed_batch(pixels),
    }
    if with_onnx:
        runs["ONNX Runtime, float32"] = onnx_run(eager, values)
    for warm in runs.values():
        for _ in range(9 if warm is runs["vitsearch, OpenVINO"] else 1):
            warm()
    seconds = medians(runs, repeats=arguments.repeats)
    peaks = {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}
    print(", ".join(f"{name} matrix products {value:.0f} GFLOP/s" for name, value in peaks.items()))
    work = gigaflops(backbone.spec)
    print(f"{arguments.model}, batches of {n}, {work:.1f} GFLOP a photo, median of {arguments.repeats}")
    for name, value in seconds.items():
        rate = n / value
        half = "bfloat16" in name or (name.startswith("vitsearch") and backbone.precision == "bf16")
        share = rate * work / peaks["bfloat16" if half else "float32"]
        ratio = seconds["torch eager, float32"] / value
        print(f"{name:<24} {rate:7.2f} photos/s  {share:5.0%} of the peak  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
