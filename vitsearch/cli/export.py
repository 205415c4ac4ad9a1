"""`vitsearch export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, shown, size
from vitsearch.cli.progress import counting_bar
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.stores.parquet import ExportReport, Precision


@click.command()
@click.option("--to", "target", required=True, metavar="FILE", help="A .parquet file.")
@click.option(
    "--in", "folders", multiple=True, type=click.Path(), metavar="FOLDER", help="Only photos below FOLDER."
)
@click.option(
    "--shards",
    type=click.IntRange(1, 99_999),
    default=1,
    show_default=True,
    help="Write this many files of equal size: photos-00000-of-00008.parquet and so on.",
)
@click.option(
    "--precision",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="How vectors are written. The library holds float16: float32 is for programs that need it.",
)
@json_option
@pass_session
def export(
    session: Session,
    target: str,
    folders: tuple[str, ...],
    shards: int,
    precision: Precision,
    as_json: bool,
) -> None:
    """Write photos, what is known of them, and their vectors, for other programs and other libraries.

    The columns are described in docs/formats.md; DuckDB, pandas, Hugging Face datasets and numpy read them. Photos on
    drives that are not mounted are written too. `vitsearch import` reads such files on another machine.

    \b
    Examples:
      vitsearch export --to photos.parquet
      vitsearch export --to trip.parquet --in ~/Pictures/2024
      vitsearch export --to photos.parquet --shards 8
    """
    if not target.endswith(".parquet"):
        raise click.UsageError(f"{target!r} is not a file name that ends in .parquet")
    from vitsearch.stores.parquet import export_parquet
    from vitsearch.stores.portable import Selection

    with session.open() as library, counting_bar("writing", quiet=as_json) as on_progress:
        report = export_parquet(
            Selection.of(library, folders),
            Path(target).absolute(),
            shards=shards,
            precision=precision,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report)
    else:
        _print_report(report)


def _print_report(report: ExportReport) -> None:
    click.echo(f"{plural(report.photos, 'photo')}, {report.model}, {size(report.bytes)}")
    for file in report.files:
        click.echo(shown(str(file)))
