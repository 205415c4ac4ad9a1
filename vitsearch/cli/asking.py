"""Confirmation before irreversible operations, with advice for scripts."""

from __future__ import annotations

import sys

import click

from vitsearch.cli.output import say
from vitsearch.errors import LibraryError


def ask(what: str, question: str, *, command: str) -> None:
    """Say what a command is about to do and ask for confirmation; `command` is the command that does not ask.

    Raises:
        LibraryError: there is no terminal to ask on.
        Abort: the user declined.

    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise LibraryError(
            f"{what}: nothing was done, as nobody can be asked here; `{command}` does it unasked"
        )
    say(what, err=True)
    click.confirm(question, abort=True, err=True)
