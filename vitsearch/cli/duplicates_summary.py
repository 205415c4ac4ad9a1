"""What `vitsearch duplicates find` says at the end, in words that need no manual."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vitsearch.cli.output import plural, say, shown
from vitsearch.duplicates.tiers import TIERS
from vitsearch.duplicates.words import TIER_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.duplicates.calibrate.library_thresholds import CalibratedThresholds
    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.records import UnreadableFile

_EXAMPLES = 3


def print_by_reason(files: Sequence[UnreadableFile], what: str) -> None:
    """Say how many files were left out for each reason, with a few of them; all of them stand in --json."""
    reasons: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        reasons[file.reason].append(file.path)
    for reason, paths in sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(paths) <= _EXAMPLES:
            for path in paths:
                say(f"{what}: {shown(str(path))}: {shown(reason)}", err=True)
            continue
        say(f"{what}: {plural(len(paths), 'file')}: {shown(reason)}", err=True)
        for path in paths[:_EXAMPLES]:
            say(f"  {shown(str(path))}", err=True)
        say(f"  and {len(paths) - _EXAMPLES:,} more (all with --json)", err=True)


def stated_sides(between: tuple[str, str], prefer: Sequence[str]) -> str:
    """Say in which of two folders that are compared nothing goes."""
    from vitsearch.duplicates.find import staying_side
    from vitsearch.paths import absolute_path

    sides = absolute_path(between[0]), absolute_path(between[1])
    staying = staying_side(sides, [absolute_path(folder) for folder in prefer])
    return f"what is in {shown(str(staying))} stays: copies are those in the other folder"


def print_summary(report: DuplicateReport, sides: str | None) -> None:
    """Say what was left out, how many groups there are, and how alike an edited copy has to be."""
    print_by_reason(report.skipped, "left out")
    counts = {tier: sum(found.tier == tier for found in report.groups) for tier in TIERS}
    told = ", ".join(f"{count:,} of {TIER_WORDS[tier]}" for tier, count in counts.items() if count)
    say(
        f"{plural(len(report.groups), 'group')} among {plural(report.photos, 'photo')}"
        + (f": {told}" if told else ""),
        err=True,
    )
    if sides is not None:
        say(sides, err=True)
    if report.alike:
        are = "is alike and differs" if len(report.alike) == 1 else "are alike and differ"
        say(
            f"{plural(len(report.alike), 'pair')} {are} in a detail or a colour, and in no group: `vitsearch serve` "
            "shows them, --json lists them",
            err=True,
        )
    if report.contains:
        holds = "holds or shows" if len(report.contains) == 1 else "hold or show"
        say(
            f"{plural(len(report.contains), 'file')} {holds} more than another copy, in no group with it: all stay",
            err=True,
        )
    if report.calibrated is not None and report.calibrated.calibration is not None:
        _say_how_strictly(report.calibrated)


def _say_how_strictly(calibrated: CalibratedThresholds) -> None:
    """Say what the pairs that a person told apart have changed, and how to take that back; --json has the figures."""
    from vitsearch.duplicates.verify.evidence import Thresholds

    if calibrated.thresholds.share <= Thresholds().share:
        say("edited copies: judged as usual, as nothing that you dismissed looks like a copy", err=True)
        return
    say("edited copies: judged more strictly, as pairs that you dismissed look like copies", err=True)
    say(
        "this may miss real copies: `duplicates dismissed` lists those pairs, `duplicates restore` undoes it",
        err=True,
    )
