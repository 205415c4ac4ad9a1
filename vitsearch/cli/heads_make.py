"""`vitsearch heads train`, `from-examples`, `from-text` and `import`: create a head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from vitsearch.cli.head_report import (
    made_as_json,
    print_in_words,
    print_left_out,
    print_made,
    print_report,
    report_as_json,
    show_head,
)
from vitsearch.cli.output import plural, print_json, say
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, json_option, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.backbones.devices import Device
    from vitsearch.heads.store import TrainedHead

_Command = TypeVar("_Command", bound="Callable[..., object]")


def _source_options(command: _Command) -> _Command:
    csv = click.option(
        "--csv",
        type=click.Path(),
        metavar="FILE",
        help="Labelled photos: a CSV file with the columns path,label.",
    )
    folder = click.option(
        "--from",
        "folder",
        type=click.Path(),
        metavar="FOLDER",
        help="Labelled photos: the subfolders of FOLDER are the labels.",
    )
    return folder(csv(command))


@click.command()
@click.argument("name")
@_source_options
@click.option("--multi", is_flag=True, help="Allow several labels per photo.")
@device_option
@json_option
@pass_session
def train(
    session: Session,
    name: str,
    folder: str | None,
    csv: str | None,
    multi: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Train the head NAME on labelled photos and report its accuracy.

    The figures are cross-validated: each photo is predicted by a head that was trained without it and its near copies.
    In a CSV file, a photo may have several labels, one per line; each label is then an independent yes-or-no question,
    as with --multi. An empty label means that no label applies. From such photos, and from the other photos in the
    library, the head learns to recognise photos with none of its labels; this works better the more photos are
    indexed. Without --from and --csv, the head is trained again on its examples and all corrections. Photos that are
    already indexed are not embedded again.

    \b
    Examples:
      vitsearch heads train pets --from ~/labelled/pets
      vitsearch heads train pets --csv pets.csv
      vitsearch heads train pets           train again, after `vitsearch heads correct`
    """
    made = _make("train", session, name, folder, csv, multi=multi, device=device, quiet=as_json)
    report = made.report
    assert report is not None
    if as_json:
        print_json(made_as_json(made) | report_as_json(report))
        return
    print_in_words(name, report)
    say("")
    print_report(report)
    say(
        f"version {made.head.version}, {made.head.space.model}, {made.embedding_seconds:.1f} s for the photos, "
        f"{report.seconds:.1f} s for the head",
        err=True,
    )
    print_left_out(made)


@click.command("from-examples")
@click.argument("name")
@_source_options
@device_option
@json_option
@pass_session
def from_examples(
    session: Session, name: str, folder: str | None, csv: str | None, device: Device, as_json: bool
) -> None:
    """Create the head NAME from one or a few example photos per label.

    With ten or more photos per label, `vitsearch heads train` is more accurate and reports its accuracy.
    """
    made = _make("from_examples", session, name, folder, csv, device=device, quiet=as_json)
    if as_json:
        print_json(made_as_json(made))
        return
    print_made(made.head, f"from {plural(made.photos, 'example')}")
    print_left_out(made)


@click.command("from-text")
@click.argument("name")
@click.option(
    "--labels",
    "file",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="A text file with one label per line.",
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help='A prompt for the labels, such as "a photo of a {}."; may be given several times.',
)
@click.option("--model", help="A model that reads text, to use instead of the library's.")
@device_option
@json_option
@pass_session
def from_text(
    session: Session,
    name: str,
    file: str,
    templates: tuple[str, ...],
    model: str | None,
    device: Device,
    as_json: bool,
) -> None:
    """Create the head NAME from label names alone, with a model that reads text (CLIP, SigLIP)."""
    from vitsearch.heads.store import HeadStore
    from vitsearch.heads.zero_shot import read_label_list

    labels = read_label_list(Path(file))
    with session.open(device=device) as library:
        head = HeadStore(library).from_text(name, labels, templates=templates, model=model, notice=_notice)
    show_head(head, as_json=as_json)


@click.command("import")
@click.argument("name")
@click.option(
    "--model",
    required=True,
    help="The classifier: a Hugging Face id, a local folder or file, or a registered model.",
)
@json_option
@pass_session
def import_(session: Session, name: str, model: str, as_json: bool) -> None:
    """Import the classifier of a ViT, DeiT, BEiT, DINOv2, Swin or CvT checkpoint as the head NAME."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head = HeadStore(library).import_classifier(name, model, notice=_notice)
    show_head(head, as_json=as_json)


def _make(
    way: str,
    session: Session,
    name: str,
    folder: str | None,
    csv: str | None,
    *,
    multi: bool = False,
    device: Device,
    quiet: bool,
) -> TrainedHead:
    from vitsearch.heads.store import HeadStore

    if folder is not None and csv is not None:
        raise click.UsageError("give --from or --csv, not both")
    with session.open(device=device) as library, progress_bar(quiet=quiet) as on_progress:
        head_store = HeadStore(library)
        source = Path(folder).absolute() if folder is not None else None
        table = Path(csv).absolute() if csv is not None else None
        if way == "train":
            return head_store.train(name, folder=source, csv=table, multi=multi, on_progress=on_progress)
        return head_store.from_examples(name, folder=source, csv=table, on_progress=on_progress)


def _notice(line: str) -> None:
    say(line, err=True)
