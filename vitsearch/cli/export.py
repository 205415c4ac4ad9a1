"""`vitsearch export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, print_paths, say, shown, size
from vitsearch.cli.progress import counting_bar
from vitsearch.cli.session import Session, force_option, json_option, pass_session, store_token_option

if TYPE_CHECKING:
    from vitsearch.engines.parquet.writing import ExportReport, Precision


@click.command()
@click.option(
    "--to",
    "target",
    required=True,
    metavar="TARGET",
    help="A .parquet file, milvus://… or the address of another engine.",
)
@click.option(
    "--in",
    "folders",
    multiple=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Only photos in or below FOLDER.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 99_999),
    default=1,
    show_default=True,
    help="Split the export into this many files of equal size: photos-00000-of-00008.parquet and so on.",
)
@click.option(
    "--precision",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="The data type of the embeddings. The library stores float16; float32 is for programs that need it.",
)
@force_option
@store_token_option
@json_option
@pass_session
def export(
    session: Session,
    target: str,
    folders: tuple[str, ...],
    shards: int,
    precision: Precision,
    force: bool,
    token: str | None,
    as_json: bool,
) -> None:
    """Export photos, their metadata and their embeddings to Parquet files or another engine.

    Parquet files can be read by DuckDB, pandas, Hugging Face datasets and `vitsearch import`; docs/formats.md
    describes the columns. A Milvus collection is updated: new and changed photos and labels are written, removed ones
    deleted. If the export is interrupted, run it again. Photos on drives that are not mounted are exported too.

    \b
    Examples:
      vitsearch export --to photos.parquet
      vitsearch export --to trip.parquet --in ~/Pictures/2024
      vitsearch export --to photos.parquet --shards 8
      vitsearch export --to milvus://cluster:19530/photos
      vitsearch export --to milvus:///home/ann/photos.db
    """
    if "://" in target:
        _export_to_engine(session, target, token, folders, as_json=as_json)
    elif target.endswith(".parquet"):
        _export_parquet(session, target, folders, shards, precision, force=force, as_json=as_json)
    else:
        raise click.UsageError(
            f"{target!r} is neither a file name that ends in .parquet nor an address such as milvus://…"
        )


def _export_to_engine(
    session: Session, target: str, token: str | None, folders: tuple[str, ...], *, as_json: bool
) -> None:
    from vitsearch.engines.finding import engine_for
    from vitsearch.engines.portable import Selection

    engine = engine_for(target)
    with session.open() as library, counting_bar("comparing", quiet=as_json) as on_progress:
        selection = Selection.of(library, folders)
        report = engine.export(
            target, library, selection, whole=not folders, token=token, on_progress=on_progress
        )
    if as_json:
        print_json(report)
        return
    parts = [f"{report.written:,} written", f"{report.unchanged:,} unchanged", f"{report.removed:,} removed"]
    say(f"{plural(report.photos, 'photo')}: {', '.join(parts)}")
    say(f"{shown(report.to)}, {report.model}, {report.seconds:.1f} s", err=True)


def _export_parquet(
    session: Session,
    target: str,
    folders: tuple[str, ...],
    shards: int,
    precision: Precision,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from vitsearch.engines.parquet.writing import export_parquet, shard_names
    from vitsearch.engines.portable import Selection

    session.check_outputs(*((str(name), "photos") for name in shard_names(Path(target), shards)), force=force)

    with session.open() as library, counting_bar("writing", quiet=as_json) as on_progress:
        report = export_parquet(
            Selection.of(library, folders),
            Path(target).absolute(),
            shards=shards,
            precision=precision,
            force=force,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report)
    else:
        _print_report(report)


def _print_report(report: ExportReport) -> None:
    say(f"{plural(report.photos, 'photo')}, {report.model}, {size(report.bytes)}")
    print_paths(report.files)
