"""One real Chromium, one real server, one library of copies of the samples for all browser tests.

axe-core comes from npm, by version and hash, into pytest's cache. Screenshots go to the cache as well, or to
$VITSEARCH_SCREENSHOTS.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import NONSENSE, Page, serving, started_browser, unavailable
from tests.support.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

AXE = "4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


@pytest.fixture(scope="session")
def shots(request: pytest.FixtureRequest) -> Path:
    folder = os.environ.get("VITSEARCH_SCREENSHOTS")
    path = Path(folder) if folder else request.config.cache.mkdir("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with started_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the samples: plans are applied to them."""
    folder = tmp_path_factory.mktemp("pictures") / "samples"
    shutil.copytree(SAMPLES, folder)
    return folder


@pytest.fixture(scope="session")
def new_page(driver: Chrome, tmp_path_factory: pytest.TempPathFactory, shots: Path) -> Iterator[Page]:
    """The page of a library that does not exist yet."""
    with serving(tmp_path_factory.mktemp("served") / "library") as address:
        yield Page(driver, address, shots)


@pytest.fixture(scope="session")
def indexed(new_page: Page, photos: Path) -> Page:
    """The page after the samples were added on it, as somebody does who sees it for the first time."""
    new_page.show("/")
    new_page.one("h1", "Find your photos")
    new_page.still()
    new_page.picture("welcome")
    new_page.one('input[name="folder"]').send_keys(str(photos))
    new_page.click("button", "Add and index")
    new_page.show("/indexing")
    new_page.one('progress[aria-label="Indexing"]')
    new_page.one("section", " of 63", seconds=120)  # counted live, by server-sent events
    new_page.picture("indexing")
    new_page.until(lambda: new_page.get("/api/status")["indexing"] is None, "the end of indexing", 180)
    return new_page


@pytest.fixture
def page(indexed: Page) -> Iterator[Page]:
    """The page of the samples; afterwards nothing may have gone wrong, nor have asked another machine."""
    driver = indexed.driver
    driver.get_log("browser")
    driver.get_log("performance")
    yield indexed
    complaints = [
        entry["message"]
        for entry in driver.get_log("browser")
        # A page at an address of nothing is a 404, which the browser notes.
        if entry["level"] == "SEVERE" and f"{indexed.address}{NONSENSE} " not in entry["message"]
    ]
    assert not complaints
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"]
    elsewhere = [url for url in asked if not url.startswith((indexed.address, "blob:", "data:"))]
    assert asked
    assert not elsewhere


@pytest.fixture
def full_page(page: Page, tmp_path: Path) -> Page:
    """The page of a library that has a head, and in which duplicates were looked for."""
    page.show("/indexing")
    if not page.get("/api/heads")["heads"]:
        for label in ("animals", "nature", "travel"):
            shutil.copytree(SAMPLES / label, tmp_path / label)
        assert "head" in page.post("/api/heads", {"name": "kinds", "folder": str(tmp_path)})
    if page.get("/api/duplicates")["state"] == "none":
        page.post("/api/duplicates/find")
    page.until(lambda: page.get("/api/duplicates")["state"] == "done", "the duplicates", 120)
    return page


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The text of axe-core, fetched once."""
    folder = request.config.cache.mkdir("axe")
    archive = folder / f"axe-core-{AXE}.tgz"
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            unavailable("npm is needed to fetch axe-core, which looks for barriers")
        command = [npm, "pack", f"axe-core@{AXE}", "--silent", "--pack-destination", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode or not archive.exists():
            unavailable(f"npm cannot fetch axe-core {AXE}: {done.stderr.strip()[-300:]}")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/axe.min.js")
        assert member is not None
        text = member.read()
    assert hashlib.sha256(text).hexdigest() == AXE_SHA256
    return text.decode()
