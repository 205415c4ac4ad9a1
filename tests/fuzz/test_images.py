"""Thousands of damaged photos: each is indexed or refused with a reason, and none does more than that.

The short test is part of the suite; `make fuzz` runs the long one, which prints what became of the files.
"""

import resource
import time
from collections import Counter
from random import Random

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.pictures import pictures
from tests.support.mean_colour import MeanColour
from vitsearch.decoding.process import Limits
from vitsearch.library import Library

SHORT = 10
LONG = range(100)
A_ROUND = 200


def write_damaged(folder, seed, *, each):
    """Write damaged copies of every picture; where an assertion fails, the seed and the name tell which one."""
    folder.mkdir()
    everything = list(pictures().values())
    for name, data in pictures().items():
        for number in range(each):
            damaged = mutated(data, Random(f"{seed} {name} {number}"), others=everything)
            (folder / f"{seed}-{number}-{name}").write_bytes(damaged)


def index(folder, library):
    """Index a folder of damaged photos; return how many were read, and the reasons for the others by kind."""
    with Library.open(library, backbone=MeanColour(batch_size=32)) as opened:
        report = opened.index([folder])
    names = {path.name for path in folder.iterdir()}
    assert not report.interrupted
    assert report.files + len(report.unreadable) == len(names)
    for item in report.unreadable:
        assert item.path.name in names
        assert 5 < len(item.reason) <= 300, item
        assert item.reason.isprintable(), item
    return report.files, Counter(_kind(item.reason) for item in report.unreadable)


def _kind(reason):
    """A reason without what differs from file to file."""
    return "it declares too many pixels" if reason.startswith("it declares") else reason.partition(" (")[0]


def test_damaged_photos_of_every_format_are_indexed_or_refused_with_a_reason(tmp_path, capfd):
    write_damaged(tmp_path / "photos", "short", each=SHORT)
    read, reasons = index(tmp_path / "photos", tmp_path / "library")
    total = SHORT * len(pictures())
    assert total / 10 < read < total
    assert reasons.total() == total - read
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def tally():
    """What became of all files of the long test, printed at its end."""
    count: Counter[str] = Counter()
    started = time.monotonic()
    yield count
    own, children = (
        resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"\n{count.total()} damaged photos in {time.monotonic() - started:.0f} s")
    for outcome, number in count.most_common():
        print(f"{number:7} {outcome}")
    print(f"largest process that decoded: {children} MB of {Limits().memory >> 20}; this process: {own} MB")
    assert children < Limits().memory >> 20


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", LONG)
def test_damaged_photos_for_long(tmp_path, capfd, tally, seed):
    write_damaged(tmp_path / "photos", seed, each=-(-A_ROUND // len(pictures())))
    read, reasons = index(tmp_path / "photos", tmp_path / "library")
    tally.update(reasons)
    tally["indexed"] += read
    assert capfd.readouterr() == ("", "")
    for path in (tmp_path / "photos").iterdir():
        path.unlink()
