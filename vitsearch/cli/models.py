"""`vitsearch models`: list, describe, download and remove models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from vitsearch.cli.commands import Commands
from vitsearch.cli.output import print_json, say, shown
from vitsearch.cli.session import Session, json_option, pass_session
from vitsearch.cli.terminal import Terminal
from vitsearch.errors import LibraryError

if TYPE_CHECKING:
    from vitsearch.backbones import ModelDescription
    from vitsearch.records import UsedSpace
    from vitsearch.space import BackboneSpec


_DIMENSION = len("dimensions")


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    source: str
    dimension: int
    text: bool
    license: str
    cached: bool
    notes: str
    library: str


@click.group(commands=Commands({"compare": "vitsearch.cli.compare:compare"}))
def models() -> None:
    """List, describe, download, remove and compare models."""


@models.command("list")
@json_option
@pass_session
def list_models(session: Session, as_json: bool) -> None:
    """List the registered models, and those that the library uses.

    Instead of a name, you can use any Hugging Face id or local folder of a ViT, DeiT, DINO, DINOv2, DINOv3, BEiT, CLIP
    or SigLIP checkpoint, or a checkpoint file of torchvision, DINO, DINOv2, timm or OpenCLIP.
    """
    from vitsearch.backbones import list_models
    from vitsearch.backbones.weights import is_cached

    used = _used(session)
    rows = [
        _Row(
            name=model.name,
            source=model.hub_id or model.source,
            dimension=model.facts.dimension,
            text=model.facts.has_text,
            license=model.license,
            cached=is_cached(model.name, cache=session.cache_folder),
            notes=model.notes,
            library=used[model.name][0] if model.name in used else "",
        )
        for model in list_models()
    ]
    known = {row.name for row in rows}
    for name, (use, stored) in used.items():
        if name in known:
            continue
        # A folder, or a model of the hub that has no name here.
        rows.append(
            _Row(name, name, stored.dimension, stored.reads_text, "", cached=False, notes="", library=use)
        )
    if as_json:
        print_json({"models": rows})
        return
    width = max(len(row.name) for row in rows)
    if Terminal.of().is_terminal:
        say(f"{'name':<{width}}  {'dimensions':>{_DIMENSION}}  from")
    for row in rows:
        marks = ", ".join(
            mark
            for mark, holds in (("reads text", row.text), ("here", row.cached), (row.library, row.library))
            if holds
        )
        say(
            f"{row.name:<{width}}  {row.dimension:>{_DIMENSION}}  {row.source}"
            + (f"  ({marks})" if marks else "")
        )


def _used(session: Session) -> dict[str, tuple[str, UsedSpace]]:
    """Return what the library uses each of its models for; empty if there is no library."""
    try:
        with session.open() as library:
            spaces = library.used_spaces()
    except LibraryError:
        return {}
    names = {True: "the library's main model", False: "the library's model for words"}
    return {space.model: (names[space.main], space) for space in spaces}


@models.command()
@click.argument("model")
@json_option
@pass_session
def show(session: Session, model: str, as_json: bool) -> None:
    """Show the details of MODEL: patches, tokens, width, layers, preprocessing, licence and source."""
    from vitsearch.backbones import describe

    _print_description(session, describe(model, cache=session.cache_folder), as_json=as_json)


@models.command()
@click.argument("model")
@json_option
@pass_session
def pull(session: Session, model: str, as_json: bool) -> None:
    """Download the weights of MODEL, so that later runs need no network."""
    from vitsearch.backbones import pull as fetch

    described = fetch(model, cache=session.cache_folder, notice=lambda line: say(line, err=True))
    _print_description(session, described, as_json=as_json)


@models.command()
@click.argument("model")
@pass_session
def remove(session: Session, model: str) -> None:
    """Delete the library's embeddings of MODEL: its text model, or a model that it no longer uses."""
    from vitsearch.doctor.upkeep import remove_model

    with session.open() as library:
        removed = remove_model(library, model)
    say(f"removed {removed:,} vectors of {shown(model)}")


def _borrowed(session: Session, spec: BackboneSpec) -> str:
    """Describe where a model without a text tower of its own gets one from."""
    from vitsearch.backbones.borrowed_text import borrows_text, locally

    return locally(session.cache_folder) if borrows_text(spec.space) else ""


def _print_description(session: Session, described: ModelDescription, *, as_json: bool) -> None:
    spec = described.spec
    pre = spec.space.preprocessing
    facts = {
        "model": spec.space.model,
        "architecture": spec.architecture,
        "source": spec.source,
        "licence": spec.license,
        "cached": described.cached,
        "dimension": spec.space.dimension,
        "readout": spec.space.readout,
        "patch_size": spec.patch_size,
        "tokens": spec.tokens,
        "width": spec.width,
        "layers": spec.layers,
        "heads": spec.heads,
        "parameters": spec.parameters,
        "text": spec.has_text,
        "text_tower": _borrowed(session, spec),
        "preprocessing": pre,
        "notes": described.notes,
    }
    if as_json:
        print_json(facts)
        return
    facts["preprocessing"] = f"{pre.width} x {pre.height}, {pre.fit}" + (
        f" after shortest edge {pre.resize}" if pre.fit == "crop" else ""
    )
    facts["parameters"] = f"{spec.parameters / 1e6:.1f} million"
    for name, value in facts.items():
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        if text:
            say(f"{name.replace('_', ' '):<14} {shown(text)}")
