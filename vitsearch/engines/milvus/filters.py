"""Translate filters to Milvus expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.engines.milvus.rows import ascii_lower, folder_text, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vitsearch.engines.milvus.rows import Row
    from vitsearch.storage.filters import Filter


# No photo's hash is empty.
_NOTHING = 'photo == ""'


def expression(criteria: Filter, cameras: Callable[[], Collection[str]]) -> list[str]:
    """Return the Milvus expression for a whole filter.

    `cameras` returns the cameras of the collection in lower case; it is only called for a camera filter. Servers
    before 2.4 match texts by prefix only, so the matching cameras are listed one by one.
    """
    conditions = []
    if criteria.folders:
        names = [quoted(folder_text(place.as_posix())) for place in criteria.places]
        conditions.append(f"array_contains_any(folders, [{', '.join(names)}])")
    if criteria.after:
        conditions.append(f"taken >= {quoted(criteria.after)}")
    if criteria.before:
        conditions.append(f'taken != "" and taken < {quoted(criteria.before)}')
    if criteria.camera:
        part = ascii_lower(criteria.camera)
        names = [quoted(camera) for camera in sorted(cameras()) if part in camera]
        conditions.append(f"camera_lower in [{', '.join(names)}]" if names else _NOTHING)
    return conditions


def fits(row: Row, criteria: Filter) -> bool:
    """Return whether a row matches a filter, ignoring its folders."""
    taken, camera = row.get("taken") or "", ascii_lower(row.get("camera") or "")
    return (
        (not criteria.after or taken >= criteria.after)
        and (not criteria.before or (bool(taken) and taken < criteria.before))
        and (not criteria.camera or ascii_lower(criteria.camera) in camera)
    )
