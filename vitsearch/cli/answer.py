"""Output of a search: lines, JSON, pictures, pages, copied files, a viewer."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from vitsearch.cli.matches import print_matches
from vitsearch.cli.option_groups import option_group
from vitsearch.cli.output import plural, print_json, print_paths, say, shown
from vitsearch.cli.preview import check_preview
from vitsearch.cli.session import force_option, json_option, print0_option
from vitsearch.cli.viewer import show_file
from vitsearch.errors import VitsearchError
from vitsearch.jsonable import to_jsonable
from vitsearch.paths import is_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.cli.session import Session
    from vitsearch.library import Library
    from vitsearch.records import SearchResult
    from vitsearch.storage.filters import Filter

_OUT_OF_REACH = (
    "the store names it, and it is in no folder of your library: name its folder with --in to allow it"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The output options of `search`."""

    sheet: str | None
    page: str | None
    force: bool
    copy_to: str | None
    link_to: str | None
    preview: bool
    open_best: bool
    paths: bool
    nul: bool
    as_json: bool

    @property
    def only_paths(self) -> bool:
        """Whether bare paths are printed; -0 implies it."""
        return self.paths or self.nul

    def check(self, session: Session, inputs: Sequence[str]) -> None:
        """Check before the search that all requested outputs are possible.

        Raises:
            UsageError: two options contradict each other.
            VitsearchError: an output cannot be written or shown.

        """
        session.check_outputs((self.sheet, "sheet"), (self.page, "page"), inputs=inputs, force=self.force)
        for folder, _ in self._folders():
            from vitsearch.storage.collecting import check_folder

            check_folder(folder)
        if self.preview:
            check_preview(plain=self.as_json or self.only_paths)

    def print(self, result: SearchResult, library: Library) -> None:
        """Print the matches as JSON, as bare paths, or for people."""
        if self.as_json:
            print_json(_document(result))
        elif self.only_paths:
            print_paths((match.path for match in result.results), nul=self.nul)
        else:
            print_matches(result, roots=_roots(library), preview=self.preview)
            floor = result.matches_above
            if result.results and floor is not None and result.results[0].score < floor:
                say(f"nothing here stands out: a real match would score above {floor:.3f}", err=True)
            gone = sum(not match.present for match in result.results)
            if gone:
                are = "photo is" if gone == 1 else "photos are"
                say(
                    f"{gone:,} {are} not there now: mount the drive, or run `vitsearch index`, which sees what is gone",
                    err=True,
                )

    def deliver(
        self, result: SearchResult, queries: Sequence[Path], *, reach: Sequence[Path] | None = None
    ) -> None:
        """Write, copy and open the requested outputs; exits with status 1 if a photo could not be copied.

        `reach`: the folders from which files may be taken if a store answered; None if the library did.
        """
        if self.sheet:
            from vitsearch.pages.contact_sheet import write_contact_sheet

            write_contact_sheet(result, queries, Path(self.sheet), force=self.force)
            say(f"contact sheet: {shown(str(Path(self.sheet).absolute()))}", err=True)
        if self.page:
            from vitsearch.pages.results import write_result_page

            write_result_page(result, queries, Path(self.page), force=self.force)
            say(f"page: {shown(str(Path(self.page).absolute()))}", err=True)
        complete = [_collect(result, folder, reach, link=link) for folder, link in self._folders()]
        if self.open_best and result.results:
            best = result.results[0].path
            if not _may_take(best, reach):
                raise VitsearchError(f"{best} is not opened: {_OUT_OF_REACH}")
            show_file(best)
        if not all(complete):
            sys.exit(1)

    def _folders(self) -> list[tuple[Path, bool]]:
        asked = ((self.copy_to, False), (self.link_to, True))
        return [(Path(folder).absolute(), link) for folder, link in asked if folder is not None]


answer_options = option_group(
    "answer",
    Answer,
    {
        "sheet": click.option(
            "--sheet",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Write a contact sheet (.png or .jpg).",
        ),
        "page": click.option(
            "--html",
            "page",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Write a self-contained HTML page.",
        ),
        "force": force_option,
        "copy_to": click.option(
            "--copy-to",
            type=click.Path(file_okay=False),
            metavar="FOLDER",
            help="Copy the matches to FOLDER. Existing files are never replaced.",
        ),
        "link_to": click.option(
            "--link-to",
            type=click.Path(file_okay=False),
            metavar="FOLDER",
            help="Create links to the matches in FOLDER. Existing files are never replaced.",
        ),
        "preview": click.option(
            "--preview", is_flag=True, help="Show the matches as pictures in the terminal."
        ),
        "open_best": click.option(
            "--open", "open_best", is_flag=True, help="Open the best match in the system's viewer."
        ),
        "paths": click.option("--paths", is_flag=True, help="Print bare paths, one per line."),
        "nul": print0_option,
        "as_json": json_option,
    },
)


def _document(result: SearchResult) -> dict[str, object]:
    """Return a search result as JSON values; a listing without a query has no scores."""
    document = cast("dict[str, Any]", to_jsonable(result))
    if not document.pop("scored"):
        for match in document["results"]:
            del match["score"], match["percentile"]
    return document


def _roots(library: Library) -> list[Path]:
    """Return the indexed folders; empty if a store answered and there is no library."""
    if not library.layout.database.exists():
        return []
    return [root.path for root in library.catalog.roots()]


def reach_of_store(library: Library, where: Filter) -> list[Path]:
    """Return the folders from which a store's matches may be taken: the library's folders and those of `--in`."""
    return [*_roots(library), *where.places]


def _may_take(path: Path, reach: Sequence[Path] | None) -> bool:
    """Return whether a file may be copied or opened. A store is not trusted: it could name any file on this machine."""
    return reach is None or is_within(path, reach)


def _collect(result: SearchResult, folder: Path, reach: Sequence[Path] | None, *, link: bool) -> bool:
    """Copy or link the matches into a folder; report the result and return whether all of them are there."""
    from vitsearch.storage.collecting import collect

    paths = [match.path for match in result.results]
    taken = [path for path in paths if _may_take(path, reach)]
    made = collect(taken, folder, how="symlink" if link else "copy")
    told = f"{plural(len(made.written), 'link' if link else 'copy', 'links' if link else 'copies')} in "
    told += shown(str(made.folder))
    say(told + (f"; {len(made.there):,} there already" if made.there else ""), err=True)
    for failed in made.failed:
        say(f"not collected: {shown(str(failed.path))}: {shown(failed.reason)}", err=True)
    for path in paths:
        if path not in taken:
            say(f"not collected: {shown(str(path))}: {_OUT_OF_REACH}", err=True)
    return not made.failed and len(taken) == len(paths)
