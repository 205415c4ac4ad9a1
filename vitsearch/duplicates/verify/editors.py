"""Programs that edit photos, by the names that they leave in files."""

from __future__ import annotations

_EDITORS = (
    "photoshop", "lightroom", "gimp", "snapseed", "picasa", "affinity", "pixelmator", "darktable", "paint", "vsco",
    "instagram", "canva", "imagemagick", "photoscape", "rawtherapee", "luminar",
)  # fmt: skip


def is_editor(software: str | None) -> bool:
    """Whether the program that wrote a file edits photos, as far as its name is known."""
    name = (software or "").casefold()
    return any(editor in name for editor in _EDITORS)
