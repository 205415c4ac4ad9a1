"""What every command shares: where the library and the weights are, and how to speak to the person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vitsearch.backbones.devices import Device
    from vitsearch.library import Library


@dataclass(frozen=True, slots=True)
class Session:
    """The options that stand before the command."""

    library_folder: Path
    cache_folder: Path
    debug: bool

    @classmethod
    def create(cls, *, library: str | None, cache: str | None, debug: bool) -> Session:
        """Fill in the user's own folders where nothing was said."""
        import platformdirs

        return cls(
            Path(library) if library else platformdirs.user_data_path("vitsearch", appauthor=False),
            Path(cache) if cache else platformdirs.user_cache_path("vitsearch", appauthor=False),
            debug,
        )

    def open(self, *, device: Device = "auto", batch_size: int | None = None) -> Library:
        """Open the library with notices going to stderr."""
        from vitsearch.library import Library

        return Library.open(
            self.library_folder,
            cache=self.cache_folder,
            device=device,
            batch_size=batch_size,
            notice=lambda line: click.echo(line, err=True),
        )


pass_session = click.make_pass_decorator(Session)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
store_token_option = click.option(
    "--token",
    envvar="VITSEARCH_STORE_TOKEN",
    show_envvar=True,
    help="USER:PASSWORD or key of a Milvus server. Better in the variable than on the command line.",
)
