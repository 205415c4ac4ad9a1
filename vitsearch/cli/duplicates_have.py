"""`vitsearch duplicates have`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.index import counted
from vitsearch.cli.output import plural, print_json, print_paths, print_unreadable, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, json_option, pass_session, print0_option

if TYPE_CHECKING:
    from vitsearch.duplicates.have import FolderComparison


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--all", "with_known", is_flag=True, help="Also list the known files, and where the library has them."
)
@print0_option
@json_option
@pass_session
@click.pass_context
def have(
    context: click.Context, session: Session, folder: str, with_known: bool, nul: bool, as_json: bool
) -> None:
    """List the photos in FOLDER, such as a memory card or a phone, that the library does not have yet.

    A photo is known if an identical file, the same picture or an edited copy of it was indexed outside of FOLDER. New
    photos are printed one per line, for use by other programs, and so are photos of which the library only has worse
    copies: smaller, cropped, captioned, without colour. Videos and other files are only counted. The exit status is 1
    if a photo could not be read, because it might be new.

    \b
    Examples:
      vitsearch duplicates have /media/card
      vitsearch duplicates have /media/card --all
      vitsearch duplicates have /media/card -0 | xargs -0 cp -t ~/Pictures/new
    """
    from vitsearch.duplicates.have import compare_folder
    from vitsearch.duplicates.words import KNOWN_WORDS, counted_as_known

    if nul and with_known:
        raise click.UsageError("-0 prints bare paths: leave --all away")
    path = Path(folder)
    if not path.is_dir():
        raise click.UsageError(f"{folder} is not a folder that is there")
    with session.open() as library, progress_bar(quiet=as_json) as on_progress:
        found = compare_folder(library, path, on_embedding=on_progress, on_progress=on_progress)
        is_indexed = any(library.catalog.is_indexed(file.path) for file in found.files)
    if as_json:
        print_json(
            {
                "files": [
                    {
                        "path": file.path,
                        "tier": file.tier,
                        "other": file.other,
                        "what": file.what,
                        "better": file.better,
                    }
                    for file in found.files
                ],
                "unreadable": found.unreadable,
                "left_out": found.left_out,
                "gone": found.gone,
            }
        )
    elif with_known:
        _print_all(found)
    else:
        print_paths((file.path for file in found.files if file.tier is None or file.better), nul=nul)
    print_unreadable(found.unreadable)
    if found.left_out:
        say(f"no photos, and not compared: {', '.join(map(counted, found.left_out))}", err=True)
    if found.gone:
        many = len(found.gone) > 1
        say(
            f"{plural(len(found.gone), 'file')} of the library that would be {'copies are' if many else 'a copy is'} "
            f"not there: {shown(str(found.gone[0]))}{' and others' if many else ''} went or changed since it was "
            "indexed",
            err=True,
        )
    counts = Counter(file.tier for file in found.files if not file.better)
    told = ", ".join(counted_as_known(tier, counts[tier]) for tier in KNOWN_WORDS if counts[tier])
    place = "in no other folder of the library" if is_indexed else "not in the library yet"
    say(
        f"{len(found.new):,} of {plural(len(found.files), 'photo')} {place}"
        + (f"; {len(found.better):,} better than its copy there" if found.better else "")
        + (f"; there already: {told}" if told else ""),
        err=True,
    )
    if found.unreadable:
        context.exit(1)


def _print_all(found: FolderComparison) -> None:
    """Print a line for each photo: what it is, and of which photo of the library it is a copy."""
    from vitsearch.duplicates.words import KNOWN_WORDS

    for file in found.files:
        if file.tier is None:
            say(f"new: {shown(str(file.path))}")
        elif file.better:
            say(f"better: {shown(str(file.path))} than {shown(str(file.other))} ({file.better})")
        else:
            what = f" ({file.what})" if file.what else ""
            say(f"{KNOWN_WORDS[file.tier]}: {shown(str(file.path))} = {shown(str(file.other))}{what}")
