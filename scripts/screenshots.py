"""Make screenshots of every view of the page in four variants: wide and phone, light and dark.

    make screenshots                                       of the sample photos, below demo/screenshots
    python scripts/screenshots.py --photos ~/Pictures --out shots
    python scripts/screenshots.py --docs docs              also the small pictures of the README

The photos are indexed into a library that is thrown away; no file of theirs is changed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image

from tests.support.barriers import SIZES
from tests.support.browser import Page, served_library, started_browser
from tests.support.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

# The address of each view and what has to be there before it is looked at.
VIEWS = {
    "photos": ("/", ".tile img.here"),
    "photos-by-folder": ("/?by=folder", ".tile img.here"),
    "search": ("/search?photo={photo}", ".tile img.here"),
    "photo": ("/photo/{photo}", ".strip a"),
    "themes": ("/themes", ".theme img"),
    "theme": ("/themes?theme={theme}", ".tile img.here"),
    "duplicates": ("/duplicates", ".pane img, .copy img"),
    "duplicates-contains": ("/duplicates?tier=beside", ".beside, .empty"),
    "plan": ("/duplicates?plan=new", ".leaving img"),
    "plans": ("/duplicates?plan=all", ".page h1"),
    "labels-worth-naming": ("/labels", ".stack-card img, .empty"),
    "labels-one-by-one": ("/labels?next=1", ".teach img"),
    "labels-all": ("/labels?all=1", ".tile img.here"),
    "labels-new": ("/labels?new=groups", ".stack-card img"),
    "folders": ("/indexing", ".figures b"),
    "no-such-page": ("/nonsense", ".nowhere h1"),
}
# What the README shows: a view, and the picture it becomes.
README = {
    "photos-wide-light": "page-photos.jpg",
    "search-wide-dark": "page-search.jpg",
    "duplicates-wide-light": "page-duplicates.jpg",
}
PICTURES_ARE_THERE = """return [...document.images].every((image) => {
  const { top, bottom, left, right } = image.getBoundingClientRect();
  const inSight = image.checkVisibility() && bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
  return !inSight || !image.src || (image.complete && image.naturalWidth);
})"""
README_WIDTH, README_QUALITY = 1000, 78


def main() -> None:
    """Do it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--photos", type=Path, default=SAMPLES, help="the folder of photos to show")
    options.add_argument("--out", type=Path, default=Path("demo/screenshots"), help="where the pictures go")
    options.add_argument("--docs", type=Path, help="where the small pictures of the README go")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        started_browser(Path(place) / "profile") as driver,
    ):
        photos = Path(place) / "photos"
        photos.symlink_to(chosen.photos.absolute(), target_is_directory=True)
        with served_library(photos, driver, chosen.out) as page:
            known = prepared(page)
            for name, (address, ready) in VIEWS.items():
                for variant in shot(page, name, address.format(**known), ready):
                    print(variant)
    if chosen.docs:
        chosen.docs.mkdir(parents=True, exist_ok=True)
    for name, picture in README.items() if chosen.docs else ():
        with Image.open(chosen.out / f"{name}.png") as shown:
            height = round(shown.height * README_WIDTH / shown.width)
            small = shown.convert("RGB").resize((README_WIDTH, height), Image.Resampling.LANCZOS)
            packed = io.BytesIO()
            small.save(packed, "JPEG", quality=README_QUALITY, optimize=True, progressive=True)
            (chosen.docs / picture).write_bytes(packed.getvalue())


def prepared(page: Page) -> dict[str, int]:
    """Look for duplicates and themes, make a head, decide on a few groups; return a photo and a theme to show."""
    page.show("/")
    page.post("/api/duplicates/find")
    page.post("/api/themes/find")
    wait(page, "/api/themes")
    wait(page, "/api/duplicates")
    rows = page.get("/api/heads/kinds/suggestions?groups=100&n=60")
    given = [
        {"photo": one["photo"], "labels": [f"kind {number}"]}
        for number, group in enumerate(rows["groups"][:3], 1)
        for one in group
    ]
    page.post("/api/heads", {"name": "kinds", "photos": given})
    page.show("/duplicates")
    page.one(".groups button")
    page.press("aaa")
    photos = page.get("/api/grid")["ids"]
    return {
        "photo": photos[len(photos) // 2],
        "theme": page.get("/api/themes")["themes"][0]["id"],
    }


def wait(page: Page, address: str) -> None:
    """Wait until a search has ended."""
    while page.get(address)["state"] == "running":
        time.sleep(0.5)


def shot(page: Page, name: str, address: str, ready: str) -> Iterator[str]:
    """Take the four pictures of one view."""
    for size, pixels in SIZES.items():
        for dark in (False, True):
            page.show(address, size=pixels, dark=dark)
            page.one(ready)
            page.still()
            page.until(lambda: page.driver.execute_script(PICTURES_ARE_THERE), "the pictures in sight", 60)
            variant = f"{name}-{size}-{'dark' if dark else 'light'}"
            page.picture(variant)
            yield variant


if __name__ == "__main__":
    main()
