"""`vitsearch duplicates find`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.duplicates_check import check_pair
from vitsearch.cli.duplicates_summary import print_by_reason, print_summary, stated_sides
from vitsearch.cli.output import photos_and_sidecars, plural, print_json, say, shown, size
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, json_option, pass_session
from vitsearch.duplicates.tiers import COPIES, TIERS, tiers_in_words
from vitsearch.duplicates.words import TIER_WORDS, file_in_words
from vitsearch.jsonable import to_jsonable
from vitsearch.records import UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.duplicates.cleanup.plans import Action
    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile
    from vitsearch.duplicates.tiers import Tier
    from vitsearch.library import Library


class Moment(click.ParamType[datetime]):
    """A year, a month, a day, or a time of a day."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse ISO 8601; a year or a month stands for its first day."""
        text = str(value)
        try:
            return datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) in (4, 7) else text)
        except ValueError:
            self.fail(
                f"{value!r} is not a date: write 2026, 2026-11, 2026-11-01 or 2026-11-01T18:00", param, ctx
            )


@click.command()
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    type=click.Choice(TIERS),
    help=f"Only groups of this tier; may be given several times. Default: all. {tiers_in_words()}.",
)
@click.option(
    "--max-false-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    metavar="S",
    help="The share of edited copies that may be wrong, used if pairs that you dismissed show that the default "
    "thresholds are too loose.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="DATE",
    help="Only groups with a file indexed since then, such as 2026-11, 2026-11-01 or 2026-11-01T18:00.",
)
@click.option(
    "--between",
    nargs=2,
    type=click.Path(),
    metavar="A B",
    help="Only groups with files in both folders. Files in A are kept; with --prefer B, those in B.",
)
@click.option(
    "--in",
    "folders",
    multiple=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Only photos in or below FOLDER.",
)
@click.option(
    "--prefer",
    multiple=True,
    type=click.Path(),
    metavar="FOLDER",
    help="Keep files in FOLDER if they are as good as the others. If given several times, the first has priority.",
)
@click.option(
    "--plan", type=click.Path(dir_okay=False), metavar="FILE", help="Write a clean-up plan to FILE."
)
@click.option(
    "--action",
    type=click.Choice(["trash", "move", "hardlink", "symlink"]),
    help="What the plan does with the files that are not kept.  [default: trash]",
)
@click.option(
    "--to",
    "destination",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="The destination of --action move.",
)
@click.option(
    "--include-edits",
    is_flag=True,
    help="Plan what you made in a photo editor, too. Without it, an edit that shows the photo visibly changed stays.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write an HTML page with both photos of each pair.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite a page that vitsearch did not write. A plan is never overwritten, because it may be needed to "
    "undo: choose another name.",
)
@click.option(
    "--not-duplicates",
    "apart",
    multiple=True,
    metavar="GROUP",
    hidden=True,
    help="What `duplicates dismiss` does.",
)
@click.option(
    "--take-back",
    "restored",
    multiple=True,
    metavar="GROUP",
    hidden=True,
    help="What `duplicates restore` does.",
)
@click.option("--told-apart", "listing", is_flag=True, hidden=True, help="What `duplicates dismissed` does.")
@click.option(
    "--check",
    nargs=2,
    type=click.Path(),
    metavar="A B",
    hidden=True,
    help="What `duplicates check` does.",
)
@click.option("--lines", is_flag=True, help="Print one JSON object per group and line.")
@json_option
@pass_session
@click.pass_context
def find(
    context: click.Context,
    session: Session,
    tiers: tuple[Tier, ...],
    max_false_share: float,
    since: datetime | None,
    between: tuple[str, str] | None,
    folders: tuple[str, ...],
    prefer: tuple[str, ...],
    plan: str | None,
    action: Action | None,
    destination: str | None,
    include_edits: bool,
    page: str | None,
    force: bool,
    apart: tuple[str, ...],
    restored: tuple[str, ...],
    listing: bool,
    check: tuple[str, str] | None,
    lines: bool,
    as_json: bool,
) -> None:
    """Find duplicate photos, with evidence for each pair. No file is changed.

    Each group belongs to a tier (see --tier), and each of its files is verified against the file to keep.

    The name of a group, such as 12-57, consists of the ids of its photos. It stays the same until a photo joins or
    leaves the group, even if files are moved or renamed or the model changes, and so do your `dismiss` decisions.

    \b
    Examples:
      vitsearch duplicates find
      vitsearch duplicates find --tier exact --tier pixels --plan plan.json
      vitsearch duplicates find --since 2026-11-01
      vitsearch duplicates find --between ~/Phone ~/Pictures --html found.html
    """
    if (action == "move") != (destination is not None):
        raise click.UsageError("--action move and --to FOLDER go together")
    if plan is None and (action is not None or include_edits):
        raise click.UsageError(f"{'--include-edits' if include_edits else '--action'} goes with --plan FILE")
    if lines and as_json:
        raise click.UsageError("choose one of --json and --lines")
    finding = bool(tiers or since or between or folders or prefer or plan or page or lines)
    if finding and (check is not None or apart or restored or listing):
        raise click.UsageError(
            "checking, dismissing and restoring look for nothing: leave away what says where to look and what to "
            "write"
        )
    if check is not None:
        check_pair(context, check, as_json=as_json)
        return
    session.check_outputs((plan, "plan"), (page, "page"), force=force)
    if plan is not None:
        from vitsearch.duplicates.cleanup.journal import clear_journal

        clear_journal(Path(plan).absolute())
    with session.open() as library:
        if apart or restored or listing:
            _decide(library, apart, restored, listing=listing, as_json=as_json)
            return
        from vitsearch.duplicates.find import find_duplicates

        with progress_bar(quiet=False) as on_progress:
            report = find_duplicates(
                library,
                tiers=tiers or TIERS,
                max_false_share=max_false_share,
                since=since,
                between=between,
                folders=folders,
                prefer=prefer,
                on_progress=on_progress,
            )
        away = [
            (root.path, library.catalog.counts(root.id, "").files)
            for root in library.catalog.roots()
            if root.is_offline()
        ]
        unplanned: list[UnreadableFile] | None = None
        if plan is not None:
            unplanned = _write_plan(
                library,
                report,
                Path(plan).absolute(),
                action or "trash",
                destination,
                include_edits=include_edits,
            )
    if page is not None:
        from vitsearch.pages.duplicates import write_page

        with progress_bar(quiet=False) as on_progress:
            pages = write_page(report.groups, Path(page), force=force, on_progress=on_progress)
        more = f" and {plural(len(pages) - 1, 'page')} that it links to" if len(pages) > 1 else ""
        say(f"page: {shown(str(Path(page).absolute()))}{more}", err=True)
    _print(report, unplanned, as_json=as_json, lines=lines)
    for path, files in away:
        if files:
            say(
                f"not looked at: {plural(files, 'file')} in {shown(str(path))}, which is not there now",
                err=True,
            )
    print_summary(report, None if between is None else stated_sides(between, prefer))


def _decide(
    library: Library, apart: tuple[str, ...], restored: tuple[str, ...], *, listing: bool, as_json: bool
) -> None:
    from vitsearch.cli import decisions

    if apart:
        decisions.remember(library, apart, unseen=True)
    if restored:
        decisions.restore(library, restored)
    if listing or as_json:
        decisions.show(library, as_json=as_json)


def _print(
    report: DuplicateReport, unplanned: Sequence[UnreadableFile] | None, *, as_json: bool, lines: bool
) -> None:
    from vitsearch.duplicates.documents import group_document, report_document

    if as_json:
        document = report_document(report)
        print_json(document if unplanned is None else {**document, "left_out_of_plan": unplanned})
    for found in report.groups if not as_json else ():
        if lines:
            say(json.dumps(to_jsonable(group_document(found))))
        else:
            _print_group(found)
    print_by_reason(unplanned or (), "left out of the plan")


def _write_plan(
    library: Library,
    report: DuplicateReport,
    path: Path,
    action: Action,
    destination: str | None,
    *,
    include_edits: bool,
) -> list[UnreadableFile]:
    """Write the plan; return the files that it leaves out, with the reason."""
    from vitsearch.duplicates.cleanup.plan_files import write_plan
    from vitsearch.duplicates.cleanup.planning import make_plan

    left_out: list[UnreadableFile] = []
    made = make_plan(
        report.groups,
        action,
        roots=[root.path for root in library.catalog.roots() if not root.is_offline()],
        destination=Path(destination).absolute() if destination else None,
        include_edits=include_edits,
        notice=lambda file, reason: left_out.append(UnreadableFile(file, reason)),
    )
    write_plan(made, path)
    counted = photos_and_sidecars(file.path for group in made.groups for file in (*group.files, *group.moves))
    say(
        f"plan: {shown(str(path))} ({action} {counted}); read it, then run `vitsearch apply` on it",
        err=True,
    )
    return left_out


def _print_group(found: DuplicateGroup) -> None:
    from vitsearch.duplicates.find import group_name

    say(f"group {group_name(found)}: {TIER_WORDS[found.tier]}")
    keep, *others = found.files
    say(f"  keep   {_described(keep)}: {shown(found.reason)}")
    for file in others:
        word = "also" if file.tier not in COPIES else "edit" if file.edit else "copy"
        say(f"  {word}   {_described(file)}: {shown(file_in_words(file, keep))}")


def _described(file: GroupedFile) -> str:
    return f"{shown(str(file.path))}  ({file.width} x {file.height}, {size(file.bytes)})"
