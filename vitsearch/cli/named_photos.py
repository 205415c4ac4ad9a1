"""Find the photos of the library that a command names by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.library import Library


def photos_at(library: Library, paths: Sequence[Path]) -> list[int]:
    """Return the ids of the photos in these files. Photos are matched by content, so copies work too.

    Raises:
        BadQuery: the library does not have one of the photos.
        UnreadablePhoto: a file cannot be read.

    """
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.errors import BadQuery

    photos = []
    with Decoders() as decoders:
        for path in paths:
            with decoders.open(path) as opened:
                photo = library.catalog.photo_id(*opened.hashes)
            if photo is None:
                raise BadQuery(f"{path} is not in the library: run `vitsearch index` first")
            photos.append(photo)
    return photos
