"""The program of a confined process that reads an untrusted Parquet file for another process."""

from __future__ import annotations

import base64
import faulthandler
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vitsearch.decoding.confinement import answer_requests
from vitsearch.decoding.messages import needs_memory
from vitsearch.engines.parquet.columns import MOST_FIELDS, VectorColumns
from vitsearch.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt


def main(seconds: float, memory: int) -> NoReturn:
    """Answer requests on standard input until it is closed. A request that takes too long ends the process."""
    answer_requests(memory, lambda: _Worker(seconds, memory).answer)


class _Worker:
    """Holds the one file that was opened."""

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._path = Path()
        self._file: VectorColumns | None = None
        self._batches: Iterator[tuple[list[dict[str, Any]], npt.NDArray[np.float32], list[str | None]]] = (
            iter(())
        )

    def answer(self, request: dict[str, Any], _: bytes) -> tuple[dict[str, Any], list[bytes]]:
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        try:
            return self._answer(request)
        except StoreError as error:
            return {"error": str(error)}, []
        except MemoryError:
            return {
                "error": f"cannot read {request.get('open', 'the file')}: {needs_memory(self._memory)}"
            }, []
        except Exception as error:  # noqa: BLE001 - whatever a reader raises is a reason
            return {"error": f"the file cannot be read ({type(error).__name__})"}, []
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        if "open" in request:
            self._path = Path(request["open"])
            self._file = file = VectorColumns(self._path)
            return {
                "rows": file.rows,
                "dimension": file.dimension,
                "space": file.space.to_json() if file.space else None,
                "model": file.model,
            }, []
        if self._file is None:
            raise EOFError
        if "start" in request:
            self._batches = self._file.batches(request["start"])
            return {}, []
        for values, rows, reasons in self._batches:
            fields = json.dumps([values, reasons], default=_value).encode("ascii")
            if len(fields) > MOST_FIELDS:
                raise StoreError(
                    f"cannot read {self._path}: {len(values):,} of its rows have {len(fields) >> 20} MB of text, "
                    f"more than the limit of {MOST_FIELDS >> 20} MB"
                )
            return {"rows": len(values)}, [fields, rows.astype("<f4").tobytes()]
        return {"end": True}, []


def _value(value: object) -> object:
    """What JSON has no word for: bytes are marked, and dates and the like are no text that a library reads."""
    return {"base64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes) else None
