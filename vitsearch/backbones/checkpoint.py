"""A checkpoint on this machine: a folder with a configuration and safetensors weights, checked before it is used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vitsearch.backbones.notes import read_note, write_note
from vitsearch.errors import WeightsUnavailable

if TYPE_CHECKING:
    from pathlib import Path

Source = Literal["folder", "Hugging Face cache", "vitsearch cache"]
_INDEX = "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights that are here: `model` is the registry name, hub id or folder that they go by.

    `revision` is the commit of the hub's repository, "" for weights from elsewhere. `origin` says of a checkpoint that
    was translated from another layout which one that was.
    """

    model: str
    folder: Path
    source: Source
    license: str
    revision: str = ""
    origin: str = ""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the folder's safetensors files in the order of their names.

    Raises:
        WeightsUnavailable: there are none, only pickled ones, or one of them is cut short.

    """
    index = folder / _INDEX
    if index.is_file():
        names = sorted(set(_read_json(index)["weight_map"].values()))
    elif (folder / "model.safetensors").is_file():
        names = ["model.safetensors"]
    else:
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        if pickled:
            raise WeightsUnavailable(
                f"{folder} has only pickled weights ({pickled[0]}), which can run code when they are read: choose a "
                "checkpoint with model.safetensors, or name the file itself if it is torchvision's, DINO's or DINOv2's"
            )
        raise WeightsUnavailable(
            f"{folder} has no model.safetensors: it is not a checkpoint that vitsearch can load"
        )
    files = tuple(folder / name for name in names)
    for path in files:
        tensor_shapes(path)
    return files


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read a safetensors header: the shape of every tensor by its name; checks that the file has its full length.

    Raises:
        WeightsUnavailable: the file is missing, cut short or no safetensors file.

    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            header: dict[str, Any] = json.loads(file.read(length)) if 0 < length <= size else {}
        header.pop("__metadata__", None)
        complete = bool(header) and size == 8 + length + max(
            entry["data_offsets"][1] for entry in header.values()
        )
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read as safetensors ({error}): get the checkpoint again"
        ) from error
    if not complete:
        raise WeightsUnavailable(f"{path} is cut short or damaged: remove it and get the checkpoint again")
    return shapes


def fingerprint(folder: Path, *, cache: Path) -> str:
    """Return the hex BLAKE3 of the weights: of the one file, or of all shards in order.

    Hashing happens once: the result is remembered in `cache` for as long as names, sizes and times stay the same.
    """
    import blake3

    files = weight_files(folder)
    seen = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    note = cache / "fingerprints" / f"{blake3.blake3(str(folder.resolve()).encode()).hexdigest()[:32]}.json"
    remembered = read_note(note)
    if remembered.get("files") == seen:
        return str(remembered["fingerprint"])
    hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
    for path in files:
        hasher.update_mmap(path)
    digest = hasher.hexdigest()
    write_note(note, {"files": seen, "fingerprint": digest})
    return digest


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(f"{path} cannot be read ({error}): get the checkpoint again") from error
    return content if isinstance(content, dict) else {}
