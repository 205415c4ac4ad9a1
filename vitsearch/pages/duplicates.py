"""Groups of duplicates as one self-contained HTML page: each copy beside the kept photo, with the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.pages.markup import in_markup
from vitsearch.pages.results import picture_address
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="generator" content="vitsearch">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Duplicates</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 60rem; }}
h1 {{ font-size: 1.25rem; }}
h2 {{ font-size: 1rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #8884; padding-top: 1rem; }}
h2 small {{ font-weight: normal; opacity: .75; }}
.pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1.25rem; margin-bottom: 1.25rem; }}
figure {{ margin: 0; }}
img {{ display: block; width: 100%; height: 18rem; object-fit: contain; background: #8881; border-radius: .4rem; }}
.keep img {{ outline: 3px solid #2f8f4e; }}
.path {{ overflow-wrap: anywhere; font-size: .85em; opacity: .75; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 .75rem; margin: .25rem 0 0; font-size: .85em; }}
dt {{ opacity: .75; }}
dd {{ margin: 0; }}
</style>
<h1>{title}</h1>
<p>On the left, in a green frame, the file that would be kept. Scores are 0 to 1: the share of the picture that agrees,
times how closely it does; for a burst the similarity of the embeddings.</p>
"""


def write_page(groups: Sequence[DuplicateGroup], file: Path, *, force: bool = False) -> None:
    """Write the groups as one HTML file that loads nothing from elsewhere.

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    count = len(groups)
    with Output(file, "page", force=force).open() as page, Decoders() as decoders:
        for part in _parts(
            groups, decoders, f"{count:,} {'group' if count == 1 else 'groups'} of duplicates"
        ):
            page.write(part.encode("utf-8", "backslashreplace"))


def _parts(groups: Sequence[DuplicateGroup], decoders: Decoders, title: str) -> Iterator[str]:
    yield _HEAD.format(title=title)
    for group in groups:
        yield from _section(group, decoders)
    yield "</html>\n"


def _section(group: DuplicateGroup, decoders: Decoders) -> Iterator[str]:
    keep, *others = group.files
    yield (
        f"<h2>{group.tier} {group.score:.3f} <small>· {len(group.files)} files · kept: "
        f"{in_markup(group.reason)}</small></h2>\n"
    )
    picture = picture_address(keep.path, decoders)
    for other in others:
        yield (
            f'<div class="pair">{_figure("keep", keep, picture, "")}'
            f"{_figure('', other, picture_address(other.path, decoders), _evidence(other))}</div>\n"
        )


def _figure(kind: str, file: GroupedFile, picture: str, evidence: str) -> str:
    name, path = in_markup(file.path.name), in_markup(str(file.path))
    return (
        f'<figure class="{kind}"><img alt="{name}" src="{picture}">'
        f'<figcaption><strong>{name}</strong><div class="path">{path}</div>{evidence}</figcaption></figure>'
    )


def _evidence(file: GroupedFile) -> str:
    facts = [("tier", f"{file.tier} {file.score:.3f}")]
    seen = file.evidence
    if seen is not None:
        facts.append(("what was done", seen.transform))
        if file.tier == "near":
            facts.append(("agreement", f"{seen.share:.1%} of the picture, correlation {seen.closeness:.3f}"))
            basis = f"{seen.inliers} features" if seen.inliers else "the whole frame"
            facts.append(("aligned by", basis))
        if seen.hash_distance is not None:
            facts.append(("hash distance", f"{seen.hash_distance} of 256"))
        if seen.cosine is not None:
            facts.append(("embedding", f"cosine {seen.cosine:.3f}"))
    rows = "".join(f"<dt>{name}</dt><dd>{in_markup(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"
