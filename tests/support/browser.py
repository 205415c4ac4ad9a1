"""The page of a real server in a real Chromium.

Where there is no browser, tests of it are skipped, and fail where CI is set.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

NONSENSE = "/nonsense"
WIDE, PHONE = (1440, 900), (390, 844)


def unavailable(reason: str) -> NoReturn:
    """Skip on a user's machine; fail where CI promises to have it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def lasting(element: WebElement, look: Callable[[], list[WebElement]], number: int) -> WebElement:
    """Make an element that is looked for again, as are those within it, when the page has drawn its place anew.

    The page draws itself again when the server has news, at any moment between a look and a click.
    """
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.remote.webelement import WebElement

    class Lasting(WebElement):
        def _execute(self, command: str, params: dict[str, Any] | None = None) -> Any:
            deadline = monotonic() + 10
            while True:
                try:
                    return super()._execute(command, None if params is None else dict(params))
                except StaleElementReferenceException:
                    if monotonic() > deadline:
                        raise
                    if len(now := look()) > number:
                        self._id = now[number].id
                    sleep(0.05)

        def find_element(self, by: Any = "id", value: str | None = None) -> WebElement:
            first = super().find_element(by, value)
            return lasting(first, lambda: WebElement.find_elements(self, by, value), 0)

        def find_elements(self, by: Any = "id", value: str | None = None) -> list[WebElement]:
            def within() -> list[WebElement]:
                return WebElement.find_elements(self, by, value)

            return [lasting(child, within, place) for place, child in enumerate(within())]

    return Lasting(element.parent, element.id)


class Page:
    """The browser on one server: go somewhere, press, click, wait, look."""

    def __init__(self, driver: Chrome, address: str, shots: Path) -> None:
        self.driver = driver
        self.address = address
        self.shots = shots

    def show(self, path: str, *, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        """Open an address of the page in a window of this size."""
        self.resize(size, dark=dark)
        self.driver.get(self.address + path)

    def resize(self, size: tuple[int, int], *, dark: bool = False) -> None:
        """Give the page this size and this preference."""
        width, height = size
        command = self.driver.execute_cdp_cmd
        command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        command("Emulation.setEmulatedMedia", {"features": [scheme]})

    def one(self, selector: str, text: str = "", *, seconds: float = 20) -> WebElement:
        """Wait for a visible element, with this text in it if one is given."""
        return self.until(lambda: next(iter(self.all(selector, text)), None), f"{selector} {text!r}", seconds)

    def all(self, selector: str, text: str = "") -> list[WebElement]:
        """All visible elements, with this text in them if one is given."""
        script = """return [...document.querySelectorAll(arguments[0])].filter(
            (element) => element.checkVisibility() && element.textContent.includes(arguments[1]))"""

        def look() -> list[WebElement]:
            found: list[WebElement] = self.driver.execute_script(script, selector, text)
            return found

        return [lasting(element, look, number) for number, element in enumerate(look())]

    def until(self, condition: Any, what: str, seconds: float = 20) -> Any:
        """Wait until a condition holds, and return what it returned."""
        from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, seconds, 0.05, ignored_exceptions=[StaleElementReferenceException])
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            self.picture("failure")
            shown = self.driver.execute_script("return document.body.innerText")[:1500]
            pytest.fail(
                f"waited {seconds} s for {what} at {self.driver.current_url}; the page says:\n{shown}"
            )

    def click(self, selector: str, text: str = "") -> None:
        """Click a visible element."""
        self.one(selector, text).click()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def drop(self, file: Path) -> None:
        """Drop a file on the page, as a file manager does."""
        script = """
            const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], arguments[1], { type: "image/jpeg" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
              const happening = { dataTransfer: transfer, bubbles: true, cancelable: true };
              document.body.dispatchEvent(new DragEvent(kind, happening));
            }"""
        self.driver.execute_script(script, base64.b64encode(file.read_bytes()).decode(), file.name)

    def paste(self, file: Path) -> None:
        """Paste a picture, as after it was copied in another program."""
        script = """
            const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
            const happening = { clipboardData, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new ClipboardEvent("paste", happening));"""
        self.driver.execute_script(script, base64.b64encode(file.read_bytes()).decode())

    def result(self, number: int) -> str:
        """The name of a photo that was found, counted from 0, once it is known."""
        link = f'.view:not([hidden]) .tile a[data-index="{number}"] img'
        return str(self.until(lambda: self.one(link).get_attribute("alt"), "an answer"))

    def get(self, path: str) -> Any:
        """Ask the API, from within the page."""
        return self.driver.execute_async_script(
            "const done = arguments[1]; fetch(arguments[0]).then((r) => r.json()).then(done)", path
        )

    def post(self, path: str, body: object = None) -> Any:
        """Ask the API to change something, from within the page."""
        script = """const headers = { "X-Vitsearch": "1", "Content-Type": "application/json" };
            const order = { method: "POST", headers, body: JSON.stringify(arguments[1] ?? {}) };
            fetch(arguments[0], order).then((answer) => answer.json()).then(arguments[2])"""
        return self.driver.execute_async_script(script, path, body)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Afterwards nothing may have gone wrong, nor have asked another machine."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        yield
        complaints = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            # A page of a server that was stopped before may still have asked it for news.
            if entry["level"] == "SEVERE" and self.address in entry["message"]
        ]
        assert not complaints
        sent = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"
        ]
        assert asked
        assert not [url for url in asked if not url.startswith((self.address, "blob:", "data:"))]

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))

    def still(self) -> None:
        """Wait until nothing moves and all pictures in sight have come."""
        self.until(
            lambda: self.driver.execute_script(
                """return document.querySelector('.view:not([hidden])') && !document.querySelector('[aria-busy=true]')
                && [...document.images].every((image) => !image.src || image.complete || image.loading === 'lazy')
                && document.getAnimations().every((one) => one.playState !== 'running')"""
            ),
            "the page to be still",
        )


@contextmanager
def started_browser(profile: Path) -> Iterator[Chrome]:
    """Start Chromium without a window, with a profile of its own."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if browser is None or chromedriver is None:
        unavailable("no browser: on Debian, `apt-get install chromium chromium-driver` brings one")
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(chromedriver))
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()


@contextmanager
def serving(library: Path) -> Iterator[str]:
    """Run the real server on a free port, and give its address."""
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        str(library),
        "serve",
        "--no-token",
        "--port",
        "0",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address, f"the server said: {line}{server.stdout.read()}"
            yield address[0]
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.communicate(timeout=15)
            server.kill()


@contextmanager
def served_library(photos: Path, driver: Chrome, shots: Path) -> Iterator[Page]:
    """Index a folder as the command line does, and show it on a page of its own."""
    library = photos.parent / "library"
    command = [sys.executable, "-m", "vitsearch", "--library", str(library), "index", str(photos)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    with serving(library) as address:
        # A page of another server that stays open goes on asking it for news.
        driver.get("about:blank")
        yield Page(driver, address, shots)
        driver.get("about:blank")
