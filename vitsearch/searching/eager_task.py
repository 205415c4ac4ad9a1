"""Work that starts before its result is needed."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class EagerTask(Generic[Result]):
    """Starts a function in a thread of its own at once, to overlap disk access and native code with other work.

    Use it as a context manager, which joins the thread at the end.
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
        """Wait for the result; raises what the function raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
            self._error = error
