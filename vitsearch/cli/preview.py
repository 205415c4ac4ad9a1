"""Pictures in the terminal, through `textual-image`: kitty's protocol, sixel (iTerm2 too), or coloured half blocks."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import say
from vitsearch.cli.terminal import Terminal
from vitsearch.errors import UnreadablePhoto, VitsearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

# The height of a picture in lines, and its maximum size in pixels: sharp on high-density screens, small to send.
_LINES = 10
_SIDE = 640
_MOST_COLUMNS = 40


def check_preview(*, plain: bool) -> None:
    """Check before the search that pictures can be shown.

    Raises:
        UsageError: the output is not for people.
        VitsearchError: textual-image is not installed, or there is no terminal.

    """
    if plain:
        raise click.UsageError(
            "--preview shows pictures to a person, --json and --paths are for programs: choose one"
        )
    if find_spec("textual_image") is None:
        raise VitsearchError(
            "--preview needs textual-image: install it with `pip install 'vitsearch[preview]'`, or use --sheet"
        )
    if not Terminal.of().is_terminal:
        raise VitsearchError(
            "--preview shows pictures in a terminal, and this is none: use --sheet or --html"
        )


def shown_pictures(paths: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """Yield for each photo a function that prints its picture, or a note if it cannot be read."""
    from rich.console import Console

    from vitsearch.decoding.decoders import Decoders

    console = Console(highlight=False)
    with Decoders() as decoders:
        for path in paths:
            yield partial(_show, console, path, decoders)


def _show(console: Console, path: Path, decoders: object) -> None:
    from textual_image.renderable import HalfcellImage, Image

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.pages.contact_sheet import thumbnail

    assert isinstance(decoders, Decoders)
    try:
        picture = thumbnail(path, decoders, side=_SIDE)
    except UnreadablePhoto as error:
        say(f"(no picture: {error.reason})")
        return
    if Image is HalfcellImage and console.no_color:
        # Blocks without colours show nothing.
        say("(no picture: NO_COLOR is set, and this terminal has only coloured blocks)")
        return
    # Cells are about twice as high as wide.
    width = min(_MOST_COLUMNS, max(1, round(2 * _LINES * picture.width / picture.height)), console.width)
    console.print(Image(picture, width=width, height="auto"))
    sys.stdout.flush()
