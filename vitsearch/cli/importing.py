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
@click.option("--model", help="The model of vectors that do not say it: yours, with a name of your own.")
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    help="The folder of the photos, for files that only have paths.",
)
@click.option(
    "--relocate",
    "relocations",
    multiple=True,
    type=Relocation(),
    help="A folder of the other machine, and the name that it gets here.",
)
@click.option("--change-model", is_flag=True, help="Searches use the imported vectors from now on.")
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
    """Merge photos and vectors from Parquet files: of other libraries, or computed by programs of your own.

    Photos are known by content: what was embedded elsewhere is not embedded again here. Folders of another machine
    stay offline until `vitsearch roots relocate` says where they are mounted. A file of your own needs the columns
    `path` and `vector` (see docs/formats.md). Importing twice changes nothing; after an interruption, import again.
    The exit status is 1 if rows were left out.

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
