"""Text in CSV cells: a spreadsheet takes a cell that begins with = for a formula, whatever quotes are around it."""

from __future__ import annotations

import re

# Excel, LibreOffice and Google Sheets; wide forms too, which some of them fold.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def to_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet evaluates: an apostrophe before what could be a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text that `to_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
