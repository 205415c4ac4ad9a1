"""`vitsearch models`: which backbones exist, what they are, and whether they are here."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """List, show or fetch the models that can embed photos."""
