"""`vitsearch backup`, `restore` and `erase`: what cannot be computed again, carried elsewhere or removed."""

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
    "--force", is_flag=True, help="Overwrite FILE, whatever program wrote it, and what is in no other backup."
)
@pass_session
def backup(session: Session, file: str, force: bool) -> None:
    """Write labels, corrections, decisions and heads into FILE: all that cannot be computed again from the photos.

    Photos are named in it by what they show, so that `vitsearch restore` finds them on another machine, under other
    names. A backup that is there is replaced, unless most of what it holds is not in this library. The library keeps
    such backups of its own, and writes one before it forgets or mends anything.
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
    """Bring in the labels, corrections, decisions and heads that `vitsearch backup` wrote into FILE.

    What people said here stays as it is, and so does a head of the same name. Labels and decisions of photos that the
    library does not hold yet wait for them.
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
@click.option("--yes", is_flag=True, help="Do so without asking.")
@pass_session
def erase(session: Session, places: tuple[str, ...], yes: bool) -> None:
    """Remove all that the library knows of a PHOTO, or of the photos that were in a FOLDER.

    Places, vectors, labels, decisions, thumbnails and uploads go, in the library's own backups too; whole copies of the
    database that upgrades and repairs have kept are deleted. The photos themselves are not touched: one that is still
    in an indexed folder is found again by the next run, unless .vitsearchignore names it. Heads that learnt from a
    photo, plans that name it and files that you wrote yourself (backups, exports) stay.
    """
    from vitsearch.doctor import upkeep

    with session.open() as library:
        doomed = upkeep.doomed(library, places)
        if not yes:
            ask(
                f"all that is known of {plural(len(doomed.photos), 'photo')} ({plural(len(doomed.files), 'file')}) "
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
