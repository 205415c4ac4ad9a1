"""The command line: parse, one call into the library, print. Heavy imports happen inside the commands."""

from __future__ import annotations

import io
import sys
import warnings

import click

from vitsearch.cli.commands import Commands
from vitsearch.cli.output import say, say_traceback, say_warning, shown
from vitsearch.cli.session import Session
from vitsearch.errors import VitsearchError
from vitsearch.version import VERSION


@click.group(
    commands=Commands(
        {
            "apply": "vitsearch.cli.apply:apply",
            "backup": "vitsearch.cli.backup:backup",
            "completion": "vitsearch.cli.completion:completion",
            "doctor": "vitsearch.cli.doctor:doctor",
            "duplicates": "vitsearch.cli.duplicates:duplicates",
            "erase": "vitsearch.cli.backup:erase",
            "eval": "vitsearch.cli.evaluate:evaluate",
            "explain": "vitsearch.cli.explain:explain",
            "export": "vitsearch.cli.export:export",
            "favourites": "vitsearch.cli.favourites:favourites",
            "heads": "vitsearch.cli.heads:heads",
            "import": "vitsearch.cli.importing:import_",
            "index": "vitsearch.cli.index:index",
            "label": "vitsearch.cli.label:label",
            "models": "vitsearch.cli.models:models",
            "restore": "vitsearch.cli.backup:restore",
            "roots": "vitsearch.cli.roots:roots",
            "search": "vitsearch.cli.search:search",
            "serve": "vitsearch.cli.serve:serve",
            "status": "vitsearch.cli.status:status",
            "undo": "vitsearch.cli.apply:undo",
        }
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
        # The message of a group without a command is its help, and quotes nothing.
        if not isinstance(error, click.exceptions.NoArgsIsHelpError):
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
