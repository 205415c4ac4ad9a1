"""`vitsearch serve`."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import SafeFormatter, say
from vitsearch.cli.session import Session, device_option, pass_session
from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.backbones.devices import Device

_NEEDED = ("fastapi", "uvicorn", "jinja2")


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Another address lets other machines in; they need the token in the link that is printed.",
)
@click.option(
    "--token",
    is_flag=True,
    help="Ask for the token on this machine too: for one whose other users may not see your photos.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--watch", is_flag=True, help="Look at photos that come, change or go in the known folders at once."
)
@device_option
@pass_session
def serve(
    session: Session, port: int, host: str, token: bool, open_page: bool, watch: bool, device: Device
) -> None:
    """Show the library as a web page on this machine: look, search, clean up, label.

    Only this machine can reach the page unless you say otherwise with --host. Stop it with Ctrl-C.

    \b
    Examples:
      vitsearch serve --open
      vitsearch serve --watch
      vitsearch serve --host 0.0.0.0      for your other devices, with a token
      vitsearch serve --token             on a machine that others have an account on
    """
    missing = missing_packages()
    if missing:
        raise VitsearchError(
            f"the web page needs {', '.join(missing)}: install it with `pip install 'vitsearch[web]'`"
        )
    if token and open_page:
        raise click.UsageError(
            "--open hands the link to the browser where other users of this machine can read it: "
            "leave it out, and open the link that is printed"
        )
    from vitsearch.web.serving import bind, run_server
    from vitsearch.web.settings import LibrarySettings

    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    settings = LibrarySettings(session.library_folder.absolute(), session.cache_folder, device)
    bound = bind(host, port, token=token)
    link = bound.link
    say(f"vitsearch is at {link}", err=True)
    if not bound.access.is_local:
        say("everybody who has this link can see your photos; it is not encrypted", err=True)

    def started() -> None:
        if open_page:
            click.launch(link)

    run_server(bound, settings, watch=watch, reveal=_reveal, on_start=started)


def missing_packages() -> list[str]:
    """Return what the web page needs and this installation lacks."""
    return [package for package in _NEEDED if find_spec(package) is None]


def _reveal(path: Path) -> None:
    click.launch(str(path), locate=True)
