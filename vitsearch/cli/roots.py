"""`vitsearch roots`: the indexed folders of a library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vitsearch.cli.asking import ask
from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.records import RootInfo


@click.group()
def roots() -> None:
    """List, relocate or forget indexed folders."""


@roots.command("list")
@json_option
@pass_session
def list_roots(session: Session, as_json: bool) -> None:
    """List the indexed folders with their counts."""
    with session.open() as library:
        infos = library.roots()
    if as_json:
        print_json({"roots": infos})
        return
    for info in infos:
        notes = [plural(info.files, "file")]
        if info.missing:
            notes.append(f"{info.missing:,} missing")
        if info.unreadable:
            notes.append(f"{info.unreadable:,} unreadable")
        if info.offline:
            notes.append(f"{info.offline:,} on a drive that is not here")
        if not info.online:
            notes.append(why_away(info))
        say(f"{shown(str(info.path))}  ({', '.join(notes)})")


def why_away(root: RootInfo) -> str:
    """Say why the photos of a folder are not accessible."""
    if root.empty:
        return "empty, as if its drive were not mounted"
    return "offline: its drive is not mounted, or it was moved"


@roots.command()
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option("--force", is_flag=True, help="Skip the check that NEW holds the same photos.")
@pass_session
def relocate(session: Session, old: str, new: str, force: bool) -> None:
    """Record that the indexed folder OLD is now at NEW, for example on a drive that is mounted elsewhere.

    No photo is read again. NEW must hold the same photos; the names and sizes of a sample are checked.
    """
    with session.open() as library:
        library.relocate_root(old, new, force=force)
    say(f"{shown(old)} is now {shown(new)}")


@roots.command()
@click.argument("folder", type=click.Path())
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def forget(session: Session, folder: str, yes: bool) -> None:
    """Remove FOLDER from the library, with the photos that are in no other indexed folder.

    The photo files are not touched. Your labels and decisions are kept, and apply again when the photos are indexed
    again, which embeds them anew. Photos that a head learns from keep their embeddings.
    """
    with session.open() as library:
        lost, examples = library.photos_only_in(folder), library.examples_only_in(folder)
        asked, stay = "", ""
        if examples:
            verb = "stays" if examples == 1 else "stay"
            asked = f" ({examples:,} more, from which heads learn, {verb} known)"
            stay = f"; {plural(examples, 'photo')} from which heads learn {verb} known"
        if lost and not yes:
            ask(
                f"{shown(folder)}: {plural(lost, 'photo')} {'is' if lost == 1 else 'are'} in no other folder, and "
                f"would leave the library{asked}; their files, labels and decisions stay, what the model saw in them "
                "goes",
                "Forget them?",
                command=session.command("roots", "forget", folder, "--yes"),
            )
        removed = library.forget_root(folder)
    say(f"forgot {shown(folder)} and {plural(removed, 'photo')}{stay}")
