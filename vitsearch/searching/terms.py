"""What a person types to search for: each term is a file, a URL or words, and may weigh more than another."""

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
    """Words to search for, in place of an image. Raises `BadQuery` for what is no text."""

    text: str

    def __post_init__(self) -> None:
        """Check that a tokenizer can read it: names of files may hold bytes that are no text."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise BadQuery(f"{self.text!r} is no text in UTF-8") from error


@dataclass(frozen=True, slots=True)
class Weighted:
    """A part of a query and how much it weighs beside the others, which weigh 1.

    Raises `BadQuery` for a weight that is not more than 0.
    """

    example: Example | Words
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the weight."""
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise BadQuery(f"{self.weight:g} is no weight: give more than 0, as in 2:beach")


def weighted(term: Example | Words | Weighted) -> Weighted:
    """Return a term with its weight, 1 where it has none."""
    return term if isinstance(term, Weighted) else Weighted(term)


def parse_term(typed: str) -> Weighted:
    """Read one argument of a command line: `2:` before it weighs it.

    A file that is there is that file, whatever its name looks like. A URL begins as one. What looks like a path or the
    name of a file is one, so that a slip of the keyboard is told and not searched for. The rest is words.

    Raises:
        BadQuery: it is empty, or weighs nothing.

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
