"""Programs that edit photos, by the names that they leave in files."""

from __future__ import annotations

_EDITORS = (
    "photoshop", "lightroom", "camera raw", "gimp", "snapseed", "picasa", "affinity", "pixelmator", "darktable",
    "paint", "vsco", "instagram", "canva", "imagemagick", "photoscape", "rawtherapee", "luminar", "capture one",
    "photolab", "acdsee", "digikam", "aperture", "iphoto", "photo editor", "photo gallery", "photodirector", "polarr",
    "picsart", "facetune", "fotor", "on1 photo", "silkypix", "krita", "corel", "showfoto", "photofiltre",
    "nik collection", "topaz", "photomator", "microsoft photos",
)  # fmt: skip


def is_editor(software: str | None) -> bool:
    """Whether the program that wrote a file edits photos, as far as its name is known."""
    name = (software or "").casefold()
    return any(editor in name for editor in _EDITORS)


def first_editor(*names: str | None) -> str | None:
    """Return the first of some programs that edits photos; None where none is known to."""
    return next((name for name in names if is_editor(name)), None)
