"""`vitsearch serve`."""

from __future__ import annotations

import logging
import tempfile
import webbrowser
from contextlib import ExitStack, contextmanager
from html import escape
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import click

from vitsearch.cli.output import SafeFormatter, say
from vitsearch.cli.session import Session, device_option, pass_session
from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from vitsearch.backbones.devices import Device
    from vitsearch.searching.store import SearchStore

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
    "--token/--no-token",
    default=True,
    show_default=True,
    help="Ask for the token in the link that is printed. Without it, every account of this machine is let in.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--watch", is_flag=True, help="Look at photos that come, change or go in the known folders at once."
)
@click.option(
    "--store",
    metavar="ADDRESS",
    help="Serve a page that searches an engine, as `export --to milvus://…` fills it, in place of the library's.",
)
@click.option(
    "--store-token",
    envvar="VITSEARCH_STORE_TOKEN",
    show_envvar=True,
    help="USER:PASSWORD or key of a Milvus server. Better in the variable than on the command line.",
)
@click.option(
    "--in",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="With --store: a folder besides the library's whose photos may be shown.",
)
@device_option
@pass_session
def serve(
    session: Session,
    port: int,
    host: str,
    token: bool,
    open_page: bool,
    watch: bool,
    store: str | None,
    store_token: str | None,
    folders: tuple[str, ...],
    device: Device,
) -> None:
    """Show the library as a web page on this machine: look, search, clean up, label.

    Only this machine can reach the page unless you say otherwise with --host. Stop it with Ctrl-C. With --store it is a
    page that searches an engine; its pictures are the library's thumbnails, and photos in folders of the library or of
    --in: a store alone gets no file shown.

    \b
    Examples:
      vitsearch serve --open
      vitsearch serve --watch
      vitsearch serve --host 0.0.0.0      for your other devices
      vitsearch serve --no-token          on a machine that nobody else has an account on
      vitsearch serve --store milvus://cluster:19530/photos --in /mnt/photos
    """
    missing = missing_packages()
    if missing:
        raise VitsearchError(
            f"the web page needs {', '.join(missing)}: install it with `pip install 'vitsearch[web]'`"
        )
    if folders and store is None:
        raise click.UsageError("--in goes with --store: the library's page shows all of its folders")
    if watch and store is not None:
        raise click.UsageError("--watch indexes, and --store only searches: choose one")
    from vitsearch.web.serving import bind, run_server, run_store_server
    from vitsearch.web.settings import LibrarySettings

    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    settings = LibrarySettings(session.library_folder.absolute(), session.cache_folder, device)
    opened = _opened(store, store_token) if store is not None else None
    bound = bind(host, port, token=token)
    link = bound.link
    say(f"vitsearch is at {link}", err=True)
    if not bound.access.is_local:
        say("everybody who has this link can see your photos; it is not encrypted", err=True)

    with ExitStack() as stack:

        def started() -> None:
            if open_page:  # in a thread: some browsers end only when their window is closed
                way = stack.enter_context(_way_to(link)).as_uri()
                Thread(target=_open, args=(way,), name="vitsearch-browser", daemon=True).start()

        if opened is None:
            run_server(bound, settings, watch=watch, reveal=_reveal, on_start=started)
            return
        assert store is not None
        places = [Path(folder).absolute() for folder in folders]
        run_store_server(bound, settings, opened, address=store, folders=places, on_start=started)


def _opened(store: str, token: str | None) -> AbstractContextManager[SearchStore]:
    from vitsearch.engines.finding import engine_for

    return engine_for(store).open(store, token=token)


def missing_packages() -> list[str]:
    """Return what the web page needs and this installation lacks."""
    return [package for package in _NEEDED if find_spec(package) is None]


def _open(address: str) -> None:
    if not webbrowser.open(address):
        say("no browser could be started: open the link yourself", err=True)


@contextmanager
def _way_to(link: str) -> Iterator[Path]:
    """Write a file that leads to the page and that nobody else can read.

    Other accounts can see what a browser is started with: the link must not be part of that.
    """
    with tempfile.TemporaryDirectory(prefix="vitsearch-") as private:  # of mode 0700
        path = Path(private) / "vitsearch.html"
        path.write_text(
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(link)}">'
            "<title>vitsearch</title>",
            encoding="utf-8",
        )
        yield path


def _reveal(path: Path) -> None:
    click.launch(str(path), locate=True)
