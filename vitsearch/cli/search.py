"""`vitsearch search`."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.answer import Answer, reach_of_store
from vitsearch.cli.filter_options import filter_options
from vitsearch.cli.output import plural, say
from vitsearch.cli.session import (
    Session,
    device_option,
    force_option,
    json_option,
    pass_session,
    print0_option,
    store_token_option,
)
from vitsearch.errors import StoreError
from vitsearch.paths import is_url
from vitsearch.searching.terms import Weighted, parse_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.backbones.devices import Device
    from vitsearch.library import Library
    from vitsearch.records import SearchResult
    from vitsearch.searching.store import SearchStore
    from vitsearch.storage.filters import Filter


_MOST = 100_000


class CropBox(click.ParamType[tuple[int, int, int, int]]):
    """X,Y,W,H in pixels."""

    name = "x,y,w,h"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Parse four whole numbers."""
        match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", str(value))
        if match is None:
            self.fail(f"{value!r} is not X,Y,W,H in whole pixels, as in 100,50,400,300", param, ctx)
        left, top, width, height = (int(number) for number in match.groups())
        return left, top, width, height


@click.command()
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option("--text", help="A text query, even if a file has this name.")
@click.option("--label", help="Only photos that have this label under --head, most probable first.")
@click.option("--head", "head", help="The head that --label belongs to. See `vitsearch heads list`.")
@click.option(
    "-k",
    "--limit",
    "k",
    type=click.IntRange(1, _MOST),
    default=10,
    show_default=True,
    help="The number of matches.",
)
@click.option(
    "--not",
    "negatives",
    multiple=True,
    metavar="QUERY",
    help="Find photos unlike this one; may be given several times.",
)
@click.option("--crop", type=CropBox(), help="Search for this region of the image, in pixels.")
@filter_options
@click.option("--include-self", is_flag=True, help="Include photos identical to the query.")
@click.option("--distinct", is_flag=True, help="Leave out near copies of better matches.")
@click.option(
    "--only-matches",
    is_flag=True,
    help="Leave out photos that do not stand out from the rest of the library.",
)
@click.option("--exact", is_flag=True, help="Compare with every photo, even in a very large library.")
@click.option(
    "--store", metavar="ADDRESS", help="Search an external engine, filled by `export --to milvus://…`."
)
@store_token_option
@click.option(
    "--sheet", type=click.Path(dir_okay=False), metavar="FILE", help="Write a contact sheet (.png or .jpg)."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a self-contained HTML page.",
)
@force_option
@click.option(
    "--copy-to",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Copy the matches to FOLDER. Existing files are never replaced.",
)
@click.option(
    "--link-to",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Create links to the matches in FOLDER. Existing files are never replaced.",
)
@click.option("--preview", is_flag=True, help="Show the matches as pictures in the terminal.")
@click.option("--open", "open_best", is_flag=True, help="Open the best match in the system's viewer.")
@click.option("--paths", "only_paths", is_flag=True, help="Print bare paths, one per line.")
@print0_option
@device_option
@json_option
@pass_session
def search(
    session: Session,
    queries: tuple[str, ...],
    text: str | None,
    label: str | None,
    head: str | None,
    k: int,
    negatives: tuple[str, ...],
    crop: tuple[int, int, int, int] | None,
    where: Filter,
    include_self: bool,
    distinct: bool,
    only_matches: bool,
    exact: bool,
    store: str | None,
    token: str | None,
    sheet: str | None,
    page: str | None,
    force: bool,
    copy_to: str | None,
    link_to: str | None,
    preview: bool,
    open_best: bool,
    only_paths: bool,
    nul: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Find photos by example images and words. Each QUERY is an image file, an https URL, or words.

    Without a QUERY, all photos that match the filters (--camera, --after ...) are listed, newest first.

    "-" reads an image from standard input. "2:" before a query doubles its weight. Text queries need a model that
    reads text: `vitsearch index --also siglip2-base` adds one.

    The score is the cosine similarity, 1 for identical pictures. The percentage is the share of the library that
    scores lower. Photos identical to the query are left out.

    \b
    Examples:
      vitsearch search cat.jpg
      vitsearch search "a red bicycle"
      vitsearch search 2:"golden retriever" ./pool.jpg --not fruit
      vitsearch search https://example.org/cat.jpg
      vitsearch search street.jpg --crop 120,80,300,400 --in ~/Pictures/2024
      vitsearch search cat.jpg --preview
      vitsearch search cat.jpg --limit 50 --only-matches --copy-to cats
      curl -s https://example.org/cat.jpg | vitsearch search - --sheet found.png
      vitsearch search --label beach --head places --after 2024
      vitsearch search --camera Canon --after 2024
      vitsearch search cat.jpg --store milvus://cluster:19530/photos
    """
    if (label is None) != (head is None):
        raise click.UsageError("--label and --head go together")
    if label is not None and (queries or text or negatives or crop):
        raise click.UsageError("--label stands alone: leave queries, --text, --not and --crop away")
    if label is not None and (include_self or distinct or only_matches or exact):
        raise click.UsageError(
            "--include-self, --distinct, --only-matches and --exact go with images and words, not with --label"
        )
    listing = not queries and not text and label is None
    if listing:
        _check_listing(
            where, compared=bool(negatives or crop or include_self or distinct or only_matches or exact)
        )
        if store is not None:
            raise click.UsageError(
                "--store answers images, words and labels: give one, or leave --store away"
            )
    terms, away = [parse_term(query) for query in queries], [parse_term(query) for query in negatives]
    images = _files(terms)
    only_paths = only_paths or nul
    answer = Answer(
        sheet,
        page,
        force,
        copy_to,
        link_to,
        preview,
        open_best,
        only_paths=only_paths,
        nul=nul,
        as_json=as_json,
    )
    answer.check(session, (*images, *_files(away)))
    told = ""
    with session.open(device=device) as library, _store(store, token) as asked:
        if label is not None and head is not None:
            result = _search_label(library, asked, label, head, k=k, criteria=where)
        elif listing:
            result, told = _list_newest(library, where, k)
        else:
            result = library.search(
                *(_opened(term) for term in terms),
                text=text,
                negatives=[_opened(term) for term in away],
                k=k,
                crop=crop,
                where=where,
                include_self=include_self,
                distinct=distinct,
                only_matches=only_matches,
                exact=exact,
                store=asked,
            )
        answer.print(result, library)
        if told and result.results and not as_json and not only_paths:
            say(told, err=True)
        reach = None if asked is None else reach_of_store(library, where)
        if not result.results and not as_json:
            say(_why_nothing(library, asked, where, label, include_self, only_matches), err=True)
    answer.deliver(result, [Path(image).absolute() for image in images], reach=reach)


def _check_listing(where: Filter, *, compared: bool) -> None:
    """Check the options of a search without an image or words."""
    if compared:
        raise click.UsageError(
            "--not, --crop, --include-self, --distinct, --only-matches and --exact go with an image or words: give one"
        )
    if not where:
        raise click.UsageError("give an image or words, a filter such as --camera, or --label with --head")


def _list_newest(library: Library, where: Filter, k: int) -> tuple[SearchResult, str]:
    """List the photos that match the filters; return them, and a phrase for how many there are in all."""
    from vitsearch.searching.newest import newest_photos

    result, total = newest_photos(library.catalog, where, k=k)
    listed = len(result.results)
    if listed < total:
        more = f": -k {total} lists all" if total <= _MOST else ""
        return result, f"the newest {listed:,} of {total:,} photos{more}"
    return result, f"{plural(total, 'photo')}, newest first"


def _why_nothing(
    library: Library,
    store: SearchStore | None,
    where: Filter,
    label: str | None,
    include_self: bool,
    only_matches: bool,
) -> str:
    if store is not None:
        return "no photo matches"
    from vitsearch.cli.nothing_found import why_nothing

    return why_nothing(library, where, label=label, only_matches=only_matches, include_self=include_self)


def _files(terms: Sequence[Weighted]) -> list[str]:
    """Return the files among the terms of a query."""
    given = (term.example for term in terms)
    return [one for one in given if isinstance(one, str) and one != "-" and not is_url(one)]


def _opened(term: Weighted) -> Weighted:
    """Return a term; "-" is replaced by standard input."""
    if term.example != "-":
        return term
    if sys.stdin is None:
        raise click.UsageError('"-" reads an image from standard input, and that is closed')
    return Weighted(sys.stdin.buffer, term.weight)


def _search_label(
    library: Library, store: SearchStore | None, label: str, head: str, *, k: int, criteria: Filter
) -> SearchResult:
    if store is not None:
        from vitsearch.engines.engine import LabelStore

        if not isinstance(store, LabelStore):
            raise StoreError("this store does not answer labels: ask the library, without --store")
        return store.find_label(head, label, k=k, criteria=criteria, offline=library.offline_roots())
    from vitsearch.heads.labelling import Labeller
    from vitsearch.heads.store import HeadStore

    labeller = Labeller(HeadStore(library), head)
    return labeller.search(label, k=k, criteria=criteria, notice=lambda line: say(line, err=True))


def _store(address: str | None, token: str | None) -> AbstractContextManager[SearchStore | None]:
    if address is None:
        return nullcontext()
    from vitsearch.engines.finding import engine_for

    return engine_for(address).open(address, token=token)
