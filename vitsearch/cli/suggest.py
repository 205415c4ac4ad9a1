"""`vitsearch heads suggest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, json_option, pass_session

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
