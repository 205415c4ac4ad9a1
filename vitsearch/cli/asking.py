"""Asking a person before what cannot be taken back, and saying what to do where nobody can be asked."""

from __future__ import annotations

import sys

import click

from vitsearch.cli.output import say
from vitsearch.errors import LibraryError


def ask(what: str, question: str, *, command: str) -> None:
    """Say what a command would do, and go on only if a person at a terminal says so; `command` does it unasked.

    Raises:
        LibraryError: there is no terminal to ask on.
        Abort: the answer was no.

    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise LibraryError(
            f"{what}: nothing was done, as nobody can be asked here; `{command}` does it unasked"
        )
    say(what, err=True)
    click.confirm(question, abort=True, err=True)
