"""`vitsearch label`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_failed, print_json, print_unreadable, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, force_option, json_option, pass_session
from vitsearch.errors import LibraryError

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device
    from vitsearch.heads.export_labels import SidecarReport
    from vitsearch.heads.labelling import LabelResult


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@click.option("--head", "name", required=True, help="The head to use. See `vitsearch heads list`.")
@click.option(
    "-k",
    "k",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="The number of labels per photo.",
)
@click.option("--xmp", is_flag=True, help="Write the labels as keywords to XMP sidecars next to the photos.")
@click.option(
    "--csv", "table", type=click.Path(dir_okay=False), metavar="FILE", help="Write the labels to a CSV file."
)
@force_option
@device_option
@json_option
@pass_session
@click.pass_context
def label(
    context: click.Context,
    session: Session,
    paths: tuple[str, ...],
    name: str,
    k: int,
    xmp: bool,
    table: str | None,
    force: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Predict the labels of photos: of files, of the photos in folders, or by default of the whole library.

    A photo that the head is unsure about is marked "?": its labels are guesses. A photo with none of the labels is
    marked "-", if the head can recognise such photos: heads trained on photos or made from examples can. Your
    corrections (`heads correct`) take precedence over predictions, even before the head is trained again. `vitsearch
    search --label LABEL --head HEAD` finds labelled photos.

    With --xmp, the best label and every other of the -k best with a probability of at least 0.5 are written as
    keywords; photos marked "?" or "-" get none. Photo files are never changed, and other content of sidecars is kept.
    Keywords that this head wrote earlier and no longer predicts are removed; your own and those of other heads stay. A
    CSV file that you have edited is only overwritten with --force.

    The exit status is 1 if a sidecar could not be written, or a file that you named could not be read.

    \b
    Examples:
      vitsearch label garden.jpg --head pets
      vitsearch label ~/Pictures/2024 --head pets --csv pets.csv
      vitsearch label --head pets --xmp
    """
    from vitsearch.heads.export_labels import (
        check_label_csv,
        note_label_csv,
        write_label_csv,
        write_sidecars,
    )
    from vitsearch.heads.labelling import Labeller
    from vitsearch.heads.store import HeadStore

    session.check_outputs((table, "table"), inputs=paths, force=force)
    with session.open(device=device) as library, progress_bar(quiet=as_json) as on_progress:
        if table and not force:
            check_label_csv(library.catalog, Path(table))
        labeller = Labeller(HeadStore(library), name, on_progress=on_progress)
        result = labeller.label([Path(path) for path in paths], k=k)
        if table:
            if not force:  # a person may have saved the table meanwhile
                check_label_csv(library.catalog, Path(table))
            written = write_label_csv(result.labels, Path(table), force=force)
            with suppress(LibraryError):  # of a library that may only be read: the next table needs --force
                note_label_csv(library.catalog, Path(table), written)
    sidecars = write_sidecars(result.labels, head=result.head) if xmp else None
    if as_json:
        extra = {"sidecars": sidecars} if sidecars else {}
        print_json(
            {
                "head": result.head,
                "version": result.version,
                "model": result.model,
                "labels": result.labels,
                "lacks": result.lacks,
                "unreadable": result.unreadable,
                "offline": result.offline,
                **extra,
            }
        )
    else:
        _print_labels(result)
        _print_notes(result, sidecars, table)
    named = {Path(path).absolute() for path in paths}
    if (sidecars and sidecars.failed) or any(failed.path in named for failed in result.unreadable):
        context.exit(1)


def _print_labels(result: LabelResult) -> None:
    for photo in result.labels:
        you = " (you said so)" if photo.by_person else ""
        if photo.none:
            say(f"- {shown(str(photo.path))}  none of these{you}")
            continue
        mark = "?" if photo.abstained else " "
        best = ", ".join(
            f"{shown(each.label)}{you}"
            if photo.by_person and each.probability == 1
            else f"{shown(each.label)} {each.probability:.1%}"
            for each in photo.labels
        )
        say(f"{mark} {shown(str(photo.path))}  {best}")


def _print_notes(result: LabelResult, sidecars: SidecarReport | None, table: str | None) -> None:
    none = sum(photo.none for photo in result.labels)
    unsure = sum(photo.abstained for photo in result.labels) - none
    say(
        f"{plural(len(result.labels) - none, 'file')} labelled by {shown(result.head)} (version {result.version}), "
        f"unsure of {unsure:,}",
        err=True,
    )
    if result.lacks is None:
        say(f"none of these: {plural(none, 'photo')}", err=True)
    else:
        say(result.lacks, err=True)
    if result.offline:
        say(f"left out {plural(result.offline, 'photo')} on drives that are not mounted", err=True)
    print_unreadable(result.unreadable)
    if table:
        say(f"table: {shown(str(Path(table).absolute()))}", err=True)
    if sidecars:
        back = f", {plural(sidecars.taken_back, 'keyword')} taken back" if sidecars.taken_back else ""
        say(f"{plural(sidecars.changed, 'sidecar')} changed{back}", err=True)
        if sidecars.failed:
            print_failed(f"{plural(len(sidecars.failed), 'sidecar')} could not be written", sidecars.failed)
