"""The photos of a library, and what is done with several of them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.support.ui import Select

from tests.support.barriers import check_everywhere
from tests.support.browser import PHONE, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

    from tests.support.browser import Page

# So low that small photos need a rail, which in the high window all fit without one.
LOW = (WIDE[0], WIDE[1] // 2)
RIGHT, DOWN, ESCAPE, SPACE, SHIFT, CONTROL = "\ue014", "\ue015", "\ue00c", " ", "\ue008", "\ue009"

pytestmark = pytest.mark.weights


@pytest.fixture(autouse=True)
def usual_size(page: Page) -> Iterator[None]:
    yield
    page.driver.execute_script("localStorage.removeItem('photo-size')")


def selected(page: Page) -> int:
    """How many photos the bar says are selected."""
    bar = page.all(".selection-bar b")
    return int(bar[0].text.split()[0].replace(",", "")) if bar else 0


def tiles(page: Page) -> list[WebElement]:
    page.one(".tile img.here")
    return page.all(".tile")


def rectangles(page: Page, selector: str) -> list[dict[str, float]]:
    script = """return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())
        .map((one) => one.getBoundingClientRect().toJSON())"""
    found: list[dict[str, float]] = []
    until = time.monotonic() + 10
    # The page draws its grid anew when it learns of photos: for a moment nothing may be there.
    while not found and time.monotonic() < until:
        found = page.driver.execute_script(script, selector)
    return found


def tallest(page: Page) -> float:
    return max(one["bottom"] - one["top"] for one in rectangles(page, ".tile > a"))


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["right"] <= other["left"] + 0.5
        or other["right"] <= one["left"] + 0.5
        or one["bottom"] <= other["top"] + 0.5
        or other["bottom"] <= one["top"] + 0.5
    )


@pytest.mark.parametrize("size", [WIDE, LOW, PHONE], ids=["wide", "low", "phone"])
def test_months_of_few_photos_share_a_row_and_nothing_lies_over_anything(page: Page, size: tuple[int, int]):
    page.show("/", size=size)
    page.driver.execute_script("localStorage.setItem('photo-size', '0.5')")
    page.driver.refresh()
    tiles(page)
    titles = rectangles(page, ".section-title .name")
    assert len({round(one["top"]) for one in titles}) < len(titles)
    photos = rectangles(page, ".tile")
    for number, one in enumerate(photos):
        assert all(apart(one, other) for other in photos[number + 1 :])
    script = """const grid = document.querySelector(".view:not([hidden]) .grid");
        return grid.scrollHeight / grid.clientHeight"""
    screens = page.driver.execute_script(script)
    rail = rectangles(page, ".scrubber")
    assert bool(rail) == (screens > 1.5)
    assert rail or size == WIDE
    assert all(one["right"] <= rail[0]["left"] for one in photos if rail)


@pytest.mark.parametrize("by", ["folder", "date"])
def test_the_rail_has_room_of_its_own(page: Page, by: str):
    for size in (WIDE, PHONE):
        page.show(f"/?by={by}", size=size)
        tiles(page)
        rail = rectangles(page, ".scrubber")
        assert all(one["right"] <= rail[0]["left"] for one in rectangles(page, ".tile"))
        assert all(one["left"] >= rail[0]["left"] - 0.5 for one in rectangles(page, ".scrubber .tick"))


def test_photos_without_a_date_stand_apart_by_the_time_of_their_files(page: Page):
    page.show("/")
    tiles(page)
    page.driver.execute_script("document.querySelector('.grid').scrollTop = 1e9")
    title = page.one(".section-title", "No date")
    assert "by the time of their files" in title.text
    alone = page.driver.execute_script("return arguments[0].parentElement.childElementCount", title)
    assert alone == 1
    columns = page.get("/api/grid")
    undated = columns["ids"][-columns["sections"][-1]["count"] :]
    times = [page.get(f"/api/photos/{photo}")["files"][0]["modified"] for photo in undated[:6]]
    assert times == sorted(times, reverse=True)


def test_the_size_of_photos_is_chosen_and_kept(page: Page):
    page.show("/")
    before = tallest(page)
    page.driver.execute_script(
        "const field = arguments[0]; field.value = field.max; field.dispatchEvent(new Event('input'))",
        page.one('input[aria-label="Size of the photos"]'),
    )
    page.until(lambda: tallest(page) > before * 1.3, "larger photos")
    page.still()
    after = tallest(page)
    page.driver.refresh()
    tiles(page)
    page.until(lambda: tallest(page) == pytest.approx(after, rel=0.1), "photos as large as before")


def test_the_name_and_the_date_come_on_hover(page: Page):
    page.show("/")
    tile = tiles(page)[0]
    page.until(lambda: page.all(".tile img[alt*='.jpg']"), "the names")
    ActionChains(page.driver).move_to_element(tile).perform()
    hint = page.one(".tile .hint").text.split("\n")
    assert hint[0].endswith((".jpg", ".png", ".webp", ".heic", ".avif"))
    assert any(character.isdigit() for character in hint[1])


def test_photos_are_selected_by_click_shift_drag_and_keyboard(page: Page):
    page.show("/")
    first = tiles(page)
    chain = ActionChains(page.driver)
    chain.move_to_element(first[0]).perform()
    page.click(".tile .check")
    assert selected(page) == 1
    first[2].click()  # while photos are selected, a click selects
    assert selected(page) == 2
    chain = ActionChains(page.driver)
    chain.key_down(SHIFT).click(first[5]).key_up(SHIFT).perform()
    assert selected(page) == 5
    page.press(ESCAPE)
    assert selected(page) == 0
    # Over the pictures, from the check of the first one to the fifth.
    ActionChains(page.driver).move_to_element(first[0]).perform()
    check = page.one(".tile .check")
    ActionChains(page.driver).click_and_hold(check).move_by_offset(30, 5).move_to_element(
        first[4]
    ).release().perform()
    page.until(lambda: selected(page) == 5, "five selected by drag")
    page.press(ESCAPE)
    # The keyboard: Space, Shift and arrows, all.
    page.driver.execute_script("document.querySelector('.tile a').focus()")
    page.press(SPACE)
    ActionChains(page.driver).key_down(SHIFT).send_keys(RIGHT, RIGHT).key_up(SHIFT).perform()
    assert selected(page) == 3
    ActionChains(page.driver).key_down(CONTROL).send_keys("a").key_up(CONTROL).perform()
    assert selected(page) == len(page.get("/api/grid")["ids"])
    page.press(ESCAPE)
    assert not page.all(".selection-bar")
    # A whole section, by the mark beside its title.
    page.driver.execute_script("document.querySelector('.section-check').click()")
    assert selected(page) == page.get("/api/grid")["sections"][0]["count"]


def test_a_key_that_selects_lays_the_page_out_twice_at_most(page: Page):
    """Once so that the focus can move, once for what is then to be seen; whatever is read is read before."""
    page.show("/", size=LOW)
    tiles(page)
    page.still()
    page.driver.execute_cdp_cmd("Performance.enable", {})

    def layouts() -> float:
        metrics = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "LayoutCount"))

    keys = ["ArrowDown", "PageDown", "ArrowUp", "PageUp"] * 5
    before = layouts()
    page.driver.execute_script(
        """document.querySelector('.tile a').focus();
        for (const key of arguments[0]) document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', { key, shiftKey: true, bubbles: true, cancelable: true }));""",
        keys,
    )
    # All keys come within one frame: its own layout, and those of pictures that come, are the few on top.
    assert layouts() - before <= 2 * len(keys) + 5
    page.until(lambda: selected(page) > 5, "a selection")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_bar_of_actions_lies_over_nothing_and_is_wide_enough_for_a_thumb(
    page: Page, size: tuple[int, int]
):
    page.show("/", size=size)
    tiles(page)
    page.driver.execute_script("document.querySelector('.tile a').focus()")
    page.press(SPACE)
    bar = page.one(".selection-bar")
    page.still()
    page.picture(f"selected{'-phone' if size == PHONE else ''}")
    box = rectangles(page, ".selection-bar")[0]
    assert box["right"] <= size[0]
    below = rectangles(page, ".views")[0] if size == PHONE else {"top": size[1]}
    assert box["bottom"] <= below["top"] + 0.5
    assert rectangles(page, ".grid")[0]["bottom"] <= box["top"] + 0.5
    buttons = rectangles(page, ".selection-bar button")
    assert len(buttons) == 10
    assert all(apart(one, other) for at, one in enumerate(buttons) for other in buttons[at + 1 :])
    if size == PHONE:
        assert all(one["bottom"] - one["top"] >= 44 and one["right"] - one["left"] >= 44 for one in buttons)
    assert bar.text
    page.press("s")
    toast = page.one(".toast")
    assert apart(rectangles(page, ".toast")[0], rectangles(page, ".selection-bar")[0]), toast.text
    page.click(".toast button", "Undo")
    page.until(lambda: page.get("/api/favourites")["photos"] == [], "the favourite to be taken back")


def select_two(page: Page) -> list[int]:
    page.show("/")
    tiles(page)
    page.driver.execute_script("document.querySelector('.tile a').focus()")
    page.press(SPACE, RIGHT, SPACE)
    return [int(photo) for photo in page.get("/api/grid")["ids"][:2]]


def test_similar_photos_are_found_for_all_that_are_selected(page: Page):
    chosen = select_two(page)
    page.click(".verb", "Find similar")
    page.until(lambda: page.driver.current_url.count("photo=") == 2, "the search")
    page.one(".tile")
    assert all(f"photo={photo}" in page.driver.current_url for photo in chosen)


def test_favourites_are_marked_and_shown_alone(page: Page):
    chosen = select_two(page)
    page.click(".verb", "Favourite")
    page.until(lambda: sorted(page.get("/api/favourites")["photos"]) == sorted(chosen), "the favourites")
    assert len(page.all(".tile .loved")) == 2
    page.press(ESCAPE)
    page.click("button", "Filter")
    page.click('.filters [role="switch"]', "Favourites only")
    page.until(lambda: "favourite=true" in page.driver.current_url, "the filter in the address")
    page.until(lambda: len(page.all(".tile")) == 2, "the favourites alone")
    ActionChains(page.driver).key_down(CONTROL).send_keys("a").key_up(CONTROL).perform()
    page.press("s")
    page.until(lambda: page.get("/api/favourites")["photos"] == [], "no favourites")


def test_filters_narrow_down_by_camera_and_place_and_escape_closes_them(page: Page):
    page.show("/")
    tiles(page)
    facets = page.get("/api/facets")
    page.click("button", "Filter")
    for name, values in (("Camera", facets["cameras"]), ("Place", facets["places"])):
        if not values:
            continue
        field = page.one(f'select[aria-label="{name}"]')
        page.until(lambda field=field: len(field.find_elements("tag name", "option")) > 1, "choices")
        field.find_elements("tag name", "option")[1].click()
        page.until(lambda name=name: f"{name.lower()}=" in page.driver.current_url, "the filter")
        page.until(
            lambda values=values: (
                len(page.get(f"/api/grid{page.driver.execute_script('return location.search')}")["ids"])
                == values[0]["count"]
            ),
            "as many photos as were promised",
        )
        page.show("/")
        tiles(page)
        page.click("button", "Filter")
    page.one(".filters select").send_keys(ESCAPE)
    assert not page.all(".filters")
    page.click("button", "Filter")
    page.one(".filters select")
    page.driver.execute_script("document.activeElement.blur()")
    page.press(ESCAPE)
    assert not page.all(".filters")


def test_selected_photos_are_copied_into_a_folder(page: Page, tmp_path: Path):
    chosen = select_two(page)
    page.click(".verb", "Copy or link")
    page.one('dialog input[aria-label="Folder to copy to"]').send_keys(str(tmp_path / "chosen"))
    page.click("dialog button.first", "Copy")
    page.one(".toast", "2 files in")
    paths = [Path(page.get(f"/api/photos/{photo}")["files"][0]["path"]) for photo in chosen]
    assert {one.name: one.read_bytes() for one in (tmp_path / "chosen").iterdir()} == {
        path.name: path.read_bytes() for path in paths
    }


def test_selected_photos_go_to_the_trash_through_a_plan_only(page: Page):
    chosen = select_two(page)
    paths = [Path(page.get(f"/api/photos/{photo}")["files"][0]["path"]) for photo in chosen]
    page.click(".verb", "Move to trash")
    page.click("dialog button.first", "Make the plan")
    page.until(lambda: "/duplicates?plan=" in page.driver.current_url, "the plan")
    page.one("h1", "lan")
    page.still()
    page.picture("plan-of-selection")
    assert all(path.exists() for path in paths)
    plan = page.get(f"/api/plans/{page.driver.current_url.split('plan=')[1]}")
    assert [file["path"] for group in plan["groups"] for file in group["files"]] == list(map(str, paths))
    page.post(f"/api/plans/{plan['id']}/apply")
    assert not any(path.exists() for path in paths)
    page.post(f"/api/plans/{plan['id']}/undo")
    assert all(path.exists() for path in paths)
    page.until(lambda: page.get("/api/status")["indexing"] is None, "the library to follow", 60)


def test_a_photo_shows_date_and_folder_first_with_words_on_its_buttons(page: Page):
    photo = select_two(page)[0]
    page.show(f"/photo/{photo}")
    page.one(".strip a")
    first = [one.text for one in page.all(".first-facts li")]
    facts = page.get(f"/api/photos/{photo}")
    assert facts["taken"][:4] in first[0]
    assert Path(facts["files"][0]["path"]).parent.name in first[-1]
    assert [one.text for one in page.all(".stage-tools .verb")] == [
        "Back", "Find similar", "Find a part", "Favourite", "Heat map", "Show file",
    ]  # fmt: skip
    page.press("s")
    page.until(lambda: page.get("/api/favourites")["photos"] == [photo], "the favourite")
    page.press("s")
    page.until(lambda: page.get("/api/favourites")["photos"] == [], "none")


def test_a_small_photo_is_never_enlarged_beyond_twice_its_size(page: Page):
    ids = page.get("/api/grid")["ids"] if page.driver.current_url.startswith(page.address) else []
    if not ids:
        page.show("/")
        ids = page.get("/api/grid")["ids"]
    photos = [page.get(f"/api/photos/{photo}") for photo in ids]
    smallest = min(photos, key=lambda one: one["width"] * one["height"])
    page.show(f"/photo/{smallest['photo']}", size=(2400, 1800))
    page.one(".strip a")
    frame = page.one(".photo .frame")
    assert frame.size["width"] <= 2 * smallest["width"] + 1
    assert frame.size["height"] <= 2 * smallest["height"] + 1


def test_a_photo_that_is_not_in_the_library_is_a_page(page: Page):
    page.show("/photo/999999")
    page.one(".nowhere h1", "This photo is not in the library")
    assert not page.all(".stage")
    page.picture("no-such-photo")
    page.click(".nowhere a")
    page.one(".tile")
    page.driver.get_log("browser")  # the browser notes that the photo is not there


def test_labels_that_are_unsure_look_unsure_and_can_be_answered(full_page: Page):
    page = full_page
    page.show("/labels?head=kinds&all=1")
    page.one(".tile img.here")
    photo = page.get("/api/heads/kinds/predictions?label=animals&limit=1")["predictions"][0]["photo"]
    with closing(sqlite3.connect(Path(page.get("/api/status")["folder"]) / "library.db")) as library, library:
        library.execute(
            "UPDATE photo_labels SET probability = 0.5 WHERE photo = ? AND label = 'animals'", [photo]
        )
    page.show(f"/photo/{photo}")
    # The page is drawn again when it hears that the library has changed: nothing is held between two steps.
    words = page.until(lambda: page.one(".photo-label.unsure a").text, "a label that looks unsure")
    assert words.startswith(("probably ", "maybe "))
    label = words.split(" ", 1)[1]
    page.picture("photo-unsure")
    answer = f'.photo-label.unsure button[aria-label="It is {label}"]'

    def given() -> bool:
        page.click(answer)
        return True

    page.until(given, "the answer to be given")
    page.until(lambda: page.all(".photo-label:not(.unsure)", label), "the label said by a person")


def test_nothing_keeps_people_out_of_selecting_and_filtering(page: Page, axe: str):
    select_two(page)
    check_everywhere(page, axe, "photos-selected", ".selection-bar")
    page.press("c")
    check_everywhere(page, axe, "photos-copy", "dialog[open]")
    page.press(ESCAPE)
    page.show("/")
    tiles(page)
    page.click(".tools button", "Filter")
    check_everywhere(page, axe, "photos-filters", ".filters select")


def test_a_new_set_of_labels_begins_with_the_selected_photos(page: Page):
    chosen = select_two(page)
    page.click(".verb", "Add label")
    label = page.one('dialog input[aria-label="Label"]')  # the dialog opens once the sets are known
    for sets in page.all('dialog select[aria-label="Set of labels"]'):
        Select(sets).select_by_visible_text("New set …")
    label.send_keys("chosen ones")
    page.one('dialog input[aria-label="Name of the new set"]').send_keys("begun")
    page.click("dialog button.first", "Add label")
    page.until(lambda: not page.all("dialog"), "the label to be learnt", 90)
    head = next(one for one in page.get("/api/heads")["heads"] if one["name"] == "begun")
    assert head["labels"] == ["chosen ones"]
    assert head["examples"] > len(chosen)
    page.one(".toast", "Learnt chosen ones from 2 photos")
    (Path(page.get("/api/status")["folder"]) / "heads" / "begun.safetensors").unlink()
