"""`vitsearch favourites`: the photos that were marked on the page."""

from __future__ import annotations

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.session import Session, json_option, pass_session


@click.group()
def favourites() -> None:
    """List the favourites that were chosen on the page, or write them as ratings for other programs."""


@favourites.command("list")
@json_option
@pass_session
def list_favourites(session: Session, as_json: bool) -> None:
    """List the files of all favourites."""
    from vitsearch.storage.favourites import Favourites

    with session.open() as library:
        rows = library.catalog.photos(Favourites(library.catalog.database).ids().tolist())
    paths = [path for row in rows.values() for path in row.paths]
    if as_json:
        print_json({"favourites": paths})
        return
    for path in paths:
        say(shown(str(path)))
    if not paths:
        say("no favourites yet: choose some on the page, `vitsearch serve --open`", err=True)


@favourites.command()
@json_option
@pass_session
def export(session: Session, as_json: bool) -> None:
    """Write five stars into an XMP sidecar beside each favourite.

    digiKam, darktable, Lightroom and others read them. The photos themselves are not touched, and whatever else a
    sidecar holds stays.
    """
    from vitsearch.heads.export_favourites import export_favourites

    with session.open() as library:
        report = export_favourites(library)
    if as_json:
        print_json(report)
        return
    say(f"{plural(report.changed, 'sidecar')} written, {report.unchanged:,} had five stars already")
    for failed in report.failed:
        say(f"  {shown(str(failed.path))}: {failed.reason}")
