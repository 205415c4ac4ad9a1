"""Engines that other packages bring: the one of docs/engines.md, installed as a package is, and those that fail."""

import re
import tomllib
from pathlib import Path

import pytest
import test_milvus

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")

photos, indexed = test_milvus.photos, test_milvus.indexed  # the same fixtures


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
            (keyword, "does not hold keywords"),
            (part, "leave --in away"),
        ):
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert text in done.stderr


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
