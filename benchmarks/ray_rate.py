"""Workers of Ray against an ordinary index run: `python benchmarks/ray_rate.py --photos FOLDER [--repeats 3]`.

Both embed the same photos into a new library, each run in a process of its own, in turns. Each engine also indexes
`--few` of the photos: what that takes is its start, and the rate is that of the others, in the time that they add.
At the end the library that Ray's shards were merged into is compared with the other one, photo by photo. Neither makes
thumbnails. The file cache is warm for both; the core-seconds are those of the whole machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np
from machine import print_machine
from photo_sets import make_photos

from vitsearch.engines.ray.embedding import RayEngine
from vitsearch.folders.scan import walk
from vitsearch.library import Library
from vitsearch.records import FoundFile

ENGINES = ("threads", "ray")


def main() -> None:
    """Measure and print; with `--engine` it is one run of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="clip-vit-base-patch16-int8")
    parser.add_argument(
        "--megapixels", type=float, help="enlarge the photos to this; as they are if not given"
    )
    parser.add_argument("--count", type=int, default=10**6, help="photos at most")
    parser.add_argument("--few", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--made", type=Path, help="where photos and libraries are kept for the next run")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        index(arguments.library, arguments.photos, arguments.engine, arguments.model)
        return
    print_machine("vitsearch", "ray", "openvino")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.made or Path(scratch)
        photos = prepared(arguments, folder / "photos")
        few = linked(photos[: arguments.few], folder / "few")
        for photo in photos:
            photo.read_bytes()
        compare(arguments, folder, photos, few)


def prepared(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    """Return the photos to embed, in a folder of their own."""
    if arguments.megapixels:
        return make_photos(arguments.photos, folder, count=arguments.count, megapixels=arguments.megapixels)
    found = [each.path for each in walk(arguments.photos) if isinstance(each, FoundFile)]
    return linked(found[: arguments.count], folder)


def linked(photos: list[Path], folder: Path) -> list[Path]:
    """Put photos into one folder, under numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{number:05}{photo.suffix}" for number, photo in enumerate(photos)]
    for photo, link in zip(photos, made, strict=True):
        if not link.exists():
            shutil.copyfile(photo, link)
    return made


def compare(arguments: argparse.Namespace, folder: Path, photos: list[Path], few: list[Path]) -> None:
    """Run both engines in turns and print what each took, earlier calls with the same `--made` included."""
    noted = folder / "seconds.json"
    seconds: dict[str, dict[str, list[float]]] = {engine: {"few": [], "all": []} for engine in ENGINES}
    if noted.exists():
        seconds = json.loads(noted.read_text(encoding="utf-8"))
    for _ in range(arguments.repeats):
        order = ENGINES if len(seconds["ray"]["all"]) % 2 == 0 else ENGINES[::-1]
        for what, chosen in (("few", few), ("all", photos)):
            for engine in order:
                took, cores = timed(arguments, folder / f"{engine}-{what}", chosen[0].parent, engine)
                seconds[engine][what].append(took)
                print(f"{engine}: {len(chosen)} photos in {took:.1f} s, {cores:.0f} core-seconds", flush=True)
        noted.write_text(json.dumps(seconds), encoding="utf-8")
    print(f"{arguments.model}, {len(photos)} photos, medians of {len(seconds['ray']['all'])}")
    rates, wholes = {}, {}
    for engine in ENGINES:
        start, wholes[engine] = (statistics.median(seconds[engine][what]) for what in ("few", "all"))
        rates[engine] = (len(photos) - len(few)) / (wholes[engine] - start)
        print(
            f"{engine}: {start:.1f} s for {len(few)} photos, {wholes[engine]:.1f} s for all "
            f"({len(photos) / wholes[engine]:.2f} photos/s), {rates[engine]:.2f} photos/s once started"
        )
    whole = wholes["threads"] / wholes["ray"]
    print(f"Ray's rate once started: {rates['ray'] / rates['threads']:.1%}; of the whole run: {whole:.1%}")
    print(difference(*(folder / f"{engine}-all" for engine in ENGINES)))


def timed(arguments: argparse.Namespace, library: Path, photos: Path, engine: str) -> tuple[float, float]:
    """Index into a new library in a process of its own; return seconds and core-seconds."""
    shutil.rmtree(library, ignore_errors=True)
    command = [sys.executable, __file__, "--photos", str(photos), "--model", arguments.model]
    command += ["--engine", engine, "--library", str(library)]
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_LOG_LEVEL": "ERROR",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    started, busy = time.perf_counter(), busy_seconds()
    done = subprocess.run(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True)
    took = time.perf_counter() - started, busy_seconds() - busy
    if done.returncode:
        sys.exit(done.stderr)
    return took


def index(library: Path, photos: Path, engine: str, model: str) -> None:
    """One run."""
    expected = sum(isinstance(each, FoundFile) for each in walk(photos))
    with Library.open(library) as opened:
        report = opened.index([photos], model=model, engine=RayEngine() if engine == "ray" else None)
    assert report.files == expected, report


def busy_seconds() -> float:
    """Return the core-seconds that the machine has spent on anything."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, soft = map(int, fields[:7])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def difference(direct: Path, merged: Path) -> str:
    """Say how far two libraries agree: photos by content, where they are, and their vectors."""
    one, other = contents(direct), contents(merged)
    cosines = [float(one[photo][1] @ other[photo][1]) for photo in one.keys() & other.keys()]
    places = sum(one[photo][0] == other[photo][0] for photo in one.keys() & other.keys())
    return (
        f"photos: {len(one)} and {len(other)}, {len(one.keys() & other.keys())} the same by content, {places} with the "
        f"same facts and files; least cosine {min(cosines):.6f}"
    )


def contents(folder: Path) -> dict[bytes, tuple[object, np.ndarray]]:
    """Return facts and files of each photo of a library, and its vector (d,), by the hash of its content."""
    with Library.open(folder) as library:
        rows = library.catalog.database.rows(
            "SELECT p.photo_hash, p.format, p.width, p.height, p.taken, p.camera, p.perceptual, "
            "(SELECT group_concat(f.path || f.size || ' ' || f.mtime_ns || hex(f.file_hash)) "
            "FROM (SELECT * FROM files ORDER BY path) f WHERE f.photo = p.id), v.vector "
            "FROM photos p JOIN vectors v ON v.photo = p.id"
        )
    found: dict[bytes, tuple[object, np.ndarray]] = {}
    for photo_hash, *facts, blob in rows:
        row = np.frombuffer(cast("bytes", blob), "<f2").astype(np.float32)
        found[cast("bytes", photo_hash)] = tuple(facts), row / np.linalg.norm(row)
    return found


if __name__ == "__main__":
    main()
