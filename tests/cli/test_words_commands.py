"""The commands of a library with a second model, for words, as people type them."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.support.tiny_checkpoints import make_checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: make_checkpoint(name, folder / name) for name in ("vit", "clip")}


@pytest.fixture
def program(run, tmp_path):
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(noise).resize((48, 40)).save(tmp_path / "photos" / f"{number}.png")

    def call(*words):
        return run("--cache", tmp_path / "cache", *words, cwd=tmp_path / "photos")

    return call


def test_from_the_first_run_to_words_and_back(program, models):
    first = program("index", ".", "--model", models["vit"])
    assert first.returncode == 0, first.stderr
    last = first.stderr.splitlines()[-1]
    assert last.startswith(f"{models['vit']} finds photos like one that you have")
    assert last.endswith("It reads no words: `vitsearch index --also siglip2-base` adds them")
    # Said once.
    assert "reads no words" not in program("index").stderr

    status = program("status").stdout
    assert "for words   nothing yet: `vitsearch index --also siglip2-base` adds them" in status
    refused = program("search", "a red shoe")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)

    added = program("index", "--also", models["clip"])
    assert added.returncode == 0, added.stderr
    assert f"for words: {models['clip']}, 4 new, " in added.stderr
    assert f"for words   {models['clip']} (20 dimensions)\n" in program("status").stdout

    listed = program("models", "list").stdout
    assert f"{models['vit']}  " in listed
    marks = {line.split()[0]: line for line in listed.splitlines()}
    assert marks[str(models["vit"])].endswith("(the library's main model)")
    assert marks[str(models["clip"])].endswith("(reads text, the library's model for words)")

    found = json.loads(program("search", "a red shoe", "--json").stdout)
    assert (found["model"], found["query"], len(found["results"])) == (str(models["clip"]), ["a red shoe"], 4)
    found = json.loads(program("search", "0.png", "--json").stdout)
    assert (found["model"], len(found["results"])) == (str(models["vit"]), 3)
    mixed = json.loads(program("search", "2:a green hat", "0.png", "--not", "1.png", "--json").stdout)
    assert (mixed["model"], len(mixed["results"])) == (str(models["clip"]), 3)

    removed = program("models", "remove", models["clip"])
    assert removed.stdout == f"removed 4 vectors of {models['clip']}\n"
    assert program("search", "a red shoe").returncode == 1
    assert json.loads(program("status", "--json").stdout)["words_step"]["photos"] == 4


def test_a_first_run_with_words_says_that_they_work(program, models):
    first = program("index", ".", "--model", models["vit"], "--also", models["clip"])
    assert first.stderr.splitlines()[-1].endswith('Words work too: `vitsearch search "a red bicycle"`')
    report = json.loads(program("index", "--json").stdout)
    assert [(one["embedded"], one["left"]) for one in report["also"]] == [(0, 0)]


def test_what_does_not_go_together_is_said(program, models):
    done = program("index", ".", "--model", models["clip"], "--also", "dinov2-base")
    assert (
        done.returncode,
        done.stderr.splitlines()[-1].startswith("vitsearch: dinov2-base reads no text"),
    ) == (1, True)
    done = program("index", "s3://bucket/photos", "--engine", "ray", "--also", models["clip"])
    assert (done.returncode, "--also and --framing are for folders" in done.stderr) == (2, True)
