"""`vitsearch apply` and `vitsearch undo`: carry out a clean-up plan, and undo it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import photos_and_sidecars, plural, print_json, say, shown
from vitsearch.cli.progress import plain_lines
from vitsearch.cli.session import Session, json_option, pass_session
from vitsearch.duplicates.cleanup.trash import TRASH
from vitsearch.storage.write_lock import photos_lock

if TYPE_CHECKING:
    from datetime import datetime

    from vitsearch.duplicates.cleanup.putting_back import Outcome


@click.command()
@click.argument("plan", type=click.Path(dir_okay=False))
@json_option
@pass_session
@click.pass_context
def apply(context: click.Context, session: Session, plan: str, as_json: bool) -> None:
    """Carry out PLAN, written by `duplicates --plan` and possibly edited by you.

    Every file is first compared with the plan; if one has changed, nothing is done and the changed files are listed.
    Files to keep are never touched, and nothing is deleted. `trash` moves files to the desktop's trash on Linux. On
    other systems, or if that trash is on another drive, it moves them to the hidden folder .vitsearch-trash at the top
    of their indexed folder. The last line of output says where they are. An interrupted run is completed by running it
    again. Afterwards, run `vitsearch index`.

    The exit status is 1 if a file was skipped.
    """
    from vitsearch.duplicates.cleanup.applying import ChangedFiles, apply_plan
    from vitsearch.duplicates.cleanup.journal import last_changed

    before = last_changed(Path(plan).absolute())
    try:
        with session.open() as library:
            roots = [root.path for root in library.catalog.roots()]
            with photos_lock(library.folder), plain_lines("starting", quiet=as_json) as on_progress:
                outcomes = apply_plan(
                    Path(plan).absolute(),
                    roots=roots,
                    on_outcome=_silent if as_json else _show,
                    on_progress=on_progress,
                )
    except ChangedFiles as error:
        for outcome in error.changed:
            say(f"{shown(str(outcome.path))}: {outcome.text}", err=True)
        raise
    if before is None or not any(outcome.before for outcome in outcomes):
        before = None
    _finish(context, outcomes, "moved", as_json=as_json, plan=plan, before=before)


@click.command()
@click.argument("plan", type=click.Path(dir_okay=False))
@json_option
@pass_session
@click.pass_context
def undo(context: click.Context, session: Session, plan: str, as_json: bool) -> None:
    """Undo `vitsearch apply` for PLAN: move every file back. This works after an interrupted run, too.

    The journal next to PLAN records where the files are, so the library is not needed.

    The exit status is 1 if a file could not be moved back; the output says where that file is.
    """
    from vitsearch.duplicates.cleanup.applying import undo_plan
    from vitsearch.duplicates.cleanup.journal import never_begun

    with session.open() as library:
        is_there = library.layout.database.exists()
        lease = photos_lock(library.folder) if is_there else nullcontext()
        with lease, plain_lines("starting", quiet=as_json) as on_progress:
            outcomes = undo_plan(
                Path(plan).absolute(),
                on_outcome=_silent if as_json else _show,
                on_progress=on_progress,
            )
    if not outcomes:
        if as_json:
            print_json({"files": []})
        was = "was never applied" if never_begun(Path(plan).absolute()) else "was undone before"
        say(f"{shown(plan)} {was}: there is nothing to put back", err=True)
        return
    _finish(context, outcomes, "put back", as_json=as_json)


def _show(outcome: Outcome) -> None:
    if not outcome.before:
        say(f"{shown(str(outcome.path))}: {shown(outcome.text)}")


def _silent(_outcome: Outcome) -> None:
    pass


def _finish(
    context: click.Context,
    outcomes: list[Outcome],
    verb: str,
    *,
    as_json: bool,
    plan: str = "",
    before: datetime | None = None,
) -> None:
    """Report what happened to the files; `before` is when an earlier run of the plan did what this one found done."""
    if as_json:
        print_json({"files": outcomes})
    left = sum(not outcome.done for outcome in outcomes)
    earlier = sum(outcome.before for outcome in outcomes)
    now = len(outcomes) - left - earlier
    if before is not None:
        rest = "" if now or left else ": nothing was left to do"
        say(
            f"{shown(plan)} was applied before, on {before:%Y-%m-%d at %H:%M}, to {plural(earlier, 'file')}{rest}",
            err=True,
        )
    if now or left or not earlier:
        counted = photos_and_sidecars(file.path for file in outcomes if file.done and not file.before)
        what = f": {counted}" if " and " in counted else ""
        say(f"{plural(now, 'file')} {verb}, {left:,} left alone{what}", err=True)
    for trash in sorted({outcome.trash for outcome in outcomes if outcome.trash is not None}):
        how = "delete that folder" if trash.name == TRASH else "empty the trash of your desktop"
        say(f"they are in {shown(str(trash))}: {how} to free the space", err=True)
    if now:
        say("searches know of it after `vitsearch index`", err=True)
    if left:
        context.exit(1)
