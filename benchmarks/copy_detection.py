"""How many copies a search for duplicates finds, and what it gets wrong: `python benchmarks/copy_detection.py SCRATCH`.

`benchmarks/copy_set.py SCRATCH --photos FOLDER...` makes the set first. Everything goes through `find_duplicates`, as
for users: the photos, the documents, and a few edits of some photos at a time are one library. A copy is found if it is
in one group with the photo that it was made from. A file is right in a group if it shows what the kept one
shows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs
from copy_set import CLASSIC, MODEL
from machine import print_machine

from vitsearch import Library
from vitsearch.backbones import load_backbone
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.photos.photo import read_photo
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vitsearch.duplicates.calibrate.edits import Edit
    from vitsearch.duplicates.find import DuplicateReport

AT_ONCE = 5
_EMBEDDED, _SIDE = 48, 224


@dataclass
class Tally:
    """What searches found."""

    found: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    right: int = 0
    wrong: list[tuple[Path, Path]] = field(default_factory=list)
    planned_documents: set[Path] = field(default_factory=set)
    photos: int = 0
    pairs: int = 0
    seconds: float = 0.0


def processor_time() -> float:
    """Seconds that this process and the decoding processes that have ended took of all cores."""
    return sum(os.times()[:4])


def source_of(scratch: Path, path: Path) -> str:
    """What a file of the set shows: the name that its photo has, or the file itself for one without copies."""
    folder, *inner = path.relative_to(scratch).parts
    if folder == "kept":
        return inner[0]
    return f"document {path.name}" if folder == "documents" else path.stem


def add_up(tally: Tally, scratch: Path, report: DuplicateReport, edits: Iterable[Edit]) -> None:
    """Count what one search found of these edits."""
    keeper: dict[Path, Path] = {}
    for group in report.groups:
        if group.tier == "burst":
            continue
        for file in group.files:
            keeper[file.path] = group.keep
            if file.path == group.keep:
                continue
            if source_of(scratch, file.path) == source_of(scratch, group.keep):
                tally.right += 1
            else:
                tally.wrong.append((group.keep, file.path))
    originals = {path.stem: path for path in (scratch / "originals").iterdir()}
    for edit in edits:
        for copy in sorted((scratch / edit.name).iterdir()):
            kept = keeper.get(copy)
            tally.found[edit.name].append(kept is not None and keeper.get(originals[copy.stem]) == kept)
    plan = make_plan(report.groups, "trash", roots=[scratch])
    for planned in plan.groups:
        named = {file.path for file in (planned.keep, *planned.files) if file is not None}
        tally.planned_documents.update(path for path in named if (scratch / "documents") in path.parents)


def searched(library: Library, scratch: Path, edits: Sequence[Edit], tally: Tally) -> None:
    """Look for duplicates among the photos, the documents and the copies by these edits."""
    folders = [scratch / "originals", scratch / "documents", *(scratch / edit.name for edit in edits)]
    start = processor_time()
    report = find_duplicates(library, folders=[folder for folder in folders if any(folder.iterdir())])
    tally.seconds += processor_time() - start
    tally.photos += report.photos
    tally.pairs += report.pairs
    add_up(tally, scratch, report, edits)


def print_recall(title: str, tally: Tally, edits: Sequence[Edit]) -> None:
    """Print recall by edit and by family, and what went wrong."""
    print(f"\n{title}\n\n| edit | found |\n|---|---|")
    for edit in edits:
        print(f"| {edit.name} | {np.mean(tally.found[edit.name]):.3f} |")
    for family in dict.fromkeys(edit.family for edit in edits):
        shares = [np.mean(tally.found[edit.name]) for edit in edits if edit.family == family]
        print(f"| **{family}** | {np.mean(shares):.3f} |")
    print(f"| **all {len(edits)}** | {np.mean([np.mean(tally.found[edit.name]) for edit in edits]):.4f} |")
    print(
        f"precision {tally.right / max(1, tally.right + len(tally.wrong)):.5f} ({len(tally.wrong)} of "
        f"{tally.right + len(tally.wrong)} files are in a wrong group), {len(tally.planned_documents)} documents in a "
        f"plan; {tally.pairs} pairs verified for {tally.photos} photos, "
        f"{tally.seconds / max(1, tally.photos) * 1000:.1f} ms of processor time a photo",
        flush=True,
    )
    for keep, file in sorted(set(tally.wrong)):
        print(f"  wrong: {keep} = {file}")
    for file in sorted(tally.planned_documents):
        print(f"  planned: {file}")


def print_kept(library: Library, scratch: Path) -> None:
    """Say how often the camera's file is kept of copies such as people have."""
    report = find_duplicates(library, folders=[scratch / "kept"])
    groups = [group for group in report.groups if group.tier != "burst"]
    wrong = [group for group in groups if group.keep.stem != "z-original"]
    complete = sum(len(group.files) == 4 for group in groups)
    folders = len(list((scratch / "kept").iterdir()))
    print(
        f"\nright file kept in {len(groups) - len(wrong)} of {len(groups)} groups "
        f"({1 - len(wrong) / max(1, len(groups)):.4f}); {complete} of {folders} groups hold all four files",
        flush=True,
    )
    for group in wrong:
        print(f"  wrong: {group.keep}: {group.reason}; of {[file.path.name for file in group.files]}")


def print_costs(title: str, library: Library, scratch: Path, edits: Sequence[Edit], cache: Path) -> Tally:
    """Search afresh, and again, and say what each took beside the embedding; return what the first one found."""
    # Nothing that was seen before is known to the first search.
    Layout.of(library.folder).answers.unlink(missing_ok=True)
    embedding = embedding_time(scratch, cache)
    tallies = []
    for which in ("first", "second"):
        start, tally = time.monotonic(), Tally()
        searched(library, scratch, edits, tally)
        tallies.append(tally)
        print(
            f"{title}: the {which} search of {tally.photos} photos took {tally.seconds:.1f} s of processor time "
            f"({time.monotonic() - start:.1f} s), {tally.seconds / tally.photos / embedding:.3f} of the embedding's "
            f"({embedding * 1000:.1f} ms a photo)",
            flush=True,
        )
    return tallies[0]


def embedding_time(scratch: Path, cache: Path) -> float:
    """Seconds of processor time that embedding a photo of the set takes, decoded for it."""
    backbone = load_backbone(MODEL, cache=cache)
    photos = sorted((scratch / "originals").iterdir())[:_EMBEDDED]
    start = processor_time()
    for first in range(0, len(photos), backbone.batch_size):
        part = photos[first : first + backbone.batch_size]
        prepared = [backbone.prepare(read_photo(path).pixels(min_side=_SIDE)) for path in part]
        backbone.embed_batch(np.stack(prepared))
    return (processor_time() - start) / len(photos)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--only", choices=["twelve", "39", "kept", "ordinary"], help="only this part")
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("vitsearch", appauthor=False)
    )
    options = parser.parse_args()
    print_machine("numpy", "opencv-python-headless")
    scratch = options.scratch.resolve()
    with Library.open(scratch / "library", cache=options.cache) as library:
        if options.only in (None, "ordinary"):
            print_costs("Photos as they are", library, scratch, [], options.cache)
        if options.only in (None, "twelve"):
            tally = print_costs(
                "The twelve edits of each photo together", library, scratch, CLASSIC, options.cache
            )
            print_recall("The twelve edits of each photo together", tally, CLASSIC)
        if options.only in (None, "39"):
            tally = Tally()
            for first in range(AT_ONCE):
                for start in range(first, len(EDITS), AT_ONCE * AT_ONCE):
                    searched(library, scratch, EDITS[start : start + AT_ONCE * AT_ONCE : AT_ONCE], tally)
            print_recall(f"39 edits, {AT_ONCE} of them at a time", tally, EDITS)
        if options.only in (None, "kept"):
            print_kept(library, scratch)


if __name__ == "__main__":
    main()
