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
    "--port",
    type=click.IntRange(0, 65535),
    default=8642,
    show_default=True,
    help="The port; 0 chooses a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. Another address gives other machines access; they need the token in the "
    "printed link.",
)
@click.option(
    "--token/--no-token",
    default=True,
    show_default=True,
    help="Require the token in the printed link. Without it, every user of this machine has access.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--watch", is_flag=True, help="Watch the indexed folders, and index changes at once.")
@click.option(
    "--store",
    metavar="ADDRESS",
    help="Serve a page that searches an external engine, filled by `export --to milvus://…`, instead of the library.",
)
@click.option(
    "--store-token",
    envvar="VITSEARCH_STORE_TOKEN",
    show_envvar=True,
    help="USER:PASSWORD or API key of a Milvus server. The variable is safer than the command line.",
)
@click.option(
    "--in",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="With --store: another folder whose photos may be shown.",
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
    """Open the library as a web page: browse, search, clean up and label photos.

    The page is accessible from this machine only, unless you choose another --host. Stop with Ctrl-C. With --store,
    the page searches an external engine. It then shows thumbnails from the library, and photos in folders of the
    library or --in; no other file is served, whatever the store names.

    \b
    Examples:
      vitsearch serve --open
      vitsearch serve --watch
      vitsearch serve --host 0.0.0.0      for your other devices
      vitsearch serve --no-token          if nobody else has an account on this machine
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
    """Return the packages that the web page needs and that are not installed."""
    return [package for package in _NEEDED if find_spec(package) is None]


def _open(address: str) -> None:
    if not webbrowser.open(address):
        say("no browser could be started: open the link yourself", err=True)


@contextmanager
def _way_to(link: str) -> Iterator[Path]:
    """Write a file that redirects to the page and that no other user can read.

    Other users can see a browser's command line, which must therefore not contain the link with the token.
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
