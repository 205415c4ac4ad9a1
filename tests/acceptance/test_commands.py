"""Every command on a library of 2,500 files, with what must hold of its answer."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.collection import DAMAGED, FILES, SAMPLES, family
from tests.acceptance.program import MODEL, Program
from vitsearch.storage.layout import Layout

pytestmark = [pytest.mark.acceptance, pytest.mark.weights]

LABELS = ("bird", "castle", "fish", "mountain")


@pytest.fixture(scope="module")
def found(program, place):
    """What the search for duplicates finds in all of it, with a plan and a page."""
    return program.answer("duplicates", "--plan", place / "plan.json", "--html", place / "duplicates.html")


@pytest.fixture(scope="module")
def labelled(collection, place):
    """Up to twelve photos of each of four labels."""
    for label in LABELS:
        (place / "labelled" / label).mkdir(parents=True)
        for scene in islice((scene for scene in collection.scenes if scene.parent.name == label), 12):
            shutil.copy2(scene, place / "labelled" / label)
    return place / "labelled"


@pytest.fixture(scope="module")
def trained(program, labelled):
    """A head that was trained on them."""
    return program.answer("heads", "train", "subjects", "--from", labelled)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files with their bytes and times."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".vitsearch-trash" not in path.parts
    }


def paths(answer: dict[str, Any]) -> list[Path]:
    """Where the matches of a search are."""
    return [Path(match["path"]) for match in answer["results"]]


def test_every_photo_is_indexed_and_every_damaged_file_is_named(indexed, collection):
    assert (indexed["files"], indexed["missing"], indexed["interrupted"]) == (FILES, 0, False)
    assert sorted(Path(file["path"]).name for file in indexed["unreadable"]) == sorted(DAMAGED)
    assert indexed["model"] == MODEL
    assert indexed["photos"] == indexed["embedded"] < FILES


def test_a_second_run_embeds_nothing_and_a_change_to_the_same_model_neither(program, indexed):
    again = program.answer("index")
    assert (again["embedded"], again["files"], again["photos"]) == (0, FILES, indexed["photos"])
    assert program.answer("index", "--retry", "--prune")["files"] == FILES
    assert program.answer("index", "--model", MODEL, "--change-model")["embedded"] == 0


def test_the_status_counts_what_was_indexed(program, indexed, collection):
    status = program.answer("status")
    assert (status["photos"], status["files"], status["vectors"]) == (
        indexed["photos"],
        FILES,
        indexed["photos"],
    )
    assert (status["model"], status["cache_current"]) == (MODEL, True)
    (root,) = program.answer("roots", "list")["roots"]
    assert (root["path"], root["files"]) == (str(collection.folder), FILES)


def test_a_scene_finds_its_other_versions_first(program, collection):
    scanned = [
        scene for scene in collection.scenes if (collection.folder / "scans" / f"{scene.stem}.png").exists()
    ]
    scenes = scanned[::6]
    for scene in scenes:
        (best,) = program.answer("search", scene, "-k", 1)["results"]
        assert Path(best["path"]).stem == scene.stem
        assert best["score"] == pytest.approx(1, abs=0.001)
    alone = collection.scenes[0]
    (best,) = program.answer("search", alone, "-k", 1, "--include-self", "--exact")["results"]
    assert best["score"] == pytest.approx(1, abs=0.001)
    assert str(alone) in {best["path"], *best["other_paths"]}


def test_filters_hold_for_every_match(program, collection):
    scene = collection.scenes[1]
    below = collection.folder / "phone"
    assert all(path.is_relative_to(below) for path in paths(program.answer("search", scene, "--in", below)))
    taken = program.answer("search", scene, "--after", 2018, "--before", "2019-06", "-k", 50)["results"]
    assert taken
    assert all("2018" <= match["taken"] < "2019-06" for match in taken)
    canon = program.answer("search", scene, "--camera", "canon", "-k", 50)["results"]
    assert canon
    assert {match["camera"] for match in canon} == {"Canon EOS R5"}


def test_queries_of_every_kind_are_answered(program, collection, place):
    scene, other = collection.scenes[3], collection.scenes[-1]
    both = program.answer("search", scene, other, "-k", 20)
    assert {family(path) for path in paths(both)} >= {family(scene), family(other)}
    away = program.answer("search", scene, other, "--not", other, "-k", 5)
    assert scene.stem in {path.stem for path in paths(away)}
    crop = program.answer("search", SAMPLES / "animals/cat-1.jpg", "--crop", "100,80,300,300", "-k", 5)
    assert len(crop["results"]) == 5
    # The small model reads no text, and the program says which one does.
    program.run("search", "--text", "a photo of a castle", status=1)
    every, distinct = (
        paths(program.answer("search", scene, "-k", 30, *options)) for options in ([], ["--distinct"])
    )
    assert len({path.stem for path in distinct}) > len({path.stem for path in every})
    outstanding = program.answer("search", scene, "--only-matches", "-k", 100)
    assert all(match["score"] > outstanding["matches_above"] for match in outstanding["results"])
    piped = program.answer("search", "-", "-k", 3, stdin=scene.read_bytes())
    assert piped["results"] == program.answer("search", scene, "-k", 3)["results"]
    bare = program.run(
        "search", scene, "--paths", "--sheet", place / "sheet.png", "--html", place / "found.html"
    ).splitlines()
    assert len(bare) == 10
    assert all(Path(path).is_file() for path in bare)
    with Image.open(place / "sheet.png") as sheet:
        assert min(sheet.size) > 200
    assert "<html" in (place / "found.html").read_text(encoding="utf-8")


def test_copies_and_edits_are_found_and_no_two_scenes_are_taken_for_one(found, indexed, collection, place):
    assert found["photos"] == indexed["photos"]
    groups = [[Path(file["path"]) for file in group["files"]] for group in found["groups"]]
    assert [group for group in groups if len({family(path) for path in group}) > 1] == []
    together = {path: number for number, group in enumerate(groups) for path in group}
    backups = sorted((collection.folder / "backup-1").rglob("*.*"))
    missed = []
    for copy in backups:
        original = collection.folder / copy.relative_to(collection.folder / "backup-1")
        if copy not in together or together[copy] != together.get(original):
            missed.append(copy)
    assert missed == []
    for edit, least in (("scans", 1.0), ("phone", 0.95), ("mailed", 0.95), ("edited", 0.95)):
        edits = sorted((collection.folder / edit).rglob("*.*"))
        scenes = {scene.stem: scene for scene in collection.scenes}
        right = [together.get(path, -1) == together.get(scenes[path.stem], -2) for path in edits]
        assert sum(right) >= least * len(right), (edit, sum(right), len(right))
    assert "<html" in (place / "duplicates.html").read_text(encoding="utf-8")


def test_a_plan_is_carried_out_indexed_and_undone_to_the_last_byte(program, found, collection, place):
    before = state(collection.folder)
    planned = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    going = [file["path"] for group in planned["groups"] for file in group["files"]]
    assert len(going) > FILES // 2
    assert {group["keep"]["path"] for group in planned["groups"]}.isdisjoint(going)
    program.run("apply", place / "plan.json")
    left = state(collection.folder)
    assert len(before) - len(left) == len(going)
    assert left.items() <= before.items()
    assert program.answer("index")["missing"] == len(going)
    program.run("undo", place / "plan.json")
    assert state(collection.folder) == before
    again = program.answer("index")
    assert (again["files"], again["missing"], again["embedded"]) == (FILES, 0, 0)


def test_decisions_on_duplicates_last_until_they_are_taken_back(program, collection):
    def names(*options: object) -> set[str]:
        lines = program.run("duplicates", "--tier", "exact", "--lines", *options)
        return {json.loads(line)["group"] for line in lines.splitlines()}

    groups = names()
    chosen = sorted(groups)[0]
    program.run("duplicates", "--not-duplicates", chosen)
    assert chosen not in names()
    assert len(program.answer("duplicates", "--told-apart")["told_apart"]) >= 1
    program.run("duplicates", "--take-back", chosen)
    assert names() == groups
    first, second = collection.folder / "backup-1", collection.folder / "scenes"
    assert len(names("--between", first, second)) == len(collection.scenes)
    scene = collection.scenes[0]
    program.run("duplicates", "--check", scene, collection.folder / "phone" / scene.name)
    program.run("duplicates", "--check", scene, collection.scenes[-1], status=3)


def test_a_head_learns_labels_and_corrections(program, trained, collection, labelled, place):
    assert trained["accuracy"] > 0.8
    answer = program.answer("label", labelled / "castle", "--head", "subjects")
    assert len(answer["labels"]) == len(list((labelled / "castle").iterdir()))
    program.run("label", "--head", "subjects", "--csv", place / "labels.csv")
    with (place / "labels.csv").open(encoding="utf-8", newline="") as file:
        assert len({row["path"] for row in csv.DictReader(file)}) >= FILES
    unsure = program.answer("heads", "next", "subjects", "-n", 5)["photos"]
    assert len(unsure) == 5
    program.run("heads", "correct", "subjects", unsure[0]["path"], "castle")
    program.run("heads", "correct", "subjects", unsure[1]["path"], "bird")
    assert program.answer("heads", "train", "subjects")["version"] > trained["version"]
    assert program.answer("heads", "show", "subjects")["corrections"] == 2
    castles = paths(program.answer("search", "--label", "castle", "--head", "subjects", "-k", 10))
    assert [path.name.split("-")[0] for path in castles].count("castle") >= 8


def test_heads_are_made_of_few_photos_and_travel(program, trained, labelled, place):
    program.run("heads", "from-examples", "few", "--from", labelled)
    (place / "words.txt").write_text("\n".join(LABELS), encoding="utf-8")
    program.run("heads", "from-text", "words", "--labels", place / "words.txt", status=1)
    program.run("heads", "export", "subjects", place / "subjects.safetensors")
    program.run("heads", "load", place / "subjects.safetensors", "--name", "again")
    heads = {head["name"] for head in program.answer("heads", "list")["heads"]}
    assert heads == {"subjects", "few", "again"}
    for name in ("few", "again"):
        program.run("heads", "delete", name)
    assert len(program.answer("heads", "list")["heads"]) == 1


def test_the_model_is_measured_and_explained(program, trained, labelled, collection, place):
    measured = program.answer("eval", "--labels", labelled)
    assert max(each["accuracy"]["value"] for each in measured["labels"]["knn"]) > 0.7
    program.answer("eval", "--sample", 10)
    cat = SAMPLES / "animals/cat-1.jpg"
    for name, options in (
        ("apart", []),
        ("rollout", ["--layer", "rollout"]),
        ("label", ["--head", "subjects", "--label", "castle"]),
    ):
        program.run("explain", cat, "--out", place / f"{name}.png", *options)
        with Image.open(place / f"{name}.png") as picture:
            assert min(picture.size) > 100


def test_a_library_travels_by_parquet_and_answers_the_same(program, indexed, collection, place):
    program.run("export", "--to", place / "photos.parquet", "--shards", 2)
    files = sorted(place.glob("photos-*.parquet"))
    assert len(files) == 2
    other = Program(place / "other")
    report = other.answer("import", *files)
    assert (report["photos"], report["vectors"]) == (indexed["photos"], indexed["photos"])
    scene = collection.scenes[7]
    theirs, ours = (each.answer("search", scene, "-k", 20)["results"] for each in (other, program))
    assert [(match["path"], match["score"]) for match in theirs] == [
        (match["path"], match["score"]) for match in ours
    ]
    assert other.answer("index", collection.folder)["embedded"] == 0


def test_folders_move_and_are_forgotten(place, collection, program):
    other = Program(place / "moved")
    shutil.copytree(collection.folder / "scans", place / "drive")
    count = sum(1 for path in (place / "drive").rglob("*.png"))
    assert other.answer("index", place / "drive", "--model", MODEL)["files"] == count > 0
    (place / "drive").rename(place / "elsewhere")
    assert other.answer("index")["offline_roots"] == [str(place / "drive")]
    other.run("roots", "relocate", place / "drive", place / "elsewhere")
    assert other.answer("index")["embedded"] == 0
    other.run("roots", "forget", "--yes", place / "elsewhere")
    assert other.answer("status")["photos"] == 0


def test_the_doctor_finds_nothing_and_mends_what_is_lost(program, collection):
    program.run("doctor")
    wanted = program.answer("search", collection.scenes[9])["results"]
    shutil.rmtree(Layout.of(program.library).search_caches)
    program.run("doctor", "--repair")
    program.run("doctor")
    assert program.answer("search", collection.scenes[9])["results"] == wanted


def test_models_are_listed_and_shown(program):
    assert MODEL in {model["name"] for model in program.answer("models", "list")["models"]}
    assert program.answer("models", "show", MODEL)["dimension"] == 512
    program.run("models", "pull", MODEL)
