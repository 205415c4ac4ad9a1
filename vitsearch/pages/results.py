"""Search results as one self-contained HTML page: thumbnails inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto
from vitsearch.pages.contact_sheet import thumbnail
from vitsearch.pages.templating import template
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vitsearch.records import Match, SearchResult

_SIDE = 320


@dataclass(frozen=True, slots=True)
class _Item:
    """One picture of the page, with what stands below it; `picture` is made when the page is."""

    kind: str
    path: Path
    title: str
    facts: str
    picture: Callable[[], str]


def write_result_page(
    result: SearchResult, queries: Sequence[Path], file: Path, *, force: bool = False
) -> None:
    """Write the query images and the matches, best first, as one HTML file.

    Matches below the score that stands out from the library's background are shown faintly.

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    output = Output(file, "page", inputs=queries, force=force)
    output.check()
    names = ", ".join(path.name for path in queries)
    with Decoders() as decoders:
        items = [
            _Item("query", path, "query", "", partial(picture_address, path, decoders)) for path in queries
        ]
        items += [_match_item(match, result, decoders) for match in result.results]
        page = template("results.html").render(
            title=f"Photos like {names}" if queries else " ".join(result.query) or "Photos",
            summary=f"{len(result.results)} matches by {result.model}, best first"
            if result.scored
            else f"{len(result.results)} photos, newest first",
            legend=_legend(result),
            items=items,
        )
    output.write_text(page)


def _legend(result: SearchResult) -> str:
    """Say what is meant by pictures that are shown faintly, or nothing where none is."""
    floor = result.matches_above
    weak = 0 if floor is None else sum(match.score < floor for match in result.results)
    if not weak:
        return ""
    if weak == len(result.results):
        return f"All are pale: none stands out from the rest of the library, as a real match would above {floor:.3f}."
    return f"Pale pictures are less alike: below {floor:.3f} a photo does not stand out from the rest of the library."


def _match_item(match: Match, result: SearchResult, decoders: Decoders) -> _Item:
    floor, day = result.matches_above, (match.taken or "")[:10]
    facts = " · ".join(
        part
        for part in (
            "" if match.present else "not there now",
            f"{match.width} x {match.height}",
            day if result.scored else "",
            match.camera or "",
        )
        if part
    )
    return _Item(
        kind="weak" if floor is not None and match.score < floor else "",
        path=match.path,
        title=f"{match.score:.3f} · above {match.percentile:.1f} % of the library"
        if result.scored
        else day or "no date",
        facts=facts,
        picture=partial(picture_address, match.path, decoders),
    )


def picture_address(path: Path, decoders: Decoders, *, side: int = _SIDE) -> str:
    """Return a thumbnail as an address that holds it, or none for a file that cannot be read."""
    try:
        picture = thumbnail(path, decoders, side=side)
    except UnreadablePhoto:
        return ""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
