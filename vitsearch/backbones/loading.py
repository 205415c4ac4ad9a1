"""From a model's name, or a library's space, to a running backbone."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from vitsearch.backbones.architectures import make_spec, read_facts, spec_in_space
from vitsearch.backbones.checkpoint import fingerprint
from vitsearch.backbones.graphs import remove_graphs
from vitsearch.backbones.opening import Options, open_ready, silent
from vitsearch.backbones.registry import MODELS, RegisteredModel, find_model
from vitsearch.backbones.weights import choose_default, find_locally, is_cached, obtain, obtain_for_space
from vitsearch.errors import DeviceUnavailable, ModelError, SpaceMismatch, WeightsUnavailable
from vitsearch.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.backbones.opening import Runtime
    from vitsearch.space import BackboneSpec, Fit, Readout


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What `models show` prints. The space's fingerprint is empty until the weights are on this machine."""

    spec: BackboneSpec
    cached: bool
    notes: str


def load_backbone(
    model: str | None,
    *,
    cache: Path,
    device: Device = "auto",
    batch_size: int | None = None,
    runtime: Runtime = "auto",
    fit: Fit | None = None,
    readout: Readout | None = None,
    notice: Callable[[str], None] = silent,
) -> Backbone:
    """Load a model by registered name, Hugging Face id, folder or file; None chooses the default and reports it.

    Raises:
        UnknownModel: no model has this name.
        WeightsUnavailable: the weights cannot be downloaded, or are damaged.
        DeviceUnavailable: the requested device is not available.
        ModelError: the architecture is not supported, or has no such readout.

    """
    if model is None:
        choice = choose_default(cache=cache)
        notice(choice.reason)
        model = choice.model
    options = Options.decide(
        cache=cache, device=device, batch_size=batch_size, runtime=runtime, notice=notice
    )
    checkpoint = obtain(model, cache=cache, notice=notice)
    facts = read_facts(checkpoint.folder, fit=fit, readout=readout)
    return _open(make_spec(checkpoint, facts, cache=cache), checkpoint.folder, options)


def load_for_space(
    space: Space,
    *,
    cache: Path,
    device: Device = "auto",
    batch_size: int | None = None,
    runtime: Runtime = "auto",
    notice: Callable[[str], None] = silent,
) -> Backbone:
    """Load the backbone of exactly this space.

    Raises:
        SpaceMismatch: the weights or settings on this machine differ from those of the space.
        WeightsUnavailable, DeviceUnavailable, ModelError: as `load_backbone`.

    """
    options = Options.decide(
        cache=cache, device=device, batch_size=batch_size, runtime=runtime, notice=notice
    )
    # The graph carries the weights: with it, neither the checkpoint nor torch is looked at.
    return open_ready(space, options) or load_checkpoint(space, options)


def load_checkpoint(space: Space, options: Options) -> Backbone:
    """Load the backbone of a space from its checkpoint. Raises as `load_for_space`."""
    checkpoint = obtain_for_space(space, cache=options.cache, notice=options.notice)
    facts = read_facts(checkpoint.folder, fit=space.preprocessing.fit, readout=space.readout)
    spec = make_spec(checkpoint, facts, cache=options.cache)
    spec = replace(spec, space=spec.space.with_colours(space.preprocessing.colours))
    if spec.space != space:
        raise SpaceMismatch(_difference(space, spec.space, checkpoint.folder))
    return _open(spec, checkpoint.folder, options)


def space_of(model: str, *, cache: Path, notice: Callable[[str], None] = silent) -> Space:
    """Return the space of a model by registered name, Hugging Face id or folder; downloads the weights only.

    Raises:
        UnknownModel, WeightsUnavailable, ModelError: as `load_backbone`.

    """
    checkpoint = obtain(model, cache=cache, notice=notice)
    return make_spec(checkpoint, read_facts(checkpoint.folder), cache=cache).space


def load_vision_model(space: Space, *, cache: Path) -> tuple[torch.nn.Module, BackboneSpec]:
    """Load transformers' own image model of a space on the CPU, with eager attention so that it returns its maps.

    For CLIP the image model is the `vision_model` of what is returned.

    Raises:
        WeightsUnavailable, ModelError: as `load_backbone`.

    """
    from vitsearch.backbones import vision_tower

    checkpoint = obtain_for_space(space, cache=cache, notice=silent)
    facts = read_facts(checkpoint.folder, fit=space.preprocessing.fit, readout=space.readout)
    spec = make_spec(checkpoint, facts, cache=cache)
    return vision_tower.load_vision_model(checkpoint.folder, attention="eager"), spec


def list_models() -> tuple[RegisteredModel, ...]:
    """Return all registered models."""
    return MODELS


def describe(model: str, *, cache: Path) -> ModelDescription:
    """Describe a model without loading it; a registered model even before its weights are on this machine.

    Raises:
        UnknownModel: no model has this name.
        WeightsUnavailable: an unregistered model is not on this machine, or the weights are damaged.

    """
    known = find_model(model)
    notes = known.notes if known else ""
    checkpoint = find_locally(model, cache=cache)
    if checkpoint is not None and (known is None or is_cached(model, cache=cache)):
        spec = make_spec(checkpoint, read_facts(checkpoint.folder), cache=cache)
        return ModelDescription(spec, cached=True, notes=notes or checkpoint.origin)
    if known is None:
        raise WeightsUnavailable(
            f"{model} is not on this machine: get it first with `vitsearch models pull {model}`"
        )
    facts = known.facts
    space = Space(known.name, "", facts.preprocessing, facts.readout, facts.dimension)
    spec = spec_in_space(space, facts, source=known.hub_id or known.source, license=known.license)
    return ModelDescription(spec, cached=False, notes=notes)


def pull(model: str, *, cache: Path, notice: Callable[[str], None] = silent) -> ModelDescription:
    """Download a model's weights if they are not on this machine, and describe it.

    Raises:
        UnknownModel, WeightsUnavailable: as `load_backbone`.

    """
    obtain(model, cache=cache, notice=notice)
    return describe(model, cache=cache)


def remove(model: str, *, cache: Path) -> tuple[Path, ...]:
    """Remove vitsearch's own files of a model, weights and exported graphs, and return the removed folders.

    A checkpoint in a local folder or in the Hugging Face cache stays; only its exported graphs are removed.

    Raises:
        UnknownModel: no model has this name.
        WeightsUnavailable: the model is not on this machine.

    """
    found = find_locally(model, cache=cache)
    if found is None:
        raise WeightsUnavailable(f"{model} is not on this machine: there is nothing to remove")
    folders = remove_graphs(fingerprint(found.folder, cache=cache), cache=cache)
    if found.source != "vitsearch cache":
        return folders
    shutil.rmtree(found.folder)
    return (*folders, found.folder)


def _open(spec: BackboneSpec, folder: Path, options: Options) -> Backbone:
    if options.runtime == "openvino" and options.device != "cpu":
        raise DeviceUnavailable(
            f"the OpenVINO runtime is for the CPU, not for {options.device}: use --device cpu"
        )
    if len(spec.space.preprocessing.framings) > 1:
        from vitsearch.backbones.two_framings import TwoFramings, spec_of_first

        return TwoFramings(_open(spec_of_first(spec), folder, options), spec.space)
    ready = open_ready(spec.space, options) or _export_graph(spec, folder, options)
    if ready is not None:
        return ready
    from vitsearch.backbones.torch_runtime import open_torch

    return open_torch(
        spec,
        folder,
        device=options.device,
        cache=options.cache,
        batch_size=options.batch_size,
        notice=options.notice,
    )


def _export_graph(spec: BackboneSpec, folder: Path, options: Options) -> Backbone | None:
    """Export a checkpoint to a graph and open it; returns None if that is not wanted or fails."""
    if not options.wants_graph:
        return None
    try:
        from vitsearch.backbones.openvino_export import export

        options.notice(f"preparing {spec.space.model} for this CPU (once)")
        export(spec, folder, cache=options.cache)
    except WeightsUnavailable:
        raise
    except ModelError as error:
        if options.runtime == "openvino":
            raise
        options.notice(f"{error}; running in torch, which is slower")
        return None
    return open_ready(spec.space, options)


def _difference(wanted: Space, found: Space, folder: Path) -> str:
    ours, theirs = asdict(wanted), asdict(found)
    name = next(name for name in ours if ours[name] != theirs[name] and name != "revision")
    return (
        f"{folder} is not the {wanted.model} that these vectors were made with: its {name} is {theirs[name]}, not "
        f"{ours[name]}; bring the same weights back, or index into a new library with --library"
    )
