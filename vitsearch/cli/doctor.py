"""`vitsearch doctor`: check and repair a library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import print_json, say, shown
from vitsearch.cli.progress import plain_lines
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.doctor.findings import Examination, Finding

_SHOWN_ITEMS = 20
# Whose single things are worth a line each; those of the others are in the JSON.
_ITEMISED = ("unreadable photos", "heads", "folders")


@click.command()
@click.option("--repair", is_flag=True, help="Repair what can be repaired, then check again.")
@json_option
@pass_session
@click.pass_context
def doctor(context: click.Context, session: Session, repair: bool, as_json: bool) -> None:
    """Check the library. Each check prints one line: its result, and what to do about a problem.

    This reads the whole database, all embeddings and every cache file. With --repair, caches are rebuilt from the
    database, leftovers of interrupted runs are removed, and a damaged database is salvaged: every readable row is
    copied into a new one, and the damaged file is kept next to it under another name. Your photos are not touched.

    The exit status is 1 if something is wrong.
    """
    from vitsearch.doctor.examine import examine
    from vitsearch.doctor.repair import repair as mend

    folder = session.library_folder.absolute()
    with plain_lines("reading the library", quiet=as_json):
        mended = mend(folder) if repair else None
        examination = examine(folder)
    if as_json:
        print_json(
            {
                "sound": examination.sound,
                "checks": examination.findings,
                "repaired": mended.done if mended else (),
                "salvage": mended.salvage if mended else None,
            }
        )
    else:
        for line in mended.done if mended else ():
            say(shown(line))
        _print(examination)
    if not examination.sound:
        context.exit(1)


def _print(examination: Examination) -> None:
    width = max(len(shown(finding.check)) for finding in examination.findings)
    for finding in examination.findings:
        advice = f": {finding.advice}" if finding.advice else ""
        say(f"{finding.state:<5}  {shown(finding.check):<{width}}  {shown(finding.text)}{shown(advice)}")
        if finding.check in _ITEMISED:
            _print_items(finding)


def _print_items(finding: Finding) -> None:
    for item in finding.items[:_SHOWN_ITEMS]:
        say(f"         {shown(item)}")
    if len(finding.items) > _SHOWN_ITEMS:
        say(f"         and {len(finding.items) - _SHOWN_ITEMS:,} more (all with --json)")
