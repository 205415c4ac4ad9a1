"""`vitsearch eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device
    from vitsearch.estimates import Estimate
    from vitsearch.evaluation.evaluate import Evaluation, FamilyScores, LabelScores


@click.command("eval")
@click.option(
    "--labels",
    "source",
    type=click.Path(path_type=Path),
    metavar="FOLDER|CSV",
    help="Labelled photos: a folder whose subfolders are the labels, or a CSV file with path,label.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Without --labels: how many photos are copied and looked for.",
)
@device_option
@json_option
@pass_session
def evaluate(session: Session, source: Path | None, sample: int, device: Device, as_json: bool) -> None:
    """Measure how well the library's model and index serve your photos.

    With --labels: how often the nearest photos name the right label, each photo in turn being the query among all
    others (DINO's weighted k-NN), how early photos of the same label come (mean average precision), and how well a
    linear head tells the labels apart. Photos that the library knows are not embedded again.

    Without: some of the library's photos are edited as people do (cropped, captioned, turned ...), and the originals
    looked for.

    Both measure how many of the exact ten nearest photos a search finds. All figures come with their 95 % confidence
    intervals. To compare models, see `vitsearch models compare`.

    \b
    Examples:
      vitsearch eval --labels ~/labelled/pets
      vitsearch eval
    """
    from vitsearch.evaluation.evaluate import evaluate_labels, evaluate_library

    with session.open(device=device) as library, progress_bar(quiet=as_json) as on_progress:
        if source is not None:
            result = evaluate_labels(library, source.absolute(), on_progress=on_progress)
        else:
            result = evaluate_library(library, sample=sample, on_progress=on_progress)
    if as_json:
        print_json(result)
        return
    _print_evaluation(result)


def interval(estimate: Estimate | None) -> str:
    """Write a figure with its confidence interval."""
    if estimate is None:
        return "-"
    return f"{estimate.value:.3f}  ({estimate.low:.3f} to {estimate.high:.3f})"


def _print_evaluation(result: Evaluation) -> None:
    say(f"{result.model}, {plural(result.photos, 'photo')} in the library")
    if result.labels is not None:
        _print_labels(result.labels)
    elif result.copies:
        _print_copies(result.copies)
    elif result.photos:
        say("none of the photos tried is there to be copied: mount their drive", err=True)
    if result.index_recall is not None:
        say(f"{'index recall@10':<24}{interval(result.index_recall)}")
    if result.unlabelled:
        say(f"left out: {plural(result.unlabelled, 'photo')} without a label", err=True)
    for item in result.unreadable:
        say(f"left out: {shown(str(item.path))}: {shown(item.reason)}", err=True)


def _print_labels(scores: LabelScores) -> None:
    say(f"{plural(scores.photos, 'labelled photo')}, {plural(scores.labels, 'label')}\n")
    for row in scores.knn:
        say(f"{f'{row.k}-NN accuracy':<24}{interval(row.accuracy)}")
    say(f"{'mean average precision':<24}{interval(scores.mean_average_precision)}")
    say(f"{'linear probe accuracy':<24}{interval(scores.linear_probe)}")
    if scores.no_probe:
        say(f"no linear probe: {shown(scores.no_probe)}", err=True)
    if scores.near_duplicates:
        say(
            f"{plural(scores.near_duplicates, 'photo')} have a near duplicate among the others: the k-NN figures are a "
            "little flattering",
            err=True,
        )


def _print_copies(families: tuple[FamilyScores, ...]) -> None:
    say(f"\n{'copies':<24}{'original is the first':<28}{'among the first ten':<28}cosine")
    for family in families:
        name = f"{family.family} ({family.copies})"
        say(f"{name:<24}{interval(family.first):<28}{interval(family.in_ten):<28}{family.cosine:.3f}")
