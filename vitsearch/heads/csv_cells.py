"""Text in CSV cells: spreadsheets evaluate cells that begin with =, even if they are quoted."""

from __future__ import annotations

import re

# Excel, LibreOffice and Google Sheets; wide forms too, which some of them fold.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def to_cell(text: str) -> str:
    """Escape a text so that no spreadsheet evaluates it: an apostrophe is put before a possible formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Undo `to_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
