"""`vitsearch import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import counting_bar
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.engines.parquet.importing import ImportReport

_SHOWN = 20


class Relocation(click.ParamType[tuple[str, str]]):
    """OLD=NEW."""

    name = "old=new"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the sign of equality."""
        old, _, new = str(value).partition("=")
        if not old or not new:
            self.fail(f"{value!r} is not OLD=NEW, as in /home/ann/Pictures=/mnt/ann", param, ctx)
        return old, new


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False), metavar="FILE...")
@click.option("--model", help="The model's name, for files that do not contain one.")
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    help="The folder that contains the photos, for files with only `path` and `vector`.",
)
@click.option(
    "--relocate",
    "relocations",
    multiple=True,
    type=Relocation(),
    help="Replace the folder OLD of the other machine with NEW.",
)
@click.option("--change-model", is_flag=True, help="Use the imported embeddings for searches from now on.")
@json_option
@pass_session
@click.pass_context
def import_(
    context: click.Context,
    session: Session,
    files: tuple[str, ...],
    model: str | None,
    root: str | None,
    relocations: tuple[tuple[str, str], ...],
    change_model: bool,
    as_json: bool,
) -> None:
    """Import photos and embeddings from Parquet files, written by other libraries or by your own programs.

    Photos are identified by content: known photos are not embedded again. Folders of another machine stay offline
    until `vitsearch roots relocate` says where they are mounted. Files of your own need the columns `path` and
    `vector` (see docs/formats.md). Importing a file twice changes nothing; after an interruption, import it again. The
    exit status is 1 if rows were skipped.

    \b
    Examples:
      vitsearch import laptop.parquet desktop.parquet
      vitsearch import laptop.parquet --relocate /home/ann/Pictures=/mnt/ann
      vitsearch import mine.parquet --model my-net --root ~/Pictures
    """
    from vitsearch.engines.parquet.importing import import_parquet

    with session.open() as library, counting_bar("importing", quiet=as_json) as on_progress:
        report = import_parquet(
            library,
            [Path(file).absolute() for file in files],
            model=model,
            root=Path(root) if root else None,
            relocate=dict(relocations),
            change_model=change_model,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report.refused:
        context.exit(1)


def _print_report(report: ImportReport) -> None:
    say(f"{plural(report.photos, 'photo')}: {report.vectors:,} new vectors of {report.model}")
    if report.elsewhere:
        say(f"{plural(report.elsewhere, 'photo')} only in folders that are not here:", err=True)
        for path in report.offline_roots:
            say(f"  {shown(str(path))}", err=True)
        say("where they are mounted here: `vitsearch roots relocate OLD NEW`", err=True)
    unplaced = report.photos - report.here - report.elsewhere
    if unplaced:
        say(
            f"{plural(unplaced, 'photo')} without a file here yet: run `vitsearch index FOLDER`, which embeds "
            "nothing again",
            err=True,
        )
    if report.taken:
        say(
            f"{plural(report.taken, 'place')} held by another photo already: if two machines have a folder of the same "
            "name, import again with --relocate OLD=NEW",
            err=True,
        )
    if not report.searched:
        say("searches go on with the library's own model: --change-model changes that", err=True)
    if report.refused:
        say(f"{plural(report.refused, 'row')} left out:", err=True)
        for row in report.reasons[:_SHOWN]:
            say(f"  {shown(str(row.file))} row {row.row}: {shown(row.reason)}", err=True)
        if report.refused > _SHOWN:
            say(f"  and {report.refused - _SHOWN:,} more", err=True)
