"""What `vitsearch heads` prints about a head: how it was made, its accuracy, what it confuses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vitsearch.cli.output import plural, print_json, print_unreadable, say, shown

if TYPE_CHECKING:
    from vitsearch.estimates import Estimate
    from vitsearch.heads.evaluation import GateReport, Report
    from vitsearch.heads.head import Head
    from vitsearch.heads.store import HeadSummary, TrainedHead

SHOWN_LABELS = 20
_SHOWN_MISTAKES = 5
_LONGEST_LABEL = 40


def head_as_json(head: Head) -> dict[str, object]:
    """Return a head as JSON values."""
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


def made_as_json(made: TrainedHead) -> dict[str, object]:
    """Return a new head and its training photos as JSON values."""
    return {
        **head_as_json(made.head),
        "photos": made.photos,
        "unreadable": made.unreadable,
        "left_out": made.left_out,
        "waiting": made.waiting,
        "embedding_seconds": round(made.embedding_seconds, 3),
    }


def report_as_json(report: Report) -> dict[str, object]:
    """Return a cross-validation report as JSON values, including each label."""
    figures = {
        name: value for name, value in record_as_json(report).items() if name not in ("labels", "photos")
    }
    return {**figures, "per_label": report.labels, "seconds": round(report.seconds, 3)}


def record_as_json(record: Report | HeadSummary) -> dict[str, object]:
    """Return the fields of a record by name."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def show_head(head: Head, *, as_json: bool) -> None:
    """Print a new head, as JSON or as text."""
    if as_json:
        print_json(head_as_json(head))
    else:
        print_made(head, f"for {shown(head.space.model)}")


def print_made(head: Head, origin: str) -> None:
    """Print the labels of a new head and how to use it."""
    say(f"{shown(head.name)}: {plural(len(head.labels), 'label')} {origin}, version {head.version}")
    say(f"use it with `vitsearch label --head {shown(head.name)}`", err=True)


def print_in_words(name: str, report: Report) -> None:
    """Summarise a cross-validation in two sentences: the accuracy, then the main weakness and what to do about it."""
    low, high = (round(100 * end) for end in report.interval)
    right = round(100 * report.accuracy)
    told = f"({low} to {high}, as far as {plural(report.photos, 'photo')} can tell)"
    named = round(100 * report.kept)
    if report.confusion:
        named_rightly = round(100 * report.kept * report.kept_accuracy)
        say(
            f"{shown(name)}: of 100 new photos of these labels, it names about {named_rightly} rightly and "
            f"{named - named_rightly} wrongly, and is unsure of {100 - named}; its best guess is right for about "
            f"{right} {told}."
        )
    else:
        say(
            f"{shown(name)}: of 100 new photos, it gets all labels right on about {right} {told}, if it guesses where "
            f"it is unsure, as of about {100 - named}."
        )
    gate = report.gate
    if gate is not None and gate.background and gate.taken_for_none:
        say(
            f"That is of photos like the examples. Of {plural(gate.sampled, 'other photo')} of the library it takes "
            f"{gate.taken_for_none:,} for none of these, which it learnt from them: where most of those show a label "
            f"after all, say so of some (`vitsearch heads suggest {shown(name)}`) and train again."
        )
    weakness = _weakness(report)
    if not weakness:
        say(f"It made no mistake: `vitsearch label FOLDER --head {shown(name)}` puts its labels on photos.")
        return
    say(
        f"{weakness}: `vitsearch heads suggest {shown(name)}` names photos that would teach it most, and "
        f"`vitsearch heads train {shown(name)}` learns from what you say of them."
    )


def _weakness(report: Report) -> str:
    """Return a sentence about a head's most frequent error; empty if it made none."""
    mistakes = _mistakes(report)
    if mistakes:
        worst = mistakes[0]
        return (
            f"It takes {_label(worst.true)} for {_label(worst.given)} most often, {worst.count:,} of "
            f"{plural(worst.photos, 'photo')}"
        )
    weakest = min(report.labels, key=lambda label: label.f1)
    if weakest.f1 == 1:
        return ""
    return (
        f"It is weakest at {_label(weakest.label)}: it gave that to {weakest.recall:.0%} of the photos that show it, "
        f"and rightly {weakest.precision:.0%} of the times"
    )


def print_report(report: Report) -> None:
    """Print the figures of a report, the weakest labels and the most frequent confusions."""
    low, high = report.interval
    error = f"calibration error {report.calibration_error:.3f}"
    say(f"accuracy {report.accuracy:.3f} ({low:.3f} to {high:.3f}), macro-F1 {report.macro_f1:.3f}, {error}")
    say(f"sure enough of {report.kept:.0%} of the photos; of those, {report.kept_accuracy:.1%} are right")
    if report.gate is not None:
        _print_gate(report.gate)
    worst = sorted(report.labels, key=lambda label: label.f1)[:SHOWN_LABELS]
    names = [_label(label.label) for label in worst]
    width = max(5, *map(len, names))
    say(f"\n{'label':<{width}}  photos  precision  recall")
    for name, label in zip(names, worst, strict=True):
        say(f"{name:<{width}}  {label.photos:>6,}  {label.precision:>9.2f}  {label.recall:>6.2f}")
    if len(report.labels) > len(worst):
        say(f"and {len(report.labels) - len(worst):,} labels that do better (all with --json)")
    for mistake in _mistakes(report)[:_SHOWN_MISTAKES]:
        say(f"{_label(mistake.true)} taken for {_label(mistake.given)}: {mistake.count:,}")


def _print_gate(gate: GateReport) -> None:
    """Print how well the head recognises photos with none of its labels."""
    right = f"; of those, {_share(gate.accuracy)} are right" if gate.accuracy else ""
    say(f"photos with one of these labels: {_share(gate.passed)} get one{right}")
    if gate.library:
        say(f"new photos like the library's others: {_share(gate.library)} get one, rightly or not")
    if gate.strangers:
        say(
            f"kinds like these without a label, each about {gate.held:,} of the library's "
            f"{plural(gate.sampled, 'other photo')}: {_share(gate.strangers)} get one, fewer of larger kinds"
        )
    if gate.newcomers:
        say(f"kinds like these that are new to it: {_share(gate.newcomers)} get one")
    if not gate.background:
        others = "hardly any photos that show none of these" if gate.sampled else "no other photos"
        say(f"the library holds {others}: index more and train again, to tell better what is none of these")


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


@dataclass(frozen=True, slots=True)
class _Mistake:
    """How many of the `photos` with one label were given another."""

    count: int
    true: str
    given: str
    photos: int


def _mistakes(report: Report) -> list[_Mistake]:
    """Return the confused pairs of labels, most frequent first."""
    labels = report.labels
    pairs = [
        _Mistake(count, labels[row].label, labels[column].label, labels[row].photos)
        for row, counts in enumerate(report.confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(pairs, key=lambda pair: -pair.count)


def _label(label: str) -> str:
    return shown(label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…")


def print_left_out(made: TrainedHead) -> None:
    """Print unreadable photos, labels with too few photos, and how many examples are gone."""
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
