"""Pictures for notebooks: fragments of HTML that hold small thumbnails and load nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.pages.results import picture_address
from vitsearch.pages.templating import template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MOST_PICTURES = 60
"""So many pictures of 5 to 10 kB stand in one output: a notebook file keeps them all."""
_SIDE = 160


@dataclass(frozen=True, slots=True)
class Item:
    """One picture and the line below it; a `faint` one does not really match."""

    path: Path
    caption: str
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Pictures that belong together, under a title."""

    title: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class _Picture:
    item: Item
    address: Callable[[], str]


def gallery(title: str, rows: Sequence[Row]) -> str:
    """Return rows of pictures as HTML, 60 pictures at most; what is left out is counted in the last line."""
    left = MOST_PICTURES
    with Decoders(2) as decoders:
        shown = []
        for row in rows:
            items = row.items[:left]
            left -= len(items)
            if items:
                pictures = [
                    _Picture(item, partial(picture_address, item.path, decoders, side=_SIDE))
                    for item in items
                ]
                shown.append((row.title, pictures))
        total = sum(len(row.items) for row in rows)
        return template("gallery.html").render(
            title=title, rows=shown, left_out=max(0, total - MOST_PICTURES), side=_SIDE
        )
