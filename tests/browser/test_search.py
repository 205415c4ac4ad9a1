"""The one field at the top of every view, and what a search answers with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from selenium.webdriver import ActionChains

from tests.support.browser import PHONE, WIDE

if TYPE_CHECKING:
    from tests.support.browser import Page

ENTER, ESCAPE = "\ue007", "\ue00c"
VIEWS = ["/", "/search", "/photo/5", "/duplicates", "/labels", "/indexing", "/nonsense"]

pytestmark = pytest.mark.weights


def forgive(page: Page) -> None:
    """A page that is asked for at an address of nothing is a 404, which the browser notes."""
    page.driver.get_log("browser")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_view_has_the_field_and_a_slash_leads_to_it(page: Page, size: tuple[int, int]):
    for path in VIEWS:
        page.show(path, size=size)
        page.one(".view:not([hidden])")
        field = page.one("#find-words")
        assert field.size["width"] > 150, path
        page.press("/")
        assert page.driver.switch_to.active_element == field, path
        page.press(ESCAPE)
    forgive(page)


def test_an_address_of_nothing_is_a_page_that_leads_back(page: Page):
    page.show("/nonsense")
    page.one(".nowhere h1", "no page at this address")
    page.picture("nowhere")
    page.click(".nowhere a")
    page.one(".tile")
    page.show("/photo/not-a-number")
    page.one(".nowhere h1", "no page at this address")
    forgive(page)


def test_words_that_the_model_does_not_read_are_answered_with_the_step_that_helps(page: Page):
    page.show("/")
    page.one(".tile")
    page.press("/")
    page.press("a red bicycle", ENTER)
    page.until(lambda: "/search?text=a+red+bicycle" in page.driver.current_url, "the search")
    page.one(".empty h2", "Words need one more step")
    assert page.all(".empty .button.first")
    step = page.get("/api/status")["words_step"]
    assert step is not None
    words = "no photo is looked at again" if not step["photos"] else "looks once at"
    assert words in page.one(".empty").text
    assert page.one("#find-words").get_attribute("value") == "a red bicycle"
    # What went wrong goes with the search that it belongs to.
    page.show("/search?photo=5")
    page.one(".tile")
    page.press("/")
    page.press("a red bicycle", ENTER)
    page.one(".empty h2", "Words need one more step")
    page.driver.back()
    page.one(".tile")
    assert not page.all(".empty")
    assert page.one("#find-words").get_attribute("value") == ""


def test_pictures_are_chosen_in_the_field_from_any_view(page: Page, photos: Path):
    page.show("/indexing")
    page.one(".figures b")
    chooser = page.driver.find_element("id", "find-files")
    chooser.send_keys(f"{photos / 'animals' / 'cat-1.jpg'}\n{photos / 'animals' / 'cat-2.jpg'}")
    page.until(lambda: page.driver.current_url.count("upload=") == 2, "both pictures in the address")
    page.one(".tile")
    assert len(page.all(".chip")) == 2


def test_an_answer_says_what_is_good_with_date_and_folder_and_the_score_on_hover(page: Page, photos: Path):
    page.show("/search?photo=5")
    titles = page.until(lambda: [one.text for one in page.all(".section-title")], "the sections")
    assert {re.sub(r"[\d\n ]+$", "", title) for title in titles} <= {"Good matches", "Less alike"}
    captions = [one.text.split("\n") for one in page.all(".tile .caption")]
    folders = {folder.name for folder in photos.iterdir()}
    assert all(lines[-1] in folders for lines in captions)
    dates = [lines[0] for lines in captions if len(lines) == 2]  # a photo without one has none
    assert dates
    assert all(re.fullmatch(r"\d+ [A-Z][a-z]+ \d{4}", date) for date in dates)
    text = page.one(".view:not([hidden])").text
    assert "clip" not in text
    assert not re.search(r"0\.\d\d", text)
    ActionChains(page.driver).move_to_element(page.one(".tile")).perform()
    page.one(".tile .hint", "Similarity 0.")


def test_near_copies_are_left_out_by_a_switch(page: Page, photos: Path):
    names = [file.name for file in sorted((photos / "copies").iterdir())]
    page.show("/")
    page.one(".tile")
    copy = photos / "copies" / names[0]
    page.driver.find_element("id", "find-files").send_keys(str(copy))
    page.one(".tile")
    switch = page.one('[role="switch"]', "Without near copies")
    assert switch.get_attribute("aria-checked") == "false"
    before = page.driver.execute_script(
        "return [...document.querySelectorAll('.tile')].map((one) => one.dataset.photo)"
    )
    switch.click()
    page.until(lambda: "distinct=true" in page.driver.current_url, "the switch in the address")
    page.until(lambda: page.one('[role="switch"]').get_attribute("aria-checked") == "true", "the switch")
    page.until(
        lambda: (
            page.driver.execute_script(
                "return [...document.querySelectorAll('.tile')].map((one) => one.dataset.photo)"
            )
            != before
        ),
        "another answer",
    )


def test_an_error_goes_with_the_page_that_it_came_from(page: Page, tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    page.show("/")
    page.one(".tile")
    page.drop(broken)
    page.one(".toast.bad")
    page.until(lambda: page.driver.execute_script("return performance.now()") > 4000, "some seconds")
    page.click("nav a", "Labels")
    page.until(lambda: not page.all(".toast.bad"), "the error to go")
    forgive(page)


def test_a_search_keeps_the_filters_of_the_photos_it_began_at(page: Page, photos: Path):
    page.show(f"/?folder={photos / 'travel'}")
    page.one(".tile")
    page.press("/")
    page.press("a castle", ENTER)
    page.until(lambda: "text=a+castle" in page.driver.current_url, "the search")
    assert "folder=" in page.driver.current_url


def test_a_copy_with_other_pixels_is_a_good_match(page: Page, tmp_path: Path, photos: Path):
    with Image.open(photos / "travel" / "castle-2.jpg") as image:
        image.rotate(3).save(tmp_path / "turned.jpg")
    page.show("/")
    page.drop(tmp_path / "turned.jpg")
    page.one(".section-title", "Good matches")
    assert page.result(0).startswith("castle-2.jpg")


def test_a_match_whose_file_has_gone_is_marked(page: Page, tmp_path: Path):
    gone = Path(page.get("/api/search?photo=5")["results"][0]["path"])
    gone.rename(tmp_path / gone.name)
    try:
        page.show("/search?photo=5")
        assert page.one(".tile .caption", "Not there now")
        assert gone.name in page.result(0)
    finally:
        (tmp_path / gone.name).rename(gone)


def test_photos_that_were_found_are_selected_too(page: Page):
    page.show("/search?photo=5")
    page.one(".tile img.here")
    page.driver.execute_script("document.querySelector('.view:not([hidden]) .tile a').focus()")
    page.press(" ")
    page.one(".selection-bar b", "1 photo")
    page.press(ESCAPE)
    page.until(lambda: not page.all(".selection-bar"), "nothing to be selected")
