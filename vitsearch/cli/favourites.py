"""`vitsearch favourites`: the photos marked as favourites, here or on the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.named_photos import photos_at
from vitsearch.cli.output import plural, print_failed, print_json, print_paths, say
from vitsearch.cli.session import Session, json_option, pass_session, print0_option

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def favourites() -> None:
    """Add, remove, list and export favourites. The web page shows the same ones."""


_PHOTOS = click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="PHOTO...")


@favourites.command()
@_PHOTOS
@json_option
@pass_session
def add(session: Session, photos: tuple[str, ...], as_json: bool) -> None:
    """Mark each PHOTO as a favourite. It stays one when the file is moved. `search --favourite` finds it."""
    _put(session, photos, favourite=True, as_json=as_json)


@favourites.command()
@_PHOTOS
@json_option
@pass_session
def remove(session: Session, photos: tuple[str, ...], as_json: bool) -> None:
    """Remove each PHOTO from the favourites. The file is not touched."""
    _put(session, photos, favourite=False, as_json=as_json)


def _put(session: Session, photos: Sequence[str], *, favourite: bool, as_json: bool) -> None:
    from vitsearch.storage.backup import back_up_daily
    from vitsearch.storage.favourites import Favourites

    with session.open() as library:
        # All of them are known before one is changed.
        ids = photos_at(library, [Path(photo).absolute() for photo in photos])
        back_up_daily(library.catalog.database)
        head_store = Favourites(library.catalog.database)
        changed = head_store.put(ids, favourite=favourite)
        count = len(head_store.ids())
    if as_json:
        print_json({"changed": changed, "favourites": count})
        return
    verb = "added" if favourite else "removed"
    say(f"{plural(changed, 'favourite')} {verb}; there {'is' if count == 1 else 'are'} {count:,} now")


@favourites.command("list")
@print0_option
@json_option
@pass_session
def list_favourites(session: Session, nul: bool, as_json: bool) -> None:
    """List the files of all favourites."""
    from vitsearch.storage.favourites import Favourites

    with session.open() as library:
        rows = library.catalog.photos(Favourites(library.catalog.database).ids().tolist())
    paths = [path for row in rows.values() for path in row.paths]
    if as_json:
        print_json({"favourites": paths})
        return
    print_paths(paths, nul=nul)
    if not paths:
        say("no favourites yet: `vitsearch favourites add PHOTO`, or choose some on the page", err=True)


@favourites.command()
@json_option
@pass_session
@click.pass_context
def export(context: click.Context, session: Session, as_json: bool) -> None:
    """Write a five-star rating into an XMP sidecar next to each favourite.

    digiKam, darktable, Lightroom and others read these. The photos themselves are not touched, and other content of a
    sidecar is kept. A photo that is no longer a favourite gets its previous rating back, unless you have changed it
    since. The exit status is 1 if a sidecar could not be written.
    """
    from vitsearch.heads.export_favourites import export_favourites

    with session.open() as library:
        report = export_favourites(library)
    if as_json:
        print_json(report)
    else:
        back = f", {report.taken_back:,} got the former rating back" if report.taken_back else ""
        say(f"{plural(report.changed, 'sidecar')} written, {report.unchanged:,} had five stars already{back}")
        if report.failed:
            print_failed(f"{plural(len(report.failed), 'sidecar')} could not be written", report.failed)
    if report.failed:
        context.exit(1)
