"""`vitsearch heads list`, `show`, `delete`, `export` and `load`: look after heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.head_report import SHOWN_LABELS, record_as_json, show_head
from vitsearch.cli.output import plural, print_failed, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, force_option, json_option, pass_session
from vitsearch.errors import HeadError

if TYPE_CHECKING:
    from vitsearch.heads.head import Head


@click.command("list")
@json_option
@pass_session
def list_heads(session: Session, as_json: bool) -> None:
    """List the heads of the library."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head_store = HeadStore(library)
        found = [head_store.describe(name) for name in head_store.names()]
    if as_json:
        print_json({"heads": found})
        return
    width = max((len(head.name) for head in found), default=0)
    for head in found:
        say(
            f"{shown(head.name):<{width}}  {head.origin:<8}  {plural(len(head.labels), 'label')}, "
            f"version {head.version}, {shown(head.model)}"
        )
    if not found:
        say("no heads yet: see `vitsearch heads --help`", err=True)


@click.command()
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show the head NAME: its labels, its model and its accuracy when it was trained."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head_store = HeadStore(library)
        head, described = head_store.get(name), head_store.describe(name)
    facts: dict[str, object] = {
        **record_as_json(described),
        "readout": head.space.readout,
        "dimension": head.space.dimension,
        "temperature": head.temperature,
        "abstain_below": head.abstain_below,
        "none_of_these": _none_of_these(head),
        "details": dict(head.details),
    }
    if as_json:
        print_json(facts)
        return
    facts |= {"labels": ", ".join(described.labels[:SHOWN_LABELS]), **head.details}
    if len(described.labels) > SHOWN_LABELS:
        facts["labels"] = f"{facts['labels']} and {len(described.labels) - SHOWN_LABELS:,} more"
    del facts["details"]
    for fact, value in facts.items():
        if value is None or isinstance(value, dict):
            continue
        if (
            isinstance(value, (list, tuple))
            and len(value) == 2
            and all(isinstance(end, float) for end in value)
        ):
            text = f"{value[0]:.4g} to {value[1]:.4g}"
        else:
            text = f"{value:.4g}" if isinstance(value, float) else shown(str(value))
        say(f"{fact.replace('_', ' '):<18} {text}")


@click.command()
@click.argument("name")
@click.option(
    "--xmp",
    is_flag=True,
    help="Also remove the keywords that this head wrote to sidecars.",
)
@pass_session
def delete(session: Session, name: str, xmp: bool) -> None:
    """Delete the head NAME with its examples, corrections and labels. No photo is touched.

    Keywords written by `label --xmp` stay in the sidecars. With --xmp, the keywords that this head wrote are removed;
    your own and those of other heads stay. --xmp also works after the head has been deleted.
    """
    from vitsearch.heads.export_labels import take_back_keywords
    from vitsearch.heads.store import HeadStore

    with session.open() as library, progress_bar(quiet=not xmp) as on_progress:
        head_store = HeadStore(library)
        taken = take_back_keywords(library, name, on_progress=on_progress) if xmp else None
        if taken and taken.failed:
            print_failed(f"{plural(len(taken.failed), 'sidecar')} could not be written", taken.failed)
            raise HeadError(f"{name!r} was not deleted: mend that and run this again, or leave out --xmp")
        if not taken or not taken.changed or name in head_store.names():
            head_store.delete(name)
            say(f"deleted {shown(name)}")
    if taken:
        where = plural(taken.changed, "sidecar")
        say(f"{plural(taken.taken_back, 'keyword')} taken out of {where}", err=True)


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--without-examples",
    is_flag=True,
    help="Leave out the embeddings of its examples.",
)
@force_option
@pass_session
def export(session: Session, name: str, file: str, without_examples: bool, force: bool) -> None:
    """Export the head NAME to FILE (.safetensors), for another library or another program.

    A head trained on photos compares new photos with some of its examples; the file contains their embeddings, but no
    photos. With --without-examples it contains none, and the head may label a few more photos of unrelated things.
    """
    from vitsearch.heads.store import HeadStore

    session.check_outputs((file, "head"), force=force)
    with session.open() as library:
        head = HeadStore(library).export(name, Path(file), examples=not without_examples, force=force)
    say(f"{shown(name)}: {shown(str(Path(file).absolute()))}")
    say(f"none of these: {_none_of_these(head)}", err=True)


@click.command()
@click.argument("file", type=click.Path())
@click.option("--name", help="A new name for the head.")
@json_option
@pass_session
def load(session: Session, file: str, name: str | None, as_json: bool) -> None:
    """Load a head that `vitsearch heads export` wrote to FILE."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head = HeadStore(library).load(Path(file), name=name)
    show_head(head, as_json=as_json)


def _none_of_these(head: Head) -> str:
    """Describe in one line whether and how a head recognises photos with none of its labels."""
    if head.gate is None:
        return head.lacks or ""
    held = len(head.gate.examples)
    background = f"learned from {plural(head.gate.background, 'other photo')}"
    examples = f"holds the vectors of {plural(held, 'example')}" if held else "holds no vectors of examples"
    return f"{background}, {examples}"
