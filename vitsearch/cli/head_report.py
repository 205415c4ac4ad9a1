"""What `vitsearch heads` says of a head: how it came to be, how good it is, what it confuses."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from vitsearch.cli.output import plural, print_json, print_unreadable, say, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.estimates import Estimate
    from vitsearch.heads.evaluation import GateReport, LabelReport, Report
    from vitsearch.heads.head import Head
    from vitsearch.heads.store import MadeHead, ShelvedHead

SHOWN_LABELS = 20
_SHOWN_MISTAKES = 5


def head_as_json(head: Head) -> dict[str, object]:
    """Return the facts of a head."""
    return {
        "name": head.name,
        "labels": head.labels,
        "origin": head.origin,
        "kind": head.kind,
        "model": head.space.model,
        "version": head.version,
        "abstain_below": head.abstain_below,
        "lacks": head.lacks,
    }


def made_as_json(made: MadeHead) -> dict[str, object]:
    """Return the facts of a new head and of the photos that it was made of."""
    return {
        **head_as_json(made.head),
        "photos": made.photos,
        "unreadable": made.unreadable,
        "left_out": made.left_out,
        "waiting": made.waiting,
        "embedding_seconds": round(made.embedding_seconds, 3),
    }


def report_as_json(report: Report) -> dict[str, object]:
    """Return the figures of a report, those of each label among them."""
    figures = {
        name: value for name, value in record_as_json(report).items() if name not in ("labels", "photos")
    }
    return {**figures, "per_label": report.labels, "seconds": round(report.seconds, 3)}


def record_as_json(record: Report | ShelvedHead) -> dict[str, object]:
    """Return the fields of a record by their names."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def show_head(head: Head, *, as_json: bool) -> None:
    """Say that a head is there, as one JSON document or in words."""
    if as_json:
        print_json(head_as_json(head))
    else:
        print_made(head, f"for {shown(head.space.model)}")


def print_made(head: Head, origin: str) -> None:
    """Say what a new head knows and how to use it."""
    say(f"{shown(head.name)}: {plural(len(head.labels), 'label')} {origin}, version {head.version}")
    say(f"use it with `vitsearch label --head {shown(head.name)}`", err=True)


def print_report(report: Report) -> None:
    """Print the figures of a report, its weakest labels and what is confused most often."""
    say(f"macro-F1 {report.macro_f1:.3f}, calibration error {report.calibration_error:.3f}")
    say(f"sure enough of {report.kept:.0%} of the photos; of those, {report.kept_accuracy:.1%} are right")
    if report.gate is not None:
        _print_gate(report.gate)
    worst = sorted(report.labels, key=lambda label: label.f1)[:SHOWN_LABELS]
    width = min(40, max(5, *(len(label.label) for label in worst)))
    say(f"\n{'label':<{width}}  photos  precision  recall")
    for label in worst:
        name = label.label if len(label.label) <= width else f"{label.label[: width - 1]}…"
        say(f"{shown(name):<{width}}  {label.photos:>6,}  {label.precision:>9.2f}  {label.recall:>6.2f}")
    if len(report.labels) > len(worst):
        say(f"and {len(report.labels) - len(worst):,} labels that do better (all with --json)")
    for line in _mistakes(report.labels, report.confusion):
        say(line)


def _print_gate(gate: GateReport) -> None:
    """Print how well "none of these" is told."""
    right = f"; of those, {_share(gate.accuracy)} are right" if gate.accuracy else ""
    say(f"photos with one of these labels: {_share(gate.passed)} get one{right}")
    if gate.library:
        say(f"other photos of the library: {_share(gate.library)} get one, rightly or not")
    if gate.strangers:
        say(f"kinds like these that the library holds without a label: {_share(gate.strangers)} get one")
    if gate.newcomers:
        say(f"kinds like these that are new to it: {_share(gate.newcomers)} get one")
    if not gate.background:
        say(
            "the library holds no other photos: index yours and train again, to tell better what is none of these"
        )


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _mistakes(labels: Sequence[LabelReport], confusion: Sequence[Sequence[int]]) -> list[str]:
    """Name the pairs of labels that were confused most often."""
    pairs = [
        (count, labels[row].label, labels[column].label)
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return [
        f"{shown(true[:40])} taken for {shown(given[:40])}: {count:,}"
        for count, true, given in pairs[:_SHOWN_MISTAKES]
    ]


def print_left_out(made: MadeHead) -> None:
    """Name photos that could not be read and labels that wait for more photos, and count examples that are gone."""
    print_unreadable(made.unreadable)
    for each in made.waiting:
        where = f", {shown(str(each.photos[0]))}" if each.photos else ""
        say(
            f"not learnt yet: {shown(each.label)}, which needs two photos that are no near duplicates{where}: give it "
            f"to another one, or say what is right with `vitsearch heads correct {shown(made.head.name)}`",
            err=True,
        )
    if made.left_out:
        say(
            f"left out {plural(made.left_out, 'example')} of last time that cannot be found any more: train anew with "
            "--from or --csv to have them back",
            err=True,
        )
