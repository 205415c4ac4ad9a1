"""The options of `vitsearch.storage.filters.Filter`, declared once for every command that takes them."""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class Place(click.ParamType[str]):
    """A latitude and a longitude."""

    name = "lat,lon"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form, and leave one digit of each."""
        try:
            latitude, longitude = map(float, str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a place: write latitude and longitude, as in 48.2,16.4", param, ctx)
        return f"{latitude:.1f},{longitude:.1f}"


class Day(click.ParamType[str]):
    """A year, a month or a day."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; ISO dates compare as text."""
        if not re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", str(value)):
            self.fail(f"{value!r} is not a date: write 2024, 2024-05 or 2024-05-17", param, ctx)
        return str(value)


# By the names of the fields of `Filter`.
_OPTIONS = {
    "folders": click.option(
        "--in",
        "folders",
        multiple=True,
        type=click.Path(),
        metavar="FOLDER",
        help="Only photos below FOLDER.",
    ),
    "after": click.option(
        "--after", type=Day(), help="Only photos taken on this date or later (2024, 2024-05, 2024-05-17)."
    ),
    "before": click.option("--before", type=Day(), help="Only photos taken before this date."),
    "camera": click.option("--camera", help="Only photos of cameras with this in their name."),
    "keyword": click.option(
        "--keyword", help="Only photos with this keyword, or this person in Google Takeout."
    ),
    "rating": click.option(
        "--rating", type=click.IntRange(1, 5), help="Only photos rated with so many stars or more."
    ),
    "place": click.option(
        "--place",
        type=Place(),
        help="Only photos taken at this latitude and longitude, to a tenth of a degree.",
    ),
    "favourite": click.option("--favourite", is_flag=True, default=None, help="Only favourites."),
}


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which is called with one `where`, a `Filter`."""

    @wraps(command)
    def call(*arguments: object, **options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        from vitsearch.storage.filters import Filter

        where = Filter(**{name: options.pop(name) for name in _OPTIONS})
        command(*arguments, where=where, **options)

    for option in reversed(_OPTIONS.values()):
        call = option(call)
    return call
