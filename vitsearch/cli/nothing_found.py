"""Why a search found nothing, in one line."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.cli.output import plural, shown
from vitsearch.heads.examples import listing
from vitsearch.storage.filters import Filter
from vitsearch.storage.listing import Listing

if TYPE_CHECKING:
    from vitsearch.library import Library

_NEAR = 3


def why_nothing(
    library: Library, where: Filter, *, label: str | None = None, only_matches: bool, include_self: bool
) -> str:
    """Return why a search found nothing, and what to do about it."""
    state = library.status()
    offline = [shown(str(root.path)) for root in state.roots if not root.online]
    if not state.photos:
        if state.unreadable:
            return (
                f"no photo in the indexed folders could be read ({plural(state.unreadable, 'file')}): "
                "run `vitsearch index --retry` to see why"
            )
        return "the library holds no photos: run `vitsearch index FOLDER`"
    kept = library.catalog.select(where)
    if not len(kept):
        unknown = [shown(str(folder)) for folder in where.folders if not Path(folder).exists()]
        if unknown:
            return (
                f"there is no folder {unknown[0]}, and the library knows of none: check the name after --in"
            )
        if where.keyword and not len(library.catalog.select(Filter(keyword=where.keyword))):
            return _no_such_keyword(library, where.keyword)
        asked = _asked(where)
        ask = "asks for: leave it out" if len(asked) == 1 else "ask for together: leave one of them out"
        return (
            f"none of the {plural(state.photos, 'photo')} in the library is what {' and '.join(asked)} {ask}"
        )
    if not any(photo.paths for photo in library.catalog.photos(kept.tolist()).values()):
        if offline:
            where_they_are = (
                "in folders that are empty or not mounted"
                if any(root.empty for root in state.roots)
                else "in folders that are not there now (not mounted, moved or renamed)"
            )
            return (
                f"{plural(len(kept), 'photo')} would be searched, and all are {where_they_are}: "
                f"{', '.join(offline)}"
            )
        return f"all {plural(len(kept), 'photo')} to search are missing: run `vitsearch index` to look again"
    if label is not None:
        return f"no photo has the label {shown(label)}"
    if only_matches:
        return "nothing stands out from the library: leave --only-matches out to see the nearest photos"
    if not include_self:
        return "the only photos to search are the query itself: add --include-self to see them"
    return "no photo matches"


def _no_such_keyword(library: Library, keyword: str) -> str:
    """Say that no photo has this keyword, and suggest similar or frequent ones."""
    known = {each.casefold(): each for each in reversed(Listing(library.catalog).values_of("keyword"))}
    if not known:
        return "no photo in the library has keywords: leave --keyword out"
    near = get_close_matches(keyword.casefold(), known, n=_NEAR)
    hint = (
        f"did you mean {' or '.join(repr(shown(known[each])) for each in near)}?"
        if near
        else f"they have {listing([shown(each) for each in reversed(known.values())])}"
    )
    return f"no photo has the keyword {shown(keyword[:40])!r}: {hint}"


def _asked(where: Filter) -> list[str]:
    """Return the filter options as they were given."""
    asked = [f"--in {shown(str(folder))}" for folder in where.folders]
    for name in (name for name in where.asked() if name != "folders"):
        value, option = getattr(where, name), f"--{name.replace('_', '-')}"
        asked.append(option if value is True else f"{option} {shown(str(value))}")
    return asked
