"""From a model's name, or the space that a library stores, to a backbone that runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from vitsearch.backbones.architectures import make_spec, read_facts, spec_in_space
from vitsearch.backbones.devices import choose_device
from vitsearch.backbones.registry import MODELS, RegisteredModel, find_model
from vitsearch.backbones.spec import Space
from vitsearch.backbones.weights import choose_default, find_locally, is_cached, obtain
from vitsearch.errors import SpaceMismatch, WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.backbones.spec import BackboneSpec, Fit, Readout

Runtime = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What `models show` prints; the space's fingerprint is empty until the weights are on this machine."""

    spec: BackboneSpec
    cached: bool
    notes: str


def _silent(message: str) -> None:
    del message


def load_backbone(
    model: str | None,
    *,
    cache: Path,
    device: Device = "auto",
    batch_size: int | None = None,
    runtime: Runtime = "auto",
    fit: Fit | None = None,
    readout: Readout | None = None,
    notice: Callable[[str], None] = _silent,
) -> Backbone:
    """Load a model by registry name, hub id or folder; None chooses the default and says which and why.

    Raises:
        UnknownModel: no registry name, hub id or folder is called this.
        WeightsUnavailable: the weights cannot be had or do not make sense.
        DeviceUnavailable: the device was asked for and cannot be used.
        ModelError: the architecture is not supported or has no such readout.
    """
    if model is None:
        choice = choose_default(cache=cache)
        notice(choice.reason)
        model = choice.model
    checkpoint = obtain(model, cache=cache, notice=notice)
    spec = make_spec(checkpoint, read_facts(checkpoint.folder, fit=fit, readout=readout), cache=cache)
    return _open(
        spec, checkpoint.folder, device=device, batch_size=batch_size, runtime=runtime, notice=notice
    )


def load_for_space(
    space: Space,
    *,
    cache: Path,
    device: Device = "auto",
    batch_size: int | None = None,
    runtime: Runtime = "auto",
    notice: Callable[[str], None] = _silent,
) -> Backbone:
    """Load the backbone whose vectors live in exactly this space.

    Raises:
        SpaceMismatch: the weights or settings on this machine are not those of the space.
        WeightsUnavailable, DeviceUnavailable, ModelError: as `load_backbone`.
    """
    checkpoint = obtain(space.model, cache=cache, notice=notice)
    facts = read_facts(checkpoint.folder, fit=space.preprocessing.fit, readout=space.readout)
    spec = make_spec(checkpoint, facts, cache=cache)
    if spec.space != space:
        raise SpaceMismatch(_difference(space, spec.space, checkpoint.folder))
    return _open(
        spec, checkpoint.folder, device=device, batch_size=batch_size, runtime=runtime, notice=notice
    )


def load_vision_model(space: Space, *, cache: Path) -> tuple[torch.nn.Module, BackboneSpec]:
    """Load transformers' own image model of a space on the CPU, with eager attention so that it returns its maps.

    For CLIP the image model is the `vision_model` of what is returned.

    Raises:
        WeightsUnavailable, ModelError: as `load_backbone`.
    """
    from vitsearch.backbones import vision_tower

    checkpoint = obtain(space.model, cache=cache, notice=_silent)
    facts = read_facts(checkpoint.folder, fit=space.preprocessing.fit, readout=space.readout)
    spec = make_spec(checkpoint, facts, cache=cache)
    return vision_tower.load_vision_model(checkpoint.folder, attention="eager"), spec


def list_models() -> tuple[RegisteredModel, ...]:
    """Return every backbone that has a name of its own."""
    return MODELS


def describe(model: str, *, cache: Path) -> ModelDescription:
    """Describe a model without loading it; a registered model also before its weights are on this machine.

    Raises:
        UnknownModel: no registry name, hub id or folder is called this.
        WeightsUnavailable: an unregistered model that is not on this machine, or damaged weights.
    """
    known = find_model(model)
    notes = known.notes if known else ""
    checkpoint = find_locally(model, cache=cache)
    if checkpoint is not None and (known is None or is_cached(model, cache=cache)):
        return ModelDescription(
            make_spec(checkpoint, read_facts(checkpoint.folder), cache=cache), cached=True, notes=notes
        )
    if known is None:
        raise WeightsUnavailable(
            f"{model} is not on this machine: get it first with `vitsearch models pull {model}`"
        )
    facts = known.facts
    space = Space(known.name, "", facts.preprocessing, facts.readout, facts.dimension)
    spec = spec_in_space(space, facts, source=known.hub_id or known.source, license=known.license)
    return ModelDescription(spec, cached=False, notes=notes)


def pull(model: str, *, cache: Path, notice: Callable[[str], None] = _silent) -> ModelDescription:
    """Make sure that a model's weights are on this machine, and describe it.

    Raises:
        UnknownModel, WeightsUnavailable: as `load_backbone`.
    """
    obtain(model, cache=cache, notice=notice)
    return describe(model, cache=cache)


def _open(
    spec: BackboneSpec,
    folder: Path,
    *,
    device: Device,
    batch_size: int | None,
    runtime: Runtime,
    notice: Callable[[str], None],
) -> Backbone:
    del runtime
    chosen = choose_device(device, notice=notice)
    from vitsearch.backbones.torch_runtime import open_torch

    return open_torch(spec, folder, device=chosen, batch_size=batch_size, notice=notice)


def _difference(wanted: Space, found: Space, folder: Path) -> str:
    ours, theirs = asdict(wanted), asdict(found)
    name = next(name for name in ours if ours[name] != theirs[name])
    return (
        f"{folder} is not the {wanted.model} that these vectors were made with: its {name} is {theirs[name]}, not "
        f"{ours[name]}; bring the same weights back, or index into a new library with --library"
    )
