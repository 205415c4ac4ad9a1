"""The web server under load: `python benchmarks/web_load.py FOLDER [--photos 50000] [--more-photos FOLDER]`.

FOLDER is what `large_library.py` makes (and is made if it is missing). First the answers that a person waits for, one
at a time; then 50 people at once for half a minute, each of whom looks at the grid, scrolls, opens photos and searches
as a browser does (kept-alive connections, pauses to look), while an index run embeds the photos of `--more-photos`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from large_library import make_library
from machine import print_machine

USERS = 50
SECONDS = 30
# What a screen shows, and how long a person looks at it.
SCREEN = 12
PAUSE = (0.5, 2.0)


class Browser:
    """One kept-alive connection that notes how long each answer took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken: list[tuple[str, float]] = []
        self.errors: list[str] = []
        self.tag = ""

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def get(self, kind: str, path: str) -> bytes:
        """Ask for a path and read the whole answer."""
        started = time.perf_counter()
        known = f"If-None-Match: {self.tag}\r\n" if kind == "grid" and self.tag else ""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept-Encoding: gzip\r\n{known}\r\n"
        )
        self.writer.write(request.encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await self.reader.readexactly(int(length[1])) if length and status != 304 else b""
        self.taken.append((kind, time.perf_counter() - started))
        if kind == "grid" and status == 200:
            tag = re.search(r"etag: (\S+)", head, re.IGNORECASE)
            self.tag = tag[1] if tag else ""
        if status not in (200, 304):
            self.errors.append(f"{status} {path} {body[:100]!r}")
        return body


async def look_around(browser: Browser, ids: list[int], images: str, until: float) -> None:
    """Do what a person does on the page, again and again."""
    chance = random.Random(id(browser))
    await asyncio.sleep(chance.uniform(0, PAUSE[1]))
    await browser.open()
    while time.perf_counter() < until:
        await browser.get("grid", "/api/grid?by=date")
        start = chance.randrange(len(ids) - SCREEN)
        for photo in ids[start : start + SCREEN]:
            await browser.get("thumbnail", f"/api/photos/{photo}/thumbnail?height=320&v={images}")
        await asyncio.sleep(chance.uniform(*PAUSE))
        photo = chance.choice(ids)
        await browser.get("facts", f"/api/photos/{photo}")
        await browser.get("search", f"/api/search?photo={photo}&k=50")
        await asyncio.sleep(chance.uniform(*PAUSE))
    browser.writer.close()


def report(name: str, values: list[float]) -> None:
    """Print how long answers of one kind took."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    print(
        f"{name:<28} {len(values):>6} requests   median {statistics.median(values) * 1e3:7.1f} ms   "
        f"p99 {p99 * 1e3:7.1f} ms   longest {ordered[-1] * 1e3:7.1f} ms"
    )


async def alone(port: int) -> tuple[list[int], str]:
    """Measure one request at a time; return all photo ids, and what belongs into addresses of pictures."""
    browser = Browser(port)
    await browser.open()
    for kind in ("first grid", "the same grid again"):
        await browser.get(kind, "/api/grid?by=date")
    await browser.get("the grid by folder", "/api/grid?by=folder")
    await browser.get("what to narrow down to", "/api/facets")
    status = json.loads(await browser.get("status", "/api/status"))
    import gzip

    grid = json.loads(gzip.decompress(await browser.get("the same grid again", "/api/grid?by=date")))
    ids = grid["ids"]
    for photo in ids[:: len(ids) // 50]:
        await browser.get("search, nobody else there", f"/api/search?photo={photo}&k=100")
        await browser.get("search in two years", f"/api/search?photo={photo}&k=100&after=2010&before=2012")
    for photo in ids[:: len(ids) // 100]:
        await browser.get("thumbnail, made now", f"/api/photos/{photo}/thumbnail?height=320")
    for photo in ids[:: len(ids) // 100]:
        await browser.get("thumbnail, kept", f"/api/photos/{photo}/thumbnail?height=320")
    kinds = dict.fromkeys(kind for kind, _ in browser.taken)
    for kind in kinds:
        report(kind, [seconds for each, seconds in browser.taken if each == kind])
    assert not browser.errors, browser.errors
    browser.writer.close()
    return ids, status["images"]


async def together(port: int, ids: list[int], images: str, more: Path | None, seconds: float) -> None:
    """Measure many at once, while an index run is on."""
    if more is not None:
        index(port, more)
        await asyncio.sleep(3)
    until = time.perf_counter() + seconds
    browsers = [Browser(port) for _ in range(USERS)]
    # A thousand photos: after the first visits, most thumbnails are kept ones, as they are in daily use.
    await asyncio.gather(*(look_around(browser, ids[:1000], images, until) for browser in browsers))
    taken = [each for browser in browsers for each in browser.taken]
    print(f"\n{USERS} at once for {seconds:.0f} s")
    for kind in ("grid", "thumbnail", "facts", "search"):
        report(kind, [seconds for each, seconds in taken if each == kind])
    report("all", [seconds for _, seconds in taken])
    errors = [error for browser in browsers for error in browser.errors]
    print(f"errors: {len(errors)} {errors[:3]}")
    if more is not None:
        print(f"index run: {state(port)}")


def index(port: int, folder: Path) -> None:
    """Start an index run."""
    from urllib.request import Request, urlopen

    request = Request(
        f"http://127.0.0.1:{port}/api/roots",
        json.dumps({"folder": str(folder)}).encode(),
        {"X-Vitsearch": "1", "Content-Type": "application/json"},
    )
    urlopen(request).close()


def state(port: int) -> str:
    """Say how far the index run is."""
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/api/index") as answer:
        found = json.load(answer)
    return f"{found['state']}, {found['progress']}"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--more-photos", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    if not options.folder.exists():
        make_library(options.folder, options.photos)
    print_machine("fastapi", "uvicorn", "faiss-cpu")
    program = [sys.executable, "-m", "vitsearch", "--library", str(options.folder / "library")]
    with subprocess.Popen(
        [*program, "serve", "--no-token", "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        said = re.search(r":(\d+)/", server.stderr.readline())
        assert said is not None
        port = int(said[1])
        try:
            time.sleep(2)
            ids, images = asyncio.run(alone(port))
            asyncio.run(together(port, ids, images, options.more_photos, options.seconds))
        finally:
            server.send_signal(2)
            server.wait(20)


if __name__ == "__main__":
    main()
