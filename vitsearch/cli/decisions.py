"""The decisions that `vitsearch duplicates` remembers: dismiss pairs, restore and list them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.named_photos import photos_at
from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.errors import BadQuery

_NAME = re.compile(r"\d{1,18}(-\d{1,18})*")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.library import Library


def remember(library: Library, groups: Sequence[str], *, unseen: bool) -> None:
    """Dismiss these groups, given by name or as two or more paths; `unseen`: also such as no search has shown.

    Raises:
        BadQuery: there is no such photo, or no search has shown a group that was named.

    """
    from vitsearch.duplicates.shown import were_shown
    from vitsearch.duplicates.tables import check_dismissible, dismiss
    from vitsearch.storage.layout import Layout

    chosen = _photos_of(library, groups)
    for photos in chosen:
        check_dismissible(library.catalog, photos)
    for photos in [] if unseen else _named_groups(groups):
        if not were_shown(Layout.of(library.folder), photos):
            named = " and ".join(map(str, sorted(set(photos))))
            raise BadQuery(
                f"no search has shown a group with {named}: look at the names that `vitsearch duplicates` prints, or "
                "add --force"
            )
    told = sum(dismiss(library.catalog, photos) for photos in chosen)
    say(f"remembered: {plural(told, 'pair')} of photos told apart", err=True)
    # A photo whose copies are wanted says nothing of how alike photos may be.
    if told and any(len(set(photos)) > 1 for photos in chosen) and _is_measured_next(library):
        say(
            "the next `vitsearch duplicates` takes longer: it measures on edited copies of your own photos whether "
            "what you dismissed makes it judge more strictly (`vitsearch duplicates restore` takes that back)",
            err=True,
        )


def _is_measured_next(library: Library) -> bool:
    from vitsearch.duplicates.calibrate.library_thresholds import are_due
    from vitsearch.duplicates.find import MAX_FALSE_SHARE

    return library.catalog.active_space() is not None and are_due(library, max_false_share=MAX_FALSE_SHARE)


def restore(library: Library, groups: Sequence[str]) -> None:
    """Restore dismissed groups."""
    from vitsearch.duplicates.tables import restore

    taken = sum(restore(library.catalog, photos) for photos in _photos_of(library, groups))
    say(f"taken back: {plural(taken, 'pair')} of photos may be duplicates again", err=True)


def show(library: Library, *, as_json: bool) -> None:
    """List the dismissed pairs, each with a name that `restore` accepts."""
    from vitsearch.duplicates.tables import dismissed_pairs, files_of

    pairs = sorted(dismissed_pairs(library.catalog))
    paths: dict[int, list[Path]] = {}
    for file in files_of(library.catalog, {photo for pair in pairs for photo in pair}):
        paths.setdefault(file.photo, []).append(file.path)
    listed = [
        {
            "group": "-".join(map(str, sorted(set(pair)))),
            "files": [path for photo in sorted(set(pair)) for path in paths.get(photo, [])],
        }
        for pair in pairs
    ]
    if as_json:
        print_json({"told_apart": listed})
    for pair in listed if not as_json else ():
        say(f"group {pair['group']}")
        for path in pair["files"]:
            say(f"  {shown(str(path))}")
    say(f"{plural(len(pairs), 'pair')} of photos told apart", err=True)


def _photos_of(library: Library, groups: Sequence[str]) -> list[list[int]]:
    photos = _named_groups(groups)
    paths = [group for group in groups if not _NAME.fullmatch(group)]
    if len(paths) == 1:
        raise click.UsageError(
            f"{paths[0]} is no group's name, and a single path says nothing: give two or more"
        )
    if paths:
        photos.append(photos_at(library, [Path(path).absolute() for path in paths]))
    return photos


def _named_groups(groups: Sequence[str]) -> list[list[int]]:
    """The photos of those groups that were given by name."""
    return [[int(photo) for photo in group.split("-")] for group in groups if _NAME.fullmatch(group)]
