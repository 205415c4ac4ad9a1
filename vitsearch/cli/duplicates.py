"""`vitsearch duplicates`: find what the library has more than once, and remember what a person says of it."""

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
    """Find the photos that the library has more than once, with evidence. No file is changed.

    Without a command this is `vitsearch duplicates find`.

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
    """Say whether two files show the same shot, and why. Exit status 0 if they do, 3 if they do not.

    The answer is the same whatever library is there: the files need not be in one.
    """
    check_pair(context, (first, second), as_json=as_json)


@duplicates.command()
@_GROUPS
@json_option
@pass_session
def dismiss(session: Session, groups: tuple[str, ...], as_json: bool) -> None:
    """Say that these are no duplicates: they are not shown again, until `restore`.

    GROUP is a group's name, as in 12-57, or two or more paths.
    """
    with session.open() as library:
        decisions.remember(library, groups)
        if as_json:
            decisions.show(library, as_json=True)


@duplicates.command()
@_GROUPS
@json_option
@pass_session
def restore(session: Session, groups: tuple[str, ...], as_json: bool) -> None:
    """Let dismissed photos be duplicates again.

    GROUP is a group's name, as in 12-57, or two or more paths.
    """
    with session.open() as library:
        decisions.restore(library, groups)
        if as_json:
            decisions.show(library, as_json=True)


@duplicates.command()
@json_option
@pass_session
def dismissed(session: Session, as_json: bool) -> None:
    """List the pairs of photos that were dismissed, with the names that `restore` understands."""
    with session.open() as library:
        decisions.show(library, as_json=as_json)
