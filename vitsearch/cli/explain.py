"""`vitsearch explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import print_json, print_paths, say
from vitsearch.cli.progress import progress_bar
from vitsearch.cli.session import Session, force_option, json_option, pass_session
from vitsearch.photos.regular_file import check_readable
from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.backbones import Space
    from vitsearch.explain.attention import Gradient
    from vitsearch.library import Library


@click.command()
@click.argument("image", type=click.Path())
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="The heat map to write (.png or .jpg).",
)
@click.option(
    "--layer",
    type=click.Choice(["rollout", "last"]),
    help="Show attention only: over all layers, or each head of the last layer.",
)
@click.option(
    "--head", "head_name", metavar="NAME", help="With --label: show what speaks for a label of this head."
)
@click.option("--label", help="The label to explain, with --head.")
@click.option(
    "--apart",
    is_flag=True,
    help="Show what sets the photo apart from the rest of the library. The default if there is a library.",
)
@click.option("--model", help="The model to use instead of the library's. See `vitsearch models list`.")
@force_option
@json_option
@pass_session
def explain(
    session: Session,
    image: str,
    out: str,
    layer: str | None,
    head_name: str | None,
    label: str | None,
    apart: bool,
    model: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Draw a heat map of what the model used in IMAGE.

    By default, bright areas set the photo apart from the rest of the library. Without a library, or with --layer
    rollout, bright areas contributed most to the embedding over all layers; with CLIP models, these include a few
    patches that show nothing in particular. Areas outside the model's crop are dark grey.

    \b
    Examples:
      vitsearch explain cat.jpg --out seen.png
      vitsearch explain cat.jpg --out attention.png --layer rollout
      vitsearch explain cat.jpg --out heads.png --layer last
      vitsearch explain cat.jpg --out why.png --head pets --label cat
    """
    if (head_name is None) != (label is None):
        raise click.UsageError("--head and --label go together")
    if sum((layer is not None, head_name is not None, apart)) > 1:
        raise click.UsageError("choose one of --layer, --head with --label, and --apart")

    if apart and model is not None:
        raise click.UsageError("--apart is about the library and its own model: leave --model away")

    session.check_outputs((out, "picture"), inputs=[image], force=force)
    check_readable(Path(image).absolute())
    with progress_bar(quiet=as_json) as on_progress:
        space, grid = _draw(
            session,
            Path(image),
            Path(out),
            layer,
            head_name,
            label,
            apart=apart,
            model=model,
            force=force,
            on_progress=on_progress,
        )
    path = Path(out).absolute()
    if as_json:
        rows, columns = grid
        print_json(
            {
                "path": path,
                "image": Path(image).absolute(),
                "model": space.model,
                "rows": rows,
                "columns": columns,
            }
        )
    else:
        print_paths([path])


def _draw(
    session: Session,
    image: Path,
    out: Path,
    layer: str | None,
    head_name: str | None,
    label: str | None,
    *,
    apart: bool,
    model: str | None,
    force: bool,
    on_progress: Callable[[Progress], None],
) -> tuple[Space, tuple[int, int]]:
    """Draw the picture; return the model's space, and the number of patch rows and columns."""
    on_progress(Progress("load", 0, None))
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.explain.attention import AttentionModel
    from vitsearch.explain.explanation import (
        apart_gradient,
        draw_last_layer,
        draw_rollout,
        draw_towards,
        label_gradient,
    )
    from vitsearch.explain.picture import save_picture

    with Decoders() as decoders, decoders.open(image.absolute()) as opened:
        photo = opened.pixels()
    gradient: Gradient | None = None
    with session.open() as library:
        if head_name is not None and label is not None:
            from vitsearch.heads.store import HeadStore

            head = HeadStore(library).get(head_name)
            space, gradient = head.space, label_gradient(head, label)
        elif apart:
            space, gradient = library.catalog.require_space().space, apart_gradient(library.catalog)
        else:
            space = _space(session, library, model)
            if layer is None and model is None:
                gradient = _apart_if_possible(library)
    attention = AttentionModel(space, cache=session.cache_folder)
    on_progress(Progress("attend", 0, None))
    if gradient is not None:
        picture = draw_towards(photo, attention, gradient)
    else:
        picture = (draw_last_layer if layer == "last" else draw_rollout)(photo, attention)
    on_progress(Progress("draw", 0, None))
    save_picture(picture, out, inputs=[image], force=force)
    return space, attention.grid


def _apart_if_possible(library: Library) -> Gradient | None:
    from vitsearch.errors import BadQuery, LibraryMissing
    from vitsearch.explain.explanation import apart_gradient

    try:
        return apart_gradient(library.catalog)
    except (BadQuery, LibraryMissing):
        say("showing attention alone: there is no library of enough photos to compare with", err=True)
        return None


def _space(session: Session, library: Library, model: str | None) -> Space:
    from vitsearch.backbones import pull
    from vitsearch.backbones.weights import choose_default
    from vitsearch.errors import LibraryMissing

    def notice(line: str) -> None:
        say(line, err=True)

    if model is None:
        try:
            return library.catalog.require_space().space
        except LibraryMissing:
            choice = choose_default(cache=session.cache_folder)
            notice(choice.reason)
            model = choice.model
    return pull(model, cache=session.cache_folder, notice=notice).spec.space
