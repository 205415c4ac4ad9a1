"""What the documentation says must run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

import vitsearch
from scripts import make_python_reference, record_terminal
from scripts.make_cli_reference import PAGE, reference
from vitsearch.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]


def inline_commands() -> list[str]:
    found = {command for page in PAGES for command in re.findall(r"`(vitsearch [^`\n]+)`", page)}
    return sorted(command for command in found if "…" not in command and "..." not in command)


def commands_of(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*prefix, name))
        if isinstance(command, click.Group):
            found += commands_of(command, (*prefix, name))
    return found


@pytest.mark.parametrize("command", inline_commands())
def test_a_command_that_a_page_mentions_is_one_that_the_program_takes(command):
    words = shlex.split(re.split(r" [<|>] ", command)[0])[1:]
    context = click.Context(cli, info_name="vitsearch", **cli.context_settings)
    found: click.Command | None = cli
    while isinstance(found, click.Group) and words:
        name, found, words = found.resolve_command(context, words)
        assert found is not None, command
        if words and not isinstance(found, click.Group):
            with suppress(click.exceptions.Exit):  # help was asked for, and given
                found.make_context(name, words, parent=context)


@pytest.mark.parametrize("command", commands_of(cli), ids=" ".join)
def test_every_command_has_help_and_stands_in_the_reference(command):
    found: click.Command = cli
    for name in command:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    assert found.help
    assert f"## vitsearch {' '.join(command)}\n" in PAGE.read_text(encoding="utf-8")


def test_the_command_reference_is_current():
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_recording_of_the_terminal_holds_each_of_its_commands():
    page = record_terminal.PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\$ (.*)$", page, re.M) == list(record_terminal.COMMANDS)


def test_the_python_reference_is_current():
    written = make_python_reference.PAGE.read_text(encoding="utf-8")
    assert written == make_python_reference.page()


def test_every_public_name_stands_in_the_python_reference_with_its_methods():
    titles = set(re.findall(r"^#{3,4} (\S+)$", make_python_reference.PAGE.read_text(encoding="utf-8"), re.M))
    for name in set(vitsearch.__all__) - {"__version__"}:
        value = getattr(vitsearch, name)
        inner = make_python_reference.members(value) if isinstance(value, type) else ()
        assert {name, *(f"{name}.{each}" for each in inner)} <= titles


@pytest.mark.weights
def test_the_examples_of_the_python_page_run(tmp_path):
    shutil.copytree(ROOT / "sample_images", tmp_path / "sample_images")
    page = make_python_reference.PAGE.read_text(encoding="utf-8").partition(make_python_reference.MARK)[0]
    for program in re.findall(r"```python\n(.*?)```", page, re.S):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.weights
def test_the_readmes_example_session_runs_and_prints_what_it_shows(tmp_path, run):
    shutil.copytree(ROOT / "sample_images", tmp_path / "sample_images")
    (block,) = re.findall(r"```console\n(.*?)```", README, re.S)
    for command in block.split("$ ")[1:]:
        line, *shown = command.splitlines()
        done = run(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        printed = re.sub(r"\S*/sample_images/", "…/sample_images/", done.stdout).splitlines()
        assert [words(line) for line in printed] == [words(line) for line in shown]
        # The last digit of a score differs between processors.
        assert numbers(printed) == pytest.approx(numbers(shown), abs=0.01)


def words(line: str) -> str:
    return re.sub(r"\d+\.\d+", "#", line)


def numbers(lines: list[str]) -> list[float]:
    return [float(number) for line in lines for number in re.findall(r"\d+\.\d+", line)]


@pytest.mark.weights
def test_the_readmes_python_example_runs(tmp_path):
    shutil.copytree(ROOT / "sample_images", tmp_path / "sample_images")
    (program,) = re.findall(r"```python\n(.*?)```", README, re.S)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [*project["optional-dependencies"].items()]
    required = [
        *project["dependencies"],
        *(each for extra, names in extras if extra not in ("dev", "tests") for each in names),
    ]
    named = {re.split(r"[<>=\[]", requirement)[0] for requirement in required} - {"vitsearch"}
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^\| ([a-z][a-z0-9-]+) \|", table, re.M)) - {"package"}


def test_the_table_of_modules_names_every_module_and_no_other():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page[page.index("| module |") : page.index("One owner for each")]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    package = ROOT / "vitsearch"
    there = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    there |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert named == there
