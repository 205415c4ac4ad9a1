"""Folders on the page: added, watched, forgotten; errors by reason; the models to choose from."""

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
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders") / "one"
    folder.mkdir()
    for name in ("cat-1", "cat-2", "dog-1"):
        shutil.copy(SAMPLES / f"animals/{name}.jpg", folder)
    whole = (SAMPLES / "animals/bird-2.jpg").read_bytes()
    (folder / "short.jpg").write_bytes(whole[:9000])
    (folder / "<img src=x>.jpg").write_bytes(b"")
    (folder.parent / "two").mkdir()
    shutil.copy(SAMPLES / "nature/bee-1.jpg", folder.parent / "two")
    return folder


@pytest.fixture(scope="module")
def served(photos: Path, driver: Chrome, shots: Path) -> Iterator[Page]:
    with served_library(photos, driver, shots) as page:
        yield page


@pytest.fixture
def page(served: Page) -> Iterator[Page]:
    with served.watched():
        served.show("/indexing")
        served.one(".figures b")
        yield served


def test_what_could_not_be_read_is_told_by_reason_and_tried_again(page: Page, axe: str, photos: Path):
    page.one("section", "2 files could not be read")
    page.click("summary", "It is truncated")
    page.one(".reason li", "short.jpg")
    page.click("summary", "The file is empty")
    page.one(".reason li", "<img src=x>.jpg")
    check_everywhere(page, axe, "folders", ".reason li")
    page.click("button", "Try again")
    page.until(lambda: page.get("/api/index")["state"] == "done", "the run", 60)
    assert page.get("/api/index")["report"]["unreadable"]


def test_a_second_folder_is_added_watched_and_forgotten_and_its_photos_stay(page: Page, photos: Path):
    second = photos.parent / "two"
    page.one('input[name="folder"]').send_keys(str(second))
    page.click("button", "Add and index")
    page.one(".list li", str(second), seconds=60)
    page.until(lambda: page.get("/api/status")["indexing"] is None, "the run", 60)
    page.click(".check input")
    page.until(lambda: page.get("/api/watch")["on"], "watching")
    shutil.copy(SAMPLES / "nature/bee-2.jpg", second / "new.jpg")
    page.until(lambda: page.get("/api/status")["photos"] == 5, "the new photo", 60)
    page.until(lambda: page.get("/api/status")["indexing"] is None, "the run", 60)
    page.show("/indexing")
    page.until(lambda: page.one(".check input").is_selected(), "the choice to be kept")
    page.click(".check input")
    page.until(lambda: not page.get("/api/watch")["on"], "the end of watching")
    page.click(f'button[aria-label="Forget {second}"]')
    page.one("dialog", "The photos themselves are not touched")
    page.click("dialog button", "Forget the folder")
    page.until(lambda: not page.all(".list li", str(second)), "the folder to go")
    assert page.get("/api/status")["photos"] == 3
    assert sorted(path.name for path in second.iterdir()) == ["bee-1.jpg", "new.jpg"]


def test_the_models_are_offered_with_what_they_can_do(page: Page, axe: str):
    page.click("button", "Change …")
    page.one("dialog .model", "clip-vit-base-patch16")
    page.one("dialog .model .tag.good", "in use")
    page.click('dialog button[aria-label="Use dinov2-small"]')
    page.one("dialog", "are looked at again")
    check_everywhere(page, axe, "model-change", "dialog")
    page.click("dialog button", "Cancel")
    assert page.get("/api/status")["indexing"] is None
