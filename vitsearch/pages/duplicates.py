"""Groups of duplicates as one self-contained HTML page: each copy beside the kept photo, with the evidence."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.words import TIER_WORDS, file_in_words
from vitsearch.pages.results import picture_address
from vitsearch.pages.templating import template
from vitsearch.records import Progress
from vitsearch.storage.outputs import Output, check_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile


# Both pictures of a copy take some 60 kB: a page of 30 MB still opens at once.
PAIRS_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the copies of a group, which stand on one page."""

    group: DuplicateGroup
    copies: tuple[GroupedFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files whose pictures it shows."""
        return (self.group.files[0].path, *(file.path for file in self.copies))


def write_page(
    groups: Sequence[DuplicateGroup],
    file: Path,
    *,
    force: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Write the groups as HTML files that load nothing from elsewhere; return them in their order.

    One file holds up to `PAIRS_PER_PAGE` copies: `found.html` is followed by `found-2.html` and so on, each with links
    to its neighbours. A group of many files goes on on the next page. `on_progress` is told of each picture.

    Raises:
        OutputError: a file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    count = len(groups)
    pages = list(_pages(groups)) or [[]]
    files = [file, *(file.with_name(f"{file.stem}-{page}{file.suffix}") for page in range(2, len(pages) + 1))]
    outputs = [Output(path, "page", force=force) for path in files]
    check_outputs(*outputs)
    wanted = [dict.fromkeys(path for part in page for path in part.paths) for page in pages]
    done, total = 0, sum(map(len, wanted))
    with Decoders(os.cpu_count() or 2) as decoders, ThreadPoolExecutor(decoders.count) as pool:
        for place, (output, shown, paths) in enumerate(zip(outputs, pages, wanted, strict=True)):
            pictures = {}
            # A page's pictures are ready before it is begun: one by one, all processes but one would be idle.
            for path, address in zip(
                paths, pool.map(lambda path: picture_address(path, decoders), paths), strict=True
            ):
                pictures[path] = address
                done += 1
                on_progress(Progress("write", done, total))
            parts = template("duplicates.html").generate(
                title=f"{count:,} {'group' if count == 1 else 'groups'} of duplicates",
                groups=shown,
                picture=pictures.__getitem__,
                evidence=_evidence,
                tiers=TIER_WORDS,
                page=place + 1,
                pages=len(pages),
                before=files[place - 1].name if place else None,
                after=files[place + 1].name if place + 1 < len(files) else None,
            )
            with output.open() as page:
                for part in parts:
                    page.write(part.encode("utf-8", "backslashreplace"))
    return tuple(files)


def _pages(groups: Sequence[DuplicateGroup]) -> Iterator[list[_Part]]:
    """Share the copies of the groups out over pages."""
    page: list[_Part] = []
    room = PAIRS_PER_PAGE
    for group in groups:
        others = group.files[1:]
        while others:
            page.append(_Part(group, others[:room]))
            others, room = others[room:], room - len(others[:room])
            if not room:
                yield page
                page, room = [], PAIRS_PER_PAGE
    if page:
        yield page


def _evidence(file: GroupedFile, kept: GroupedFile) -> list[tuple[str, str]]:
    facts = [("what it is", file_in_words(file, kept))]
    seen = file.evidence
    if seen is not None:
        if file.tier == "near":
            facts.append(("agreement", f"{seen.share:.1%} of the picture, correlation {seen.closeness:.3f}"))
            basis = f"{seen.inliers} features" if seen.inliers else "the whole frame"
            facts.append(("aligned by", basis))
        if seen.hash_distance is not None:
            facts.append(("hash distance", f"{seen.hash_distance} of 256"))
        if seen.cosine is not None:
            facts.append(("embedding", f"cosine {seen.cosine:.3f}"))
    return facts
