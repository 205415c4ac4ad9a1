"""Search results as one self-contained HTML page: thumbnails inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto
from vitsearch.pages.contact_sheet import thumbnail
from vitsearch.pages.markup import in_markup
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.records import Match, SearchResult

_SIDE = 320

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="generator" content="vitsearch">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }}
h1 {{ font-size: 1.25rem; }}
ul {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.25rem; padding: 0; }}
li {{ list-style: none; }}
img {{ display: block; width: 100%; height: 15rem; object-fit: contain; background: #8881; border-radius: .4rem; }}
.query img {{ outline: 3px solid #d94614; }}
.path {{ overflow-wrap: anywhere; font-size: .85em; opacity: .75; }}
.weak {{ opacity: .55; }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<ul>
{items}
</ul>
</html>
"""


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
    with Decoders() as decoders:
        items = [_item("query", path, "query", "", decoders) for path in queries]
        items += [_match_item(match, result.matches_above, decoders) for match in result.results]
    page = _PAGE.format(
        title=in_markup(
            "Photos like " + ", ".join(path.name for path in queries) if queries else " ".join(result.query)
        ),
        summary=in_markup(f"{len(result.results)} matches by {result.model}, best first"),
        items="\n".join(items),
    )
    output.write_text(page)


def _match_item(match: Match, floor: float | None, decoders: Decoders) -> str:
    facts = " · ".join(
        part
        for part in (f"{match.width} x {match.height}", (match.taken or "")[:10], match.camera or "")
        if part
    )
    weak = "weak" if floor is not None and match.score < floor else ""
    title = f"{match.score:.3f} · above {match.percentile:.1f} % of the library"
    return _item(weak, match.path, title, facts, decoders)


def _item(kind: str, path: Path, title: str, facts: str, decoders: Decoders) -> str:
    name = in_markup(str(path))
    return (
        f'<li class="{kind}"><img alt="{in_markup(path.name)}" src="{picture_address(path, decoders)}">'
        f"<strong>{in_markup(title)}</strong><br>{in_markup(facts)}"
        f'<div class="path">{name}</div></li>'
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
