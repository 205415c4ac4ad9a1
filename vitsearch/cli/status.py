"""`vitsearch status`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import duration, plural, print_json, say, shown, size
from vitsearch.cli.roots import why_away
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.neighbours.forecast import Forecast
    from vitsearch.records import RootInfo


@click.command()
@click.option("--forecast", is_flag=True, help="Also forecast what the library will need as it grows.")
@click.option(
    "--unreadable", is_flag=True, help="Instead, list the files that could not be read, with the reasons."
)
@json_option
@pass_session
def status(session: Session, forecast: bool, unreadable: bool, as_json: bool) -> None:
    """Show what the library holds, and whether its caches are current."""
    if unreadable:
        if forecast:
            raise click.UsageError("--unreadable lists files and nothing else: leave --forecast away")
        _list_unreadable(session, as_json=as_json)
        return
    with session.open() as library:
        state = library.status(thumbnails=True)
        forecasts = library.forecast() if forecast or as_json else ()
    if as_json:
        print_json(
            {**{field.name: getattr(state, field.name) for field in fields(state)}, "forecast": forecasts}
        )
        return
    say(f"library     {shown(str(state.folder))}")
    say(
        f"model       {state.model or 'none yet'}"
        + (f" ({state.dimension} dimensions)" if state.model else "")
    )
    for space in state.spaces:
        if not space.main:
            left = (
                f", {plural(space.left, 'photo')} still to come with `vitsearch index`" if space.left else ""
            )
            say(f"for words   {shown(space.model)} ({space.dimension} dimensions){left}")
    if state.words_step is not None:
        step = state.words_step
        takes = f" (about {duration(step.seconds)})" if step.seconds else ""
        say(f"for words   nothing yet: `{shown(step.command)}` adds them{takes}")
    say(f"photos      {state.photos:,} in {plural(state.files, 'file')}, {state.vectors:,} vectors")
    if state.missing or state.unreadable:
        listed = " (`vitsearch status --unreadable` lists them)" if state.unreadable else ""
        say(f"not here    {plural(state.missing, 'file')} missing, {state.unreadable:,} unreadable{listed}")
    current = "current" if state.cache_current else "to be brought up to date by the next search"
    say(
        f"on disk     database {size(state.database_bytes)}, index {size(state.neighbours_bytes)} ({current})"
    )
    if state.thumbnails_bytes:
        say(f"thumbnails  {size(state.thumbnails_bytes)} (made again when they are deleted)")
    _say_folders(state.roots)
    for one in forecasts:
        say(f"{f'at {one.photos:,}':<15} {_needs(one)}")


def _say_folders(roots: Sequence[RootInfo]) -> None:
    for root in roots:
        say(f"folder      {shown(str(root.path))}" + ("" if root.online else f"  ({why_away(root)})"))
    unfinished = [root for root in roots if root.to_come is not None]
    for root in unfinished:
        left = f", at most {plural(root.to_come, 'file')} still to come" if root.to_come else ""
        say(f"unfinished  the last index run over {shown(str(root.path))} has not ended{left}")
    if unfinished:
        say("            unless one is running now, `vitsearch index` goes on where it was interrupted")


def _list_unreadable(session: Session, *, as_json: bool) -> None:
    from vitsearch.storage.status import unreadable_files

    with session.open() as library:
        files = unreadable_files(library.catalog)
    if as_json:
        print_json({"unreadable": files})
        return
    for file in files:
        say(f"{shown(str(file.path))}: {shown(file.reason)}")
    tried = ": `vitsearch index --retry` looks at them again" if files else ""
    say(f"{plural(len(files), 'file')} could not be read{tried}", err=True)


def _needs(forecast: Forecast) -> str:
    disk = (
        f"{size(forecast.database_bytes + forecast.index_bytes)} on disk ({size(forecast.index_bytes)} index)"
    )
    memory = (
        f"{size(forecast.memory_bytes)} of memory to search (and {size(forecast.mapped_bytes)} of page cache)"
    )
    build = f"index built in {duration(forecast.build_seconds)}"
    embed = (
        "" if forecast.embed_seconds is None else f", {duration(forecast.embed_seconds)} to embed the rest"
    )
    return f"{disk}, {memory}, {build}{embed}"
