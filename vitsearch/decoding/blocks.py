"""Blocks of small photos that are opened and decoded with one request each: a request costs as much as decoding one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.decoding.answers import Header, Prepared, refused, understood_header, understood_thumbnail
from vitsearch.decoding.messages import seconds_to_read_all
from vitsearch.photos.grey_grid import GRID
from vitsearch.photos.perceptual_hash import hashes_of_grids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.decoding.process import DecodingProcess
    from vitsearch.errors import UnreadablePhoto
    from vitsearch.space import Preprocessing

Fields = dict[str, Any]
MOST_FILES = 16
"""How many files a block may have: more make it no cheaper."""
MOST_BYTES = 4 << 20
"""How large the files of a block may be together, as all are held by the process."""


@dataclass(frozen=True, slots=True)
class RetryAlone:
    """Stands for a photo of a block that must be opened alone, because memory ran short among the others."""


class ProtectedBlock:
    """Photos opened together in one decoding process; `headers` holds the result for each, in order.

    They share the time limit of one photo. If the process dies, `ProcessDied` does not say which photo is to blame, so
    each must be opened alone.
    """

    def __init__(
        self, process: DecodingProcess, paths: Sequence[Path], with_sidecars: Sequence[bool] = ()
    ) -> None:
        self._names = [str(path) for path in paths]
        self._process = process
        more = seconds_to_read_all(paths)
        noted = list(with_sidecars) or [False] * len(self._names)
        request = {"open_block": self._names, "with_sidecars": noted}
        fields, _ = process.ask(request, most=0, more_seconds=more)
        try:
            self.headers: list[Header | UnreadablePhoto | RetryAlone] = [
                _refusal(name, answer) or understood_header(answer)
                for name, answer in zip(self._names, fields["photos"], strict=True)
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise process.distrusted() from None

    def prepared(
        self, preprocessing: Preprocessing, wanted: Sequence[int], *, boxes: Sequence[tuple[int, int] | None]
    ) -> list[Prepared | UnreadablePhoto | RetryAlone]:
        """Decode the photos at these positions for a model, each once; `boxes` as in `prepared_with_thumbnail`."""
        shape = preprocessing.shape
        room = GRID * GRID + math.prod(shape)
        most = len(wanted) * room + sum(3 * math.prod(box) for box in boxes if box)
        request = {
            "prepare_block": list(wanted),
            "preprocessing": asdict(preprocessing),
            "boxes": list(boxes),
        }
        fields, data = self._process.ask(request, most=most)
        try:
            return self._understood(fields["photos"], data, shape, wanted, boxes)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._process.distrusted() from None

    def _understood(
        self,
        answers: Sequence[Fields],
        data: bytes,
        shape: tuple[int, int, int],
        wanted: Sequence[int],
        boxes: Sequence[tuple[int, int] | None],
    ) -> list[Prepared | UnreadablePhoto | RetryAlone]:
        refusals = [
            _refusal(self._names[place], answer) for place, answer in zip(wanted, answers, strict=True)
        ]
        count = refusals.count(None)
        grids = np.frombuffer(data, np.uint8, count * GRID * GRID)
        pixels = np.frombuffer(data, np.uint8, count * math.prod(shape), grids.size)
        hashes = iter(hashes_of_grids(grids.reshape(count, GRID, GRID)))
        images = iter(pixels.reshape(count, *shape))
        at = grids.size + pixels.size
        found: list[Prepared | UnreadablePhoto | RetryAlone] = []
        for refusal, answer, box in zip(refusals, answers, boxes, strict=True):
            if refusal is not None:
                found.append(refusal)
                continue
            size = answer["thumbnail"]
            end = at + (3 * math.prod(size) if size else 0)
            found.append(
                Prepared(next(hashes), next(images), understood_thumbnail(answer, data[at:end], box))
            )
            at = end
        if at != len(data):
            raise ValueError("more pixels than photos")
        return found


def _refusal(name: str, answer: Fields) -> UnreadablePhoto | RetryAlone | None:
    return RetryAlone() if answer.get("memory") is True else refused(name, answer)
