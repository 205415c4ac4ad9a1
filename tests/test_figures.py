"""The figures of the documentation: drawn from one file, with commands that exist, and a report of what is old."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from scripts import draw_charts
from scripts.check_figures import outdated
from scripts.figures import (
    DATA,
    KINDS,
    TIMES,
    Source,
    commands_in,
    measured_by,
    read_figures,
    sources,
    tables,
)
from vitsearch.cli import cli

ROOT = Path(__file__).parent.parent
FIGURES = read_figures()
SOURCES = sources(FIGURES)
COMMANDS = sorted({command for source in SOURCES for command in source.commands})
SVG = "{http://www.w3.org/2000/svg}"
ANCHORS = {
    path.name: {
        draw_charts.anchor(re.sub(r"[`*]", "", title))
        for title in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    }
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for text in [path.read_text(encoding="utf-8")]
}


@pytest.mark.parametrize("chart", FIGURES.charts, ids=lambda chart: chart.name)
def test_a_chart_is_what_the_script_draws_from_the_data(chart):
    assert (DATA.parent / f"{chart.name}.svg").read_text(encoding="utf-8") == draw_charts.drawn(chart)


def test_no_chart_is_left_over():
    assert {path.stem for path in DATA.parent.glob("*.svg")} == {chart.name for chart in FIGURES.charts}


@pytest.mark.parametrize("chart", FIGURES.charts, ids=lambda chart: chart.name)
def test_a_chart_is_well_formed_and_its_bars_start_at_zero_in_proportion_to_their_values(chart):
    picture = ET.fromstring(draw_charts.drawn(chart))
    assert picture.tag == f"{SVG}svg"
    bars = [each for each in picture.iter(f"{SVG}rect") if each.get("class") in KINDS]
    assert [each.get("class") for each in bars] == [bar.kind for bar in chart.bars]
    assert {each.get("x") for each in bars} == {str(draw_charts.MARGIN)}
    unit = max(float(each.attrib["width"]) for each in bars) / max(bar.value for bar in chart.bars)
    assert [float(each.attrib["width"]) for each in bars] == pytest.approx(
        [bar.value * unit for bar in chart.bars], abs=0.02
    )
    texts = ["".join(each.itertext()) for each in picture.iter(f"{SVG}text")]
    for bar in chart.bars:
        assert bar.name in texts
        assert bar.written + bar.ratio in texts


@pytest.mark.parametrize("chart", FIGURES.charts, ids=lambda chart: chart.name)
def test_the_texts_of_a_chart_fit_into_it(chart):
    picture = ET.fromstring(draw_charts.drawn(chart))
    for text in picture.iter(f"{SVG}text"):
        if text.get("text-anchor") == "end":
            continue
        assert float(text.attrib["x"]) + 6.7 * len("".join(text.itertext())) <= draw_charts.WIDTH, text.text


def test_ratios_and_shares_are_those_of_the_values(tmp_path):
    data = tmp_path / "figures.toml"
    data.write_text(
        """
readme = {}
code = {}
fact = []
[[chart]]
name = "a"
title = "A"
measure = "seconds"
better = "shorter"
form = "{:.1f} s"
says = "It is."
against = "That."
command = "make check"
date = 2026-11-27
machine = "one"
details = "a"
bars = [
  { key = "ours", name = "ours", value = 2, kind = "ours", times = "plain", share_of = "limit" },
  { key = "plain", name = "plain", value = 9 },
  { key = "limit", name = "limit", value = 1, kind = "limit" },
]
""",
        encoding="utf-8",
    )
    ours, plain, _ = read_figures(data).charts[0].bars
    assert (ours.written, ours.ratio, ours.share) == ("2.0 s", f"4.5 {TIMES}", "50 %")
    assert (plain.written, plain.ratio, plain.share) == ("9.0 s", "", "")


def test_the_page_of_benchmarks_and_the_readmes_figures_are_those_of_the_data():
    assert draw_charts.PAGE.read_text(encoding="utf-8") == draw_charts.page(FIGURES)
    written = draw_charts.README.read_text(encoding="utf-8")
    assert written == draw_charts.readme(written, FIGURES)


def test_the_page_of_benchmarks_is_short_and_shows_every_chart():
    text = draw_charts.PAGE.read_text(encoding="utf-8")
    # Five minutes at the 240 words a minute that people read; commands and what stands for a picture are not read.
    read = re.sub(r"<img[^>]*>|`[^`]*`|\([^)]*\.md[^)]*\)", "", text)
    assert len(read.split()) <= 1200
    assert set(re.findall(r'src="charts/([\w-]+)\.svg"', text)) == {chart.name for chart in FIGURES.charts}


def test_every_table_of_measurements_has_a_command_and_a_date_and_one_that_has_none_is_named():
    with pytest.raises(ValueError, match="what"):
        tables("# A\n\n| what | figure |\n|---|---|\n| a | 1 |\n\nSome words, `make check`.\n")
    with pytest.raises(ValueError, match="what"):
        tables("| what | figure |\n|---|---|\n| a | 1 |\n\nMeasured 2026-11-27, on one machine.\n")
    assert len(SOURCES) > len(FIGURES.charts) + len(FIGURES.facts) + 20
    assert all(source.date <= dt.datetime.now(tz=dt.UTC).date() for source in SOURCES)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_figure_names_something_that_exists_and_the_code_it_measures(command):
    program, *words = command.split()
    assert commands_in(f"`{command}`") == (command,)
    if program == "python":
        assert (ROOT / words[0]).is_file()
    elif program == "pytest":
        assert (ROOT / measured_by(command)).is_file()
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    else:
        assert isinstance(cli, click.Group)
        assert words[0] in cli.commands
    assert measured_by(command) in FIGURES.code


@pytest.mark.parametrize("path", sorted({path for paths in FIGURES.code.values() for path in paths}))
def test_the_code_that_a_figure_measures_exists(path):
    assert (ROOT / path).exists()


def test_a_figure_is_outdated_when_its_code_was_committed_on_a_later_day(tmp_path):
    def git(*words: str, day: str) -> None:
        when = f"{day}T12:00:00+00:00"
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
        subprocess.run(
            ["git", *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": when, **who},
        )

    git("init", day="2026-01-01")
    for name, day in (("fast.py", "2026-01-02"), ("slow.py", "2026-01-05")):
        (tmp_path / name).write_text(name, encoding="utf-8")
        git("add", name, day=day)
        git("commit", "-m", name, day=day)
    figures = [
        Source(what=f"{name} {day}", commands=(f"python {name} --all",), date=dt.date(2026, 1, day))
        for name in ("fast.py", "slow.py")
        for day in (1, 2, 5)
    ]
    code = {"fast.py": ["fast.py"], "slow.py": ["slow.py"]}
    found = outdated(figures, code, repository=tmp_path)
    assert [each.source.what for each in found] == ["fast.py 1", "slow.py 1", "slow.py 2"]
    assert {each.changed.day for each in found} == {2, 5}


@pytest.mark.parametrize("chart", FIGURES.charts, ids=lambda chart: chart.name)
def test_the_details_of_a_chart_are_a_section_of_the_measurements(chart):
    assert chart.details in ANCHORS["measurements.md"]


@pytest.mark.parametrize("page", sorted(ANCHORS))
def test_every_link_to_a_section_or_a_page_leads_somewhere(page):
    folder = ROOT if page in ("README.md", "CONTRIBUTING.md") else ROOT / "docs"
    text = re.sub(r"```.*?```", "", (folder / page).read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, section = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = folder / path if path else folder / page
        if not target.exists() or (section and section not in ANCHORS[target.name]):
            broken.append(link)
    assert broken == []
