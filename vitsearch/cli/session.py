"""What all commands share: the folders of the library and the weights, and common options."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitsearch.backbones.devices import Device
    from vitsearch.library import Library
    from vitsearch.storage.own_files import Kind


@dataclass(frozen=True, slots=True)
class Session:
    """The global options."""

    library_folder: Path
    cache_folder: Path
    debug: bool

    @classmethod
    def create(cls, *, library: str | None, cache: str | None, debug: bool) -> Session:
        """Create a session; folders that are not given default to the user's own."""
        import platformdirs

        return cls(
            Path(library) if library else platformdirs.user_data_path("vitsearch", appauthor=False),
            Path(cache) if cache else platformdirs.user_cache_path("vitsearch", appauthor=False),
            debug,
        )

    def command(self, *words: str) -> str:
        """Return a shell command on this library, with all names quoted."""
        import platformdirs

        is_usual = self.library_folder == platformdirs.user_data_path("vitsearch", appauthor=False)
        which = () if is_usual else ("--library", str(self.library_folder.absolute()))
        return shlex.join(("vitsearch", *which, *words))

    def is_indexed(self, path: Path) -> bool:
        """Return whether the library knows the file at this path."""
        from vitsearch.errors import LibraryError

        try:
            with self.open() as library:
                return library.catalog.is_indexed(path.absolute())
        except LibraryError:  # there is none, or it cannot be asked
            return False

    def check_outputs(
        self, *named: tuple[str | None, Kind], inputs: Iterable[str] = (), force: bool = False
    ) -> None:
        """Check before any work that the output files can be written; `inputs` are the files that the command reads.

        Raises:
            OutputError: a file cannot be written, or must not be overwritten.

        """
        from vitsearch.storage.outputs import Output, check_outputs

        given = tuple(map(Path, inputs))
        check_outputs(
            *(
                Output(Path(path), kind, given, force=force, is_indexed=self.is_indexed)
                for path, kind in named
                if path is not None
            )
        )

    def open(self, *, device: Device = "auto", batch_size: int | None = None) -> Library:
        """Open the library, with notices printed to stderr."""
        from vitsearch.library import Library

        return Library.open(
            self.library_folder,
            cache=self.cache_folder,
            device=device,
            batch_size=batch_size,
            notice=lambda line: say(line, err=True),
        )


pass_session = click.make_pass_decorator(Session)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)
print0_option = click.option(
    "-0",
    "--print0",
    "nul",
    is_flag=True,
    help="Print bare paths, each followed by a NUL byte, for `xargs -0`.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
force_option = click.option(
    "--force",
    is_flag=True,
    help="Overwrite a file that vitsearch did not write. Its own files are overwritten without --force.",
)
store_token_option = click.option(
    "--token",
    envvar="VITSEARCH_STORE_TOKEN",
    show_envvar=True,
    help="USER:PASSWORD or API key of a Milvus server. The variable is safer than the command line.",
)
