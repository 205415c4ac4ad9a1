"""`vitsearch heads`: train, inspect and improve heads, which put labels on photos."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from vitsearch.cli.head_report import (
    SHOWN_LABELS,
    made_as_json,
    print_in_words,
    print_left_out,
    print_made,
    print_report,
    record_as_json,
    report_as_json,
    show_head,
)
from vitsearch.cli.output import plural, print_failed, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, force_option, json_option, pass_session
from vitsearch.cli.suggest import suggest
from vitsearch.errors import HeadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.backbones.devices import Device
    from vitsearch.heads.head import Head
    from vitsearch.heads.store import TrainedHead

_Command = TypeVar("_Command", bound="Callable[..., object]")


@click.group()
def heads() -> None:
    """Train and manage heads, which put your own labels on photos.

    A head is a linear classifier on the embeddings in a library. Training takes seconds, and labelling a large library
    takes hardly longer. `vitsearch label` applies a head.

    \b
    There are four ways to create one:
      vitsearch heads train pets --from labelled/           subfolders are the labels
      vitsearch heads from-examples pets --from few/        one photo per label is enough
      vitsearch heads from-text places --labels places.txt  needs a model that reads text
      vitsearch heads import imagenet --model google/vit-base-patch16-224
    """


heads.add_command(suggest)


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


@heads.command()
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


@heads.command("from-examples")
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


@heads.command("from-text")
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


@heads.command("import")
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


@heads.command("list")
@json_option
@pass_session
def list_heads(session: Session, as_json: bool) -> None:
    """List the heads of the library."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head_store = HeadStore(library)
        found = [head_store.describe(name) for name in head_store.names()]
    if as_json:
        print_json({"heads": found})
        return
    width = max((len(head.name) for head in found), default=0)
    for head in found:
        say(
            f"{shown(head.name):<{width}}  {head.origin:<8}  {plural(len(head.labels), 'label')}, "
            f"version {head.version}, {shown(head.model)}"
        )
    if not found:
        say("no heads yet: see `vitsearch heads --help`", err=True)


@heads.command()
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show the head NAME: its labels, its model and its accuracy when it was trained."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head_store = HeadStore(library)
        head, described = head_store.get(name), head_store.describe(name)
    facts: dict[str, object] = {
        **record_as_json(described),
        "readout": head.space.readout,
        "dimension": head.space.dimension,
        "temperature": head.temperature,
        "abstain_below": head.abstain_below,
        "none_of_these": _none_of_these(head),
        "details": dict(head.details),
    }
    if as_json:
        print_json(facts)
        return
    facts |= {"labels": ", ".join(described.labels[:SHOWN_LABELS]), **head.details}
    if len(described.labels) > SHOWN_LABELS:
        facts["labels"] = f"{facts['labels']} and {len(described.labels) - SHOWN_LABELS:,} more"
    del facts["details"]
    for fact, value in facts.items():
        if value is None or isinstance(value, dict):
            continue
        if (
            isinstance(value, (list, tuple))
            and len(value) == 2
            and all(isinstance(end, float) for end in value)
        ):
            text = f"{value[0]:.4g} to {value[1]:.4g}"
        else:
            text = f"{value:.4g}" if isinstance(value, float) else shown(str(value))
        say(f"{fact.replace('_', ' '):<18} {text}")


@heads.command()
@click.argument("name")
@click.option(
    "--xmp",
    is_flag=True,
    help="Also remove the keywords that this head wrote to sidecars.",
)
@pass_session
def delete(session: Session, name: str, xmp: bool) -> None:
    """Delete the head NAME with its examples, corrections and labels. No photo is touched.

    Keywords written by `label --xmp` stay in the sidecars. With --xmp, the keywords that this head wrote are removed;
    your own and those of other heads stay. --xmp also works after the head has been deleted.
    """
    from vitsearch.heads.export_labels import take_back_keywords
    from vitsearch.heads.store import HeadStore

    with session.open() as library, progress_bar(quiet=not xmp) as on_progress:
        head_store = HeadStore(library)
        taken = take_back_keywords(library, name, on_progress=on_progress) if xmp else None
        if taken and taken.failed:
            print_failed(f"{plural(len(taken.failed), 'sidecar')} could not be written", taken.failed)
            raise HeadError(f"{name!r} was not deleted: mend that and run this again, or leave out --xmp")
        if not taken or not taken.changed or name in head_store.names():
            head_store.delete(name)
            say(f"deleted {shown(name)}")
    if taken:
        where = plural(taken.changed, "sidecar")
        say(f"{plural(taken.taken_back, 'keyword')} taken out of {where}", err=True)


@heads.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--without-examples",
    is_flag=True,
    help="Leave out the embeddings of its examples.",
)
@force_option
@pass_session
def export(session: Session, name: str, file: str, without_examples: bool, force: bool) -> None:
    """Export the head NAME to FILE (.safetensors), for another library or another program.

    A head trained on photos compares new photos with some of its examples; the file contains their embeddings, but no
    photos. With --without-examples it contains none, and the head may label a few more photos of unrelated things.
    """
    from vitsearch.heads.store import HeadStore

    session.check_outputs((file, "head"), force=force)
    with session.open() as library:
        head = HeadStore(library).export(name, Path(file), examples=not without_examples, force=force)
    say(f"{shown(name)}: {shown(str(Path(file).absolute()))}")
    say(f"none of these: {_none_of_these(head)}", err=True)


@heads.command()
@click.argument("file", type=click.Path())
@click.option("--name", help="A new name for the head.")
@json_option
@pass_session
def load(session: Session, file: str, name: str | None, as_json: bool) -> None:
    """Load a head that `vitsearch heads export` wrote to FILE."""
    from vitsearch.heads.store import HeadStore

    with session.open() as library:
        head = HeadStore(library).load(Path(file), name=name)
    show_head(head, as_json=as_json)


@heads.command("next")
@click.argument("name")
@click.option(
    "-n", "count", type=click.IntRange(1, 10_000), default=20, show_default=True, help="The number of photos."
)
@device_option
@json_option
@pass_session
def next_photos(session: Session, name: str, count: int, device: Device, as_json: bool) -> None:
    """List the photos that would improve the head NAME most: least certain first, no two alike."""
    from vitsearch.heads.labelling import Labeller
    from vitsearch.heads.store import HeadStore

    with session.open(device=device) as library, progress_bar(quiet=as_json) as on_progress:
        photos = Labeller(HeadStore(library), name, on_progress=on_progress).next(count)
    if as_json:
        print_json({"head": name, "photos": photos})
        return
    for photo in photos:
        say(f"{photo.probability:6.1%}  {shown(photo.label)}  {shown(str(photo.path))}")
    if not photos:
        say("every photo of the library has a label from you", err=True)


@heads.command()
@click.argument("name")
@click.argument("image", type=click.Path())
@click.argument("labels", nargs=-1, metavar="[LABEL]...")
@click.option("--none", "nothing", is_flag=True, help="No label applies.")
@click.option(
    "--with",
    "others",
    multiple=True,
    type=click.Path(),
    metavar="IMAGE",
    help="Another photo to correct in the same way; may be given several times.",
)
@device_option
@json_option
@pass_session
def correct(
    session: Session,
    name: str,
    image: str,
    labels: tuple[str, ...],
    nothing: bool,
    others: tuple[str, ...],
    device: Device,
    as_json: bool,
) -> None:
    """Correct the labels of IMAGE for the head NAME. LABEL may be a new label.

    \b
    Examples:
      vitsearch heads correct pets garden.jpg dog
      vitsearch heads correct pets sofa.jpg --none --with table.jpg --with lamp.jpg
      vitsearch heads train pets           learn from all corrections
    """
    from vitsearch.heads.store import HeadStore

    if nothing and labels:
        raise click.UsageError("--none says that no label is right: leave the label away, or --none")
    if not nothing and not labels:
        raise click.UsageError("give the label that is right, or --none")
    absent = next((path for path in (image, *others) if not Path(path).exists()), None)
    if absent is not None:
        raise HeadError(f"there is no file {absent}: check its name; nothing was stored")
    with session.open(device=device) as library:
        head_store = HeadStore(library)
        new = [each for path in (image, *others) for each in head_store.correct(name, Path(path), labels)]
        described = head_store.describe(name)
        corrections = described.corrections
    if as_json:
        print_json(
            {
                "head": name,
                "path": Path(image).absolute(),
                "labels": labels,
                "others": [Path(path).absolute() for path in others],
                "new_labels": list(dict.fromkeys(new)),
                "corrections": corrections,
            }
        )
        return
    said = ", ".join(labels) if labels else "none of the labels"
    for path in (image, *others):
        say(f"{shown(path)}: {shown(said)}")
    for label in dict.fromkeys(new):
        near = get_close_matches(label, described.labels, n=1)
        hint = f"did you mean {shown(near[0])}? Then say so again; else" if near else "it is learnt"
        rest = "it is learnt" if near else ""
        say(
            f"{shown(label)} is a new label: {hint} {rest} once two photos have it".replace("  ", " "),
            err=True,
        )
    learns = described.origin not in ("text", "imported")
    then = (
        f"learn from them with `vitsearch heads train {shown(name)}`"
        if learns
        else "each counts for its photo"
    )
    say(f"{plural(corrections, 'correction')}; {then}", err=True)


def _none_of_these(head: Head) -> str:
    """Describe in one line whether and how a head recognises photos with none of its labels."""
    if head.gate is None:
        return head.lacks or ""
    held = len(head.gate.examples)
    background = f"learned from {plural(head.gate.background, 'other photo')}"
    examples = f"holds the vectors of {plural(held, 'example')}" if held else "holds no vectors of examples"
    return f"{background}, {examples}"


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
