"""Thousands of damaged libraries: each ends in a clear error, in a rebuild, or in an answer, and in nothing else."""

import shutil
import time
from collections import Counter
from random import Random

import numpy as np
import pytest

from tests.fuzz.mutations import mutated
from tests.support.mean_colour import MeanColour
from vitsearch.errors import VitsearchError
from vitsearch.library import Library
from vitsearch.neighbours.neighbours import LEAST_FOR_CELLS, Neighbours, StaleCache

LONG = range(50)
A_ROUND = 200
_KINDS = {".db", ".json", ".f16", ".i64", ".bits", ".faiss"}
CELLS_ROWS = LEAST_FOR_CELLS + 500

# A value that turns out too large or not a number on the way is the damage's, and the answer is refused after it.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(scope="module")
def good_library(tmp_path_factory):
    """A library's folder, a photo of it, and what a search for that photo finds."""
    from PIL import Image

    home = tmp_path_factory.mktemp("good")
    (home / "photos").mkdir()
    for number in range(12):
        image = Image.new("RGB", (32, 24), (number * 20, 255 - number * 9, number * 5))
        image.save(home / "photos" / f"{number}.png")
    with Library.open(home / "library", backbone=MeanColour()) as library:
        library.index([home / "photos"])
        return home / "library", home / "photos/3.png", _answer(library, home / "photos/3.png")


def _answer(library, query):
    return [
        (match.path, round(match.score, 4)) for match in library.search(query, k=5, include_self=True).results
    ]


def damage(folder, seed, *, only=None):
    """Damage one file of a folder; return its name."""
    source = Random(str(seed))
    files = sorted(path for path in folder.rglob("*") if path.suffix in _KINDS)
    victim = source.choice([path for path in files if only is None or path.suffix in only])
    victim.write_bytes(mutated(victim.read_bytes(), source, others=[path.read_bytes() for path in files]))
    return victim


def put_to_the_test(good_library, folder, seed):
    """Ask a damaged library everything; return in a word how that ended."""
    template, query, expected = good_library
    shutil.copytree(template, folder)
    # Half of the cases damage the truth, half the cache.
    victim = damage(
        folder, seed, only={".db"} if Random(f"which {seed}").random() < 0.5 else {".json", ".f16", ".i64"}
    )
    outcomes = []
    with Library.open(folder, backbone=MeanColour()) as library:
        for question in (lambda: _answer(library, query), library.status, library.roots):
            try:
                outcomes.append(question())
            except VitsearchError as error:
                message = str(error)
                assert "\n" not in message, seed
                assert len(message) < 1000, seed
                outcomes.append(type(error).__name__)
        if Random(f"index {seed}").random() < 0.2:
            try:
                library.index()
            except VitsearchError as error:
                outcomes.append(type(error).__name__)
    kind = {".db": "database", ".json": "manifest", ".f16": "rows", ".i64": "ids"}[victim.suffix]
    if kind != "database":
        # All of a cache is checked, so that the answer is the right one, or comes from a rebuilt one.
        assert outcomes[0] == expected, (seed, outcomes)
    if isinstance(outcomes[0], str):
        return f"{kind}: {outcomes[0]}"
    return f"{kind}: {'the right answer' if outcomes[0] == expected else 'another answer'}"


@pytest.fixture(scope="module")
def good_cells(tmp_path_factory):
    """A cache with an approximate index and removed rows; a query and what it finds."""
    folder = tmp_path_factory.mktemp("cells") / "good"
    random = np.random.default_rng(0)
    rows = random.normal(size=(CELLS_ROWS, 16)).astype(np.float32)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    ids = np.arange(1, CELLS_ROWS + 1)
    built = Neighbours.build(16, [(ids, rows)], folder=folder, generation=1, approximate_from=1)
    built.remove(ids[100:200])
    built.save(generation=2)
    query = rows[7].astype(np.float32)[None]
    return folder, query, _nearest(Neighbours.load(folder, dimension=16, approximate_from=1), query)


def _nearest(neighbours, query):
    scores, ids = neighbours.search(query, 5)
    return np.asarray(ids).tolist(), np.round(scores, 3).tolist()


def put_cells_to_the_test(good_cells, folder, seed):
    """Search a damaged cache with an approximate index; return in a word how that ended."""
    template, query, expected = good_cells
    shutil.copytree(template, folder)
    kind = damage(folder, seed).name.partition("-")[0]
    try:
        answer = _nearest(Neighbours.load(folder, dimension=16, approximate_from=1), query)
    except StaleCache:
        return f"{kind}: rebuilt"
    assert answer == expected, (kind, seed)  # without the approximate index every row is compared
    return f"{kind}: the right answer"


def ask_many(good_library, good_cells, folder, seeds):
    """Try many damaged libraries and caches, and count how they end."""
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        if Random(f"part {seed}").random() < 0.6:
            outcomes[put_to_the_test(good_library, folder / "case", seed)] += 1
        else:
            outcomes[f"approximate {put_cells_to_the_test(good_cells, folder / 'case', seed)}"] += 1
        shutil.rmtree(folder / "case")
    return outcomes


def test_damaged_libraries_end_in_a_clear_error_a_rebuild_or_an_answer(good_library, good_cells, tmp_path):
    outcomes = ask_many(good_library, good_cells, tmp_path, [f"short {number}" for number in range(80)])
    assert outcomes.total() == 80
    assert {name.partition(":")[0] for name in outcomes} >= {"database", "manifest", "rows", "ids"}


@pytest.fixture(scope="module")
def tally():
    """How all cases of the long test ended, printed at its end."""
    count: Counter[str] = Counter()
    started = time.monotonic()
    yield count
    print(f"\n{count.total()} damaged libraries and caches in {time.monotonic() - started:.0f} s")
    for outcome, number in sorted(count.items()):
        print(f"{number:7} {outcome}")


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", LONG)
def test_damaged_libraries_for_long(good_library, good_cells, tmp_path, tally, seed):
    tally.update(
        ask_many(good_library, good_cells, tmp_path, [f"{seed} {number}" for number in range(A_ROUND)])
    )
