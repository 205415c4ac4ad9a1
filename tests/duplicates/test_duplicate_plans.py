"""Plans: written, edited, carried out and undone, without ever touching the kept file or losing a byte."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vitsearch.duplicates.cleanup import batches, moving_out, safe_move
from vitsearch.duplicates.cleanup.applying import ChangedFiles, apply_plan, undo_plan
from vitsearch.duplicates.cleanup.journal import Journal, clear_journal, read_steps
from vitsearch.duplicates.cleanup.plan_files import read_plan, write_plan
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.cleanup.plans import Action, Plan, PlannedFile, PlannedGroup, content_hash
from vitsearch.duplicates.cleanup.putting_back import Outcome
from vitsearch.duplicates.cleanup.trash import TRASH
from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile
from vitsearch.duplicates.tiers import Tier
from vitsearch.errors import PlanError

SHM = Path("/dev/shm")
NEEDS_TWO_FILE_SYSTEMS = pytest.mark.skipif(
    not SHM.is_dir() or SHM.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev,
    reason="needs a second file system",
)
ACTIONS = ["trash", "move", "hardlink", "symlink"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two groups: `keep.jpg` with two exact copies, and `large.jpg` with a smaller one."""
    folder = tmp_path / "photos"
    contents = {
        "keep.jpg": b"one" * 10_000,
        "copy.jpg": b"one" * 10_000,
        "sub/copy.jpg": b"one" * 10_000,
        "large.jpg": b"two" * 10_000,
        "sub/small.jpg": b"2",
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(10**18, 10**18 + len(name)))
    return folder


def planned(path: Path) -> PlannedFile:
    return PlannedFile(path, content_hash(path))


def plan_for(photos: Path, action: Action, *, destination: Path | None = None) -> Path:
    """Write the plan for `photos` beside them and return its path."""
    groups = [
        ("keep.jpg", ["copy.jpg", "sub/copy.jpg"]),
        ("large.jpg", ["sub/small.jpg"]),
    ]
    plan = Plan(
        action,
        (photos,),
        tuple(
            PlannedGroup(planned(photos / keep), tuple(planned(photos / name) for name in names))
            for keep, names in groups
        ),
        destination if action != "move" else destination or photos.parent / "moved",
    )
    path = photos.parent / "plan.json"
    write_plan(plan, path)
    return path


def tree(folder: Path) -> dict[str, tuple[bytes | str, int]]:
    """Every file below a folder with its content (a link with its target) and its time."""
    return {
        path.relative_to(folder).as_posix(): (
            (str(path.readlink()), 0) if path.is_symlink() else (path.read_bytes(), path.stat().st_mtime_ns)
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def edited(path: Path, change) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_a_plan_is_read_as_it_was_written(photos):
    path = plan_for(photos, "move")
    plan = read_plan(path)
    assert plan.action == "move"
    assert plan.destination == photos.parent / "moved"
    assert [file.path.name for group in plan.groups for file in (group.keep, *group.files) if file] == [
        "keep.jpg", "copy.jpg", "copy.jpg", "large.jpg", "small.jpg",
    ]  # fmt: skip
    with pytest.raises(PlanError, match="exists already"):
        write_plan(plan, path)


def test_a_plan_from_groups_leaves_bursts_alone(photos):
    def grouped(name: str, tier: Tier) -> GroupedFile:
        return GroupedFile(photos / name, 1, bytes.fromhex(content_hash(photos / name)), tier, 0.9)

    tiers: list[tuple[Tier, list[str]]] = [
        ("exact", ["keep.jpg", "copy.jpg"]),
        ("burst", ["large.jpg", "sub/small.jpg"]),
    ]
    groups = [
        DuplicateGroup(
            tier, 0.91234, photos / names[0], "the oldest file", tuple(grouped(name, tier) for name in names)
        )
        for tier, names in tiers
    ]
    plan = make_plan(groups, "trash", roots=[photos])
    assert plan == Plan(
        "trash",
        (photos,),
        (
            PlannedGroup(
                planned(photos / "keep.jpg"),
                (planned(photos / "copy.jpg"),),
                "exact",
                0.9123,
                "the oldest file",
            ),
        ),
    )


def test_trash_moves_files_to_a_hidden_folder_of_their_root(photos):
    before = tree(photos)
    outcomes = apply_plan(plan_for(photos, "trash"))
    assert [(outcome.path.relative_to(photos).as_posix(), outcome.done) for outcome in outcomes] == [
        ("copy.jpg", True), ("sub/copy.jpg", True), ("sub/small.jpg", True),
    ]  # fmt: skip
    assert tree(photos) == {
        "keep.jpg": before["keep.jpg"],
        "large.jpg": before["large.jpg"],
        f"{TRASH}/copy.jpg": before["copy.jpg"],
        f"{TRASH}/sub/copy.jpg": before["sub/copy.jpg"],
        f"{TRASH}/sub/small.jpg": before["sub/small.jpg"],
    }


def test_move_keeps_the_folders_below_the_destination(photos, tmp_path):
    before = tree(photos)
    apply_plan(plan_for(photos, "move"))
    assert tree(tmp_path / "moved") == {
        name: before[name] for name in ("copy.jpg", "sub/copy.jpg", "sub/small.jpg")
    }
    assert sorted(tree(photos)) == ["keep.jpg", "large.jpg"]


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_links_stand_only_for_files_with_the_same_bytes(photos, action):
    outcomes = apply_plan(plan_for(photos, action))
    assert [outcome.done for outcome in outcomes] == [True, True, False]
    assert "not the same bytes" in outcomes[2].text
    for name in ("copy.jpg", "sub/copy.jpg"):
        assert (photos / name).samefile(photos / "keep.jpg")
        assert (photos / name).is_symlink() == (action == "symlink")
    assert (photos / "sub/small.jpg").read_bytes() == b"2"


@pytest.mark.parametrize("action", ACTIONS)
def test_undo_puts_everything_back_with_its_times(photos, tmp_path, action):
    before = tree(photos)
    plan = plan_for(photos, action)
    apply_plan(plan)
    outcomes = undo_plan(plan)
    assert {outcome.text for outcome in outcomes} == {"put back"}
    assert tree(photos) == before
    assert not (photos / TRASH).exists()
    assert undo_plan(plan) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_applying_twice_changes_nothing_more_and_after_undo_it_can_be_applied_again(photos, tmp_path, action):
    plan = plan_for(photos, action)
    first = apply_plan(plan)
    once = tree(tmp_path)
    assert apply_plan(plan) == first
    assert tree(tmp_path) == once
    undo_plan(plan)
    apply_plan(plan)
    assert tree(photos).keys() == {
        name.removeprefix("photos/") for name in once if name.startswith("photos/")
    }


def test_a_plan_whose_files_changed_stops_with_a_list_and_does_nothing(photos):
    plan = plan_for(photos, "trash")
    (photos / "copy.jpg").write_bytes(b"edited since")
    (photos / "large.jpg").unlink()
    before = tree(photos)
    with pytest.raises(ChangedFiles, match=r"copy\.jpg and 1 more: its content has changed") as stopped:
        apply_plan(plan)
    assert stopped.value.changed == (
        Outcome(photos / "copy.jpg", done=False, text="its content has changed"),
        Outcome(photos / "large.jpg", done=False, text="it has gone"),
    )
    assert tree(photos) == before


def after_each_move(monkeypatch, meddle) -> None:
    """Call `meddle` with the path of each file right after it has moved."""
    move = safe_move.move

    def moved(source: Path, *arguments, **options) -> bool:
        same = move(source, *arguments, **options)
        meddle(source)
        return same

    monkeypatch.setattr(moving_out, "move", moved)


def test_a_file_that_changes_during_the_run_is_left_alone_and_the_rest_is_done(photos, monkeypatch):
    plan = plan_for(photos, "trash")

    def meddle(path: Path) -> None:
        if path == photos / "copy.jpg":
            (photos / "sub/copy.jpg").write_bytes(b"edited meanwhile")

    after_each_move(monkeypatch, meddle)
    outcomes = apply_plan(plan)
    assert [outcome.done for outcome in outcomes] == [True, False, True]
    assert outcomes[1].text == "left alone: its content has changed"
    assert (photos / "sub/copy.jpg").read_bytes() == b"edited meanwhile"


def test_copies_stay_when_the_kept_file_goes_between_two_batches(photos, monkeypatch):
    monkeypatch.setattr(batches, "MOST_FILES", 1)
    plan = plan_for(photos, "trash")
    outcomes = apply_plan(plan, on_outcome=lambda outcome: (photos / "keep.jpg").unlink(missing_ok=True))
    assert [outcome.done for outcome in outcomes] == [True, False, True]
    assert "kept file" in outcomes[1].text
    assert (photos / "sub/copy.jpg").exists()


def test_a_person_may_take_files_out_of_a_plan(photos):
    plan = edited(plan_for(photos, "trash"), lambda document: document["groups"][0]["files"].pop(0))
    apply_plan(plan)
    assert sorted(tree(photos)) == [
        f"{TRASH}/sub/copy.jpg", f"{TRASH}/sub/small.jpg", "copy.jpg", "keep.jpg", "large.jpg",
    ]  # fmt: skip


def hostile(document: dict[str, Any], *, path: object) -> None:
    document["groups"][0]["files"][0]["path"] = path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: hostile(d, path="/etc/passwd"), "in none of its roots"),
        (lambda d: hostile(d, path=d["roots"][0] + "/../outside.jpg"), "in none of its roots"),
        (lambda d: hostile(d, path=d["roots"][0] + "/way-out/outside.jpg"), "leads out of its roots"),
        (lambda d: hostile(d, path="copy.jpg"), "in none of its roots"),
        (lambda d: hostile(d, path=d["groups"][0]["keep"]["path"]), "twice"),
        (lambda d: hostile(d, path=d["groups"][1]["keep"]["path"]), "twice"),
        (lambda d: hostile(d, path=d["roots"][0] + "/alias/small.jpg"), "twice"),
        (lambda d: hostile(d, path="a\0b"), "is not a path"),
        (lambda d: hostile(d, path=7), "is not a path"),
        (lambda d: d.update(roots=["photos"]), "not an absolute path"),
        (lambda d: d.update(action="delete"), "'delete' is none of trash"),
        (lambda d: d.update(action="move"), "needs a destination"),
        (lambda d: d.update(destination="/tmp"), "has no destination"),
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.pop("groups"), "'groups' is missing"),
        (lambda d: d["groups"][0]["keep"].update(content="00"), "not a hash"),
        (lambda d: d.update(groups=3), "not a plan that this version understands"),
    ],
)
def test_a_plan_that_reaches_too_far_is_refused_before_anything_happens(photos, tmp_path, change, message):
    (tmp_path / "outside.jpg").write_bytes(b"one" * 10_000)
    (photos / "way-out").symlink_to(tmp_path)
    (photos / "alias").symlink_to(photos / "sub")
    plan = edited(plan_for(photos, "trash"), change)
    before = tree(tmp_path)
    with pytest.raises(PlanError, match=message):
        apply_plan(plan)
    with pytest.raises(PlanError, match=message):
        undo_plan(plan)
    assert tree(tmp_path) == before


def test_a_plan_in_another_encoding_or_with_a_slip_says_where(tmp_path):
    for content, message in [(b'{"a": "caf\xe9"}', "its byte 11 is not UTF-8"), (b'{"a":\n 1,}', "line 2: ")]:
        (tmp_path / "plan.json").write_bytes(content)
        with pytest.raises(PlanError, match=message) as caught:
            apply_plan(tmp_path / "plan.json")
        assert "codec" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("found.html", "<!doctype html><title>Photos</title>"),
        ("table.csv", "path,label\n"),
        ("photo.jpg", "\xff\xd8\xff"),
        ("groups.json", '{"groups": [], "photos": 3}'),
        ("list.json", "[1, 2]"),
    ],
)
def test_another_kind_of_file_is_answered_with_what_a_plan_is(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    for run in (apply_plan, undo_plan):
        with pytest.raises(PlanError) as caught:
            run(tmp_path / name)
        assert str(caught.value) == (
            f"{tmp_path / name} is not a plan: name the file that `vitsearch duplicates --plan FILE` has written"
        )
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_journal_in_place_of_its_plan_is_answered_with_the_plan(photos):
    plan = plan_for(photos, "trash")
    apply_plan(plan)
    journal = plan.with_name("plan.json.journal")
    with pytest.raises(PlanError, match=rf"the journal of one: name {re.escape(str(plan))}$"):
        undo_plan(journal)


def test_undo_of_a_plan_that_was_never_applied_writes_nothing(photos, tmp_path):
    plan = plan_for(photos, "trash")
    before = tree(tmp_path)
    assert undo_plan(plan) == []
    assert tree(tmp_path) == before


def test_after_a_killed_undo_and_an_emptied_trash_it_is_said_what_became_of_each_file(photos):
    plan = plan_for(photos, "trash")
    apply_plan(plan)
    # As a kill leaves it: the undo has noted its batch, and put one file of it back.
    steps = {path.relative_to(photos).as_posix(): step for path, step in read_steps(plan).items()}
    with Journal(plan) as journal:
        journal.note_all([replace(step, inode=None, had_moved=True) for step in steps.values()], "begun")
    first, stranger, lost = steps.values()
    first.path.parent.mkdir(exist_ok=True)
    first.target.rename(first.path)
    shutil.rmtree(photos / TRASH)
    stranger.path.write_bytes(b"another photo")
    told = {outcome.path: outcome for outcome in undo_plan(plan)}
    assert told[first.path] == Outcome(first.path, done=True, text="it was put back before")
    assert told[stranger.path].done is False
    assert told[stranger.path].text == (
        f"another file is in its place now, and it is no longer at {stranger.target}"
    )
    assert told[lost.path].done is False
    assert told[lost.path].text == f"it is neither here nor at {lost.target}: was that trash emptied?"
    assert stranger.path.read_bytes() == b"another photo"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "null", '{"version": 1}'])
def test_what_is_not_a_plan_is_said_to_be_none(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(PlanError, match="is not a plan"):
        apply_plan(tmp_path / "plan.json")


def test_a_plan_may_only_speak_of_folders_that_the_library_knows(photos, tmp_path):
    plan = plan_for(photos, "trash")
    with pytest.raises(PlanError, match="in no folder that this library knows"):
        apply_plan(plan, roots=[tmp_path / "other"])
    assert all(outcome.done for outcome in apply_plan(plan, roots=[tmp_path]))


def test_a_journal_that_was_tampered_with_moves_nothing_out_of_the_roots(photos, tmp_path):
    plan = plan_for(photos, "trash")
    apply_plan(plan)
    journal = tmp_path / "plan.json.journal"
    journal.write_text(journal.read_text().replace(f"{TRASH}/copy.jpg", "../../outside.jpg"))
    before = tree(photos)
    with pytest.raises(PlanError, match="in none of its roots"):
        undo_plan(plan)
    assert tree(photos) == before


def test_the_kept_file_under_another_name_is_never_moved(photos):
    (photos / "copy.jpg").unlink()
    os.link(photos / "keep.jpg", photos / "copy.jpg")
    outcomes = apply_plan(plan_for(photos, "trash"))
    assert (outcomes[0].done, outcomes[0].text) == (False, "left alone: it is a kept file under another name")
    assert (photos / "copy.jpg").exists()


def test_a_link_in_place_of_a_file_is_left_alone(photos):
    plan = plan_for(photos, "trash")
    (photos / "copy.jpg").unlink()
    (photos / "copy.jpg").symlink_to(photos / "keep.jpg")
    with pytest.raises(ChangedFiles, match="something other than a file"):
        apply_plan(plan)


def test_nothing_is_written_over_at_the_destination_or_on_the_way_back(photos, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/copy.jpg").write_bytes(b"mine")
    plan = plan_for(photos, "move")
    apply_plan(plan)
    assert (tmp_path / "moved/copy.jpg").read_bytes() == b"mine"
    assert (tmp_path / "moved/copy-1.jpg").read_bytes() == b"one" * 10_000
    (photos / "copy.jpg").write_bytes(b"new photo of that name")
    outcomes = {outcome.path: outcome for outcome in undo_plan(plan)}
    assert outcomes[photos / "copy.jpg"].done is False
    assert "another file is in its place" in outcomes[photos / "copy.jpg"].text
    assert (photos / "copy.jpg").read_bytes() == b"new photo of that name"
    assert (photos / "sub/copy.jpg").read_bytes() == b"one" * 10_000
    (photos / "copy.jpg").unlink()
    assert undo_plan(plan) == [Outcome(photos / "copy.jpg", done=True, text="put back")]


def test_a_photo_edited_in_place_of_a_link_survives_undo(photos):
    plan = plan_for(photos, "symlink")
    apply_plan(plan)
    (photos / "copy.jpg").unlink()
    (photos / "copy.jpg").write_bytes(b"an edit")
    undo_plan(plan)
    assert (photos / "copy.jpg").read_bytes() == b"an edit"
    assert (photos / TRASH / "copy.jpg").read_bytes() == b"one" * 10_000


def test_a_stranger_in_the_place_of_a_photo_that_left_the_trash_is_not_said_to_be_put_back(photos):
    plan = plan_for(photos, "trash")
    apply_plan(plan)
    (photos / TRASH / "copy.jpg").unlink()
    (photos / "copy.jpg").write_bytes(b"another photo")
    for _ in range(2):
        told = {outcome.path.name: outcome for outcome in undo_plan(plan) if not outcome.done}
        assert told["copy.jpg"].text.startswith("another file is in its place now, and it is no longer at ")
    (photos / "copy.jpg").write_bytes(b"one" * 10_000)  # a person has put it back
    assert [outcome.text for outcome in undo_plan(plan) if outcome.path.name == "copy.jpg"] == [
        "it was put back before"
    ]


def test_a_place_that_cannot_be_written_costs_only_its_own_files(photos, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/sub").write_bytes(b"a file where a folder should be")
    outcomes = apply_plan(plan_for(photos, "move"))
    assert [outcome.done for outcome in outcomes] == [True, False, False]
    assert outcomes[1].text in ("left alone: File exists", "left alone: Not a directory")
    assert (photos / "sub/copy.jpg").exists()


def test_a_journal_whose_last_line_was_cut_off_anywhere_can_be_finished_or_undone(photos):
    """What a power cut leaves: each line is on the disk before the next step begins, so only the last can be torn."""
    before = tree(photos)
    plan = plan_for(photos, "trash")
    journal = plan.with_name(f"{plan.name}.journal")
    apply_plan(plan)
    after, whole = tree(photos), journal.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole), 11):
        journal.write_bytes(whole[:end])
        assert all(outcome.done for outcome in apply_plan(plan))
        assert tree(photos) == after
        journal.write_bytes(whole[:end])
        assert all(outcome.done for outcome in undo_plan(plan))
        assert tree(photos) == before
        apply_plan(plan)


def test_the_journal_of_an_earlier_plan_is_never_taken_for_that_of_a_new_one(photos):
    plan = plan_for(photos, "trash")
    journal = plan.with_name(f"{plan.name}.journal")
    apply_plan(plan)
    after = tree(photos)
    document = plan.read_bytes()
    plan.unlink()
    with pytest.raises(PlanError, match="give this plan another name"):
        clear_journal(plan)
    assert (journal.exists(), tree(photos)) == (True, after)
    # As the message says: the journal was kept, so that the old plan can be undone.
    plan.write_bytes(document)
    clear_journal(plan)
    assert all(outcome.done for outcome in undo_plan(plan))
    plan.unlink()
    clear_journal(plan)
    assert not journal.exists()
    for notes in ("notes of a person\n", "notes of a person"):
        journal.write_text(notes)
        with pytest.raises(PlanError, match=r"plan\.json\.journal is "):
            clear_journal(plan)
        assert journal.read_text() == notes


def test_two_runs_of_one_plan_do_not_meet(photos):
    plan = plan_for(photos, "trash")
    refused = []

    def again(outcome: Outcome) -> None:
        with pytest.raises(PlanError, match="another run is at work") as caught:
            undo_plan(plan)
        refused.append(caught.value)

    apply_plan(plan, on_outcome=again)
    assert len(refused) == 3


@NEEDS_TWO_FILE_SYSTEMS
def test_files_move_to_another_file_system_and_back(photos, tmp_path):
    before = tree(photos)
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        plan = plan_for(photos, "move", destination=Path(elsewhere))
        apply_plan(plan)
        assert tree(Path(elsewhere)) == {
            name: before[name] for name in ("copy.jpg", "sub/copy.jpg", "sub/small.jpg")
        }
        undo_plan(plan)
        assert tree(Path(elsewhere)) == {}
    assert tree(photos) == before


@NEEDS_TWO_FILE_SYSTEMS
def test_a_file_that_no_link_can_stand_for_is_put_back_and_the_plan_can_be_tried_again(photos):
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        kept = Path(elsewhere).resolve() / "keep.jpg"
        kept.write_bytes((photos / "keep.jpg").read_bytes())
        before = tree(photos)
        group = PlannedGroup(planned(kept), (planned(photos / "copy.jpg"),))
        path = photos.parent / "plan.json"
        write_plan(Plan("hardlink", (photos, kept.parent), (group,)), path)
        for _ in range(2):
            (outcome,) = apply_plan(path)
            assert (outcome.done, outcome.text) == (False, "left alone: Invalid cross-device link")
            assert tree(photos) == before
        undo_plan(path)
        assert tree(photos) == before


def test_a_copy_behind_a_link_out_of_the_roots_is_left_out_of_a_plan_with_a_line(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (photos / "sub/copy.jpg").rename(tmp_path / "elsewhere/copy.jpg")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    group = DuplicateGroup(
        "exact",
        1.0,
        photos / "keep.jpg",
        "the oldest file",
        tuple(
            GroupedFile(photos / name, 1, bytes.fromhex(content_hash(photos / name)), "exact", 1.0)
            for name in ("keep.jpg", "copy.jpg", "linked/copy.jpg")
        ),
    )
    said = []
    plan = make_plan(
        [group], "trash", roots=[photos], notice=lambda file, reason: said.append((file, reason))
    )
    assert [file.path for file in plan.groups[0].files] == [photos / "copy.jpg"]
    assert said == [
        (photos / "linked/copy.jpg", "it lies outside of the indexed folders, behind a link"),
    ]


@pytest.mark.trust
@pytest.mark.parametrize(("action", "link"), [("trash", f"photos/{TRASH}"), ("move", "moved/sub")])
def test_what_undo_could_not_take_back_is_left_alone(photos, tmp_path, action, link):
    """Undo takes nothing from behind a link out of the plan's folders, so that nothing goes there."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    before = tree(photos)
    plan = plan_for(photos, action)
    outcomes = apply_plan(plan)
    behind = [outcome for outcome in outcomes if not outcome.done]
    assert len(behind) == (3 if action == "trash" else 2)
    assert all("from where undo takes nothing back" in outcome.text for outcome in behind)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert all(outcome.done for outcome in undo_plan(plan))
    assert tree(photos) == before


# Files may not grow beyond so many bytes, as on a disk that is full then.
WITH_LITTLE_ROOM = """
import resource, runpy, signal, sys
room = int(sys.argv[1])
sys.argv = sys.argv[2:]
from pathlib import Path
import filelock
from vitsearch.duplicates.cleanup.applying import apply_plan
from vitsearch.duplicates.cleanup.plan_files import read_plan, write_plan
from vitsearch.errors import PlanError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    write_plan(read_plan(Path(sys.argv[0])), Path(sys.argv[1])) if sys.argv[1:] else apply_plan(Path(sys.argv[0]))
except PlanError as error:
    print(error)
"""


def with_little_room(room: int, *paths: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_ROOM, str(room), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.trust
@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
def test_a_full_disk_leaves_no_half_plan_in_the_way_of_the_next_try(photos, tmp_path):
    plan, other = plan_for(photos, "trash"), tmp_path / "other.json"
    before = sorted(path.name for path in tmp_path.iterdir())
    assert "cannot write the plan" in with_little_room(100, plan, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    write_plan(read_plan(plan), other)
    assert read_plan(other) == read_plan(plan)


@pytest.mark.trust
@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("room", [0, 100, 700])
def test_a_journal_that_does_not_fit_is_left_whole_and_the_plan_can_be_tried_again(photos, tmp_path, room):
    before = tree(photos)
    plan = plan_for(photos, "trash")
    said = with_little_room(room, plan)
    assert said.startswith("cannot write the journal")
    journal = plan.with_name(f"{plan.name}.journal").read_bytes()
    assert journal == b"" or journal.endswith(b"\n")
    assert len({(path.read_bytes()) for path in photos.rglob("*.jpg")}) == 3
    assert all(outcome.done for outcome in apply_plan(plan))
    assert all(outcome.done for outcome in undo_plan(plan))
    assert tree(photos) == before


def test_names_that_are_not_utf8_survive_the_plan_and_the_journal(photos):
    strange = Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.jpg"))
    strange.write_bytes(b"one" * 10_000)
    path = photos.parent / "plan.json"
    group = PlannedGroup(planned(photos / "keep.jpg"), (planned(strange),))
    write_plan(Plan("trash", (photos,), (group,)), path)
    assert all(outcome.done for outcome in apply_plan(path))
    assert not strange.exists()
    undo_plan(path)
    assert strange.read_bytes() == b"one" * 10_000


# Runs with limits of its own: as a user who may not write everywhere, or with files that may not grow.
LIMITED = """
import json, sys
from pathlib import Path
from vitsearch.duplicates.cleanup import applying
limit, plan = sys.argv[1], Path(sys.argv[2])
if limit == "full":
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000))
else:
    import os
    import filelock, platformdirs.unix  # read before the new user may not
    os.setuid(65534)
print(json.dumps([[outcome.path.name, outcome.done, outcome.text] for outcome in applying.apply_plan(plan)]))
"""


def limited(limit: str, plan: Path) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, limit, str(plan)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_files_in_a_folder_that_is_read_only_are_left_alone_with_a_line_each(photos, tmp_path):
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o777)  # the journal is written beside the plan
    photos.chmod(0o777)
    (photos / "sub").chmod(0o555)
    for path in photos.rglob("*.jpg"):
        os.chown(path, 65534, 65534)
    before = tree(photos)
    assert limited("user", plan_for(photos, "trash")) == [
        ["copy.jpg", True, f"moved to {photos / TRASH / 'copy.jpg'}"],
        [
            "copy.jpg",
            False,
            "left alone: Permission denied: make its folder writable, and apply the plan again",
        ],
        [
            "small.jpg",
            False,
            "left alone: Permission denied: make its folder writable, and apply the plan again",
        ],
    ]
    assert tree(photos / "sub") == {
        name.removeprefix("sub/"): before[name] for name in before if "sub/" in name
    }
    assert sorted(tree(photos / TRASH)) == ["copy.jpg"]


@NEEDS_TWO_FILE_SYSTEMS
def test_a_file_that_does_not_fit_stays_and_the_rest_is_moved(photos):
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        found = limited("full", plan_for(photos, "move", destination=Path(elsewhere)))
        assert [(name, done) for name, done, _ in found] == [
            ("copy.jpg", False),
            ("copy.jpg", False),
            ("small.jpg", True),
        ]
        assert {text for _, done, text in found if not done} == {"left alone: File too large"}
        assert sorted(tree(Path(elsewhere))) == ["sub/small.jpg"]
    assert (photos / "copy.jpg").read_bytes() == b"one" * 10_000


def test_a_plan_has_one_journal_by_whatever_link_it_is_named(photos, tmp_path):
    plan = plan_for(photos, "trash")
    before = {path: path.read_bytes() for path in photos.rglob("*.jpg")}
    link = tmp_path / "elsewhere" / "plan.json"
    link.parent.mkdir()
    link.symlink_to(plan)
    apply_plan(link)
    assert not (photos / "copy.jpg").exists()
    undo_plan(plan)
    assert {path: path.read_bytes() for path in photos.rglob("*.jpg")} == before
