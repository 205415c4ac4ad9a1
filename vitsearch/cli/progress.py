"""One progress bar on stderr, and none where nobody watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LABELS = {
    "scan": "looking for photos",
    "embed": "embedding",
    "also": "embedding for words",
    "propose": "looking for look-alikes",
    "calibrate": "trying synthetic copies",
    "look": "comparing",
    "measure": "choosing what to keep",
    "confirm": "making sure",
    "load": "loading the model",
    "attend": "asking what it looked at",
    "draw": "drawing",
}


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a long command is, with its rate and the time left."""
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
        """Steps a second, over the recent past."""

        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f}/s")

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
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
    """Show how far something with one stage is."""
    with progress_bar(quiet=quiet) as show:
        yield lambda done, total: show(Progress(stage, done, total))
