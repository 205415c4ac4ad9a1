"""Which photos a search has shown as duplicates of each other: only those are dismissed without asking."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from vitsearch.duplicates.group.sets import Sets
from vitsearch.storage.answers import AnswerCache

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from vitsearch.storage.layout import Layout

# Of a crowd of copies, only the pairs with the first one are noted, and the crowd as a whole.
_MOST = 30


def note_shown(layout: Layout, groups: Iterable[Collection[int]]) -> None:
    """Note that these groups of photos, by id, were shown; where nothing can be written, nothing is noted."""
    with AnswerCache.beside(layout, rules=b"") as answers:
        for group in groups:
            photos = sorted(set(group))
            answers.keep(_question(answers, photos), True)  # noqa: FBT003 - an answer
            first = photos[:1] if len(photos) > _MOST else photos
            for pair in combinations(photos, 2):
                if pair[0] in first:
                    answers.keep(_question(answers, pair), True)  # noqa: FBT003 - an answer


def were_shown(layout: Layout, photos: Collection[int]) -> bool:
    """Whether a search has shown these photos, by id, as a group or as parts of one; a single one needs no search."""
    chosen = sorted(set(photos))
    with AnswerCache.beside(layout, rules=b"") as answers:
        if len(chosen) < 2 or answers.get(_question(answers, chosen)) is not None:
            return True
        sets = Sets()
        for pair in combinations(chosen, 2):
            if not sets.joined(*pair) and answers.get(_question(answers, pair)) is not None:
                sets.join(*pair)
        return all(sets.joined(chosen[0], photo) for photo in chosen[1:])


def _question(answers: AnswerCache, photos: Collection[int]) -> bytes:
    return answers.question("shown", *photos)
