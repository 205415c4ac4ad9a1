"""The options of `vitsearch search` that say what to search for, and how to rank it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import click

from vitsearch.cli.option_groups import option_group

MOST_MATCHES = 100_000


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for: example images and words, or a label of a head. `crop` is x, y, width, height in pixels."""

    queries: tuple[str, ...]
    text: str | None
    negatives: tuple[str, ...]
    crop: tuple[int, int, int, int] | None
    label: str | None
    head: str | None

    def __post_init__(self) -> None:
        if (self.label is None) != (self.head is None):
            raise click.UsageError("--label and --head go together")
        if self.label is not None and (self.has_examples or self.negatives or self.crop):
            raise click.UsageError("--label stands alone: leave queries, --text, --not and --crop away")

    @property
    def has_examples(self) -> bool:
        """Whether there is an example image or a text to compare photos with."""
        return bool(self.queries or self.text)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How many matches to return, and which photos qualify, as the parameters of `Library.search`."""

    k: int
    include_self: bool
    distinct: bool
    only_matches: bool
    exact: bool

    @property
    def compares(self) -> bool:
        """Whether an option is set that makes sense only where photos are compared with a query."""
        return self.include_self or self.distinct or self.only_matches or self.exact


class CropBox(click.ParamType[tuple[int, int, int, int]]):
    """X,Y,W,H in pixels."""

    name = "x,y,w,h"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Parse four whole numbers."""
        match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", str(value))
        if match is None:
            self.fail(f"{value!r} is not X,Y,W,H in whole pixels, as in 100,50,400,300", param, ctx)
        left, top, width, height = (int(number) for number in match.groups())
        return left, top, width, height


query_options = option_group(
    "query",
    Query,
    {
        "queries": click.argument("queries", nargs=-1, metavar="[QUERY]..."),
        "text": click.option("--text", help="A text query, even if a file has this name."),
        "negatives": click.option(
            "--not",
            "negatives",
            multiple=True,
            metavar="QUERY",
            help="Find photos unlike this one; may be given several times.",
        ),
        "crop": click.option(
            "--crop", type=CropBox(), help="Search for this region of the image, in pixels."
        ),
        "label": click.option(
            "--label", help="Only photos that have this label under --head, most probable first."
        ),
        "head": click.option(
            "--head", "head", help="The head that --label belongs to. See `vitsearch heads list`."
        ),
    },
)

ranking_options = option_group(
    "ranking",
    Ranking,
    {
        "k": click.option(
            "-k",
            "--limit",
            "k",
            type=click.IntRange(1, MOST_MATCHES),
            default=10,
            show_default=True,
            help="The number of matches.",
        ),
        "include_self": click.option(
            "--include-self", is_flag=True, help="Include photos identical to the query."
        ),
        "distinct": click.option("--distinct", is_flag=True, help="Leave out near copies of better matches."),
        "only_matches": click.option(
            "--only-matches",
            is_flag=True,
            help="Leave out photos that do not stand out from the rest of the library.",
        ),
        "exact": click.option(
            "--exact", is_flag=True, help="Compare with every photo, even in a very large library."
        ),
    },
)
