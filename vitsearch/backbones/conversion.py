"""Convert checkpoints of torchvision, DINO, DINOv2, timm and OpenCLIP to ones that transformers loads.

Weights from the hub and from folders are read from safetensors only. A pickled file is only read if the user names it,
with PyTorch's weights-only unpickler, which builds tensors and runs no code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.checkpoint import Checkpoint, fingerprint, weight_files
from vitsearch.backbones.notes import read_note, write_note
from vitsearch.backbones.preprocessing import read_preprocessing, with_fit
from vitsearch.backbones.wheel import move_into_place, remove_leftovers
from vitsearch.errors import WeightsUnavailable
from vitsearch.storage.layout import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vitsearch.backbones.families.published import Published, Source, Translated
    from vitsearch.space import Space

# Changes with what the maps of the families make of a file, which is then translated again.
_MAPS = 1
_ORIGIN = "published.json"
_BESIDE = ("config.json", "open_clip_config.json", "tokenizer.json", "vocab.json")
_PICKLED = (".pth", ".pt", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model", "teacher")


def published_weights(folder: Path) -> Path | None:
    """Return the safetensors file of a folder in the layout of timm or OpenCLIP, or None for other folders."""
    config = _read_json(folder / "config.json")
    if "model_type" in config:
        return None
    if "architecture" in config:
        return folder / "model.safetensors"
    if not config and (folder / "open_clip_config.json").is_file():
        return folder / "open_clip_model.safetensors"
    return None


def converted(model: str, file: Path, *, cache: Path, revision: str = "") -> Checkpoint:
    """Return the converted form of a published checkpoint file; the first call converts it.

    Raises:
        WeightsUnavailable: the file is damaged, contains more than tensors, or is of an unknown family.

    """
    seen = [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for path in (file, *(file.parent / name for name in _BESIDE))
        if path.is_file()
    ]
    path_hash = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:32]
    note = cache / "converted" / f"{path_hash}.json"
    remembered = read_note(note)
    if remembered.get("seen") == seen and remembered.get("maps") == _MAPS:
        folder = _folder(cache) / str(remembered["kept"])
        if _is_whole(folder):
            return _checkpoint(model, folder, revision)
    folder = _keep(_translate(file), file.parent, cache=cache)
    write_note(note, {"seen": seen, "maps": _MAPS, "kept": folder.name})
    return _checkpoint(model, folder, revision)


def kept_for(space: Space, *, cache: Path) -> Checkpoint | None:
    """Return the converted checkpoint of a space, even if the original file is gone."""
    wanted = space.preprocessing
    for folder in sorted(_folder(cache).glob(f"{space.fingerprint[:16]}-*")):
        if _is_whole(folder) and fingerprint(folder, cache=cache) == space.fingerprint:
            found = with_fit(read_preprocessing(folder), wanted.fit)
            if (found.resize, found.resample, found.mean, found.std) == (
                wanted.resize,
                wanted.resample,
                wanted.mean,
                wanted.std,
            ):
                return _checkpoint(space.model, folder, space.revision)
    return None


def _folder(cache: Path) -> Path:
    return cache / "weights" / "converted"


def _is_whole(folder: Path) -> bool:
    try:
        return bool(weight_files(folder))
    except WeightsUnavailable:
        return False


def _checkpoint(model: str, folder: Path, revision: str) -> Checkpoint:
    origin = _read_json(folder / _ORIGIN)
    return Checkpoint(
        model,
        folder,
        "vitsearch cache",
        str(origin.get("license", "not stated")),
        revision,
        str(origin.get("origin", "")),
    )


def _translate(file: Path) -> Translated:
    from vitsearch.backbones.families.published import Source, UnfitCheckpoint

    tensors = _read_tensors(file)
    configs = {name: _read_json(file.parent / name) for name in _BESIDE if (file.parent / name).is_file()}
    source = Source(file.name, tensors, configs, lambda: _sha256(file))
    family = next((family for family in _families() if family.recognises(source)), None)
    if family is None:
        raise WeightsUnavailable(_unknown(file, source))
    try:
        return family.translate(source)
    except UnfitCheckpoint as error:
        advice = "" if ":" in str(error) else ": take a checkpoint as its authors published it"
        raise WeightsUnavailable(f"{file} {error}{advice}") from error
    except (IndexError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise WeightsUnavailable(
            f"{file} has the names of a {family.name} checkpoint, but not its shapes ({error}): get it again"
        ) from error


def _families() -> tuple[Published, ...]:
    """Return the families in the order they are asked; what has timm's names without its config.json is DINO's."""
    from vitsearch.backbones.families.facebook_files import DINO, DINOV2
    from vitsearch.backbones.families.open_clip_files import OPEN_CLIP
    from vitsearch.backbones.families.timm_files import TIMM
    from vitsearch.backbones.families.torchvision_files import TORCHVISION

    return OPEN_CLIP, TORCHVISION, DINOV2, TIMM, DINO


def _unknown(file: Path, source: Source) -> str:
    if "model_type" in source.configs.get("config.json", {}) and file.suffix == ".safetensors":
        return f"{file} belongs to a transformers checkpoint: name its folder, {file.parent}"
    if "blocks.0.attn.qkv.weight" in source.tensors:
        return (
            f"{file} has a classifier and no config.json of timm's beside it, which would say how photos are prepared: "
            "put the one that it was published with there"
        )
    names = ", ".join(family.name for family in _families())
    return f"{file} is no checkpoint of a known family ({names}): convert it with transformers' `save_pretrained`"


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read a file's tensors, which still lie in it."""
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    if file.suffix not in _PICKLED:
        raise WeightsUnavailable(
            f"{file} is no checkpoint: name a folder, or a file that ends in .safetensors, {', '.join(_PICKLED)}"
        )
    return _checked(_unwrapped(_read_pickled(file)), file)


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsUnavailable(f"{file} cannot be read ({error}): get the checkpoint again") from error
    return tensors


def _read_pickled(file: Path) -> Any:  # noqa: ANN401
    import torch

    try:
        with warnings.catch_warnings():
            # TorchScript archives are warned about, and then refused.
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # a damaged or hostile file can make an unpickler raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsUnavailable(
            f"{file} is refused: it does not hold tensors alone, or is damaged, and nothing in it was run "
            f"({type(error).__name__}: {reason[:120]}); get the checkpoint from its authors"
        ) from error


def _unwrapped(content: Any) -> Any:  # noqa: ANN401
    """Return the tensors by name, without the wrappers of training scripts."""
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if isinstance(content, dict) and content and all(str(name).startswith("module.") for name in content):
        content = {str(name).removeprefix("module."): value for name, value in content.items()}
    return content


def _checked(content: Any, file: Path) -> dict[str, torch.Tensor]:  # noqa: ANN401
    import torch

    if not isinstance(content, dict) or not content:
        raise WeightsUnavailable(f"{file} holds no tensors by name: get the checkpoint from its authors")
    for name, value in content.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise WeightsUnavailable(f"{file} holds {name}, which is no tensor: get it from its authors")
        # A few bytes can claim to be a tensor of any size.
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsUnavailable(f"{file} holds {name}, which claims more values than there are: refused")
    return {str(name): value.detach() for name, value in content.items()}


def _keep(made: Translated, beside: Path, *, cache: Path) -> Path:
    """Write a converted checkpoint to the cache atomically, and return its folder."""
    import torch
    from safetensors.torch import save_file

    parent = _folder(cache)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(parent)
        staging = Path(tempfile.mkdtemp(dir=parent, prefix=".incoming-"))
        try:
            (staging / MARK).touch()
            made_folder = staging / "checkpoint"
            made_folder.mkdir()
            tensors = {
                name: tensor.to(torch.float32, copy=True).contiguous()
                for name, tensor in made.tensors.items()
            }
            save_file(tensors, made_folder / "model.safetensors", metadata={"format": "pt"})
            settings = (made.config, made.preprocessor)
            for name, content in zip(("config.json", "preprocessor_config.json"), settings, strict=True):
                (made_folder / name).write_text(json.dumps(content, indent=2), "utf-8")
            origin = {"origin": made.origin, "license": made.license}
            (made_folder / _ORIGIN).write_text(json.dumps(origin, indent=2), "utf-8")
            for name in made.beside:
                if (beside / name).is_file():
                    shutil.copyfile(beside / name, made_folder / name)
            weights = fingerprint(made_folder, cache=cache)
            said = hashlib.sha256(json.dumps([*settings, origin], sort_keys=True).encode()).hexdigest()
            folder = parent / f"{weights[:16]}-{said[:16]}"
            move_into_place(made_folder, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise WeightsUnavailable(
            f"cannot save weights in {parent} ({error.strerror or error}): free some space there or make it writable"
        ) from error
    return folder


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
