"""Which slices of a file are its photo, as the library takes it apart."""

from __future__ import annotations

from vitsearch.photos.containers import take_apart
from vitsearch.photos.formats import Container, format_of


def photo_hash_parts(data: bytes) -> list[memoryview]:
    """Return the slices of `data` that make up the photo itself, in order; the whole of it if that is unclear."""
    known = format_of(data[:256])
    return take_apart(data, known.container if known else Container.WHOLE).image
