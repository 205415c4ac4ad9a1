"""`vitsearch duplicates have`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from vitsearch.cli.output import plural, print_json, print_unreadable, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, json_option, pass_session


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option(
    "--all", "with_known", is_flag=True, help="Name the files that the library has, too, and where."
)
@json_option
@pass_session
def have(session: Session, folder: str, with_known: bool, as_json: bool) -> None:
    """List the photos in FOLDER, such as a card or a phone, that are not yet in the library.

    A photo counts as there if an identical file, the same picture or an edited copy of it is in the library outside
    of FOLDER. The new ones are printed one a line, for other programs to take up.

    \b
    Examples:
      vitsearch duplicates have /media/card
      vitsearch duplicates have /media/card --all
    """
    from vitsearch.duplicates.have import compare_folder
    from vitsearch.duplicates.words import KNOWN_WORDS

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
                    {"path": file.path, "tier": file.tier, "other": file.other, "what": file.what}
                    for file in found.files
                ],
                "unreadable": found.unreadable,
            }
        )
    for file in found.files if not as_json else ():
        if file.tier is None:
            say(f"new: {shown(str(file.path))}" if with_known else shown(str(file.path)))
        elif with_known:
            what = f" ({file.what})" if file.what else ""
            say(f"{KNOWN_WORDS[file.tier]}: {shown(str(file.path))} = {shown(str(file.other))}{what}")
    print_unreadable(found.unreadable)
    counts = Counter(file.tier for file in found.files)
    told = ", ".join(f"{counts[tier]:,} {words}" for tier, words in KNOWN_WORDS.items() if counts[tier])
    place = "in no other folder of the library" if is_indexed else "not in the library yet"
    say(
        f"{len(found.new):,} of {plural(len(found.files), 'photo')} {place}"
        + (f"; there already: {told}" if told else ""),
        err=True,
    )
