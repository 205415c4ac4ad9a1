"""`vitsearch explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import print_json, shown
from vitsearch.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
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
    help="The picture (.png or .jpg).",
)
@click.option(
    "--layer",
    type=click.Choice(["rollout", "last"]),
    help="All layers together, or the last one head by head.  [default: rollout]",
)
@click.option(
    "--head", "head_name", metavar="NAME", help="With --label: what speaks for a label of this head."
)
@click.option("--label", help="The label that --head is asked about.")
@click.option("--apart", is_flag=True, help="What sets the photo apart from the rest of the library.")
@click.option("--model", help="Another model than the library's. See `vitsearch models list`.")
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
    as_json: bool,
) -> None:
    """Draw what the model looked at in IMAGE, as a heat map over the photo.

    Bright is what the embedding was gathered from (attention rollout over all layers). What the model did not see,
    because it lay outside of its crop, is grey and dark. Models of the CLIP kind also gather from a few patches that
    show nothing in particular; --apart and --label look past these.

    \b
    Examples:
      vitsearch explain cat.jpg --out seen.png
      vitsearch explain cat.jpg --out heads.png --layer last
      vitsearch explain cat.jpg --out apart.png --apart
      vitsearch explain cat.jpg --out why.png --head pets --label cat
    """
    if (head_name is None) != (label is None):
        raise click.UsageError("--head and --label go together")
    if sum((layer is not None, head_name is not None, apart)) > 1:
        raise click.UsageError("choose one of --layer, --head with --label, and --apart")

    if apart and model is not None:
        raise click.UsageError("--apart is about the library and its own model: leave --model away")

    from vitsearch.explain.attention import AttentionModel
    from vitsearch.explain.explanation import (
        apart_gradient,
        draw_last_layer,
        draw_rollout,
        draw_towards,
        label_gradient,
    )
    from vitsearch.explain.picture import save_picture
    from vitsearch.photos import read_photo

    photo = read_photo(Path(image).absolute()).pixels()
    gradient: Gradient | None = None
    with session.open() as library:
        if head_name is not None and label is not None:
            from vitsearch.heads.shelf import HeadShelf

            head = HeadShelf(library).get(head_name)
            space, gradient = head.space, label_gradient(head, label)
        elif apart:
            space, gradient = _library_space(library), apart_gradient(library.catalog)
        else:
            space = _space(session, library, model)
    attention = AttentionModel(space, cache=session.cache_folder)
    if gradient is not None:
        picture = draw_towards(photo, attention, gradient)
    else:
        picture = (draw_last_layer if layer == "last" else draw_rollout)(photo, attention)
    save_picture(picture, Path(out))
    path = Path(out).absolute()
    if as_json:
        rows, columns = attention.grid
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
        click.echo(shown(str(path)))


def _space(session: Session, library: Library, model: str | None) -> Space:
    from vitsearch.backbones import pull
    from vitsearch.backbones.weights import choose_default
    from vitsearch.errors import LibraryMissing

    def notice(line: str) -> None:
        click.echo(line, err=True)

    if model is None:
        try:
            return _library_space(library)
        except LibraryMissing:
            choice = choose_default(cache=session.cache_folder)
            notice(choice.reason)
            model = choice.model
    return pull(model, cache=session.cache_folder, notice=notice).spec.space


def _library_space(library: Library) -> Space:
    from vitsearch.errors import LibraryMissing

    active = library.catalog.active_space()
    if active is None:
        raise LibraryMissing(
            f"the library in {library.folder} holds no photos yet: run `vitsearch index FOLDER`"
        )
    return active[1]
