"""The page as people use it, in a real browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.barriers import cut_off
from tests.support.browser import PHONE, WIDE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Page

ENTER, RIGHT, ESCAPE = "\ue007", "\ue014", "\ue00c"

pytestmark = pytest.mark.weights


def test_a_folder_added_on_the_page_is_in_the_grid_with_what_could_not_be_read(page: Page):
    page.show("/indexing")
    page.one("section", "pyramid-1-truncated.jpg")
    page.show("/")
    page.one(".tools", "62 photos")
    assert len(page.all(".tile img")) > 5
    assert page.one(".section-title", "April 2009")


def test_the_grid_is_walked_by_keyboard_and_back_leads_to_the_same_photo(page: Page):
    page.show("/")
    page.one(".tile")
    page.press(RIGHT, RIGHT)
    focused = page.driver.switch_to.active_element
    chosen = focused.get_attribute("href")
    assert focused.get_attribute("data-index") == "1"
    focused.send_keys(ENTER)
    page.until(lambda: page.driver.current_url == chosen, "the photo")
    page.one(".facts h1")
    page.one(".strip a")
    page.press(ESCAPE)
    page.until(lambda: page.driver.switch_to.active_element.get_attribute("href") == chosen, "the focus")


def test_a_dropped_picture_finds_its_photo_first(page: Page, tmp_path: Path, photos: Path):
    copy = tmp_path / "from-elsewhere.jpg"
    with Image.open(photos / "travel" / "castle-2.jpg") as image:
        image.resize((image.width // 2, image.height // 2)).save(copy, quality=70)
    page.show("/")
    page.one(".tile")
    page.drop(copy)
    page.until(lambda: "/search?upload=" in page.driver.current_url, "the search")
    assert page.result(0).startswith("castle-2.jpg")
    page.one(".section-title", "Good matches")
    found = page.driver.current_url
    page.driver.back()
    page.one("h1", "Photos")
    page.driver.forward()
    assert page.driver.current_url == found
    assert page.result(0).startswith("castle-2.jpg")
    page.driver.refresh()
    assert page.result(0).startswith("castle-2.jpg")


def test_a_pasted_picture_finds_its_photo_first(page: Page, tmp_path: Path, photos: Path):
    with Image.open(photos / "nature" / "bee-2.jpg") as image:
        image.resize((image.width // 2, image.height // 2)).save(tmp_path / "copied.png")
    page.show("/labels")
    page.one("h1", "Teach your library")
    page.paste(tmp_path / "copied.png")
    page.until(lambda: "/search?upload=" in page.driver.current_url, "the search")
    assert page.result(0).startswith("bee-2.jpg")


@pytest.mark.slow
def test_the_heat_map_is_laid_over_the_photo_and_taken_away(page: Page):
    page.show("/photo/5")
    page.one(".strip a")
    page.press("h")
    page.until(lambda: page.all(".heat") and not page.all('[aria-busy="true"]'), "the heat map", 90)
    assert page.one('button[aria-pressed="true"]').get_attribute("aria-keyshortcuts") == "h"
    page.picture("heat-map")
    page.press("h")
    page.until(lambda: not page.all(".heat"), "the photo alone")


def test_a_box_drawn_with_the_pointer_or_the_keyboard_searches_for_that_part(
    page: Page, tmp_path: Path, photos: Path
):
    from selenium.webdriver import ActionChains

    both = Image.new("RGB", (800, 400), "white")
    for at, name in ((0, "animals/cat-2.jpg"), (400, "nature/flower-1.jpg")):
        with Image.open(photos / name) as image:
            both.paste(image.convert("RGB").resize((400, 400)), (at, 0))
    both.save(tmp_path / "both.png")
    page.show("/search")
    page.one(".dropzone")
    page.drop(tmp_path / "both.png")
    page.one(".chip")
    page.one(".tile")
    page.press("b")
    canvas = page.one("dialog .canvas")
    page.still()
    page.picture("box")
    width, height = canvas.size["width"], canvas.size["height"]
    chain = ActionChains(page.driver)
    chain.move_to_element_with_offset(canvas, 4 - width // 2, 4 - height // 2).click_and_hold()
    chain.move_to_element_with_offset(canvas, -4, height // 2 - 4).release().perform()
    page.click("dialog button", "Search for this part")
    page.until(lambda: "crop=" in page.driver.current_url, "the region in the address")
    page.until(lambda: page.result(0).startswith("cat-2.jpg"), "the cat")
    # The same box, half a picture to the right.
    page.press("b")
    page.one("dialog .region")
    page.press(*([RIGHT] * 26), ENTER)
    page.until(lambda: page.result(0).startswith("flower-1.jpg"), "the flower")


def test_examples_counter_examples_and_filters_are_in_the_address(page: Page, photos: Path):
    page.show("/")
    tile = page.one(".tile")
    photo = tile.get_attribute("data-photo")
    page.driver.execute_script("arguments[0].querySelector('a').focus()", tile)
    page.press("f")
    page.until(lambda: f"photo={photo}" in page.driver.current_url, "the search")
    page.one(".tile[data-photo]")
    page.press(RIGHT, RIGHT, "-")
    page.until(lambda: "not=photo" in page.driver.current_url, "the negative example")
    assert page.one(".chip.against", "Away from")
    page.click("button", "Filter")
    folder = page.one('select[aria-label="Folder"]')
    page.until(lambda: len(folder.find_elements("tag name", "option")) > 2, "the folders")
    option = next(
        one
        for one in folder.find_elements("tag name", "option")
        if (one.get_attribute("value") or "").endswith("travel")
    )
    option.click()
    page.until(lambda: "folder=" in page.driver.current_url, "the filter in the address")
    page.until(lambda: len(page.all(".tile")) == 17, "the filtered answer")


def test_the_theme_is_changed_and_kept(page: Page):
    page.show("/")
    page.one(".tile")
    page.click("#theme")
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    page.driver.refresh()
    page.one(".tile")
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    page.click("#theme")


def test_a_head_is_made_corrected_by_keyboard_and_trained_again(page: Page, photos: Path, tmp_path: Path):
    for label in ("animals", "nature", "travel"):
        shutil.copytree(photos / label, tmp_path / label)
    page.show("/labels")
    page.one("h1", "Teach your library")
    page.still()
    page.picture("labels-new")
    page.one('input[aria-label="Name of the head"]').send_keys("kinds")
    page.one('input[aria-label="Folder of labelled photos"]').send_keys(str(tmp_path))
    page.click("button", "Make the head")
    page.one(".head-list a", "Worth naming", seconds=60)
    page.click(".head-list a", "All photos")
    page.one(".tile .caption", seconds=60)
    page.press(RIGHT)
    first = page.driver.switch_to.active_element.find_element("xpath", "..").get_attribute("data-photo")
    page.press("3")
    page.one(f'.tile.corrected[data-photo="{first}"]', "travel")
    page.press("u")
    page.until(lambda: not page.all(".tile.corrected"), "the label to be taken back")
    page.press("3", "3")
    page.until(lambda: len(page.all(".tile.corrected")) == 2, "two corrections")
    page.press("n")
    page.one(".teach .big img")
    page.still()
    page.picture("next-to-label")
    page.press(ENTER)
    page.until(lambda: "2 of" in page.one(".teach").text, "the next question")
    page.press("r")
    page.one("dialog .figure[data-accuracy]", seconds=60)
    assert page.one("dialog", "Version 2")
    page.picture("retrained")


VIEWS = {
    "photos": ("/", ".tile img.here"),
    "photos-by-folder": ("/?by=folder", ".tile img.here"),
    "photo": ("/photo/5", ".strip a"),
    "search-empty": ("/search", ".dropzone"),
    "search": ("/search?photo=5", ".tile img.here"),
    "search-words": ("/search?text=a+red+bicycle", ".empty"),
    "nowhere": ("/nonsense", ".nowhere"),
    "duplicates": ("/duplicates", ".groups button"),
    "plans": ("/duplicates?plan=all", ".page h1"),
    "labels": ("/labels?all=1", ".tile img.here"),
    "next-to-label": ("/labels?next=1", ".teach img"),
    "folders": ("/indexing", ".figures b"),
}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_view_has_a_barrier_of_serious_grade(full_page: Page, axe: str, dark: bool, size: tuple[int, int]):
    barriers = {}
    for name, (path, ready) in VIEWS.items():
        full_page.show(path, dark=dark, size=size)
        full_page.one(ready)
        full_page.still()
        full_page.picture(f"{name}-{'dark' if dark else 'light'}{'-phone' if size == PHONE else ''}")
        full_page.driver.execute_script(axe)
        found = full_page.driver.execute_async_script(
            "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => arguments[0](violations))"
        )
        barriers[name] = [
            (one["id"], node["html"][:200], node["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
    assert {name: found for name, found in barriers.items() if found} == {}


def test_every_view_fits_a_phone(full_page: Page):
    overflow = {}
    for name, (path, ready) in VIEWS.items():
        full_page.show(path, size=PHONE)
        full_page.one(ready)
        wide = cut_off(full_page)
        full_page.still()
        full_page.picture(f"{name}-phone")
        if wide:
            overflow[name] = wide[:3]
    assert overflow == {}
