"""`vitsearch backup`, `restore` and `erase`: save, restore or remove what cannot be computed from the photos."""

from __future__ import annotations

from pathlib import Path

import click

from vitsearch.cli.asking import ask
from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import plain_lines
from vitsearch.cli.session import Session, json_option, pass_session

_SHOWN = 5


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite FILE even if another program wrote it, or if it holds data that is in no other backup.",
)
@pass_session
def backup(session: Session, file: str, force: bool) -> None:
    """Save labels, corrections, decisions and heads to FILE: everything that cannot be computed again from the photos.

    Photos are identified by their content, so `vitsearch restore` recognises them on another machine and under other
    names. An existing backup is replaced, unless most of its content is not in this library. The library also keeps
    backups of its own, and writes one before every operation that removes or repairs something.
    """
    from vitsearch.doctor import upkeep
    from vitsearch.storage.outputs import Output

    with session.open() as library, plain_lines("writing", quiet=False):
        count = upkeep.back_up(library, Output(Path(file), "backup", force=force, private=True))
    say(f"{file}: {count:,} labels, decisions and heads")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@json_option
@pass_session
def restore(session: Session, file: str, as_json: bool) -> None:
    """Restore the labels, corrections, decisions and heads that `vitsearch backup` saved to FILE.

    Existing labels and decisions stay as they are, and so do existing heads of the same name. Labels and decisions for
    photos that are not in the library yet apply as soon as the photos are indexed.
    """
    from vitsearch.doctor import upkeep
    from vitsearch.heads.restoring import restore_heads

    with session.open() as library, plain_lines("restoring", quiet=as_json):
        found = upkeep.restore(library, Path(file))
        heads = restore_heads(library, Path(file))
    if as_json:
        print_json(
            {
                "labels": found.labels,
                "decisions": found.decisions,
                "favourites": found.favourites,
                "waiting": found.waiting,
                "heads": heads,
            }
        )
        return
    heads_in_words = (plural(len(heads.restored), "head"),) if heads.restored else ()
    brought = ", ".join((*found.in_words, *heads_in_words))
    say(f"restored: {brought}" if brought else "nothing to restore: all that it holds is here already")
    if found.waiting:
        say(f"{found.waiting:,} wait for photos that are not in the library", err=True)
    if heads.kept:
        say(f"heads that are here already stay as they are: {', '.join(heads.kept)}", err=True)
    if heads.refused:
        say(f"heads that cannot be used: {', '.join(heads.refused)}", err=True)


@click.command()
@click.argument("places", metavar="PHOTO|FOLDER...", nargs=-1, required=True, type=click.Path())
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def erase(session: Session, places: tuple[str, ...], yes: bool) -> None:
    """Erase everything that the library knows about a PHOTO, or about all photos that were in a FOLDER.

    This removes paths, embeddings, labels, decisions, thumbnails and uploads, also from the library's own backups, and
    deletes the database copies that upgrades and repairs have left. The photo files are not touched: a photo that is
    still in an indexed folder is indexed again by the next run, unless .vitsearchignore excludes it. Heads trained on
    a photo, plans that contain it, and files that you saved yourself (backups, exports) are kept.
    """
    from vitsearch.doctor import upkeep

    with session.open() as library:
        scope = upkeep.erasure_scope(library, places)
        if not yes:
            ask(
                f"all that is known of {plural(len(scope.photos), 'photo')} ({plural(len(scope.files), 'file')}) "
                "would be erased, which cannot be undone",
                "Erase it?",
                command=session.command("erase", *places, "--yes"),
            )
        with plain_lines("erasing", quiet=False):
            erased = upkeep.erase(library, places)
    say(f"erased {plural(erased.photos, 'photo')} ({plural(erased.files, 'file')})")
    if erased.copies:
        say(f"whole databases that were kept and are deleted: {erased.copies:,}", err=True)
    for path in erased.others[:_SHOWN]:
        say(f"a copy is still at {shown(str(path))}", err=True)
    if len(erased.others) > _SHOWN:
        say(f"and {len(erased.others) - _SHOWN:,} more", err=True)
