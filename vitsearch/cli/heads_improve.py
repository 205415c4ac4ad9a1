"""`vitsearch heads suggest`, `next` and `correct`: choose photos to label, and label them."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, json_option, pass_session
from vitsearch.errors import HeadError

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device

_SHOWN_OF_A_GROUP = 5
_TYPICAL = "Single photos that each stand for many others"
_DOUBTFUL = "Single photos of which the head is least sure, no two alike"


@click.command()
@click.argument("name")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="The number of single photos.",
)
@click.option(
    "--groups",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    help="The number of groups of similar photos.",
)
@device_option
@json_option
@pass_session
def suggest(session: Session, name: str, count: int, groups: int, device: Device, as_json: bool) -> None:
    """Suggest which photos to label for the head NAME, which need not exist yet.

    First come groups of similar photos to label together: copy a group into a folder named after the label, or use
    `vitsearch heads correct`. Then come single photos: typical ones while there are few examples, and later those that
    the head is least certain of, no two alike. Photos that you have labelled are left out.

    \b
    Examples:
      vitsearch heads suggest pets
      vitsearch heads suggest pets -n 10 --groups 0 --json
    """
    from vitsearch.heads import suggesting
    from vitsearch.heads.store import HeadStore

    with session.open(device=device) as library, progress_bar(quiet=as_json) as on_progress:
        found = suggesting.suggest(
            HeadStore(library), name, count=count, groups=groups, on_progress=on_progress
        )
    if as_json:
        print_json(found)
        return
    if found.groups:
        say("Groups of alike photos, each to be named at once if one name does for all:")
    for number, group in enumerate(found.groups, 1):
        say(f"  group {number}, {plural(len(group.photos), 'photo')}:")
        for photo in group.photos[:_SHOWN_OF_A_GROUP]:
            say(f"    {shown(str(photo.path))}")
        if len(group.photos) > _SHOWN_OF_A_GROUP:
            say(f"    and {len(group.photos) - _SHOWN_OF_A_GROUP:,} more (all with --json)")
    if found.photos:
        said = "what the head says of them:" if found.photos[0].label else "to be named one by one:"
        say(f"{_TYPICAL if found.typical else _DOUBTFUL}; {said}")
    for photo in found.photos:
        guess = f"{photo.probability:6.1%}  {shown(photo.label)}" if photo.label else "      ?"
        say(f"  {guess}  {shown(str(photo.path))}")
    if not found.photos:
        say("every photo of the library has a label from you", err=True)
    elif found.photos[0].label:
        say(
            f"name them with `vitsearch heads correct {shown(name)} IMAGE LABEL --with IMAGE`, then "
            f"`vitsearch heads train {shown(name)}`",
            err=True,
        )
    else:
        say(
            "there is no such head yet: put photos of each kind into a folder of its name, then "
            f"`vitsearch heads train {shown(name)} --from FOLDER`; or name them in the page (`vitsearch serve`)",
            err=True,
        )


@click.command("next")
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


@click.command()
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
