"""Clean-up plans that are carried out and undone while another program is at work on the same files.

It runs as a process of its own, without threads, so that it may fork. Each round makes a folder of photos and a plan,
and carries it out, or undoes it, in a child. Right before the n-th time that this child opens or changes a file, a
process of the other program saves a new version of one of the files (written beside, renamed over), writes into it,
renames or deletes it. Afterwards every version must be somewhere that the other program did not itself destroy.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.unsynced import wait_for_nothing
from vitsearch.duplicates.cleanup import renaming
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Action, Plan, PlannedFile, PlannedGroup, content_hash

ACTIONS: tuple[Action, ...] = ("trash", "move", "hardlink", "symlink")
ACTS = ("save", "write", "rename", "delete")
NAMES = ("copy.jpg", "sub/copy.jpg", "keep.jpg")
EVENTS = frozenset(
    (
        "open",
        "os.link",
        "os.rename",
        "os.remove",
        "os.symlink",
        "os.mkdir",
        "os.rmdir",
        "os.utime",
        "os.chmod",
        "os.chown",
        "os.listxattr",
        "os.setxattr",
    )
)


class Trial:
    """The photos and the plan of one round; files that links may stand for have the same bytes, others their own."""

    def __init__(self, base: Path, elsewhere: Path, action: Action) -> None:
        self.is_linked = action.endswith("link")
        self.photos, self.moved = base / "photos", elsewhere / "moved"
        for folder in (base, self.moved):
            shutil.rmtree(folder, ignore_errors=True)
        for name in NAMES:
            (self.photos / name).parent.mkdir(parents=True, exist_ok=True)
            text = "linked" if self.is_linked else name
            (self.photos / name).write_bytes(text.encode() * 500)
        *others, keep = (PlannedFile(self.photos / name, content_hash(self.photos / name)) for name in NAMES)
        self.plan = base / "plan.json"
        destination = self.moved if action == "move" else None
        write_plan(Plan(action, (self.photos,), (PlannedGroup(keep, tuple(others)),), destination), self.plan)

    def versions(self) -> set[bytes]:
        """What is in all files, whatever they are called."""
        return {
            path.read_bytes()
            for folder in (self.photos, self.moved)
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def places(self, name: str) -> list[Path]:
        """The names that a file may have before and after its move."""
        trash = self.photos / ".vitsearch-trash" / name
        return [self.photos / name, self.moved / name if self.moved.exists() else trash]


def act(kind: str, path: Path, trial: Trial, number: int) -> dict[str, Any]:
    """What the other program does: to which place, what it saved there and what it destroyed itself."""
    before = trial.versions()
    there = path.is_file() and not path.is_symlink()
    # A photo that was moved out of its reach in time has its only name elsewhere, and stays.
    own = {path.read_bytes()} if there and not trial.is_linked else set()
    saved = f"saved {number} ".encode() * 400
    if kind == "save" and path.parent.is_dir():
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(saved)
        beside.replace(path)
    elif kind == "write" and there:
        with path.open("r+b") as file:
            file.write(saved)
    elif kind == "rename" and there:
        path.rename(path.with_name(f"renamed {path.name}"))
    elif kind == "delete" and there:
        path.unlink()
    after = trial.versions()
    changed = kind in ("save", "rename", "delete", "write") and (there or before != after)
    return {
        "changed": changed,
        "in place": [str(trial.photos / name) for name in NAMES if (trial.photos / name).exists()],
        "saved": [text.decode() for text in after - before],
        "destroyed": [text.decode() for text in before - after | (own if kind != "rename" else set())],
    }


def disturbed(
    work, trial: Trial, kind: str, name: str, place: int, point: int, number: int
) -> dict[str, Any]:
    """Let another program act right before the point-th event of a run; say what it did, and how the run ended."""
    back, out = os.pipe()
    child = os.fork()
    if not child:
        _child(out, work, trial, kind, name, place, point, number)
    os.close(out)
    with os.fdopen(back) as pipe:
        lines = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = {key: value for line in lines for key, value in json.loads(line).items()}
    return {"status": status, **told}


def _child(out, work, trial, kind, name, place, point, number) -> None:
    seen, acting = 0, False

    def hook(event, arguments):
        nonlocal seen, acting
        if acting or event not in EVENTS or not any(_is_ours(argument, trial) for argument in arguments):
            return
        seen += 1
        if seen != point:
            return
        acting = True
        program = os.fork()
        if not program:
            try:
                done = act(kind, trial.places(name)[place], trial, number)
                os.write(out, json.dumps({"event": event, **done}).encode() + b"\n")
            finally:
                os._exit(0)
        os.waitpid(program, 0)
        acting = False

    sys.addaudithook(hook)
    status = 1
    try:
        outcomes = work(trial.plan)
        status = 0
        acting = True
        told = [[str(outcome.path), outcome.done, outcome.text] for outcome in outcomes]
        os.write(out, json.dumps({"outcomes": told}).encode() + b"\n")
    except Exception as error:  # noqa: BLE001 - whatever it was, the parent judges it
        os.write(out, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
    finally:
        os._exit(status)


def _is_ours(argument: object, trial: Trial) -> bool:
    text = os.fsdecode(argument) if isinstance(argument, (str, bytes, os.PathLike)) else ""
    return text.startswith((str(trial.photos), str(trial.moved)))


def round_of(base: Path, elsewhere: Path, number: int, choice: tuple[Any, ...]) -> dict[str, Any] | None:
    """One round; None if the run was over before the point, or the other program found nothing to change."""
    action, running, kind, name, place, point = choice
    trial = Trial(base, elsewhere, action)
    if running == "undo":
        apply_plan(trial.plan)
    expected = trial.versions()
    told = disturbed(
        {"apply": apply_plan, "undo": undo_plan}[running], trial, kind, name, place, point, number
    )
    if not told.get("changed"):
        return None if "event" not in told else {"idle": True}
    expected |= {text.encode() for text in told["saved"]}
    expected -= {text.encode() for text in told["destroyed"]}
    wrong = []
    error = told.get("error", "")
    if error and not error.startswith(("ChangedFiles", "PlanError")):
        wrong.append(error)
    if expected - trial.versions():
        wrong.append("bytes lost")
    # A file of the kept one's name where copies are moved to is not the kept file.
    if running == "apply" and (name, place) == ("keep.jpg", 0) and not trial.is_linked:
        wrong += _moved_without_a_kept_file(told, trial)
    # Whatever happened, undo takes back what it can and loses nothing either.
    undo_plan(trial.plan)
    if expected - trial.versions():
        wrong.append("bytes lost by the undo that followed")
    return {"event": told["event"], "wrong": wrong, "told": told}


def _moved_without_a_kept_file(told: dict[str, Any], trial: Trial) -> list[str]:
    """The copies that were where they belong when the kept file changed, and were moved on its account nevertheless."""
    before = {str(path) for path, done, _ in told.get("outcomes", []) if done}
    return [f"{path} was moved after its kept file had changed" for path in before & set(told["in place"])]


def rounds_at_random(base: Path, elsewhere: Path, rounds: int, seed: int) -> dict[str, Any]:
    """So many rounds in which the other program did change something."""
    source = random.Random(seed)
    counted, wrong = 0, []
    kinds: Counter[str] = Counter()
    number = 0
    while counted < rounds:
        number += 1
        action = source.choice(ACTIONS)
        choice = (
            action, source.choice(("apply", "undo")), source.choice(ACTS), source.choice(NAMES), source.randint(0, 1),
            source.randint(1, 60),
        )  # fmt: skip
        across = action == "move" and source.random() < 0.7
        found = round_of(base, elsewhere if across else base, number, choice)
        if found is None or "idle" in found:
            continue
        counted += 1
        kinds[f"{choice[1]} {choice[2]} before {found['event']}{' across' if across else ''}"] += 1
        if found["wrong"]:
            wrong.append([choice, found])
    return {"rounds": counted, "tried": number, "kinds": kinds, "wrong": wrong}


def each_point(
    base: Path, elsewhere: Path, action: Action, running: str, kind: str, name: str, place: int
) -> dict[str, Any]:
    """A round at every single point of a run."""
    counted, wrong, point = 0, [], 1
    kinds: Counter[str] = Counter()
    while (
        found := round_of(base, elsewhere, point, (action, running, kind, name, place, point))
    ) is not None:
        if "idle" not in found:
            counted += 1
            kinds[found["event"]] += 1
            if found["wrong"]:
                wrong.append([point, found])
        point += 1
    return {"rounds": counted, "tried": point - 1, "kinds": kinds, "wrong": wrong}


def main() -> None:
    """`BASE ELSEWHERE random ROUNDS SEED`, or `… each ACTION RUNNING KIND NAME PLACE`; `by-links` at the end."""
    wait_for_nothing()  # or hundreds of rounds wait for most of their time
    base, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
    mode, *rest = sys.argv[3:]
    if rest[-1] == "by-links":
        vars(renaming)["exclusive_rename"] = lambda: None
        rest.pop()
    if mode == "random":
        report = rounds_at_random(base, elsewhere, int(rest[0]), int(rest[1]))
    else:
        (action,) = (known for known in ACTIONS if known == rest[0])
        running, kind, name, place = rest[1:]
        report = each_point(base, elsewhere, action, running, kind, name, int(place))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
