"""`vitsearch duplicates check`: whether two files show the same shot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.cli.output import print_json, say, shown

if TYPE_CHECKING:
    import click

# 1 is an error and 2 wrong usage.
_NOT_THE_SAME = 3


def check_pair(context: click.Context, files: tuple[str, str], *, as_json: bool) -> None:
    """Print what two files are to each other, and leave with the status that says so."""
    from vitsearch.duplicates.documents import evidence_document
    from vitsearch.duplicates.verify.check import check_files

    first, second = (Path(file).absolute() for file in files)
    result = check_files(first, second)
    if as_json:
        print_json(
            {
                "first": result.first,
                "second": result.second,
                "same": result.tier is not None,
                "tier": result.tier,
                "score": round(result.score, 4),
                "reason": result.reason,
                **evidence_document(result.evidence),
            }
        )
    else:
        # What was done was done to the second one.
        whose = f" ({_names(second, first)})" if result.tier == "near" else ""
        say(f"{'the same shot' if result.tier is not None else 'not the same shot'}: {result.reason}{whose}")
    if result.tier is None:
        context.exit(_NOT_THE_SAME)


def _names(file: Path, other: Path) -> str:
    """Name a file beside the other one, in full where both have one name."""
    names = (str(file), str(other)) if file.name == other.name else (file.name, other.name)
    return " beside ".join(map(shown, names))
