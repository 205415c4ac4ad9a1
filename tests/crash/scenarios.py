"""The commands that are disturbed, each with the library that it is run on and how it ends when nothing disturbs it."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.crash.states import check_opens, differences, rows_of, state
from vitsearch.doctor.examine import examine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.workshop import Ended, Workshop

BATCH = 4
SIZE = 12
PAGE = 8192


@dataclass
class Scenario:
    """A command in a library that was made ready for it; `acknowledged` says what a cut-short run has promised."""

    name: str
    make: Callable[[], None]
    command: tuple[object, ...]
    acknowledged: Callable[[Workshop, Ended, Scenario], None] = lambda workshop, ended, scenario: None
    batch: int = BATCH
    model: Path | None = None
    # A run that had done all of it before it was killed may find nothing left to do.
    may_be_refused: bool = False
    # Files without a place are looked at again by every run, and counted again.
    counts_anew: bool = False
    is_damaged: bool = False
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    points: list[str] = field(default_factory=list)
    embedded: int = 0
    seconds: float = 0.0
    ready_at_start: int = 0
    ready_before: int = 0


class Preparations:
    """The states in which commands find a library; each method makes one from nothing."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.photos = workshop.photos
        self.labelled = workshop.trial / "labelled"
        self.plan = workshop.trial / "plan.json"
        self.index = ("index", workshop.photos, "--model", workshop.model, "--batch-size", BATCH)

    def fresh(self) -> None:
        """Photos, and no library yet."""
        shutil.rmtree(self.workshop.trial, ignore_errors=True)
        self._pictures(self.photos, range(SIZE))

    def indexed(self) -> None:
        """All photos are indexed."""
        if not self.workshop.has("indexed"):
            self.fresh()
            self.workshop.done(*self.index)
            self.workshop.keep("indexed")
        self.put_back("indexed")

    def changed(self) -> None:
        """Since then photos were added, moved, deleted and edited, and one cannot be read."""
        self.indexed()
        self._pictures(self.photos, range(SIZE, 2 * SIZE))
        (self.photos / "a" / "00.jpg").rename(self.photos / "moved.jpg")
        (self.photos / "b" / "01.jpg").unlink()
        picture(self.photos / "a" / "02.jpg", 99)
        (self.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff" + b"nothing" * 20)

    def thinned(self) -> None:
        """Since then photos were deleted."""
        self.indexed()
        for path in sorted(self.photos.rglob("*.jpg"))[:4]:
            path.unlink()

    def labelled_beside(self) -> None:
        """Beside the indexed photos lie others, sorted by label."""
        self.indexed()
        self._pictures(self.labelled, range(SIZE, 2 * SIZE))

    def planned(self) -> None:
        """Half of the photos have a copy, and there is a plan to move these away."""
        if not self.workshop.has("planned"):
            self._plan()
            self.workshop.keep("planned")
        self.put_back("planned")

    def put_back(self, name: str) -> None:
        """Put back what was kept, in place of making it again."""
        self.workshop.restore(name)

    def _plan(self) -> None:
        self.fresh()
        for path in sorted((self.photos / "a").iterdir()):
            shutil.copy2(path, self.photos / "b" / f"copy-{path.name}")
        self.workshop.done(*self.index)
        self.workshop.done("duplicates", "--plan", self.plan)
        assert len(json.loads(self.plan.read_text())["groups"]) == SIZE // 2

    def applied(self) -> None:
        """The plan has been carried out."""
        self.planned()
        self.workshop.done("apply", self.plan)

    def damaged(self) -> None:
        """A page of the database was overwritten."""
        self.indexed()
        ((page,),) = rows_of(
            self.workshop.library, "SELECT rootpage FROM sqlite_schema WHERE name = 'files_photo'"
        )
        with (self.workshop.library / "library.db").open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(b"\xff" * PAGE)

    def _pictures(self, folder: Path, numbers: range) -> None:
        for number in numbers:
            picture(folder / "ab"[number % 2] / f"{number:02}.jpg", number)


def prepare(workshop: Workshop) -> list[Scenario]:
    """Make and keep the library of each scenario, and run each command once undisturbed."""
    make = Preparations(workshop)
    change = ("index", "--model", workshop.other_model, "--change-model", "--batch-size", BATCH)
    train = ("heads", "train", "ab", "--from", make.labelled)
    forget = ("roots", "forget", "--yes", make.photos)
    scenarios = [
        Scenario("index", make.fresh, make.index, photos_stored),
        Scenario("index again", make.changed, ("index", "--batch-size", BATCH), photos_stored),
        Scenario("index --prune", make.thinned, ("index", "--prune")),
        Scenario("index --change-model", make.indexed, change, photos_stored, model=workshop.other_model),
        Scenario("heads train", make.labelled_beside, train, photos_stored, batch=16, counts_anew=True),
        Scenario("apply", make.planned, ("apply", make.plan), files_moved),
        Scenario("undo", make.applied, ("undo", make.plan)),
        Scenario("roots forget", make.indexed, forget, may_be_refused=True),
        Scenario("doctor --repair", make.damaged, ("doctor", "--repair"), is_damaged=True),
    ]
    for scenario in scenarios:
        scenario.make()
        workshop.keep(scenario.name)
        scenario.before = state(workshop)
        scenario.ready_at_start = scenario.ready_before = ready(workshop, scenario)
        started = time.monotonic()
        ended = workshop.done(*scenario.command)
        scenario.seconds = time.monotonic() - started
        scenario.points = ended.points
        scenario.embedded = sum(ended.told("embedded"))
        scenario.after = state(workshop)
        assert len(scenario.points) > 5, scenario.name
        assert scenario.acknowledged is not photos_stored or ended.told("embed")[-1] > 0, scenario.name
        assert scenario.is_damaged or differences(scenario.before, scenario.after), scenario.name
    return scenarios


def picture(path: Path, number: int) -> None:
    """Write a picture of its own: two gradients and a grid, without metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = np.random.default_rng(number)
    ends = source.integers(0, 255, (2, 2, 3))
    small = Image.fromarray(ends.astype(np.uint8))
    small.resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=95)


def photos_stored(workshop: Workshop, ended: Ended, scenario: Scenario) -> None:
    """Every photo that the progress bar counted is stored: its vector, and its file where it has a place."""
    done = max(ended.told("embed"), default=0)
    if done:
        expected = scenario.ready_before + done
        stored = ready(workshop, scenario)
        assert stored >= expected, f"{expected} photos were acknowledged, {stored} are stored"


def ready(workshop: Workshop, scenario: Scenario) -> int:
    """How many files, or photos without a place, the library has in the state in which they are on disk."""
    database = workshop.library / "library.db"
    if (
        scenario.is_damaged
        or not database.exists()
        or not rows_of(workshop.library, "SELECT 1 FROM sqlite_schema")
    ):
        return 0
    model = scenario.model or workshop.model
    files = rows_of(
        workshop.library,
        "SELECT r.path, f.path, f.size, f.mtime_ns FROM files f JOIN roots r ON r.id = f.root "
        "WHERE f.reason IS NOT NULL OR EXISTS (SELECT 1 FROM vectors v JOIN spaces s ON s.id = v.space "
        "WHERE v.photo = f.photo AND s.model = ?)",
        str(model),
    )
    count = 0
    for root, path, size, mtime in files:
        file = Path(root) / path
        count += file.exists() and (file.stat().st_size, file.stat().st_mtime_ns) == (size, mtime)
    placeless = (
        "SELECT count(*) FROM vectors v JOIN spaces s ON s.id = v.space WHERE s.model = ? "
        "AND NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = v.photo)"
    )
    return count + rows_of(workshop.library, placeless, str(model))[0][0]


def files_moved(workshop: Workshop, ended: Ended, scenario: Scenario) -> None:
    """Every file that was said to be moved is at its new place."""
    for line in ended.stdout.splitlines():
        if ": moved to " in line and line.endswith(".jpg"):
            source, target = line.split(": moved to ")
            assert Path(target).exists(), line
            assert not Path(source).exists(), line


def check(workshop: Workshop, scenario: Scenario, ended: Ended) -> None:
    """Whatever happened to a run: nobody outlived it, the library opens, and what was acknowledged is there."""
    assert ended.survivors == [], "a process outlived the run that started it"
    check_opens(workshop, scenario.before, damaged=scenario.is_damaged)
    scenario.acknowledged(workshop, ended, scenario)
    if ended.status == 0:
        assert differences(state(workshop), scenario.after) == []


def finish(workshop: Workshop, scenario: Scenario) -> Ended:
    """Run the command again, undisturbed, and compare its end with that of a run that nothing ever disturbed."""
    ended = workshop.run(*scenario.command)
    assert ended.status == 0 or scenario.may_be_refused, ended.stderr
    assert differences(state(workshop), scenario.after) == []
    assert examine(workshop.library).sound
    return ended
