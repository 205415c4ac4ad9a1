"""A tier is declared once: help, words, proposals and the page follow from its record."""

import html
import json
import re

import pytest
from click.testing import CliRunner

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from vitsearch.cli import cli
from vitsearch.duplicates.group.grouping import GroupedFile
from vitsearch.duplicates.propose.candidates import PROPOSALS
from vitsearch.duplicates.tiers import COPIES, RECORDS, TIERS
from vitsearch.duplicates.verify.evidence import Evidence
from vitsearch.duplicates.words import counted_as_known, file_in_words


def test_every_tier_has_a_record_in_its_order_and_is_proposed_unless_it_is_the_same_bytes():
    assert tuple(RECORDS) == TIERS
    assert {tier for one in PROPOSALS for tier in one.tiers} == set(TIERS) - {"exact"}
    assert sum(one.work for one in PROPOSALS) == pytest.approx(1)
    # A plan refuses those that are no copies, in words of their own.
    assert {tier for tier, record in RECORDS.items() if record.why_unplanned} == set(TIERS) - COPIES


def test_help_says_what_each_tier_means():
    said = "".join(CliRunner().invoke(cli, ["duplicates", "find", "--help"]).stdout.split())
    for tier, record in RECORDS.items():
        assert f"`{tier}`{record.means}".replace(" ", "") in said


@pytest.mark.parametrize("tier", TIERS)
def test_a_file_is_told_by_what_was_done_to_it_where_its_tier_tells_that(tmp_path, tier):
    seen = Evidence(0.9, transform="3 s apart")
    kept = GroupedFile(tmp_path / "a.png", 1, b"a", tier, 1.0, None, 40, 30, 100)
    file = GroupedFile(tmp_path / "b.png", 2, b"b", tier, 1.0, seen, 40, 30, 100)
    assert file_in_words(file, kept) == {
        "exact": "identical file",
        "pixels": "same picture, in another format or with other metadata",
        "near": "3 s apart",
        "burst": "another shot, 3 s apart",
    }.get(tier, file_in_words(file, kept))


def test_copies_on_a_card_are_counted_in_the_plural():
    assert [counted_as_known("near", count) for count in (1, 11)] == ["1 edited copy", "11 edited copies"]
    assert [counted_as_known("exact", count) for count in (1, 1204)] == ["1 identical", "1,204 identical"]


def test_the_page_is_told_all_of_them(tmp_path):
    with web_client(tmp_path / "library", MeanColour()) as client:
        page = client.get("/").text
    (given,) = re.findall(r"data-tiers='([^']*)'", page)
    told = json.loads(html.unescape(given))
    assert list(told) == list(TIERS)
    assert {tier for tier, record in told.items() if record["are_copies"]} == COPIES
    assert all(record["groups"] and record["note"] for record in told.values())
