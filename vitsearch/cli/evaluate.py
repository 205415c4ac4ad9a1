"""`vitsearch eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from vitsearch.cli.output import plural, print_json, say, shown
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device
    from vitsearch.estimates import Estimate
    from vitsearch.evaluation.evaluate import Evaluation, FamilyScores, LabelScores
    from vitsearch.evaluation.framings import FramingFigure, Framings


@click.command("eval")
@click.option(
    "--labels",
    "source",
    type=click.Path(path_type=Path),
    metavar="FOLDER|CSV",
    help="Labelled photos: a folder whose subfolders are the labels, or a CSV file with the columns path,label.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    help="How many photos to edit and search for (default 50), or to compare framings on (default 200).",
)
@click.option(
    "--framing",
    is_flag=True,
    help="Measure what `index --framing whole` would gain or lose compared with the centre crop.",
)
@device_option
@json_option
@pass_session
def evaluate(
    session: Session,
    source: Path | None,
    sample: int | None,
    framing: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Measure how well the library's model and search index work on your photos.

    With --labels: k-NN accuracy (each photo in turn is the query, DINO's weighted k-NN), mean average precision, and
    the accuracy of a linear head. Photos that are already indexed are not embedded again.

    Without --labels: edited copies of some photos are made (cropped, captioned, rotated ...), and the originals
    searched.

    With --framing: compares embeddings of the centre crop with embeddings that include the whole frame, by searching
    for parts of photos and, with --labels, by k-NN accuracy.

    Without --framing, recall@10 of the search index is measured as well. All figures have 95 % confidence intervals.
    To compare models, see `vitsearch models compare`.

    \b
    Examples:
      vitsearch eval --labels ~/labelled/pets
      vitsearch eval
      vitsearch eval --framing
    """
    from vitsearch.evaluation.evaluate import evaluate_labels, evaluate_library
    from vitsearch.evaluation.framings import compare_framings

    labels = None if source is None else source.absolute()
    result: Evaluation | Framings
    with session.open(device=device) as library, progress_bar(quiet=as_json) as on_progress:
        if framing:
            result = compare_framings(library, sample=sample or 200, source=labels, on_progress=on_progress)
        elif labels is not None:
            result = evaluate_labels(library, labels, on_progress=on_progress)
        else:
            result = evaluate_library(library, sample=sample or 50, on_progress=on_progress)
    if as_json:
        print_json(result)
    elif framing:
        _print_framings(cast("Framings", result))
    else:
        _print_evaluation(cast("Evaluation", result))


def interval(estimate: Estimate | None) -> str:
    """Format an estimate with its confidence interval."""
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


def _print_framings(result: Framings) -> None:
    say(f"{result.model}, {plural(result.photos, 'photo')}, looked for among one another\n")
    say(f"{'finds its photo first':<24}{'cut to the centre':<28}{'and seen whole':<28}difference")
    for figure in result.found:
        _print_framing(figure)
    if result.labels:
        say("")
    for figure in result.labels:
        _print_framing(figure)
    own = "sees photos whole, too" if result.is_whole else "sees the centre of photos"
    step = "vitsearch index --change-model --framing " + ("model" if result.is_whole else "whole")
    time = "in half the time" if result.is_whole else "and takes twice the time"
    say(f"\nthis library {own}: `{step}` embeds them the other way, {time}", err=True)
    if result.left_out:
        say(f"left out: {plural(result.left_out, 'photo')} that cannot be read", err=True)


def _print_framing(figure: FramingFigure) -> None:
    difference = figure.difference
    told = "-"
    if difference is not None:
        told = f"{difference.value:+.3f}  ({difference.low:+.3f} to {difference.high:+.3f})"
    say(f"{figure.name:<24}{interval(figure.cut):<28}{interval(figure.whole):<28}{told}")
