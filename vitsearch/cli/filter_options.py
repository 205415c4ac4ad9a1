"""The command-line options for `vitsearch.storage.filters.Filter`, shared by all commands that filter photos."""

from __future__ import annotations

import re
from typing import Any

import click

from vitsearch.cli.option_groups import option_group


class Place(click.ParamType[str]):
    """A latitude and a longitude."""

    name = "lat,lon"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Validate the value and round it to one decimal."""
        try:
            latitude, longitude = map(float, str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a place: write latitude and longitude, as in 48.2,16.4", param, ctx)
        return f"{latitude:.1f},{longitude:.1f}"


class Day(click.ParamType[str]):
    """A year, a month or a day."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Validate the value; ISO dates compare as text."""
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
        help="Only photos in or below FOLDER.",
    ),
    "after": click.option(
        "--after", type=Day(), help="Only photos taken on this date or later (2024, 2024-05, 2024-05-17)."
    ),
    "before": click.option("--before", type=Day(), help="Only photos taken before this date."),
    "camera": click.option("--camera", help="Only photos from cameras whose name contains this text."),
    "keyword": click.option(
        "--keyword", help="Only photos with this keyword, or with this person in Google Takeout."
    ),
    "rating": click.option(
        "--rating", type=click.IntRange(1, 5), help="Only photos with at least this many stars."
    ),
    "place": click.option(
        "--place",
        type=Place(),
        help="Only photos taken at this latitude and longitude, rounded to a tenth of a degree.",
    ),
    "favourite": click.option("--favourite", is_flag=True, default=None, help="Only favourites."),
}


def _filter(**conditions: Any) -> object:  # noqa: ANN401 - each field of `Filter` has a type of its own
    from vitsearch.storage.filters import Filter

    return Filter(**conditions)


filter_options = option_group("where", _filter, _OPTIONS)
"""Adds the filter options to a command, which receives them as one `Filter` named `where`."""
