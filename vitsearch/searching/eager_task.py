"""Work that begins before its result is needed."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class EagerTask(Generic[Result]):
    """Does something in a thread of its own, beginning now: what waits for disk or computes in C++ costs no time then.

    Whoever makes one asks for its result, or ends with its block: no thread outlives a `with`.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="vitsearch-eager", daemon=True)
        self._thread.start()

    def __enter__(self) -> EagerTask[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def result(self) -> Result:
        """Wait for the result, and raise here what was raised there."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
            self._error = error
