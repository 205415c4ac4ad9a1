"""From a photo's arrival in a watched folder to its being searchable: `python benchmarks/watching.py PHOTOS`.

PHOTOS holds 40 photos or more. Sixteen are indexed; then others are copied into the folder that `serve --watch` and
`index --watch` look at: one, one more, twenty at once, one again.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import print_machine

from vitsearch.folders.scan import walk
from vitsearch.library import Library
from vitsearch.records import FoundFile

AT_FIRST = 16
TURNS = (("the first", 1), ("the next", 1), ("twenty at once", 20), ("one after them", 1))
PAUSE = 3.0
LONGEST = 60.0


def measure(command: tuple[str, ...], ready: str, photos: list[Path], scratch: Path) -> None:
    """Run a command that watches, hand it photos, and print how long each turn took."""
    folder, library = scratch / "photos", scratch / "library"
    folder.mkdir(parents=True)
    for photo in photos[:AT_FIRST]:
        shutil.copy(photo, folder)
    program = [sys.executable, "-m", "vitsearch", "--library", str(library)]
    subprocess.run([*program, "index", str(folder)], check=True, capture_output=True)
    with subprocess.Popen(
        [*program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stderr is not None
        while not re.search(ready, watcher.stderr.readline()):
            pass
        try:
            given = AT_FIRST
            for name, count in TURNS:
                time.sleep(PAUSE)
                started = time.perf_counter()
                for photo in photos[given : given + count]:
                    shutil.copy(photo, folder)
                given += count
                while _searchable(library) < given:
                    assert time.perf_counter() - started < LONGEST, f"{name}: not within {LONGEST:.0f} s"
                    time.sleep(0.05)
                print(f"{' '.join(command):<24} {name:<16} {time.perf_counter() - started:5.2f} s")
        finally:
            watcher.send_signal(signal.SIGINT)
            watcher.wait(20)


def _searchable(library: Path) -> int:
    with Library.open(library) as opened:
        return opened.status().vectors


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    options = parser.parse_args()
    photos = sorted(found.path for found in walk(options.photos) if isinstance(found, FoundFile))
    needed = AT_FIRST + sum(count for _, count in TURNS)
    # Copied into one folder, they must not replace each other.
    photos = list({photo.name: photo for photo in photos}.values())[:needed]
    if len(photos) < needed:
        parser.error(f"{options.photos} has {len(photos)} photos: {needed} are needed")
    print_machine("vitsearch", "openvino", "watchfiles")
    for command, ready in (
        (("serve", "--watch", "--no-token", "--port", "0"), r":\d+/"),
        (("index", "--watch"), "watching"),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            measure(command, ready, photos, Path(scratch))


if __name__ == "__main__":
    main()
