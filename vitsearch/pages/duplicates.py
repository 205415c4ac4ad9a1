"""Groups of duplicates as one self-contained HTML page: each copy beside the kept photo, with the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.pages.results import picture_address
from vitsearch.pages.templating import template
from vitsearch.storage.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile


def write_page(groups: Sequence[DuplicateGroup], file: Path, *, force: bool = False) -> None:
    """Write the groups as one HTML file that loads nothing from elsewhere.

    Raises:
        OutputError: the file cannot be written, or vitsearch did not write what is there and `force` is not set.

    """
    count = len(groups)
    with Output(file, "page", force=force).open() as page, Decoders() as decoders:
        parts = template("duplicates.html").generate(
            title=f"{count:,} {'group' if count == 1 else 'groups'} of duplicates",
            groups=groups,
            picture=lambda path: picture_address(path, decoders),
            evidence=_evidence,
        )
        for part in parts:
            page.write(part.encode("utf-8", "backslashreplace"))


def _evidence(file: GroupedFile) -> list[tuple[str, str]]:
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
    return facts
