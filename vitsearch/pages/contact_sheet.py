"""Search results as one picture: the query in a frame, then the matches with their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto
from vitsearch.storage.outputs import Output, write_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from vitsearch.records import SearchResult

CELL = 240
_CAPTION = 44
_GAP = 12
_COLUMNS = 5
# More cells than this make a picture that no viewer opens; the best matches come first.
MOST_CELLS = 200
_PAPER, _INK, _FAINT, _FRAME = (250, 250, 248), (24, 24, 27), (113, 113, 122), (217, 70, 20)


def thumbnail(path: Path, decoders: Decoders, *, side: int) -> Image:
    """Return an upright RGB thumbnail that fits a square of `side` pixels.

    Raises:
        UnreadablePhoto: the file cannot be decoded.

    """
    from PIL import Image

    with decoders.open(path) as photo:
        image = photo.pixels(min_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def write_contact_sheet(
    result: SearchResult, queries: Sequence[Path], file: Path, *, force: bool = False
) -> None:
    """Draw the query images and the matches, best first and 200 at most, into a PNG or JPEG (by the file's extension).

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    from PIL import Image, ImageDraw

    output = Output(file, "sheet", inputs=queries, force=force)
    output.check()
    captions = [("query", path.name, path) for path in queries]
    captions += [
        (
            f"{match.score:.3f}" if result.scored else (match.taken or "no date")[:10],
            match.path.name,
            match.path,
        )
        for match in result.results
    ]
    captions = captions[:MOST_CELLS]
    columns = max(1, min(_COLUMNS, len(captions)))
    rows = max(1, -(-len(captions) // columns))
    size = (columns * (CELL + _GAP) + _GAP, rows * (CELL + _CAPTION + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    with Decoders() as decoders:
        for index, (title, name, path) in enumerate(captions):
            left = _GAP + index % columns * (CELL + _GAP)
            top = _GAP + index // columns * (CELL + _CAPTION + _GAP)
            framed = index < len(queries)
            _draw_cell(sheet, draw, (left, top), path, decoders, framed=framed)
            draw.text((left, top + CELL + 4), title, _FRAME if framed else _INK, font=_font(17))
            draw.text((left, top + CELL + 24), _fitted(draw, _drawable(name)), _FAINT, font=_font(13))
    write_picture(sheet, output)


def _draw_cell(
    sheet: Image, draw: ImageDraw, corner: tuple[int, int], path: Path, decoders: Decoders, *, framed: bool
) -> None:
    left, top = corner
    try:
        picture = thumbnail(path, decoders, side=CELL - 8)
    except UnreadablePhoto as error:
        draw.rectangle((left, top, left + CELL, top + CELL), outline=_FAINT)
        draw.text((left + 8, top + 8), _fitted(draw, _drawable(error.reason)), _FAINT, font=_font(13))
        return
    place = (left + (CELL - picture.width) // 2, top + (CELL - picture.height) // 2)
    sheet.paste(picture, place)
    if framed:
        draw.rectangle(
            (place[0] - 4, place[1] - 4, place[0] + picture.width + 3, place[1] + picture.height + 3),
            outline=_FRAME,
            width=3,
        )


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont as Fonts

    return Fonts.load_default(size)


def _drawable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _fitted(draw: ImageDraw, text: str) -> str:
    """Shorten a text in its middle until it fits a cell: both ends of a file name matter."""
    font = _font(13)
    shown = text
    keep = len(text)
    while draw.textlength(shown, font=font) > CELL and keep > 4:
        keep -= 1
        shown = f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"
    return shown
