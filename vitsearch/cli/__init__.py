"""The command line: each command parses its options, makes one call into the library, and prints the result.

Heavy imports happen inside the commands.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import warnings
from typing import TYPE_CHECKING

import click

from vitsearch.cli.commands import Program
from vitsearch.cli.output import say, say_traceback, say_warning, shown
from vitsearch.cli.session import Session
from vitsearch.errors import VitsearchError
from vitsearch.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECTIONS = {
    "Find": {
        "index": ("vitsearch.cli.index:index", "Embed the photos in these folders."),
        "search": ("vitsearch.cli.search:search", "Find photos by example images and words."),
        "serve": ("vitsearch.cli.serve:serve", "Open the library as a web page on this machine."),
    },
    "Clean up": {
        "duplicates": ("vitsearch.cli.duplicates:duplicates", "Find duplicate photos."),
        "apply": ("vitsearch.cli.apply:apply", "Carry out a clean-up plan."),
        "undo": ("vitsearch.cli.apply:undo", "Undo a clean-up plan."),
    },
    "Label": {
        "heads": ("vitsearch.cli.heads:heads", "Train and manage your own labels."),
        "label": ("vitsearch.cli.label:label", "Predict the labels of photos."),
        "favourites": (
            "vitsearch.cli.favourites:favourites",
            "Add, remove, list and export favourites.",
        ),
    },
    "Look after the library": {
        "status": ("vitsearch.cli.status:status", "Show what the library holds."),
        "roots": ("vitsearch.cli.roots:roots", "List, relocate or forget indexed folders."),
        "doctor": ("vitsearch.cli.doctor:doctor", "Check and repair the library."),
        "backup": ("vitsearch.cli.backup:backup", "Save labels, decisions and heads to a file."),
        "restore": ("vitsearch.cli.backup:restore", "Restore a backup."),
        "erase": ("vitsearch.cli.backup:erase", "Erase all data about photos or folders."),
    },
    "Models and other programs": {
        "models": ("vitsearch.cli.models:models", "List, download, remove and compare models."),
        "eval": ("vitsearch.cli.evaluate:evaluate", "Measure search quality on your photos."),
        "explain": ("vitsearch.cli.explain:explain", "Draw a heat map of what the model used."),
        "export": ("vitsearch.cli.export:export", "Export photos and embeddings."),
        "import": ("vitsearch.cli.importing:import_", "Import photos and embeddings."),
        "completion": ("vitsearch.cli.completion:completion", "Set up completion with the Tab key."),
    },
}


@click.group(
    cls=Program,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="vitsearch")
@click.option(
    "--library",
    type=click.Path(file_okay=False),
    envvar="VITSEARCH_LIBRARY",
    show_envvar=True,
    help="The library's folder. Default: in your user data folder.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    envvar="VITSEARCH_CACHE",
    show_envvar=True,
    help="The folder of model weights. Default: in your user cache folder.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.pass_context
def cli(context: click.Context, library: str | None, cache: str | None, debug: bool) -> None:
    """Search your own photos by their content. Everything stays on this machine.

    \b
    Start with:
      vitsearch index ~/Pictures          index all photos in a folder
      vitsearch search holiday.jpg        find similar photos
      vitsearch search holiday.jpg --sheet found.png
    """
    context.obj = Session.create(library=library, cache=cache, debug=debug)


# What a command imports is never garbage: looking through it again and again takes a tenth of a short command's time.
_OBJECTS_BEFORE_GC = 50_000
_NO_CURRENT_FOLDER = "the current folder is not there any more: change to another one"


def main() -> None:
    """Run the command line. This is the only place that turns errors into a message and an exit status."""
    gc.set_threshold(_OBJECTS_BEFORE_GC)
    # NumPy's threads for linear algebra, while they have nothing to do, keep processors busy for so many powers of two
    # of cycles (26 unless told otherwise, longer than a search): others, and those who load a model, need them.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "14")
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
        # Python puts a number before it.
        where = f"{error.filename}: " if error.filename else ""
        said = (
            where + (error.strerror or str(error)) if where or _has_current_folder() else _NO_CURRENT_FOLDER
        )
        say(f"vitsearch: {shown(said)}", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - it may be gone
    except OSError:
        return False
    return True


def program() -> None:
    """Run the command line in a process that ends with it."""
    ended: list[int] = []
    # Registered first, called last: by then threads have ended, and what others registered is done.
    atexit.register(_leave_at_once, ended)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            ended.append(end.code)
        raise


def _leave_at_once(ended: Sequence[int]) -> None:
    """Exit without tearing down imported modules, which takes a tenth of a short command's time."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # Python says what it says when an answer cannot be written
        return
    for status in ended:
        os._exit(status)
