"""`vitsearch heads`: the group of commands that train, inspect and improve heads, which put labels on photos."""

from __future__ import annotations

import click

from vitsearch.cli import heads_improve, heads_make, heads_manage


@click.group()
def heads() -> None:
    """Train and manage heads, which put your own labels on photos.

    A head is a linear classifier on the embeddings in a library. Training takes seconds, and labelling a large library
    takes hardly longer. `vitsearch label` applies a head.

    \b
    There are four ways to create one:
      vitsearch heads train pets --from labelled/           subfolders are the labels
      vitsearch heads from-examples pets --from few/        one photo per label is enough
      vitsearch heads from-text places --labels places.txt  needs a model that reads text
      vitsearch heads import imagenet --model google/vit-base-patch16-224
    """


for _command in (
    heads_make.train,
    heads_make.from_examples,
    heads_make.from_text,
    heads_make.import_,
    heads_manage.list_heads,
    heads_manage.show,
    heads_manage.delete,
    heads_manage.export,
    heads_manage.load,
    heads_improve.suggest,
    heads_improve.next_photos,
    heads_improve.correct,
):
    heads.add_command(_command)
