"""HTML fragments for notebooks, with embedded thumbnails and no external resources."""

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
    """A picture and its caption; `faint` items are dimmed, because they do not stand out."""

    path: Path
    caption: str
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row of pictures."""

    title: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class _Picture:
    item: Item
    address: Callable[[], str]


def gallery(title: str, rows: Sequence[Row]) -> str:
    """Render rows as HTML with at most 60 pictures; the last line counts those left out."""
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
