"""The command line: parse, one call into the library, print. Heavy imports happen inside the commands."""

from __future__ import annotations

import io
import sys
import warnings

import click

from vitsearch.cli.apply import apply, undo
from vitsearch.cli.backup import backup, erase, restore
from vitsearch.cli.compare import compare
from vitsearch.cli.doctor import doctor
from vitsearch.cli.duplicates import duplicates
from vitsearch.cli.evaluate import evaluate
from vitsearch.cli.explain import explain
from vitsearch.cli.export import export
from vitsearch.cli.favourites import favourites
from vitsearch.cli.heads import heads
from vitsearch.cli.importing import import_
from vitsearch.cli.index import index
from vitsearch.cli.label import label
from vitsearch.cli.models import models
from vitsearch.cli.output import say, say_traceback, say_warning, shown
from vitsearch.cli.roots import roots
from vitsearch.cli.search import search
from vitsearch.cli.serve import serve
from vitsearch.cli.session import Session
from vitsearch.cli.status import status
from vitsearch.errors import VitsearchError
from vitsearch.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="vitsearch")
@click.option(
    "--library",
    type=click.Path(file_okay=False),
    envvar="VITSEARCH_LIBRARY",
    show_envvar=True,
    help="Where the library is kept. Default: your user data folder.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    envvar="VITSEARCH_CACHE",
    show_envvar=True,
    help="Where model weights are kept. Default: your user cache folder.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, library: str | None, cache: str | None, debug: bool) -> None:
    """Search your own photos by what is in them. Everything stays on this machine.

    \b
    Start with:
      vitsearch index ~/Pictures          look at every photo once
      vitsearch search holiday.jpg        find photos like this one
      vitsearch search holiday.jpg --sheet found.png
    """
    context.obj = Session.create(library=library, cache=cache, debug=debug)


models.add_command(compare)
for command in (
    index,
    search,
    serve,
    label,
    heads,
    favourites,
    duplicates,
    apply,
    undo,
    evaluate,
    explain,
    roots,
    export,
    import_,
    models,
    status,
    doctor,
    backup,
    restore,
    erase,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line: the one place where errors become a line and an exit status."""
    debug = "--debug" in sys.argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    # Pillow warns of damaged metadata in a photo; that is no news for a person.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    sys.excepthook = say_traceback
    warnings.showwarning = say_warning
    try:
        status = cli.main(prog_name="vitsearch", standalone_mode=False)
    except click.ClickException as error:
        # An argument that a message quotes may hold line ends too, which say() cannot tell from those of the message.
        setattr(error, "message", shown(error.message))  # noqa: B010 - declared final, and changed all the same
        told = io.StringIO()
        error.show(told)
        for line in told.getvalue().splitlines():
            say(line, err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say("stopped", err=True)
        sys.exit(130)
    except VitsearchError as error:
        if debug:
            raise
        say(f"vitsearch: {shown(str(error))}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader (head, say) has what it wanted; keep Python from complaining about it at exit.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        say(f"vitsearch: {shown(str(error))}", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)
