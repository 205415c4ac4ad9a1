"""`vitsearch duplicates`: find duplicates, and remember which pairs were dismissed."""

from __future__ import annotations

import click

from vitsearch.cli import decisions
from vitsearch.cli.default_command import DefaultCommandGroup
from vitsearch.cli.duplicates_check import check_pair
from vitsearch.cli.duplicates_find import find
from vitsearch.cli.duplicates_have import have
from vitsearch.cli.session import Session, json_option, pass_session

_GROUPS = click.argument("groups", nargs=-1, required=True, metavar="GROUP...")


@click.group(cls=DefaultCommandGroup)
def duplicates() -> None:
    """Find duplicate photos, with evidence for each pair. No file is changed.

    Without a command, this runs `vitsearch duplicates find`.

    \b
    Examples:
      vitsearch duplicates
      vitsearch duplicates find --plan plan.json
      vitsearch duplicates find --since 2026-11-01
      vitsearch duplicates have /media/card
      vitsearch duplicates check a.jpg b.jpg
      vitsearch duplicates dismiss 12-57
    """


duplicates.add_command(find)
duplicates.add_command(have)


@duplicates.command()
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@json_option
@click.pass_context
def check(context: click.Context, first: str, second: str, as_json: bool) -> None:
    """Check whether two files show the same shot, and why. Exit status: 0 if they do, 3 if they do not.

    The files need not be in a library, and the answer does not depend on one.
    """
    check_pair(context, (first, second), as_json=as_json)


@duplicates.command()
@_GROUPS
@click.option("--force", is_flag=True, help="Also a group that no search has shown.")
@json_option
@pass_session
def dismiss(session: Session, groups: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Mark a group as not duplicates. It is no longer shown, until you `restore` it.

    GROUP is the name of a group, such as 12-57, or two or more paths.
    """
    with session.open() as library:
        decisions.remember(library, groups, unseen=force)
        if as_json:
            decisions.show(library, as_json=True)


@duplicates.command()
@_GROUPS
@json_option
@pass_session
def restore(session: Session, groups: tuple[str, ...], as_json: bool) -> None:
    """Restore a dismissed group, so that it counts as duplicates again.

    GROUP is the name of a group, such as 12-57, or two or more paths.
    """
    with session.open() as library:
        decisions.restore(library, groups)
        if as_json:
            decisions.show(library, as_json=True)


@duplicates.command()
@json_option
@pass_session
def dismissed(session: Session, as_json: bool) -> None:
    """List the dismissed pairs of photos, with the names that `restore` accepts."""
    with session.open() as library:
        decisions.show(library, as_json=as_json)
