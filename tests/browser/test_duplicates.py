"""Duplicates on the page: compared side by side, decided on, reviewed as a plan with pictures, applied and undone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageOps

from tests.support.barriers import check_everywhere
from tests.support.browser import PHONE, served_library
from tests.support.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

    from tests.support.browser import Page

pytestmark = pytest.mark.weights

SPACE = " "
_IN_SIGHT = """const { left, right } = arguments[0].getBoundingClientRect();
const row = arguments[0].parentElement.getBoundingClientRect();
return left >= row.left - 1 && right <= row.right + 1"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group of five, two identical files, a photo with a frame, and two views of one scene."""
    folder = tmp_path_factory.mktemp("family") / "photos"
    folder.mkdir()
    for name in ("cat-1", "dog-1", "bird-1", "bird-2", "fish-2"):
        shutil.copy(SAMPLES / f"animals/{name}.jpg", folder)
    for name in ("bird-1", "fish-2"):
        shutil.copy(folder / f"{name}.jpg", folder / f"copy of {name}.jpg")
    with Image.open(folder / "cat-1.jpg") as opened:
        cat = opened.convert("RGB")
    cat.resize((cat.width // 2, cat.height // 2)).save(folder / "cat small.jpg", quality=80)
    cat.convert("L").save(folder / "cat grey.jpg", quality=90)
    ImageOps.mirror(cat).save(folder / "cat mirrored.jpg", quality=90)
    ImageOps.expand(cat, 40, "white").save(folder / "cat framed.jpg", quality=90)
    with Image.open(folder / "dog-1.jpg") as dog:
        ImageOps.expand(dog.convert("RGB"), 40, "black").save(folder / "dog <b>framed.jpg", quality=90)
    for name in ("dandelion-1", "dandelion-2"):  # one shows more of the scene than the other
        shutil.copy(SAMPLES / f"nature/{name}.jpg", folder)
    return folder


@pytest.fixture(scope="module")
def served(photos: Path, driver: Chrome, shots: Path) -> Iterator[Page]:
    with served_library(photos, driver, shots) as page:
        page.show("/duplicates")
        page.click("button", "Look for duplicates")
        page.one(".groups button", seconds=180)
        yield page


@pytest.fixture
def page(served: Page) -> Iterator[Page]:
    with served.watched():
        served.driver.execute_script("sessionStorage.clear()")
        served.show("/duplicates")
        served.one(".groups button")
        yield served


def names(page: Page, selector: str) -> list[str]:
    return [element.text for element in page.all(selector)]


def open_group(page: Page, name: str) -> None:
    page.click(".groups button", name)
    page.one('.groups button[aria-current="true"]', name)


def test_two_files_are_side_by_side_with_the_one_to_keep_on_the_left_and_words_below(page: Page, axe: str):
    open_group(page, "dog-1.jpg")
    left, right = page.all(".pane")
    assert left.location["x"] < right.location["x"]
    assert "keep" in left.text
    assert "dog-1.jpg" in left.text
    assert "would go" in right.text
    assert "dog <b>framed.jpg" in right.text
    said = names(page, ".captions .caption")[1]
    assert "border" in said or "around" in said
    assert "cosine" not in page.one(".compare").text
    check_everywhere(page, axe, "duplicates-pair", ".pane img")


def test_five_files_are_all_shown_large_at_once_and_each_can_be_kept(page: Page, axe: str):
    open_group(page, "5 files")
    figures = page.all(".copies .copy")
    assert len(figures) == 5
    assert all(one.find_element("tag name", "img").size["height"] > 120 for one in figures)
    check_everywhere(page, axe, "duplicates-five", ".copies .copy img")
    small = next(one for one in page.all(".copies .copy") if "cat small.jpg" in one.text)
    small.find_element("css selector", ".link").click()
    page.one(".running-plan", "1 group decided: 4 files would go")
    page.press("u")
    page.one(".running-plan", "Nothing decided yet")


def test_all_identical_files_are_accepted_and_that_is_taken_back_in_one_step(page: Page):
    page.click("button", "Accept all identical files")
    page.one(".running-plan", "2 groups decided: 2 files would go")
    page.one(".toast", "nothing is moved before you apply the plan")
    page.press("u")
    page.one(".running-plan", "Nothing decided yet")


def test_what_is_no_duplicate_leaves_the_list_at_once_and_comes_back(page: Page):
    open_group(page, "dog-1.jpg")
    before = len(page.all(".groups button"))
    page.press("n")
    page.until(lambda: len(page.all(".groups button")) == before - 1, "the group to go")
    page.driver.refresh()
    page.until(lambda: len(page.all(".groups button")) == before - 1, "the group to stay away")
    page.press("u")
    page.until(lambda: len(page.all(".groups button")) == before, "the group to come back")


def test_pictures_that_contain_others_stand_apart(page: Page, axe: str):
    page.click(".segments button", "Contains, alike")
    page.one(".beside", "dandelion-1.jpg")
    assert not page.all(".running-plan")
    check_everywhere(page, axe, "duplicates-contains", ".beside img")
    page.show("/duplicates?tier=beside", size=PHONE)
    page.one(".beside img")
    chosen = page.one('.segments button[aria-pressed="true"]', "Contains, alike")
    assert page.driver.execute_script(_IN_SIGHT, chosen)


def test_a_pair_is_flipped_and_its_difference_drawn(page: Page):
    open_group(page, "dog-1.jpg")
    page.press("v", "v")
    page.one(".pane canvas")
    page.one(".plate", "differs clearly")
    page.press("v", SPACE)
    page.one(".pane .plate", "dog <b>framed.jpg")
    assert len(page.all(".pane")) == 1
    page.press(SPACE)
    assert "keep\ndog-1.jpg" in page.one(".pane .plate").text
    page.press(SPACE)
    assert "would go" in page.one(".pane .plate").text


def test_the_plan_shows_each_file_that_goes_by_reason_and_where_to_and_undo_puts_all_back(
    page: Page, axe: str, photos: Path
):
    page.click("button", "Accept all identical files")
    open_group(page, "dog-1.jpg")
    page.press("a")
    page.one(".running-plan", "3 groups decided: 3 files would go")
    page.driver.refresh()  # decisions survive it
    page.one(".running-plan", "3 groups decided")
    page.press("p")
    page.one("h1", "Review the plan")
    assert [text.split("\n")[0].split(" 2")[0] for text in names(page, ".plan-page h2")] == [
        "Identical files 2 files".split(" 2")[0],
        "Edited copies 1 file",
    ]
    going = {
        Path(text.split("\n")[0]).name: one
        for one in page.all(".leaving")
        if (text := one.find_element("css selector", ".said").text)
    }
    assert set(going) == {"copy of bird-1.jpg", "copy of fish-2.jpg", "dog <b>framed.jpg"}
    edge = page.driver.execute_script(
        "return getComputedStyle(arguments[0]).borderTopColor", page.one(".leaving")
    )
    assert edge == "rgb(164, 38, 44)"
    assert all(one.find_element("tag name", "img").size["height"] > 150 for one in going.values())
    page.one(".place", "They go to")
    check_everywhere(page, axe, "plan", ".leaving img")
    before = sorted(path.name for path in photos.iterdir())
    page.click("button", "Apply the plan")
    page.click("dialog button.first", "Apply")
    page.one(".tag.good", "applied")
    assert sorted(path.name for path in photos.iterdir() if path.is_file()) == sorted(
        set(before) - set(going)
    )
    page.one(".place", "They are in")
    page.click("button", "Undo the plan")
    page.one(".tag", "undone")
    assert sorted(path.name for path in photos.iterdir() if path.is_file()) == before
    page.until(lambda: page.get("/api/status")["indexing"] is None, "the library to follow", 60)
    page.show("/duplicates?plan=all")
    page.one(".list.card li", "undone")
    check_everywhere(page, axe, "plans", ".list.card li")
