"""The commands `duplicates`, `apply` and `undo`: documents, plans that can be taken back, decisions, exit statuses."""

import json
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from click import UsageError
from click.testing import CliRunner
from PIL import Image

from tests.support.samples import SAMPLES
from vitsearch.cli import cli
from vitsearch.cli.named_photos import photos_at
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.cleanup import moving_out, safe_move
from vitsearch.duplicates.cleanup.applying import apply_plan
from vitsearch.duplicates.cleanup.plan_files import read_plan
from vitsearch.duplicates.have import compare_folder
from vitsearch.errors import BadQuery, OutputError, UnreadablePhoto
from vitsearch.storage.write_lock import photos_lock

CAT = SAMPLES / "animals" / "cat-1.jpg"


@pytest.fixture
def photos(tmp_path):
    """Two exact copies, a smaller one, and a photo that is alone."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(CAT, folder / "cat.jpg")
    os.utime(folder / "cat.jpg", (1_000_000, 1_000_000))
    shutil.copy(CAT, folder / "sub" / "cat.jpg")
    with Image.open(CAT) as image:
        image.reduce(2).save(folder / "small.jpg", quality=80)
    shutil.copy(SAMPLES / "animals" / "dog-1.jpg", folder / "dog.jpg")
    return folder


@pytest.fixture
def call(library):
    """Run a command in this process, on the fixture's library; errors come out as they are."""

    def run_command(*arguments: object, status: int = 0):
        done = CliRunner().invoke(
            cli,
            ["--library", str(library.folder), *map(str, arguments)],
            catch_exceptions=False,
            standalone_mode=False,
        )
        # Without click's own handling, a status that a command chose is what it returns.
        assert (done.return_value or 0) == status, done.output
        return done

    return run_command


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_document_holds_groups_with_evidence_and_what_they_rest_on(library, photos, call):
    library.index([photos])
    document = json.loads(call("duplicates", "--json").stdout)
    assert list(document) == ["groups", "cutoffs", "photos", "pairs", "skipped", "alike", "contains"]
    assert document["cutoffs"] == {"earned": False, "share": 0.82, "closeness": 0.95}
    assert (document["photos"], document["skipped"]) == (3, [])
    (group,) = document["groups"]
    assert list(group) == ["group", "tier", "score", "keep", "reason", "files"]
    assert (group["tier"], group["keep"]) == ("near", str(photos / "cat.jpg"))
    assert group["score"] == min(file["score"] for file in group["files"]) > 0.95
    assert [(file["path"], file["tier"]) for file in group["files"]] == [
        (str(photos / "cat.jpg"), "exact"),
        (str(photos / "small.jpg"), "near"),
        (str(photos / "sub" / "cat.jpg"), "exact"),
    ]
    small = group["files"][1]
    assert small["transform"] == "identical"
    assert {"cosine", "hash_distance", "inliers", "share", "closeness"} <= set(small)
    assert group["group"] == "-".join(map(str, sorted({file["photo"] for file in group["files"]})))


def test_lines_are_the_groups_of_the_document_one_by_one(library, photos, call):
    shutil.copy(photos / "dog.jpg", photos / "sub")
    library.index([photos])
    groups = json.loads(call("duplicates", "--json").stdout)["groups"]
    assert len(groups) == 2
    assert [json.loads(line) for line in call("duplicates", "--lines").stdout.splitlines()] == groups


def test_the_text_names_each_group_and_says_what_would_be_kept_and_why(library, photos, call):
    library.index([photos])
    done = call("duplicates", "--tier", "exact")
    assert done.stdout == (
        "group 1: identical files\n"
        f"  keep   {photos}/cat.jpg  (800 x 450, 64.0 kB): the oldest file\n"
        f"  copy   {photos}/sub/cat.jpg  (800 x 450, 64.0 kB): identical file\n"
    )
    assert done.stderr == "1 group among 3 photos: 1 of identical files\n"
    # Nothing is said of how pairs are judged where they are judged as always.
    assert call("duplicates").stderr == "1 group among 3 photos: 1 of edited copies\n"


def test_what_is_left_out_is_counted_by_reason_with_a_few_examples(library, photos, call):
    for number in range(6):
        shutil.copy(photos / "cat.jpg", photos / f"{number}.jpg")
    library.index([photos])
    for number in range(6):
        (photos / f"{number}.jpg").unlink()
    done = call("duplicates", "--tier", "exact")
    lines = done.stderr.splitlines()
    assert lines[0] == "left out: 6 files: No such file or directory"
    assert lines[1:5] == [
        *(f"  {photos}/{number}.jpg" for number in range(3)),
        "  and 3 more (all with --json)",
    ]
    assert len(json.loads(call("duplicates", "--json").stdout)["skipped"]) == 6


def test_of_two_folders_it_is_said_in_which_one_nothing_goes(library, photos, call):
    library.index([photos])
    between = ("duplicates", "find", "--between", str(photos / "sub"), str(photos))
    done = call(*between)
    assert f"keep   {photos}/sub/cat.jpg" in done.stdout
    assert f"what is in {photos}/sub stays: copies are those in the other folder" in done.stderr
    assert f"what is in {photos} stays" in call(*between, "--prefer", str(photos)).stderr


def test_what_dismissed_pairs_have_changed_is_said_in_plain_words(library, photos, call, picture):
    for number in range(32):
        picture(
            photos / f"colour-{number}.png",
            (number * 7, 255 - number * 5, number * 3),
            size=(64, 48 + number),
        )
    library.index([photos])
    group = json.loads(call("duplicates", "--json").stdout)["groups"][0]["group"]
    call("duplicates", "dismiss", group)
    told = call("duplicates").stderr.splitlines()
    place = next(place for place, line in enumerate(told) if line.startswith("edited copies"))
    last = told[place]
    assert re.fullmatch(
        "edited copies: judged (as usual|more strictly), as .* dismissed looks? like .*", last
    )
    assert len(last) < 100
    strictly = "more strictly" in last
    assert ["`duplicates restore` undoes it" in line for line in told[place + 1 :]] == [True] * strictly
    assert not {"cutoffs", "closeness", "thresholds", "near:"} & set(last.split())


@pytest.mark.parametrize("action", ["trash", "move", "hardlink", "symlink"])
def test_a_plan_is_carried_out_and_undone_to_the_last_byte(library, photos, call, tmp_path, action):
    library.index([photos])
    before, plan = state(photos), tmp_path / "plan.json"
    elsewhere = ["--to", tmp_path / "elsewhere"] if action == "move" else []
    tiers = ["--tier", "exact"] if "link" in action else []
    call("duplicates", *tiers, "--plan", plan, "--action", action, *elsewhere)
    assert state(photos) == before

    done = call("apply", plan)
    assert "sub/cat.jpg" in done.stdout
    assert (photos / "cat.jpg").read_bytes() == CAT.read_bytes()
    if "link" in action:
        assert (photos / "sub" / "cat.jpg").samefile(photos / "cat.jpg")
    else:
        assert not (photos / "sub" / "cat.jpg").exists()
        assert not (photos / "small.jpg").exists()
        # The trash and the other folder are no part of the library.
        library.index([photos])
        assert json.loads(call("duplicates", "--json").stdout)["groups"] == []
    assert json.loads(call("apply", plan, "--json").stdout)["files"][0]["done"] is True

    call("undo", plan)
    assert state(photos) == before
    assert not (photos / ".vitsearch-trash").exists()


def test_a_raw_file_and_a_video_go_with_their_photo_only_where_the_kept_one_has_the_same(
    library, photos, call, tmp_path
):
    for name, content in {
        "cat.MOV": b"video",
        "cat.NEF": b"raw",
        "sub/cat.mov": b"video",
        "sub/cat.nef": b"edited raw",
    }.items():
        (photos / name).write_bytes(content)
    before = state(photos)
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--plan", plan)
    call("apply", plan)
    left = {path.relative_to(photos).as_posix() for path in photos.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith(".vitsearch-trash")} == {
        "cat.jpg", "cat.MOV", "cat.NEF", "dog.jpg", "sub/cat.nef",
    }  # fmt: skip
    call("undo", plan)
    assert state(photos) == before


def test_sidecars_that_the_kept_file_lacks_are_put_beside_it(library, photos, call, tmp_path):
    for name, content in {
        "cat.jpg.xmp": b"kept",  # another kind than that of the copy
        "sub/cat.xmp": b"keywords",
        "sub/cat.jpg.json": b"{}",
        "small.jpg.xmp": b"rating",
        "small.aae": b"edits",
    }.items():
        (photos / name).write_bytes(content)
    before = state(photos)
    library.index([photos])
    plan = tmp_path / "plan.json"
    made = call("duplicates", "find", "--plan", plan)
    assert f"plan: {plan} (trash 2 photos and 3 sidecars); read it" in made.stderr
    (group,) = json.loads(plan.read_text())["groups"]
    assert {Path(move["path"]).name: Path(move["to"]).name for move in group["sidecars_that_move"]} == {
        "cat.xmp": "cat.xmp",
        "cat.jpg.json": "cat.jpg.json",
        "small.aae": "cat.aae",
    }
    assert [Path(path).name for path in group["sidecars_that_stay"]] == ["small.jpg.xmp"]
    assert state(photos) == before

    assert call("apply", plan).stderr.startswith("5 files moved, 0 left alone: 2 photos and 3 sidecars\n")
    left = {name: content for name, (content, _) in state(photos).items() if "vitsearch-trash" not in name}
    assert left == {
        "cat.jpg": CAT.read_bytes(),
        "dog.jpg": (photos / "dog.jpg").read_bytes(),
        "cat.jpg.xmp": b"kept",
        "cat.xmp": b"keywords",
        "cat.jpg.json": b"{}",
        "cat.aae": b"edits",
        "small.jpg.xmp": b"rating",
    }
    call("undo", plan)
    assert state(photos) == before


def test_a_sidecar_of_a_photo_or_raw_file_that_stays_is_left_to_it(library, photos, call, tmp_path):
    with Image.open(SAMPLES / "nature" / "bee-1.jpg") as image:
        image.reduce(4).save(photos / "sub" / "cat.png")  # another picture of the same name
    for name, content in {
        "sub/cat.xmp": b"of the bee",
        "sub/cat.jpg.json": b"of the cat",
        "cat.nef": b"raw",
        "small.nef": b"another raw file",
        "small.xmp": b"how that is developed",
    }.items():
        (photos / name).write_bytes(content)
    before = state(photos)
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)
    (group,) = json.loads(plan.read_text())["groups"]
    assert [Path(move["path"]).name for move in group["sidecars_that_move"]] == ["cat.jpg.json"]
    call("apply", plan)
    left = {name for name in state(photos) if "vitsearch-trash" not in name}
    assert {"sub/cat.png", "sub/cat.xmp", "small.nef", "small.xmp"} <= left
    call("undo", plan)
    assert state(photos) == before


def test_a_sidecar_stays_beside_a_photo_that_is_left_alone(library, photos, call, tmp_path, monkeypatch):
    (photos / "sub/cat.xmp").write_bytes(b"keywords")
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)

    move = safe_move.move

    def edited(source, *arguments, **options):
        """Save the other copy anew, when its turn comes."""
        if source.name == "cat.jpg":
            source.write_bytes(b"edited meanwhile")
        return move(source, *arguments, **options)

    monkeypatch.setattr(moving_out, "move", edited)
    outcomes = {one.path: one for one in apply_plan(plan)}
    assert not outcomes[photos / "sub/cat.jpg"].done
    assert not outcomes[photos / "sub/cat.xmp"].done
    assert (photos / "sub/cat.xmp").read_bytes() == b"keywords"


@pytest.mark.parametrize("known", [False, True])
def test_undo_puts_back_what_the_library_has_forgotten_since(library, photos, call, tmp_path, known):
    before = state(photos)
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)
    call("apply", plan)
    call("roots", "forget", photos, "--yes")
    if known:  # of other folders
        (tmp_path / "others").mkdir()
        shutil.copy(SAMPLES / "nature" / "bee-1.jpg", tmp_path / "others")
        library.index([tmp_path / "others"])
    call("undo", plan)
    assert state(photos) == before


_NOTES = ("cat.xmp", "cat.jpg.xmp", "cat.jpg.supplemental-metadata.json")


# A photo with a raw file or a video of its own would be the one that is kept.
@pytest.mark.parametrize(
    ("name", "kept_has_it"),
    [*((name, True) for name in (*_NOTES, "cat.nef", "cat.mov")), *((name, False) for name in _NOTES)],
)
def test_whatever_lies_beside_a_photo_that_is_left_alone_stays(
    library, photos, call, tmp_path, monkeypatch, name, kept_has_it
):
    for folder in (photos, photos / "sub") if kept_has_it else (photos / "sub",):
        (folder / name).write_bytes(b"of the cat")
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)
    assert str(photos / "sub" / name) in plan.read_text()
    change_of = moving_out.MovingOut.carry_out

    def edited(self, turns):
        (photos / "sub/cat.jpg").write_bytes(b"edited meanwhile")
        return change_of(self, turns)

    monkeypatch.setattr(moving_out.MovingOut, "carry_out", edited)
    told = {one.path: one.text for one in apply_plan(plan)}
    assert told[photos / "sub" / name] == "left alone: so was its photo, cat.jpg"
    assert (photos / "sub" / name).read_bytes() == b"of the cat"


@pytest.mark.parametrize("name", [*_NOTES, "cat.mov"])
def test_whatever_lies_beside_a_photo_that_was_taken_out_of_the_plan_stays(
    library, photos, call, tmp_path, name
):
    for folder in (photos, photos / "sub"):
        (folder / name).write_bytes(b"of the cat")
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)
    document = json.loads(plan.read_text())
    (photo,) = (group for group in document["groups"] if group["keep"]["path"] == str(photos / "cat.jpg"))
    photo["files"] = [file for file in photo["files"] if file["path"] != str(photos / "sub/cat.jpg")]
    plan.write_text(json.dumps(document))
    told = {one.path: one.text for one in apply_plan(plan)}
    assert told[photos / "sub" / name] == "left alone: its photo stays, cat.jpg"


@pytest.mark.parametrize("action", ["trash", "hardlink"])
def test_a_plan_may_have_a_group_whose_files_were_taken_out(tmp_path, action):
    plan = tmp_path / "plan.json"
    group: dict[str, object] = {"keep": None, "files": []}
    plan.write_text(json.dumps({"version": 1, "action": action, "roots": [str(tmp_path)], "groups": [group]}))
    assert read_plan(plan).groups[0].files == ()


def test_a_sidecar_never_replaces_one_that_has_come_since(library, photos, call, tmp_path):
    (photos / "small.xmp").write_bytes(b"rating")
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "find", "--plan", plan)
    (photos / "cat.xmp").write_bytes(b"newer")
    done = call("apply", plan, status=1)
    assert f"{photos}/small.xmp: left alone: {photos}/cat.xmp is there by now" in done.stdout
    assert ((photos / "cat.xmp").read_bytes(), (photos / "small.xmp").read_bytes()) == (b"newer", b"rating")


def test_a_plan_whose_files_have_changed_stops_with_a_list_and_does_nothing(library, photos, tmp_path, run):
    library.index([photos])
    plan = tmp_path / "plan.json"
    assert run("duplicates", "--plan", plan).returncode == 0
    (photos / "small.jpg").write_bytes(b"edited")
    (photos / "sub" / "cat.jpg").unlink()
    before = state(photos)
    done = run("apply", plan)
    assert done.returncode == 1
    assert f"{photos}/small.jpg: its content has changed" in done.stderr
    assert f"{photos}/sub/cat.jpg: it has gone" in done.stderr
    assert "Nothing was done" in done.stderr
    assert state(photos) == before


@pytest.mark.trust
@pytest.mark.parametrize("command", ["apply", "undo"])
def test_a_plan_is_refused_in_one_line_while_another_is_at_work_on_the_same_photos(
    library, photos, tmp_path, run, command
):
    library.index([photos])
    plan = tmp_path / "plan.json"
    assert run("duplicates", "--plan", plan).returncode == 0
    before = state(photos)
    with photos_lock(library.folder):
        done = run(command, plan)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "another plan is being applied or undone" in done.stderr
    assert state(photos) == before


def test_a_file_that_is_left_alone_is_said_and_makes_the_status_one(library, photos, call, tmp_path):
    library.index([photos])
    plan = tmp_path / "plan.json"
    # No link can stand for a file with other bytes.
    call("duplicates", "--plan", plan, "--action", "hardlink")
    done = call("apply", plan, status=1)
    assert f"{photos}/small.jpg: left alone: it has not the same bytes" in done.stdout
    assert done.stderr == (
        "1 file moved, 1 left alone\n"
        f"they are in {photos / '.vitsearch-trash'}: delete that folder to free the space\n"
        "searches know of it after `vitsearch index`\n"
    )


def test_undo_says_of_a_plan_that_it_was_never_applied_or_is_undone(library, photos, call, tmp_path):
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--plan", plan)
    assert call("undo", plan).stderr == f"{plan} was never applied: there is nothing to put back\n"
    assert json.loads(call("undo", plan, "--json").stdout) == {"files": []}
    call("apply", plan)
    assert "2 files put back, 0 left alone" in call("undo", plan).stderr
    assert call("undo", plan).stderr == f"{plan} was undone before: there is nothing to put back\n"


def test_force_overwrites_a_page_and_says_why_it_overwrites_no_plan(library, photos, call, tmp_path):
    library.index([photos])
    plan, page = tmp_path / "plan.json", tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(OutputError, match="add --force"):
        call("duplicates", "--html", page)
    call("duplicates", "--html", page, "--force")
    assert page.read_text() != "mine"
    call("duplicates", "--plan", plan)
    before = plan.read_bytes()
    with pytest.raises(
        OutputError, match="which --force does not overwrite as it may be needed to undo: give"
    ):
        call("duplicates", "--plan", plan, "--force")
    assert plan.read_bytes() == before


def test_a_plan_never_overwrites_a_file_and_never_holds_a_burst(library, tmp_path, call):
    photos = tmp_path / "photos"
    photos.mkdir()
    with Image.open(SAMPLES / "travel" / "castle-2.jpg") as scene:
        for second in (0, 2):
            exif = Image.Exif()
            exif[0x0132] = f"2024:05:01 10:00:0{second}"
            shot = scene.convert("RGB").crop((second, 0, 600 + second, 500))
            shot.save(photos / f"{second}.jpg", exif=exif)
    library.index([photos])
    plan = tmp_path / "plan.json"
    assert call("duplicates", "--plan", plan).stdout.splitlines()[0].endswith(": bursts")
    assert json.loads(plan.read_text())["groups"] == []
    with pytest.raises(OutputError, match="exists already"):
        call("duplicates", "--plan", plan)


def test_a_plan_that_was_applied_says_so_and_that_nothing_is_left_to_do(library, photos, call, tmp_path):
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--plan", plan)
    first = call("apply", plan)
    assert len(first.stdout.splitlines()) == 2
    os.utime(f"{plan}.journal", (1_790_000_000, 1_790_000_000))
    when = datetime.fromtimestamp(1_790_000_000).astimezone()  # as a person's clock says it
    again = call("apply", plan)
    assert again.stdout == ""
    told = again.stderr.splitlines()
    assert (
        told[0]
        == f"{plan} was applied before, on {when:%Y-%m-%d at %H:%M}, to 2 files: nothing was left to do"
    )
    assert "moved" not in again.stderr
    assert told[1].startswith("they are in ")
    assert [file["before"] for file in json.loads(call("apply", plan, "--json").stdout)["files"]] == [
        True
    ] * 2


def test_a_plan_is_undone_also_where_the_library_has_gone(library, photos, call, tmp_path):
    library.index([photos])
    before, plan = state(photos), tmp_path / "plan.json"
    call("duplicates", "--plan", plan)
    call("apply", plan)
    library.close()
    shutil.rmtree(library.folder)
    done = call("undo", plan)
    assert done.stderr.startswith("2 files put back, 0 left alone\n")
    assert state(photos) == before
    assert not library.folder.exists()


def test_a_file_that_has_come_back_since_is_not_said_to_be_moved(library, photos, call, tmp_path):
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--plan", plan)
    call("apply", plan)
    shutil.copy(photos / "cat.jpg", photos / "sub" / "cat.jpg")
    again = call("apply", plan, status=1)
    assert again.stdout.startswith(f"{photos / 'sub' / 'cat.jpg'}: left alone: an earlier run moved it to ")
    assert "to 1 file\n0 files moved, 1 left alone\n" in again.stderr


def test_a_file_is_kept_for_the_same_reasons_whatever_tiers_are_asked_for(library, tmp_path, call):
    """Two equal files with the camera's data, and a copy without it: only the first two are an exact group."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    with Image.open(CAT) as image:
        exif = Image.Exif()
        exif[0x0110] = "X100"
        image.save(folder / "cat.png", exif=exif)
        image.save(folder / "bare.png")
    shutil.copy(folder / "cat.png", folder / "deeper" / "cat.png")
    for path in folder.rglob("*.png"):
        os.utime(path, (1_000_000, 1_000_000))
    library.index([folder])
    (every,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    (exact,) = json.loads(call("duplicates", "--tier", "exact", "--json").stdout)["groups"]
    assert every["keep"] == exact["keep"] == str(folder / "cat.png")
    assert every["reason"] == "has the camera's own data; of equal ones, the shortest path"
    assert exact["reason"] == "all are equal: the shortest path"


def test_a_group_that_is_no_duplicate_is_not_shown_again(library, photos, call):
    library.index([photos])
    (group,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    done = call("duplicates", "--not-duplicates", group["group"])
    assert done.stderr == "remembered: 1 pair of photos told apart\n"
    # The two files with the same bytes are one photo: they are a group of their own, until that is wanted as well.
    (left,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    assert (left["tier"], left["group"]) == ("exact", group["group"].split("-")[0])
    call("duplicates", "--not-duplicates", left["group"])
    assert json.loads(call("duplicates", "--json").stdout)["groups"] == []


def test_photos_can_be_told_apart_by_their_paths(library, photos, call):
    library.index([photos])
    call("duplicates", "--not-duplicates", photos / "cat.jpg", "--not-duplicates", photos / "small.jpg")
    (left,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    assert left["tier"] == "exact"
    with pytest.raises(BadQuery, match="is not in the library"):
        call(
            "duplicates",
            "--not-duplicates",
            CAT.with_name("dog-2.jpg"),
            "--not-duplicates",
            photos / "cat.jpg",
        )


def test_what_was_told_apart_is_listed_and_can_be_taken_back(library, photos, call):
    library.index([photos])
    (before,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    call("duplicates", "--not-duplicates", before["group"])
    (pair,) = json.loads(call("duplicates", "--told-apart", "--json").stdout)["told_apart"]
    assert pair["group"] == before["group"]
    assert sorted(pair["files"]) == sorted(file["path"] for file in before["files"])
    listing = call("duplicates", "--told-apart")
    assert listing.stdout.splitlines()[0] == f"group {before['group']}"
    assert str(photos / "small.jpg") in listing.stdout

    done = call("duplicates", "--take-back", photos / "cat.jpg", "--take-back", photos / "small.jpg")
    assert done.stderr == "taken back: 1 pair of photos may be duplicates again\n"
    assert json.loads(call("duplicates", "--told-apart", "--json").stdout) == {"told_apart": []}
    assert json.loads(call("duplicates", "--json").stdout)["groups"] == [before]
    assert call("duplicates", "--take-back", before["group"]).stderr.startswith("taken back: 0 pairs")


def test_a_check_of_two_files_needs_no_library_and_answers_with_its_status(run, tmp_path):
    with Image.open(CAT) as image:
        edit = next(one for one in EDITS if one.name == "mirror")
        edit.apply(image.convert("RGB"), Random(0)).save(tmp_path / "mirrored.png")
    done = run("duplicates", "check", CAT, tmp_path / "mirrored.png")
    assert (done.returncode, done.stdout) == (
        0,
        f"the same shot: mirrored (mirrored.png beside {CAT.name})\n",
    )
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "mirrored.png", tmp_path / "other" / CAT.with_suffix(".png").name)
    shutil.copy(CAT, tmp_path / CAT.with_suffix(".png").name)
    same_name = tmp_path / CAT.with_suffix(".png").name, tmp_path / "other" / CAT.with_suffix(".png").name
    assert run("duplicates", "check", *same_name).stdout == (
        f"the same shot: mirrored ({same_name[1]} beside {same_name[0]})\n"
    )
    done = run("duplicates", "check", CAT, SAMPLES / "animals" / "cat-2.jpg")
    assert (done.returncode, done.stdout) == (
        3,
        "not the same shot: no part of one lines up with the other\n",
    )
    done = run("duplicates", "--check", CAT, tmp_path / "none.jpg")
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "library").exists()


def test_a_check_says_which_file_holds_a_video(run, tmp_path):
    with Image.open(CAT) as image:
        image.convert("RGB").save(tmp_path / "still.jpg")
    video = b"\0\0\0\x18ftypmp4v\0\0\0\0mp42mp4v\0\0\0\x10moov" + bytes(5000)
    (tmp_path / "motion.jpg").write_bytes((tmp_path / "still.jpg").read_bytes() + video)
    files = tmp_path / "still.jpg", tmp_path / "motion.jpg"
    assert run("duplicates", "check", *files).stdout == (
        "the same shot: the same, saved again, with a video behind it (motion.jpg beside still.jpg)\n"
    )
    assert run("duplicates", "check", *reversed(files)).stdout == (
        "the same shot: the same, saved again, without a video that the other one has behind it "
        "(still.jpg beside motion.jpg)\n"
    )


def test_a_check_knows_the_same_bytes_and_the_same_pixels(call, tmp_path):
    shutil.copy(CAT, tmp_path / "same.jpg")
    with Image.open(CAT) as image:
        image.save(tmp_path / "same.png")
    found = {
        name: json.loads(call("duplicates", "--check", CAT, tmp_path / name, "--json").stdout)
        for name in ("same.jpg", "same.png")
    }
    assert {name: (one["same"], one["tier"], one["score"]) for name, one in found.items()} == {
        "same.jpg": (True, "exact", 1.0),
        "same.png": (True, "pixels", 1.0),
    }
    with pytest.raises(UnreadablePhoto):
        call("duplicates", "--check", CAT, tmp_path)


def test_the_page_shows_both_photos_of_each_pair_and_names_cannot_act(library, photos, call, tmp_path):
    (photos / "small.jpg").rename(photos / "<script>alert(1)<&.jpg")
    library.index([photos])
    page = tmp_path / "found.html"
    call("duplicates", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;&amp;.jpg" in text
    assert len(re.findall(r'<img [^>]*src="data:image/jpeg;base64,[^"]+"', text)) == 4
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert "the same, smaller" in text


def test_a_huge_group_goes_on_on_further_pages(library, photos, call, tmp_path, monkeypatch):
    monkeypatch.setattr("vitsearch.pages.duplicates.PAIRS_PER_PAGE", 2)
    for number in range(3):
        shutil.copy(CAT, photos / f"copy-{number}.jpg")
    library.index([photos])
    page = tmp_path / "found.html"
    done = call("duplicates", "--html", page)
    assert f"page: {page} and 2 pages that it links to\n" in done.stderr
    pages = [page, tmp_path / "found-2.html", tmp_path / "found-3.html"]
    texts = [one.read_text(encoding="utf-8") for one in pages]
    assert [re.findall(r'href="([^"]*)"', text) for text in texts] == [
        ["found-2.html"] * 2,
        ["found.html", "found-3.html"] * 2,
        ["found-2.html"] * 2,
    ]
    # Five copies, each beside the kept file.
    assert [len(re.findall(r"<img ", text)) for text in texts] == [4, 4, 2]
    # A file in the way of a later page is named before anything is written.
    page.unlink()
    shutil.copy(CAT, tmp_path / "found-2.html")
    with pytest.raises(OutputError, match=r"found-2\.html"):
        call("duplicates", "--html", page)
    assert not page.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--action", "trash"],
        ["--plan", "p.json", "--action", "move"],
        ["--plan", "p.json", "--to", "elsewhere"],
        ["--json", "--lines"],
        ["--max-false-share", "0"],
        ["--tier", "similar"],
        ["--not-duplicates", "one.jpg"],
        ["--take-back", "one.jpg"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_refused_before_anything_is_done(library, photos, arguments, tmp_path):
    library.index([photos])
    done = CliRunner().invoke(cli, ["--library", str(library.folder), "duplicates", *arguments])
    assert done.exit_code == 2
    assert not (tmp_path / "p.json").exists()


def test_without_a_library_there_is_one_clear_line(run):
    done = run("duplicates")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no library in" in done.stderr


def test_photos_that_no_search_has_shown_are_dismissed_with_force_alone(library, photos, call):
    library.index([photos])
    dog, *cats = photos_at(library, [photos / name for name in ("dog.jpg", "cat.jpg", "small.jpg")])
    name = "-".join(map(str, sorted(cats)))
    with pytest.raises(BadQuery, match="no search has shown a group with"):
        call("duplicates", "dismiss", name)
    call("duplicates")
    with pytest.raises(BadQuery, match="no search has shown a group with"):
        call("duplicates", "dismiss", f"{cats[0]}-{dog}")
    with pytest.raises(BadQuery, match="no search has shown a group with"):
        call("duplicates", "dismiss", f"{name}-{dog}")
    assert call("duplicates", "dismissed").stdout == ""
    assert "1 pair of photos told apart" in call("duplicates", "dismiss", name).stderr
    assert (
        "1 pair of photos told apart" in call("duplicates", "dismiss", f"{cats[0]}-{dog}", "--force").stderr
    )
    # Whoever names files means these.
    call("duplicates", "dismiss", photos / "small.jpg", photos / "dog.jpg")


def test_without_a_command_duplicates_are_found_and_old_options_are_understood(library, photos, call):
    library.index([photos])
    assert call("duplicates", "--json").stdout == call("duplicates", "find", "--json").stdout
    (group,) = json.loads(call("duplicates", "--json").stdout)["groups"]
    call("duplicates", "dismiss", group["group"])
    listing = call("duplicates", "dismissed").stdout
    assert listing == call("duplicates", "--told-apart").stdout
    assert listing.startswith(f"group {group['group']}\n")
    said = call("duplicates", "restore", photos / "cat.jpg", photos / "small.jpg", "--json")
    assert json.loads(said.stdout) == {"told_apart": []}
    assert json.loads(call("duplicates", "--json").stdout)["groups"] == [group]


def test_a_command_that_is_mistyped_is_named(library, photos):
    done = CliRunner().invoke(cli, ["--library", str(library.folder), "duplicates", "fnd"])
    assert done.exit_code == 2
    assert "No such command 'fnd'" in done.output


def test_only_groups_with_new_files_are_shown_since_a_date(library, photos, call):
    library.index([photos])
    library.catalog.database.run("UPDATE runs SET started = started - 86400 * 30")
    week = str(datetime.now().astimezone().date() - timedelta(days=7))
    assert json.loads(call("duplicates", "find", "--since", week, "--json").stdout)["groups"] == []
    with Image.open(SAMPLES / "animals" / "dog-1.jpg") as image:
        image.reduce(2).save(photos / "small-dog.jpg", quality=80)
    library.index([photos])
    (new,) = json.loads(call("duplicates", "find", "--since", week, "--json").stdout)["groups"]
    assert {Path(file["path"]).name for file in new["files"]} == {"dog.jpg", "small-dog.jpg"}
    # A third copy of what is known brings its whole group.
    shutil.copy(CAT, photos / "again.jpg")
    library.index([photos])
    groups = json.loads(call("duplicates", "find", "--since", week, "--json").stdout)["groups"]
    assert {len(group["files"]) for group in groups} == {2, 4}
    assert len(json.loads(call("duplicates", "--json").stdout)["groups"]) == 2


@pytest.fixture
def card(tmp_path, photos):
    """A card with an identical file, the same picture as PNG, a mirrored copy, and a photo that is new."""
    folder = tmp_path / "card" / "DCIM"
    folder.mkdir(parents=True)
    shutil.copy(CAT, folder / "1-same.jpg")
    with Image.open(photos / "dog.jpg") as image:
        image.save(folder / "2-same.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "3-mirrored.jpg")
    shutil.copy(SAMPLES / "travel" / "castle-2.jpg", folder / "4-new.jpg")
    return folder


def test_the_files_of_a_card_that_the_library_lacks_are_known(library, photos, card, call):
    library.index([photos])
    before = state(photos)
    found = compare_folder(library, card)
    assert [(file.path.name, file.tier, file.other, file.what) for file in found.files] == [
        ("1-same.jpg", "exact", photos / "cat.jpg", ""),
        ("2-same.png", "pixels", photos / "dog.jpg", ""),
        ("3-mirrored.jpg", "near", photos / "dog.jpg", "mirrored"),
        ("4-new.jpg", None, None, ""),
    ]
    assert found.new == (card / "4-new.jpg",)
    # Asking puts nothing into the library that people would see, and changes no file.
    assert state(photos) == before
    assert library.status().photos == 3
    assert json.loads(call("duplicates", "--json").stdout)["photos"] == 3


def test_asking_about_a_card_changes_no_count_and_no_score(library, photos, card, call):
    def counted():
        status = json.loads(call("status", "--json").stdout)
        checks = json.loads(call("doctor", "--json").stdout)["checks"]
        return (
            {
                name: status[name]
                for name in ("photos", "files", "missing", "unreadable", "vectors", "roots", "spaces")
            },
            {
                check["check"]: (check["state"], check["text"])
                for check in checks
                if check["check"] != "other photos"
            },
            json.loads(call("search", photos / "dog.jpg", "--json").stdout),
        )

    library.index([photos])
    counted()  # the first search makes the cache
    before = counted()
    assert before[1]["photos"] == ("ok", "3, each with a vector")
    assert before[1]["vectors"] == ("ok", "3, each finite and of unit length")
    compare_folder(library, card)
    assert counted() == before
    checks = json.loads(call("doctor", "--json").stdout)["checks"]
    (others,) = [check for check in checks if check["check"] == "other photos"]
    assert (others["state"], others["text"].split()[0]) == ("ok", "3")


def test_a_file_of_a_card_that_cannot_be_read_is_said_and_is_not_new(library, photos, card):
    library.index([photos])
    (card / "5-broken.jpg").write_bytes(CAT.read_bytes()[:200])
    found = compare_folder(library, card)
    assert found.new == (card / "4-new.jpg",)
    assert [file.path for file in found.unreadable] == [card / "5-broken.jpg"]


def test_a_card_that_is_a_part_of_the_library_is_compared_with_the_rest(library, photos, card, call):
    library.index([photos, card])
    done = call("duplicates", "have", card)
    assert done.stdout == f"{card}/4-new.jpg\n"
    assert done.stderr.splitlines()[-1] == (
        "1 of 4 photos in no other folder of the library; there already: 1 identical, 1 same picture, 1 edited copy"
    )
    assert call("duplicates", "have", card, "--all").stdout.splitlines() == [
        f"identical: {card}/1-same.jpg = {photos}/cat.jpg",
        f"same picture: {card}/2-same.png = {photos}/dog.jpg",
        f"edited copy: {card}/3-mirrored.jpg = {photos}/dog.jpg (mirrored)",
        f"new: {card}/4-new.jpg",
    ]
    document = json.loads(call("duplicates", "have", card, "--json").stdout)
    assert [file["tier"] for file in document["files"]] == ["exact", "pixels", "near", None]


@pytest.mark.parametrize("since", ["2020", "2020-02", "2020-02-03", "2020-02-03T04:05", "0001"])
def test_since_takes_the_forms_of_other_dates(library, photos, call, since):
    library.index([photos])
    assert json.loads(call("duplicates", "find", "--since", since, "--json").stdout)["groups"]


def test_nothing_has_come_since_the_last_day_that_there_is(library, photos, call):
    library.index([photos])
    found = call("duplicates", "find", "--since", "9999-12-31T23:59:59", "--json")
    assert json.loads(found.stdout)["groups"] == []


def test_a_date_that_is_none_is_told_with_one_that_is(library, call):
    with pytest.raises(UsageError, match="write 2026, 2026-11, 2026-11-01"):
        call("duplicates", "find", "--since", "yesterday")


def test_the_notes_of_a_takeout_go_with_their_photo_whatever_their_names_were_cut_to(
    library, photos, call, tmp_path
):
    long = "IMG_20190704_120000_a_long_name_for_a_photo"  # with ".jpg", more than the 46 characters that Takeout keeps
    for folder in ("zip", "phone"):
        (photos / folder).mkdir()
    for name in ("bird-1", "cat-2", "dog-2", "dog-3"):
        shutil.copyfile(SAMPLES / "animals" / f"{name}.jpg", photos / "phone" / f"{name}.jpg")
    for name, of in {
        "a.jpg": "bird-1", "a(1).jpg": "cat-2", f"{long}.jpg": "dog-2", "b(2).jpg": "dog-3",
    }.items():  # fmt: skip
        shutil.copyfile(SAMPLES / "animals" / f"{of}.jpg", photos / "zip" / name)
    notes = {
        "a.jpg.supplemental-metadata.json": "bird-1.jpg.supplemental-metadata.json",
        "a.jpg.supplemental-metadata(1).json": "cat-2.jpg.supplemental-metadata.json",
        f"{long}.jp.json": "dog-2.jpg.json",
        "b.jpg(2).json": "dog-3.jpg.json",
        "a.jpg.pp3": "bird-1.jpg.pp3",
    }
    for name in notes:
        (photos / "zip" / name).write_text(name)
    before = state(photos)
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--prefer", photos / "phone", "--plan", plan)
    moves = [
        move
        for group in json.loads(plan.read_text())["groups"]
        for move in group.get("sidecars_that_move", ())
    ]
    assert {Path(move["path"]).name: Path(move["to"]).name for move in moves} == notes
    call("apply", plan)
    for old, new in notes.items():
        assert (photos / "phone" / new).read_text() == old
    assert not [path for path in (photos / "zip").iterdir() if path.is_file()]
    call("undo", plan)
    assert state(photos) == before


def test_the_cut_name_of_takeout_notes_that_two_photos_share_stays_with_the_one_that_stays(
    library, photos, call, tmp_path
):
    long = "IMG_20190704_120000_a_long_name_for_a_photo_of_"
    shutil.copyfile(CAT, photos / f"{long}cat.jpg")
    shutil.copyfile(SAMPLES / "animals" / "bird-1.jpg", photos / f"{long}bird.jpg")
    (photos / f"{long[:46]}.json").write_text("of one of them")
    library.index([photos])
    plan = tmp_path / "plan.json"
    call("duplicates", "--prefer", photos / "sub", "--plan", plan)
    (group,) = json.loads(plan.read_text())["groups"]
    assert f"{long}cat.jpg" in {Path(file["path"]).name for file in group["files"]}
    assert [Path(path).name for path in group["sidecars_that_stay"]] == [f"{long[:46]}.json"]
    assert "sidecars_that_move" not in group
