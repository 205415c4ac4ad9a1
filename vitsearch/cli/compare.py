"""`vitsearch models compare`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from vitsearch.cli.evaluate import interval
from vitsearch.cli.output import plural, print_json, say, shown, size
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, device_option, force_option, json_option, pass_session

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device
    from vitsearch.estimates import Estimate
    from vitsearch.evaluation.compare import Candidate, Comparison, ModelScores

_SHOWN_REASONS = 20


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--on",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder of photos to compare on.",
)
@click.option("--no-labels", is_flag=True, help="Do not use the names of FOLDER's subfolders as labels.")
@click.option(
    "--sample",
    type=click.IntRange(3, 5000),
    default=1000,
    show_default=True,
    help="Use at most this many photos, chosen at random.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a self-contained HTML page.",
)
@force_option
@device_option
@json_option
@pass_session
def compare(
    session: Session,
    first: str,
    second: str,
    folder: Path,
    no_labels: bool,
    sample: int,
    page: str | None,
    force: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Compare two models, A and B, on your photos.

    If all photos are in subfolders, the subfolders are used as labels, and the better model is the one that ranks
    photos of the same label first. Without labels, edited copies of the photos are made, and the better model is the
    one that finds the originals. The library is not touched. --html writes a page with the results of both models,
    starting with the queries on which they differ most.

    \b
    Examples:
      vitsearch models compare dinov2-small clip-vit-base-patch16 --on ~/labelled/pets --html which.html
      vitsearch models compare vit-base ./my-checkpoint --on ~/Pictures --no-labels
    """
    from vitsearch.evaluation.compare import compare as compare_models
    from vitsearch.evaluation.compare import find_photos

    session.check_outputs((page, "page"), force=force)
    files = find_photos(folder.absolute(), most=sample, use_labels=not no_labels)
    candidates = _candidate(session, first, device), _candidate(session, second, device)
    with TemporaryDirectory(prefix="vitsearch-") as scratch, progress_bar(quiet=as_json) as on_progress:
        result = compare_models(candidates, files, Path(scratch), on_progress=on_progress)
    if as_json:
        print_json(result)
    else:
        _print_comparison(result)
    if page:
        from vitsearch.pages.comparison import write_comparison_page

        write_comparison_page(result, Path(page), force=force)
        say(f"page: {shown(str(Path(page).absolute()))}", err=True)


def _candidate(session: Session, model: str, device: Device) -> Candidate:
    from vitsearch.backbones import describe, load_backbone
    from vitsearch.backbones.checkpoint import weight_files
    from vitsearch.evaluation.compare import Candidate

    def notice(line: str) -> None:
        say(line, err=True)

    backbone = load_backbone(model, cache=session.cache_folder, device=device, notice=notice)
    spec = describe(model, cache=session.cache_folder).spec
    weights = sum(path.stat().st_size for path in weight_files(Path(spec.source)))
    return Candidate(backbone, spec.parameters, weights)


def _print_comparison(result: Comparison) -> None:
    from vitsearch.pages.comparison import verdict

    both = result.models
    labels = f", {plural(len(set(result.labels)), 'label')}" if result.labels else ""
    say(f"{plural(result.photos, 'photo')}{labels}\n")
    width = max(28, *(len(shown(side.model)) + 2 for side in both))
    say(f"{'':<30}" + "".join(f"{shown(side.model):<{width}}" for side in both))
    for name, texts in _rows(both):
        say(f"{name:<30}" + "".join(f"{text:<{width}}" for text in texts))
    say(f"{'same ten nearest':<30}{interval(result.overlap)}")
    say(f"\n{shown(verdict(result))}")
    for item in result.unreadable[:_SHOWN_REASONS]:
        say(f"left out: {shown(str(item.path))}: {shown(item.reason)}", err=True)


def _rows(both: tuple[ModelScores, ModelScores]) -> list[tuple[str, list[str]]]:
    rows: list[tuple[str, list[str]]] = []

    def add(name: str, *estimates: Estimate | None) -> None:
        rows.append((name, [interval(estimate) for estimate in estimates]))

    first, second = (side.labels for side in both)
    if first is not None and second is not None:
        for mine, yours in zip(first.knn, second.knn, strict=True):
            add(f"{mine.k}-NN accuracy", mine.accuracy, yours.accuracy)
        add("mean average precision", first.mean_average_precision, second.mean_average_precision)
        add("linear probe accuracy", first.linear_probe, second.linear_probe)
    for family, same in zip(both[0].copies, both[1].copies, strict=True):
        add(f"copies found: {family.family}", family.first, same.first)
    if both[0].separation is not None:
        rows.append(("separation of labels", [f"{side.separation:.3f}" for side in both]))
    spread = [f"{side.cosines.mean:.3f} ± {side.cosines.deviation:.3f}" for side in both]
    rows.append(("cosine of two photos", spread))
    rows.append(("time for a photo", [f"{1000 * side.seconds:.0f} ms" for side in both]))
    rows.append(("parameters", [f"{side.parameters / 1e6:.1f} million" for side in both]))
    rows.append(("weights on disk", [size(side.weights_bytes) for side in both]))
    rows.append(("vector", [f"{side.dimension} numbers, {size(side.vector_bytes)}" for side in both]))
    return rows
