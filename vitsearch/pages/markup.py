"""Text on its way into a page."""

from __future__ import annotations

import html


def in_markup(text: str) -> str:
    """Escape a text for HTML; what neither a page nor a terminal that shows its source should act on becomes a mark."""
    return html.escape(
        "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    )
