"""Labels on the page: stacks of alike photos get names, photos are asked about one by one, several labels a photo."""

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

ENTER, DOWN = "\ue007", "\ue015"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, driver: Chrome, shots: Path) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("labels") / "photos"
    for kind in ("animals", "nature", "travel"):
        shutil.copytree(SAMPLES / kind, folder / kind)
    with served_library(folder, driver, shots) as page:
        yield page


@pytest.fixture
def page(served: Page) -> Iterator[Page]:
    with served.watched():
        yield served


def test_labels_begin_with_stacks_of_alike_photos_that_get_names(page: Page, axe: str):
    page.show("/labels")
    page.one("h1", "Teach your library")
    check_everywhere(page, axe, "labels-new", ".welcome")
    page.click("a", "Show the stacks")
    page.one(".stack-card", seconds=60)
    check_everywhere(page, axe, "labels-stacks", ".stack-card img")
    stacks = page.all(".stack-card")
    assert len(stacks) >= 3
    assert all(one.find_element("css selector", ".typical").size["height"] > 100 for one in stacks)
    # One photo is taken out of the first stack; the second has another name, the third is none of these.
    stacks[0].find_element("css selector", ".pile").click()
    picks = len(page.all("dialog .pick"))
    page.click('dialog .pick[aria-pressed="true"]')
    page.one('dialog .pick[aria-pressed="false"]')
    check_everywhere(page, axe, "labels-pick", "dialog .pick")
    page.click("dialog button", "Done")
    page.one(".stack-card .number", f"{picks - 1} photo")
    for label in ("first", "second"):
        before = len(page.all(".stack-card"))
        page.all(".stack-card input")[0].send_keys(label, ENTER)
        page.until(lambda before=before: len(page.all(".stack-card")) == before - 1, "the stack to go")
        page.one(".making .tag", label)
    page.click("button", "None of these")
    page.one(".making .tag", "none of these")
    page.one('.making input[aria-label="Name of the head"]').send_keys("kinds")
    page.click("button", "Learn these names")
    page.one(".head-list a", "first", seconds=60)
    (head,) = page.get("/api/heads")["heads"]
    assert (head["name"], head["labels"]) == ("kinds", ["first", "second"])


def test_a_head_begins_with_what_is_most_worth_naming_and_a_name_is_taken_back(page: Page, axe: str):
    page.show("/labels")
    page.one(".head-list a[aria-current]", "Worth naming")
    page.one(".stack-card, .empty", seconds=60)
    check_everywhere(page, axe, "labels-worth", ".head-list")
    if stacks := page.all(".stack-card"):
        stacks[0].find_element("tag name", "input").send_keys("third", ENTER)
        page.one(".toast", "third")
        assert page.get("/api/heads")["heads"][0]["corrections"] > 0
        page.click(".toast button", "Undo")
        page.until(
            lambda: page.get("/api/heads")["heads"][0]["corrections"] == 0, "the name to be taken back"
        )
        page.one(".stack-card .pile")
        page.driver.execute_script("document.querySelector('.stack-card .pile').focus()")
        page.press("0")
        page.one(".toast", "none of these")
        page.click(".toast button", "Undo")
        page.until(lambda: page.get("/api/heads")["heads"][0]["corrections"] == 0, "that too")


def test_photos_are_asked_about_one_by_one_with_keys_and_type_ahead(page: Page, axe: str):
    page.show("/labels?next=1")
    page.one(".teach .big img", seconds=60)
    check_everywhere(page, axe, "labels-one-by-one", ".teach .big img")
    page.press("0")
    page.until(lambda: "2 of" in page.one(".teach").text, "the next photo")
    page.press("2")
    page.until(lambda: "3 of" in page.one(".teach").text, "the next photo")
    page.press("l")
    page.one("dialog [role=option]", "first")
    page.press("sec")
    page.until(lambda: "second" in page.one('dialog [aria-selected="true"]').text, "the type-ahead")
    check_everywhere(page, axe, "labels-type-ahead", "dialog [role=option]")
    page.press(ENTER)
    page.until(lambda: "4 of" in page.one(".teach").text, "the next photo")
    page.until(lambda: page.get("/api/heads")["heads"][0]["corrections"] == 3, "three labels")
    given = [
        row["labels"]
        for row in page.get("/api/heads/kinds/predictions?limit=1000")["predictions"]
        if row["corrected"]
    ]
    assert sorted(given) == [[], ["second"], ["second"]]
    page.press("u")
    page.until(lambda: page.get("/api/heads")["heads"][0]["corrections"] == 2, "one to be taken back")


def test_a_photo_gets_several_labels_where_they_do_not_exclude_each_other(page: Page, axe: str):
    page.show("/labels")
    rows = page.get("/api/heads/other/suggestions?n=12&groups=0")["photos"]
    given = [{"photo": row["photo"], "labels": [("red", "large")[at % 2]]} for at, row in enumerate(rows)]
    assert "head" in page.post("/api/heads", {"name": "several", "photos": given, "multi": True})
    page.show("/labels?head=several&next=1")
    page.one(".teach .big img", seconds=60)
    page.press("1", "2")
    page.one('.legend button[aria-pressed="true"]', "large")
    page.one(".teach button.first", "Give large, red")
    check_everywhere(page, axe, "labels-several", ".teach .big img")
    page.press(ENTER)
    page.until(lambda: "2 of" in page.one(".teach").text, "the next photo")
    page.until(
        lambda: (
            ["large", "red"]
            in [row["labels"] for row in page.get("/api/heads/several/predictions?limit=1000")["predictions"]]
        ),
        "both labels",
    )


def test_selected_photos_are_the_first_stack_of_a_new_head(page: Page):
    page.show("/labels")
    photos = page.get("/api/grid")["ids"][:3]
    page.show("/labels?" + "&".join(f"photo={photo}" for photo in photos))
    page.one(".naming", "First the photos that you selected", seconds=60)
    page.one(".stack-card .number", "3 photos")
    page.all(".stack-card input")[0].send_keys("mine", ENTER)
    page.one(".making .tag", "mine 3")
