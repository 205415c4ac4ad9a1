"""`vitsearch roots`: the folders that a library knows."""

from __future__ import annotations

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.session import Session, json_option, pass_session


@click.group()
def roots() -> None:
    """Show, relocate or forget the folders that were indexed."""


@roots.command("list")
@json_option
@pass_session
def list_roots(session: Session, as_json: bool) -> None:
    """List the known folders with what is in them."""
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
            notes.append("offline")
        say(f"{shown(str(info.path))}  ({', '.join(notes)})")


@roots.command()
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option("--force", is_flag=True, help="Do so although NEW does not hold these photos.")
@pass_session
def relocate(session: Session, old: str, new: str, force: bool) -> None:
    """Say that the folder OLD is now at NEW, for example on a drive that is mounted elsewhere.

    No photo is read again. NEW is refused if it does not hold these photos, by the names and sizes of some of them.
    """
    with session.open() as library:
        library.relocate_root(old, new, force=force)
    say(f"{shown(old)} is now {shown(new)}")


@roots.command()
@click.argument("folder", type=click.Path())
@pass_session
def forget(session: Session, folder: str) -> None:
    """Drop FOLDER from the library, with all that is known of the photos that were only there.

    The photos themselves are not touched.
    """
    with session.open() as library:
        removed = library.forget_root(folder)
    say(f"forgot {shown(folder)} and {plural(removed, 'photo')}")
