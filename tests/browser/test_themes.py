"""Themes on the page: stacks of alike photos, which are opened, searched, labelled and cleaned."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.barriers import check_everywhere
from tests.support.browser import served_library
from tests.support.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

    from tests.support.browser import Page

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, driver: Chrome, shots: Path) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("themes") / "photos"
    for kind in ("animals", "nature", "travel"):
        shutil.copytree(SAMPLES / kind, folder / kind)
    (folder / "again").mkdir()
    for path in (folder / "animals").glob("*.jpg"):
        shutil.copy(path, folder / "again")
    with served_library(folder, driver, shots) as page:
        yield page


@pytest.fixture
def page(served: Page) -> Iterator[Page]:
    with served.watched():
        served.show("/themes")
        served.one(".theme", seconds=180)
        yield served


def test_the_library_is_shown_as_stacks_of_alike_photos(page: Page, axe: str):
    stacks = page.all(".theme")
    assert len(stacks) >= 3
    assert all(one.find_element("css selector", ".typical").size["height"] > 100 for one in stacks)
    check_everywhere(page, axe, "themes", ".theme img")
    # Computed once: the next visit looks for nothing.
    page.until(lambda: page.get("/api/themes")["state"] == "done", "the search", 60)
    page.show("/themes")
    page.one(".theme")
    assert page.get("/api/themes")["state"] == "done"


def test_a_stack_is_opened_and_more_like_it_is_found(page: Page, axe: str):
    count = page.get("/api/themes")["themes"][0]["count"]
    page.click(".theme")
    page.one(".tools h1", f"{count} photos")
    page.one(".tile img.here")
    check_everywhere(page, axe, "theme", ".tile img.here")
    page.press("f")
    page.until(lambda: page.driver.current_url.count("photo=") == 4, "the search by four photos")
    page.one(".tile img.here")


def test_a_stack_is_labelled_at_once(page: Page):
    groups = page.get("/api/heads/new/suggestions?groups=3")["groups"]
    given = [
        {"photo": one["photo"], "labels": [f"kind {number}"]}
        for number, group in enumerate(groups)
        for one in group
    ]
    page.post("/api/heads", {"name": "kinds", "photos": given})
    page.click(".theme")
    page.one(".tile img.here")
    page.press("l")
    page.one("dialog [role=option]", "kind 0")
    page.press("seaside\ue007")
    page.one(".toast", "seaside")
    told = page.get("/api/heads/kinds/predictions?limit=1000&label=seaside")
    counted = page.get("/api/themes")["themes"][0]["count"]
    assert page.get("/api/heads")["heads"][0]["corrections"] == counted, told


def test_a_stack_is_cleaned_of_its_copies_alone(page: Page):
    page.post("/api/duplicates/find")
    page.until(lambda: page.get("/api/duplicates")["state"] == "done", "the duplicates", 120)
    groups = page.get("/api/duplicates?limit=1000")["groups"]
    found = None
    for theme in page.get("/api/themes")["themes"]:
        photos = {one["photo"] for one in page.get(f"/api/themes/{theme['id']}")["photos"]}
        inside = [group for group in groups if photos & {file["photo"] for file in group["files"]}]
        if 0 < len(inside) < len(groups):
            found = theme["id"], len(inside)
    assert found
    page.show(f"/themes?theme={found[0]}")
    page.click("button", "Clean up")
    page.one(".tools", f"{found[1]} group")
    page.until(lambda: len(page.all(".groups button")) == found[1], "the groups of this theme")
