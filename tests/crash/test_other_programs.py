"""Real commands on a real library while another program is at work on the same files.

Right before a chosen change that the command makes to the disk, it stops; another process saves a new version of a
photo (written beside, renamed over), writes into one, renames or deletes one, unmounts the drive of half of the photos
or mounts an empty one over the other half; then the command goes on. No version of a photo is lost that the other
program did not itself destroy, and no decision of a person. Only rounds in which it changed something count.
`make crash` does a thousand of them.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash.meddling import DRIVE_KINDS, FILE_KINDS, mounted, unmounted, versions
from tests.crash.scenarios import Preparations, Scenario, picture
from tests.crash.states import role, rows_of
from tests.crash.workshop import Tools, Workshop
from vitsearch.doctor.examine import examine

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("cc") is None,
        reason="needs Linux and a C compiler: a preloaded library watches every write",
    ),
]


class Drive:
    """A file system of its own that is mounted as one folder of the photos, where the system lets us mount one."""

    def __init__(self, base: Path) -> None:
        self.store = base / "store"
        self.store.mkdir()
        self.works = mounted("-t", "tmpfs", "none", self.store)

    def attach(self, folder: Path) -> None:
        if self.works and not folder.is_mount():
            assert mounted("--bind", self.store, folder)

    def take(self, folder: Path) -> None:
        """Bring what is in a folder to the drive, and mount that there."""
        if self.works:
            for path in self.store.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(folder, self.store, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
            folder.mkdir()
            self.attach(folder)

    def detach(self, photos: Path) -> None:
        while unmounted(photos / "a") or unmounted(photos / "b"):
            pass

    def close(self) -> None:
        unmounted(self.store)


class DecidedPreparations(Preparations):
    """Half of the photos are on a drive, and a person has decided on some."""

    def __init__(self, workshop: Workshop, drive: Drive) -> None:
        super().__init__(workshop)
        self.drive = drive

    def fresh(self) -> None:
        self.drive.detach(self.photos)
        super().fresh()
        self.drive.take(self.photos / "b")

    def put_back(self, name: str) -> None:
        self.drive.detach(self.photos)
        super().put_back(name)
        self.drive.take(self.photos / "b")

    def indexed(self) -> None:
        if not self.workshop.has("decided"):
            super().indexed()
            self._decide()
            self.workshop.keep("decided")
        self.put_back("decided")

    def _decide(self) -> None:
        few = self.workshop.trial / "few"
        for number, label in enumerate(("day", "night")):
            picture(few / label / "0.jpg", 50 + number)
        run = self.workshop.done
        run("heads", "from-examples", "time", "--from", few)
        for name, label in (("a/04.jpg", "day"), ("b/05.jpg", "night"), ("b/07.jpg", "dusk")):
            run("heads", "correct", "time", self.photos / name, label)
        for pair in (("a/04.jpg", "b/05.jpg"), ("a/06.jpg", "a/08.jpg")):
            run("duplicates", *(word for name in pair for word in ("--not-duplicates", self.photos / name)))


class Rounds:
    """The scenarios, each with its points, and what has come of rounds in them."""

    def __init__(self, base: Path, tools: Tools) -> None:
        self.workshop = Workshop(base, tools)
        self.drive = Drive(base)
        self.photos = self.workshop.photos
        self.counted: Counter[str] = Counter()
        self.points: set[str] = set()
        self.decided: dict[str, set[tuple[Any, ...]]] = {}
        self.scenarios: list[Scenario] = []

    def prepare(self) -> None:
        make = DecidedPreparations(self.workshop, self.drive)
        self.scenarios = [
            Scenario("index", make.changed, ("index", "--batch-size", 4)),
            Scenario("prune", make.thinned, ("index", "--prune")),
            Scenario("apply", make.planned, ("apply", make.plan)),
            Scenario("undo", make.applied, ("undo", make.plan)),
        ]
        for scenario in self.scenarios:
            scenario.make()
            self.workshop.keep(scenario.name)
            self.restore(scenario)
            scenario.points = self.workshop.done(*scenario.command).points
            self.put_back(scenario)
            self.decided[scenario.name] = self.decisions()
            assert self.decided[scenario.name] or scenario.name in ("apply", "undo"), (
                "there are decisions to be lost"
            )

    def close(self) -> None:
        self.drive.detach(self.photos)
        self.drive.close()
        self.workshop.close()

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*FILE_KINDS, *DRIVE_KINDS) if self.drive.works else FILE_KINDS

    def restore(self, scenario: Scenario) -> None:
        self.drive.detach(self.photos)
        self.workshop.restore(scenario.name)
        self.drive.take(self.photos / "b")

    def put_back(self, scenario: Scenario) -> None:
        """Give every photo its place again that it had before the round, and let the library look."""
        if scenario.name in ("index", "prune"):
            kept = self.workshop.kept(scenario.name) / self.photos.relative_to(self.workshop.trial)
            shutil.copytree(kept, self.photos, symlinks=True, dirs_exist_ok=True)
            self.workshop.done("index")

    def decisions(self) -> set[tuple[Any, ...]]:
        library = self.workshop.library
        labels = (
            "SELECT e.head, hex(p.photo_hash), e.label, e.corrected FROM head_examples e "
            "JOIN photos p ON p.id = e.photo"
        )
        pairs = (
            "SELECT hex(a.photo_hash), hex(b.photo_hash) FROM not_duplicates n JOIN photos a ON a.id = n.first "
            "JOIN photos b ON b.id = n.second"
        )
        # Which of the two is named first is no part of the decision.
        return set(rows_of(library, labels)) | {tuple(sorted(pair)) for pair in rows_of(library, pairs)}

    def versions(self) -> Counter[str]:
        """All versions of photos; those that a folder shows that is without its drive now, and will not later, too."""
        below = (
            Counter()
            if self.drive.works and (self.photos / "b").is_mount()
            else versions([self.photos / "b"])
        )
        unmounted(self.photos / "a")
        self.drive.attach(self.photos / "b")
        return versions([self.photos]) + (below if self.drive.works else Counter())

    def round(self, scenario: Scenario, at: int, kind: str, number: int) -> bool:
        """One round; whether the other program changed something."""
        self.restore(scenario)
        start = self.versions()
        point = scenario.points[at - 1]
        wish = {
            "kind": kind,
            "folder": str(self.photos),
            "store": str(self.drive.store),
            # The file that the command is about to touch, in the half of the rounds, or any.
            "name": point.rpartition("/")[2] if number % 2 else "",
            "number": number,
        }
        ended = self.workshop.run(*scenario.command, action="stop", at=at, meddle=wish)
        meddled = ended.meddled
        if meddled is None or not meddled["changed"]:
            return False
        try:
            expected = start + Counter(meddled["saved"]) - Counter(meddled["destroyed"])
            self.check(scenario, ended, expected)
        except AssertionError as error:
            what = f"{scenario.name}, {kind} {meddled['path']} before {at} ({point})"
            raise AssertionError(f"{what}: {error}\n{ended.stdout}\n{ended.stderr}") from error
        self.counted[f"{scenario.name}, {kind}"] += 1
        self.points.add(f"{scenario.name}: {role(point)}")
        return True

    def check(self, scenario, ended, expected):
        assert ended.status in (0, 1), "it ended otherwise than in one line"
        assert "Traceback" not in ended.stderr
        assert expected <= self.versions(), "bytes of a version are gone"
        assert [found for found in examine(self.workshop.library).findings if found.state == "wrong"] == []
        if scenario.name in ("apply", "undo"):
            again = self.workshop.run("undo", Preparations(self.workshop).plan)
            assert "Traceback" not in again.stderr
            assert expected <= self.versions(), "bytes of a version are gone after the undo that followed"
        self.put_back(scenario)
        lost = self.decided[scenario.name] - self.decisions()
        assert lost == set(), f"decisions are gone: {lost}"

    def at_random(self, rounds: int, seed: int) -> None:
        source = random.Random(seed)
        tried = 0
        while sum(self.counted.values()) < rounds:
            scenario = self.scenarios[tried % len(self.scenarios)]
            at = source.randint(1, len(scenario.points))
            self.round(scenario, at, source.choice(self.kinds), source.randrange(1000))
            tried += 1

    def report(self) -> str:
        impossible = "" if self.drive.works else f"; not possible on this machine: {', '.join(DRIVE_KINDS)}"
        return (
            f"{sum(self.counted.values())} rounds at {len(self.points)} named points, 0 bytes and 0 decisions lost: "
            f"{dict(sorted(self.counted.items()))}{impossible}"
        )


@pytest.fixture(scope="module")
def made(crash_tools):
    rounds = Rounds(Path(tempfile.mkdtemp(prefix="vitsearch-others-")), crash_tools)
    try:
        rounds.prepare()
        yield rounds
    finally:
        rounds.close()


@pytest.fixture
def rounds(made):
    made.counted.clear()
    made.points.clear()
    return made


def test_fifty_rounds_beside_another_program_lose_no_version_and_no_decision(rounds, capsys):
    rounds.at_random(50, seed=1)
    with capsys.disabled():
        print(f"\n{rounds.report()}")


@pytest.mark.slow
@pytest.mark.crash
def test_a_thousand_rounds_beside_another_program_lose_no_version_and_no_decision(rounds, capsys):
    """At every named point of each command, then at random ones."""
    number = 0
    for scenario in rounds.scenarios:
        places: dict[str, int] = {}
        for at, point in enumerate(scenario.points, 1):
            places.setdefault(role(point), at)
        for at in places.values():
            rounds.round(scenario, at, rounds.kinds[number % len(rounds.kinds)], number)
            number += 1
    rounds.at_random(1000, seed=2)
    with capsys.disabled():
        print(f"\n{rounds.report()}")
