"""`vitsearch index`."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import (
    duration,
    hidden_native_messages,
    plural,
    print_json,
    print_unreadable,
    say,
    shown,
)
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.serve import missing_packages
from vitsearch.cli.session import Session, device_option, json_option, pass_session
from vitsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.backbones.devices import Device
    from vitsearch.engines.ray.embedding import RayEngine
    from vitsearch.library import Library
    from vitsearch.records import IndexReport, LeftOut, Progress
    from vitsearch.space import Framing

_SHOWN_FORMATS = 5


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(), metavar="[FOLDER]...")
@click.option("--model", help="The model of the first run: a name, Hugging Face id, folder or file.")
@click.option(
    "--also",
    metavar="MODEL",
    help="Also embed every photo with this model, now and in later runs. Use a model that reads text, for text "
    "searches.",
)
@click.option(
    "--framing",
    type=click.Choice(["model", "whole"]),
    help="On the first run: `model` embeds what the model was made for, usually a centre crop; `whole` embeds the "
    "whole photo as well, in twice the time. `vitsearch eval --framing` compares them. Default: model.",
)
@click.option(
    "--change-model",
    is_flag=True,
    help="Embed all photos again with --model or --framing. Searches keep working meanwhile.",
)
@click.option(
    "--upgrade",
    is_flag=True,
    help="Embed all photos again with the current preprocessing, which applies colour profiles. Searches keep "
    "working meanwhile.",
)
@click.option("--prune", is_flag=True, help="Delete the records of files that no longer exist.")
@click.option("--retry", is_flag=True, help="Try unreadable files again.")
@click.option("--watch", is_flag=True, help="Keep running and index changes, until Ctrl-C.")
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1024),
    help="Photos per forward pass. Default: depends on the device.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), help="The number of decoding processes. Default: one per core."
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    default="threads",
    show_default=True,
    help="Embed in this process, or with Ray on this machine or a cluster.",
)
@click.option("--ray-address", help="The cluster's address, such as head:6379 or auto.")
@click.option(
    "--shards",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="A folder for the workers' results that all of them can access. Default: in the library.",
)
@click.option("-v", "--verbose", is_flag=True, help="List photos with damaged metadata, and show Ray's log.")
@json_option
@pass_session
def index(
    session: Session,
    folders: tuple[str, ...],
    model: str | None,
    also: str | None,
    framing: Framing | None,
    change_model: bool,
    upgrade: bool,
    prune: bool,
    retry: bool,
    watch: bool,
    device: Device,
    batch_size: int | None,
    workers: int | None,
    engine: str,
    ray_address: str | None,
    shards: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Embed the photos in these folders, so that they can be searched.

    Without a FOLDER, all indexed folders are updated. Known photos are skipped, even if they were moved, renamed,
    copied or tagged. Files that no longer exist are marked as missing; photos on drives that are not mounted stay in
    the library. Stop with Ctrl-C at any time: the next run continues. If the web page is installed, thumbnails are
    made as well.

    \b
    Examples:
      vitsearch index ~/Pictures
      vitsearch index                     update all indexed folders
      vitsearch index --prune             remove photos that no longer exist
      vitsearch index --also siglip2-base  enable text search
      vitsearch index --watch             keep running, and index new photos within seconds
      vitsearch index --engine ray ~/Pictures
      vitsearch index --engine ray --ray-address auto --shards /mnt/shared/shards s3://bucket/photos
    """
    if watch and as_json:
        raise click.UsageError("--watch goes on for ever, and --json prints one document: choose one")
    if workers is not None and engine == "ray":
        raise click.UsageError("--workers goes without Ray, which sees to its own")
    if (prune or retry or upgrade or also or framing) and any("://" in folder for folder in folders):
        raise click.UsageError(
            "--prune, --retry, --upgrade, --also and --framing are for folders, not for URLs"
        )
    if change_model and not model and not framing:
        raise click.UsageError(
            "--change-model goes with --model NAME (`vitsearch models list` names them) or --framing"
        )
    if upgrade and change_model:
        raise click.UsageError("--upgrade keeps the model, and --change-model changes it: choose one")
    if (ray_address or shards) and engine != "ray":
        raise click.UsageError("--ray-address and --shards go with --engine ray")
    with session.open(device=device, batch_size=batch_size) as library:
        first = library.existing_space() is None
        quiet_natives = hidden_native_messages() if engine == "ray" and not verbose else nullcontext()
        with quiet_natives, progress_bar(quiet=as_json) as on_progress:
            ray = _ray(ray_address, shards, verbose=verbose) if engine == "ray" else None
            if ray is not None and folders and all("://" in folder for folder in folders):
                report = _index_urls(
                    library, folders, ray, model=model, change_model=change_model, on_progress=on_progress
                )
            else:
                report = library.index(
                    folders,
                    model=model,
                    also=also,
                    framing=framing,
                    change_model=change_model,
                    upgrade=upgrade,
                    prune=prune,
                    retry=retry,
                    workers=workers,
                    thumbnails=not missing_packages(),
                    engine=ray,
                    on_progress=on_progress,
                )
        if as_json:
            print_json(report)
        else:
            print_report(report, verbose=verbose)
            if first and report.photos:
                _say_what_it_can(library)
        if watch and not report.interrupted:
            _watch(library, [Path(folder) for folder in folders], workers)
            return
    if report.interrupted:
        say("stopped: run `vitsearch index` to go on from here", err=True)
        sys.exit(130)


def _watch(library: Library, folders: list[Path], workers: int | None) -> None:
    """Index changes in these folders, or in all indexed ones, until Ctrl-C."""
    from vitsearch.folders.watching import watch_folders

    def watched() -> list[Path]:
        return folders or [root.path for root in library.catalog.roots()]

    say("watching for changes; stop with Ctrl-C", err=True)
    with suppress(KeyboardInterrupt):
        for changed in watch_folders(watched, library=library.folder):
            try:
                report = library.index(changed, workers=workers, thumbnails=not missing_packages())
            except LibraryError as error:
                say(f"vitsearch: {shown(str(error))}", err=True)
                continue
            news = (
                report.embedded + report.arrived,
                report.moved,
                report.copies,
                report.reread,
                report.missing,
            )
            if any(news) or report.newly_unreadable:
                print_report(report)
            if report.interrupted:
                return


def _index_urls(
    library: Library,
    folders: tuple[str, ...],
    engine: RayEngine,
    *,
    model: str | None,
    change_model: bool,
    on_progress: Callable[[Progress], None],
) -> IndexReport:
    from vitsearch.engines.urls import index_urls

    return index_urls(
        library, folders, engine, model=model, change_model=change_model, on_progress=on_progress
    )


def _ray(address: str | None, shards: str | None, *, verbose: bool) -> RayEngine:
    import os

    from vitsearch.engines.ray.embedding import RayEngine

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's telemetry
    if not verbose:
        os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
        # What Ray says of nodes that are lost goes to stdout, whatever `log_to_driver` is.
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    return RayEngine(address, Path(shards).absolute() if shards else None, verbose=verbose)


def print_report(report: IndexReport, *, verbose: bool = False) -> None:
    """Print the report of a run as text."""
    if report.offline_roots and not report.files and not report.embedded:
        say(
            f"nothing to look at now: {plural(report.offline, 'file')} {_stay(report.offline)} in the library"
        )
        _say_what_is_away(report)
        return
    parts = [f"{report.embedded + report.arrived:,} new", f"{report.unchanged:,} unchanged"]
    if report.moved:
        parts.append(f"{report.moved:,} moved")
    if report.copies:
        parts.append(
            "1 copy of a known photo" if report.copies == 1 else f"{report.copies:,} copies of known photos"
        )
    if report.reread:
        parts.append(f"{report.reread:,} read again")
    if report.missing:
        parts.append(f"{plural(report.missing, 'file')} missing")
    if report.pruned or report.pruned_files:
        parts.append(f"{plural(report.pruned_files, 'file')} and {plural(report.pruned, 'photo')} pruned")
    say(f"{plural(report.photos, 'photo')} in {plural(report.files, 'file')}: {', '.join(parts)}")
    rate = f", {report.embedded / report.seconds:.1f} photos/s" if report.embedded and report.seconds else ""
    say(f"{report.model}, {report.seconds:.1f} s{rate}", err=True)
    for done in report.also:
        left = f", {done.left:,} still to come" if done.left else ""
        say(f"for words: {shown(done.model)}, {done.embedded:,} new{left}, {done.seconds:.1f} s", err=True)
    _say_what_is_away(report)
    _print_unreadable(report)
    if report.left_out:
        kinds = ", ".join(map(counted, report.left_out))
        say(f"left out: {kinds}", err=True)
    if report.remarks and not verbose:
        say(
            f"{plural(len(report.remarks), 'photo')} with damaged notes or a high dynamic range: -v names them",
            err=True,
        )
    for remark in report.remarks if verbose else ():
        say(f"{shown(str(remark.path))}: {remark.reason}", err=True)


def _stay(files: int) -> str:
    return "stays" if files == 1 else "stay"


def _say_what_is_away(report: IndexReport) -> None:
    for path in report.offline_roots:
        say(f"{'empty' if path.is_dir() else 'offline'}, left as it is: {shown(str(path))}", err=True)
    if report.offline_roots:
        say(
            "mount the drive; of a folder that was moved or renamed, say where it is now with `vitsearch roots "
            "relocate OLD NEW`",
            err=True,
        )


def _print_unreadable(report: IndexReport) -> None:
    """List files that are unreadable since this run; only count those that an earlier run has listed."""
    print_unreadable(report.newly_unreadable, all_with="`vitsearch status --unreadable`")
    before = len(report.unreadable) - len(report.newly_unreadable)
    if before:
        noun = "more file" if report.newly_unreadable else "file"
        say(
            f"{plural(before, noun)} could not be read before: `vitsearch status --unreadable` lists them",
            err=True,
        )


def _say_what_it_can(library: Library) -> None:
    """After the first run, print what the chosen model can do, and the command that enables text search."""
    state = library.status()
    finds = f"{shown(state.model or '')} finds photos like one that you have: `vitsearch search PHOTO`"
    step = state.words_step
    if step is None:
        say(f'{finds}. Words work too: `vitsearch search "a red bicycle"`', err=True)
        return
    takes = f" (about {duration(step.seconds)})" if step.seconds else ""
    say(f"{finds}. It reads no words: `{shown(step.command)}` adds them{takes}", err=True)


def counted(item: LeftOut) -> str:
    """Format counts of skipped files: "1 video", "12 images in unsupported formats (EPS, PCX)"."""
    many = {
        "sound": "sounds",
        "file that is no image": "files that are no images",
        "raw file beside its photo": "raw files beside their photos",
        "image of a kind that is not read": "images of kinds that are not read",
    }
    named = shown(", ".join(item.formats[:_SHOWN_FORMATS]))
    if len(item.formats) > _SHOWN_FORMATS:
        named += " and others"
    return plural(item.count, item.kind, many.get(item.kind)) + (f" ({named})" if named else "")
