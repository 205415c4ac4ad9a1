"""`vitsearch status`."""

from __future__ import annotations

import click

from vitsearch.cli.output import plural, print_json, shown, size
from vitsearch.cli.session import Session, json_option, pass_session


@click.command()
@json_option
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Say what the library holds, how large it is, and whether its caches are current."""
    with session.open() as library:
        state = library.status()
    if as_json:
        print_json(state)
        return
    click.echo(f"library     {shown(str(state.folder))}")
    click.echo(
        f"model       {state.model or 'none yet'}"
        + (f" ({state.dimension} dimensions)" if state.model else "")
    )
    click.echo(f"photos      {state.photos:,} in {plural(state.files, 'file')}, {state.vectors:,} vectors")
    if state.missing or state.unreadable:
        click.echo(f"not here    {state.missing:,} missing, {state.unreadable:,} unreadable")
    current = "current" if state.cache_current else "to be brought up to date by the next search"
    click.echo(
        f"on disk     database {size(state.database_bytes)}, index {size(state.neighbours_bytes)} ({current})"
    )
    for root in state.roots:
        click.echo(f"folder      {shown(str(root.path))}" + ("" if root.online else "  (offline)"))
