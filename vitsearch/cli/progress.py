"""Progress of long commands on stderr: a bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from vitsearch.cli.output import duration, say, shown
from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A run that is over sooner says nothing; others say how far they are so often.
EVERY_SECONDS = 30.0

_LABELS = {
    "scan": "looking for photos",
    "sidecars": "looking at sidecars",
    "embed": "embedding",
    "also": "embedding for words",
    "propose": "looking for look-alikes",
    "calibrate": "trying synthetic copies",
    "look": "comparing",
    "measure": "choosing what to keep",
    "confirm": "making sure",
    "load": "loading the model",
    "check": "comparing with the plan",
    "move": "moving",
    "put back": "putting back",
    "attend": "asking what it looked at",
    "draw": "drawing",
    "write": "writing pictures",
}


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a long command, with its rate and the time left."""
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps per second, over the recent past."""

        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f}/s")

    console = Console(stderr=True)
    if not console.is_terminal:
        with plain_lines("starting", quiet=quiet) as tell:
            yield tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: Progress) -> None:
            label = _LABELS.get(progress.stage, progress.stage)
            bar.update(task, description=label, completed=progress.done, total=progress.total)

        yield show


@contextmanager
def counting_bar(stage: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of an operation with a single stage."""
    with progress_bar(quiet=quiet) as show:
        yield lambda done, total: show(Progress(stage, done, total))


@contextmanager
def plain_lines(doing: str, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Print an occasional line with the progress of a long command; `doing` is printed until a stage is reported."""
    if quiet:
        yield lambda _: None
        return
    lines = _Lines(doing, EVERY_SECONDS)
    over = Event()

    # By a clock of its own: a stage that tells nothing for minutes is what makes people wonder.
    def tick() -> None:
        while not over.wait(EVERY_SECONDS):
            lines.tell()

    clock = Thread(target=tick, daemon=True, name="progress")
    clock.start()
    try:
        yield lines.show
    finally:
        over.set()
        clock.join()


class _Lines:
    """Prints the progress at the end of each period, and from the second period on at each new stage."""

    def __init__(self, doing: str, period: float) -> None:
        self._lock = Lock()
        self._period = period
        self._began = self._entered = time.monotonic()
        self._at = Progress(doing, 0, None)
        self._told: set[str] = set()

    def show(self, progress: Progress) -> None:
        with self._lock:
            is_new = progress.stage != self._at.stage
            if is_new:
                self._entered = time.monotonic()
            self._at = progress
            is_long = time.monotonic() - self._began >= self._period
        if is_new and is_long and progress.stage not in self._told:
            self.tell()

    def tell(self) -> None:
        with self._lock:
            at, seconds = self._at, time.monotonic() - self._entered
            self._told.add(at.stage)
        told = shown(_LABELS.get(at.stage, at.stage))
        if at.total:
            told += f": {at.done:,} of {at.total:,}"
            if 0 < at.done < at.total:
                told += f", about {duration(seconds * (at.total - at.done) / at.done)} left"
        elif at.done:
            told += f": {at.done:,} so far"
        # Where nobody reads stderr any more, the command goes on.
        with suppress(OSError, ValueError):
            say(f"{told} ({duration(time.monotonic() - self._began)} since the start)", err=True)
