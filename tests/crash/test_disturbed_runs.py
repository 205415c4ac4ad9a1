"""Real commands on a real library, killed at any moment, or with writes, syncs and renames that fail.

After each disturbance the library opens and is sound, what had been acknowledged is there, at most one batch is
computed again, and the same command, run again, ends where an undisturbed one does. A command that meets a disk that
is full or bad either does all of its work or ends in one line. `make crash` does this thousands of times.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash import scenarios as commands
from tests.crash.scenarios import check, finish, ready
from tests.crash.states import check_search, role
from tests.crash.workshop import Workshop

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="needs Linux and a C compiler: a preloaded library watches every write and makes some fail",
)


# A full disk stays full; a bad block and an interrupted write come once.
FAULTS: dict[str, dict[str, Any]] = {
    "no space": {"action": "no space", "stays": True},
    "broken": {"action": "broken"},
    "short": {"action": "short"},
}


@pytest.fixture(scope="module")
def workshop(crash_tools):
    made = Workshop(Path(tempfile.mkdtemp(prefix="vitsearch-crash-")), crash_tools)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scenarios(workshop):
    return commands.prepare(workshop)


def kill(workshop, scenario, disturbance):
    """Kill one run and look at what it left; return it."""
    ended = workshop.run(*scenario.command, **disturbance)
    assert ended.status in (0, -9) or scenario.may_be_refused, ended.stderr
    check(workshop, scenario, ended)
    return ended


def trial(workshop, scenario, disturbances):
    """Kill as many runs as there are disturbances, one after another, then finish; return how many died."""
    workshop.restore(scenario.name)
    scenario.ready_before = scenario.ready_at_start
    runs = []
    for disturbance in disturbances:
        try:
            runs.append(kill(workshop, scenario, disturbance))
        except AssertionError as error:
            raise AssertionError(f"{scenario.name}, {disturbances}: {error}") from error
        if not scenario.counts_anew:
            scenario.ready_before = ready(workshop, scenario)
    try:
        runs.append(finish(workshop, scenario))
        check_search(workshop)
    except AssertionError as error:
        raise AssertionError(f"{scenario.name}, {disturbances}: {error}") from error
    died = sum(run.status == -9 for run in runs)
    again = sum(sum(run.told("embedded")) for run in runs) - scenario.embedded
    assert again <= died * scenario.batch, f"{again} vectors were computed again after {died} kills"
    return died, again


def any_disturbance(source, scenario):
    """A kill at a random change, before it or in the middle of it, or at a random moment."""
    if source.random() < 0.5:
        return {"action": source.choice(["kill", "torn"]), "at": source.randint(1, len(scenario.points))}
    return {"after": source.uniform(0.02, 1.1 * scenario.seconds)}


def kill_at_random(workshop, scenarios, *, kills, seed):
    source = random.Random(seed)
    died, again, most = 0, 0, 0
    each: Counter[str] = Counter()
    while died < kills:
        scenario = scenarios[sum(each.values()) % len(scenarios)]
        disturbances = [any_disturbance(source, scenario) for _ in range(source.choice([1, 1, 2, 3]))]
        now, more = trial(workshop, scenario, disturbances)
        died, again, most = died + now, again + more, max(most, more)
        each[scenario.name] += 1
    return died, again, most, each


def test_fifty_kills_lose_nothing_that_was_acknowledged_and_every_command_can_be_run_again(
    workshop, scenarios
):
    died, *_ = kill_at_random(workshop, scenarios, kills=50, seed=1)
    assert died >= 50


@pytest.mark.slow
@pytest.mark.crash
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(workshop, scenarios, capsys):
    died, again, most, each = kill_at_random(workshop, scenarios, kills=1000, seed=2)
    with capsys.disabled():
        print(
            f"\n{died} kills in {sum(each.values())} trials ({dict(each)}): nothing acknowledged lost, every library"
        )
        print(
            f"opened, {again} vectors computed again in all, at most {most} in one trial of up to three kills"
        )


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize("action", ["kill", "torn"])
def test_a_kill_at_each_named_write_point_loses_nothing_that_was_acknowledged(
    workshop, scenarios, action, capsys
):
    died, names = 0, set()
    for scenario in scenarios:
        places: dict[str, list[int]] = {}
        for number, point in enumerate(scenario.points, 1):
            places.setdefault(role(point), []).append(number)
        for name, numbers in places.items():
            for number in sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]}):
                died += trial(workshop, scenario, [{"action": action, "at": number}])[0]
            names.add((scenario.name, name))
    with capsys.disabled():
        print(f"\n{died} kills at {len(names)} named points ({action})")


def fail(workshop, scenario, fault, number):
    """Make one change fail; return whether the command ended in an error."""
    workshop.restore(scenario.name)
    scenario.ready_before = scenario.ready_at_start
    try:
        ended = workshop.run(*scenario.command, at=number, **FAULTS[fault])
        check(workshop, scenario, ended)
        if ended.status != 0:
            assert ended.status == 1, ended.stderr
            lines = [line for line in ended.stderr.splitlines() if line.startswith("vitsearch: ")]
            assert len(lines) == 1 or "left alone" in ended.stderr, ended.stderr
            assert "Traceback" not in ended.stderr
        finish(workshop, scenario)
        check_search(workshop)
    except AssertionError as error:
        point = scenario.points[number - 1] if number <= len(scenario.points) else "a later change"
        raise AssertionError(f"{scenario.name}: {fault} at {number} ({point}): {error}") from error
    return ended.status != 0


def places(scenario, fault):
    """The numbers of the changes at which a fault means something."""
    return [
        number
        for number, point in enumerate(scenario.points, 1)
        if fault != "short" or point.startswith("write ")
    ]


def test_writes_that_fail_here_and_there_leave_a_sound_library_and_one_line(workshop, scenarios):
    source = random.Random(3)
    failed = 0
    for scenario in scenarios:
        for fault in FAULTS:
            failed += fail(workshop, scenario, fault, source.choice(places(scenario, fault)))
    assert failed > 9


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize("fault", FAULTS)
def test_every_single_change_that_fails_leaves_a_sound_library_and_one_line(
    workshop, scenarios, fault, capsys
):
    runs, failed = 0, 0
    for scenario in scenarios:
        for number in places(scenario, fault):
            failed += fail(workshop, scenario, fault, number)
            runs += 1
    with capsys.disabled():
        print(
            f"\n{fault}: {runs} changes failed, {failed} commands ended in one line, the others did all their work"
        )
