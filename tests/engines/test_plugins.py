"""Engines that other packages bring: the one of docs/engines.md, installed as a package is, and those that fail."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")


def install(folder, name, code, points):
    """Lay a package where Python finds it, with the record of its entry points that pip would write."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    record = folder / f"{name}-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{scheme} = {target}" for scheme, target in points.items())
    (record / "entry_points.txt").write_text(f"[vitsearch.engines]\n{lines}\n")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    folder = tmp_path / "packages"
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def numpy_engine(packages):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (declared,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    points = tomllib.loads(declared)["project"]["entry-points"]["vitsearch.engines"]
    install(packages, "numpy_engine", code, points)


@pytest.mark.usefixtures("numpy_engine")
class TestTheOneInTheDocs:
    @pytest.fixture
    def address(self, tmp_path):
        return f"numpy://{tmp_path / 'photos.npz'}"

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--camera", "canon"),
            ("--camera", "no such one"),
            ("--before", "2019", "--include-self"),
            ("--in", "warm"),
            ("--distinct", "--after", "2016"),
            ("--only-matches",),
        ],
        ids=" ".join,
    )
    def test_it_answers_as_the_library_does(self, indexed, photos, answer, address, options):
        assert answer("export", "--to", address)["written"] == 10
        query = photos / "cold/red.jpg"
        given = [photos / "warm" if option == "warm" else option for option in options]
        own, theirs = answer("search", query, *given), answer("search", query, *given, "--store", address)
        assert [match.pop("score") for match in theirs["results"]] == pytest.approx(
            [match.pop("score") for match in own["results"]], abs=2e-6
        )
        assert theirs["results"] == own["results"]

    def test_what_it_cannot_do_is_one_line(self, indexed, photos, run, address):
        missing = run("search", photos / "cold/red.jpg", "--store", address)
        run("export", "--to", address)
        labels = run("search", "--label", "warm", "--head", "tone", "--store", address)
        keyword = run("search", photos / "cold/red.jpg", "--keyword", "sea", "--store", address)
        part = run("export", "--to", address, "--in", photos / "warm")
        for done, text in (
            (missing, "cannot read numpy://"),
            (labels, "does not answer labels"),
            (keyword, "does not hold what --keyword asks for"),
            (part, "leave --in away"),
        ):
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert text in done.stderr


@pytest.mark.trust
@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("hidden_by", ["elsewhere", "dots", "link"])
def test_files_are_taken_from_no_folder_but_those_that_the_person_has_named(
    indexed, photos, run, tmp_path, hidden_by
):
    """The answer of a store may name every file of this machine; somebody else may have filled it."""
    store, secret = tmp_path / "photos.npz", tmp_path / "private" / "key.jpg"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    run("export", "--to", f"numpy://{store}")
    named = {"elsewhere": secret, "dots": photos / "../private/key.jpg", "link": photos / "out.jpg"}[
        hidden_by
    ]
    if hidden_by == "link":
        named.symlink_to(secret)
    with np.load(store) as saved:
        columns = dict(saved)
    rows = json.loads(str(columns["photos"]))
    for row in rows:
        row[3] = [str(named)] if row[3] != [str(photos / "cold/orange.jpg")] else row[3]
    columns["photos"] = json.dumps(rows)
    np.savez(store, **columns)
    asked = ("search", photos / "cold/red.jpg", "--store", f"numpy://{store}")
    for option in ("--copy-to", "--link-to"):
        done = run(*asked, option, tmp_path / option)
        assert done.returncode == 1
        assert (
            f"not collected: {named}: the store names it, and it is in no folder of your library"
            in done.stderr
        )
        assert [path.name for path in (tmp_path / option).iterdir()] == ["orange.jpg"]
    opened = run(*asked, "--open", "-k", "1")
    assert opened.returncode == 1
    assert f"{named} is not opened: the store names it" in opened.stderr
    if hidden_by == "elsewhere":
        assert run(*asked, "--in", secret.parent, "--copy-to", tmp_path / "allowed").returncode == 0
        assert (tmp_path / "allowed/key.jpg").read_bytes() == b"secret"


def test_the_example_is_about_fifty_lines():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 60


def test_a_package_that_does_not_load_is_named(indexed, run, packages):
    install(packages, "broken_engine", "import nothing_of_that_name\n", {"broken": "broken_engine:ENGINE"})
    done = run("export", "--to", "broken://there")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert (
        "reinstall the package broken_engine" in done.stderr
        or "reinstall the package broken-engine" in done.stderr
    )


def test_an_address_that_no_engine_knows_names_those_that_are_there(indexed, photos, run):
    for arguments in (
        ("export", "--to", "qdrant://host/c"),
        ("search", photos / "cold/red.jpg", "--store", "qdrant://h"),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "there are milvus://" in done.stderr
