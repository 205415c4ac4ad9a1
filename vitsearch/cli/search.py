"""`vitsearch search`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vitsearch.cli.answer import answer_options, reach_of_store
from vitsearch.cli.filter_options import filter_options
from vitsearch.cli.output import plural, say
from vitsearch.cli.search_options import MOST_MATCHES, query_options, ranking_options
from vitsearch.cli.session import Session, device_option, pass_session, store_token_option
from vitsearch.errors import StoreError
from vitsearch.paths import is_url
from vitsearch.searching.terms import Weighted, parse_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.backbones.devices import Device
    from vitsearch.cli.answer import Answer
    from vitsearch.cli.search_options import Query, Ranking
    from vitsearch.library import Library
    from vitsearch.records import SearchResult
    from vitsearch.searching.store import SearchStore
    from vitsearch.storage.filters import Filter


@click.command()
@query_options
@filter_options
@ranking_options
@click.option(
    "--store", metavar="ADDRESS", help="Search an external engine, filled by `export --to milvus://…`."
)
@store_token_option
@device_option
@answer_options
@pass_session
def search(
    session: Session,
    query: Query,
    where: Filter,
    ranking: Ranking,
    store: str | None,
    token: str | None,
    answer: Answer,
    device: Device,
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
    if query.label is not None and ranking.compares:
        raise click.UsageError(
            "--include-self, --distinct, --only-matches and --exact go with images and words, not with --label"
        )
    listing = not query.has_examples and query.label is None
    if listing:
        _check_listing(where, compared=bool(query.negatives or query.crop or ranking.compares))
        if store is not None:
            raise click.UsageError(
                "--store answers images, words and labels: give one, or leave --store away"
            )
    terms, away = list(map(parse_term, query.queries)), list(map(parse_term, query.negatives))
    images = _files(terms)
    answer.check(session, (*images, *_files(away)))
    told = ""
    with session.open(device=device) as library, _store(store, token) as asked:
        if query.label is not None and query.head is not None:
            result = _search_label(library, asked, query.label, query.head, k=ranking.k, criteria=where)
        elif listing:
            result, told = _list_newest(library, where, ranking.k)
        else:
            result = library.search(
                *(_opened(term) for term in terms),
                text=query.text,
                negatives=[_opened(term) for term in away],
                k=ranking.k,
                crop=query.crop,
                where=where,
                include_self=ranking.include_self,
                distinct=ranking.distinct,
                only_matches=ranking.only_matches,
                exact=ranking.exact,
                store=asked,
            )
        answer.print(result, library)
        if told and result.results and not answer.as_json and not answer.only_paths:
            say(told, err=True)
        reach = None if asked is None else reach_of_store(library, where)
        if not result.results and not answer.as_json:
            say(_why_nothing(library, asked, where, query.label, ranking), err=True)
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
        more = f": -k {total} lists all" if total <= MOST_MATCHES else ""
        return result, f"the newest {listed:,} of {total:,} photos{more}"
    return result, f"{plural(total, 'photo')}, newest first"


def _why_nothing(
    library: Library,
    store: SearchStore | None,
    where: Filter,
    label: str | None,
    ranking: Ranking,
) -> str:
    if store is not None:
        return "no photo matches"
    from vitsearch.cli.nothing_found import why_nothing

    return why_nothing(
        library, where, label=label, only_matches=ranking.only_matches, include_self=ranking.include_self
    )


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
