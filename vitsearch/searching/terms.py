"""Query terms on the command line: each is a file, a URL or text, with an optional weight."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.errors import BadQuery
from vitsearch.paths import is_url

if TYPE_CHECKING:
    from vitsearch.searching.queries import Example

_WEIGHT = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,4})?):(.*)", re.DOTALL)
# As names of files end, and words do not.
_EXTENSION = re.compile(r"[^\s.][^\s]*\.[A-Za-z][A-Za-z0-9]{1,4}")
_SEPARATORS = tuple(sign for sign in (os.sep, os.altsep) if sign)


@dataclass(frozen=True, slots=True)
class Words:
    """A text query, in place of an image. Raises `BadQuery` if it is not valid text."""

    text: str

    def __post_init__(self) -> None:
        """Check that a tokenizer can read the text: arguments may contain bytes that are not text."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise BadQuery(f"{self.text!r} is no text in UTF-8") from error


@dataclass(frozen=True, slots=True)
class Weighted:
    """A part of a query and its weight relative to the others, whose default is 1.

    Raises `BadQuery` for a weight that is not positive.
    """

    example: Example | Words
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the weight."""
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise BadQuery(f"{self.weight:g} is no weight: give more than 0, as in 2:beach")


def weighted(term: Example | Words | Weighted) -> Weighted:
    """Return a term with its weight, by default 1."""
    return term if isinstance(term, Weighted) else Weighted(term)


def parse_term(typed: str) -> Weighted:
    """Parse one argument of the command line; a prefix such as `2:` is its weight.

    The name of an existing file means that file. A URL is recognised by its beginning. Anything that looks like a path
    or a file name is treated as one, so that typos are reported instead of searched for. The rest is text.

    Raises:
        BadQuery: it is empty, or its weight is zero.

    """
    if _is_file(typed):
        return Weighted(typed)
    weight, rest = 1.0, typed
    if match := _WEIGHT.fullmatch(typed):
        weight, rest = float(match[1]), match[2].strip()
    if not rest.strip():
        raise BadQuery("a query is empty: give a file, a URL, or words")
    return Weighted(rest if _is_image(rest) else Words(rest.strip()), weight)


def _is_image(text: str) -> bool:
    return text == "-" or is_url(text) or _is_file(text) or _looks_like_file(text)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _looks_like_file(text: str) -> bool:
    if any(sign in text for sign in _SEPARATORS) or text.startswith("~"):
        return True
    from vitsearch.photos.formats import EXTENSIONS

    return Path(text).suffix.lower() in EXTENSIONS or _EXTENSION.fullmatch(text) is not None
