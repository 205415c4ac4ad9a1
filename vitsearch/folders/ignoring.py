"""`.vitsearchignore`: what a walk leaves out, in gitignore patterns, read within limits.

The file may come with photos of somebody else. Matching takes time that grows with the length of a path and not with
a power of it, and files that are larger than any that a person writes are refused.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pathspec import PathSpec
    from pathspec.pattern import Pattern

    # For each folder with an ignore file: its path below the root, and its patterns.
    Ignores = tuple[tuple[str, PathSpec[Pattern]], ...]

IGNORE_FILE = ".vitsearchignore"
MOST_BYTES = 1 << 18
MOST_PATTERNS = 1000
LONGEST_LINE = 4096
# Each doubles what a path has to be tried at; `a/**/b/**/c` has two.
MOST_INNER_FOLDERS = 2

_STAR = "[^/]*"


def read_ignores(path: Path) -> PathSpec[Pattern]:
    """Read the patterns of an ignore file.

    Raises:
        VitsearchError: it cannot be read, holds no patterns, or more than a walk could keep up with.

    """
    from pathspec import PathSpec

    try:
        return PathSpec(map(_pattern_class(), _lines(path)))
    except (OSError, ValueError, re.error, OverflowError, RecursionError) as error:
        raise VitsearchError(f"cannot use {path}: {error}; mend or remove it") from error


def is_ignored(relative: str, ignores: Ignores) -> bool:
    """Whether patterns leave out a path below the root; a folder's ends with a slash."""
    return any(spec.match_file(relative[len(base) :]) for base, spec in ignores)


def _lines(path: Path) -> Sequence[str]:
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES // 1024} kB")
    lines = [line for line in content.decode("utf-8").splitlines() if line.strip() and line[0] != "#"]
    if len(lines) > MOST_PATTERNS:
        raise ValueError(f"it has more than {MOST_PATTERNS:,} patterns")
    for line in lines:
        if len(line) > LONGEST_LINE:
            raise ValueError(f"the line {line[:40]}… has more than {LONGEST_LINE:,} characters")
        if line.strip("/").split("/")[1:-1].count("**") > MOST_INNER_FOLDERS:
            raise ValueError(f"the line {line[:40]} has more than {MOST_INNER_FOLDERS} times ** inside")
    return lines


@cache
def _pattern_class() -> Callable[[str], Pattern]:
    from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

    class LinearPattern(GitIgnoreBasicPattern):
        """pathspec's pattern, whose expression is made one that never goes back over several stars at once.

        `*a*b*c` is matched by taking each part where it first occurs, which is what a later occurrence could not
        better. pathspec leaves it to the expression to find out, and that takes all ways there are to place the parts.
        """

        @classmethod
        def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
            """Return the expression of a pattern, and whether it leaves out or takes back; None for no pattern."""
            regex, include = super().pattern_to_regex(pattern)
            if regex is None:
                return None, None
            # A slash inside of a part of a path cannot occur, so that a slash outside of a star ends the part.
            segments = re.split(r"(?<!\[\^)/", regex)
            linear = "/".join(map(_without_choices, segments))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # [[a] means [ or a here
                re.compile(linear)
            return linear, include

    return LinearPattern


def _without_choices(segment: str) -> str:
    first, *rest = segment.split(_STAR)
    if len(rest) < 2:
        return segment
    return first + "".join(f"(?>{_STAR}?{part})" for part in rest[:-1]) + _STAR + rest[-1]
