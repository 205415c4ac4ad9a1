"""Writers take turns and readers do not wait long: what a person does goes on while photos are indexed."""

import multiprocessing
import sqlite3
import threading
import time
from functools import partial

import pytest

from benchmarks.concurrent_access import Clock, batch, make
from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.duplicates.tables import dismiss, dismissed_pairs
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.storage import removal, walks
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(40):
        label = "dark" if number < 20 else "light"
        picture(tmp_path / "photos" / label / f"{number:02}.png", (6 * number, 6 * number, 99), size=(16, 16))
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        HeadStore(library).from_examples("shade", folder=photos)
    return tmp_path / "library"


class Calling(MeanColour):
    """Does something else once, in the middle of a run."""

    def __init__(self, action):
        super().__init__()
        self.action = action
        self.answers = []

    def embed_batch(self, pixels):
        if len(pixels) and len(self.batches) == 1 and not self.answers:
            self.answers.append(self.action())
        return super().embed_batch(pixels)


def test_decisions_corrections_and_searches_go_on_while_photos_are_indexed(folder, photos, picture):
    for number in range(12):
        picture(photos / f"new {number}.png", (200, number * 20, 90), size=(16, 16))
    first = photos / "dark" / "00.png"

    def at_work():
        with Library.open(folder, backbone=MeanColour()) as other:
            dismiss(other.catalog, [3, 7])
            HeadStore(other).correct("shade", first, ["light"])
            return len(places(other, first))

    backbone = Calling(at_work)
    with Library.open(folder, backbone=backbone) as library:
        assert library.index().embedded == 12
        assert backbone.answers == [44]  # those of the first batch too
        assert dismissed_pairs(library.catalog) == {(3, 7)}
        assert HeadStore(library).tables.examples("shade", only_corrected=True) == {1: ("light",)}


def test_a_reader_that_takes_its_time_delays_a_run_and_does_not_end_it(folder, photos, picture):
    for number in range(12):
        picture(photos / f"new {number}.png", (200, number * 20, 90), size=(16, 16))
    held = threading.Event()

    def read_slowly():
        connection = sqlite3.connect(folder / "library.db", isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM vectors").fetchone()
        held.set()
        time.sleep(1.5)
        connection.execute("COMMIT")
        connection.close()

    reader = threading.Thread(target=read_slowly)
    reader.start()
    held.wait()
    started = time.monotonic()
    with Library.open(folder, backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 52, "files": 52, "embedded": 12, "unchanged": 40}
    assert time.monotonic() - started > 1
    reader.join()


def test_what_is_forgotten_goes_in_short_transactions_and_leaves_no_row_behind(folder, photos, monkeypatch):
    monkeypatch.setattr(walks, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(removal, "ROWS_AT_ONCE", 7)
    with Library.open(folder, backbone=MeanColour(model="other")) as library:
        library.index(model="other", change_model=True)
        dismiss(library.catalog, [30, 31])
        dismiss(library.catalog, [2, 31])
        for path in (photos / "light").iterdir():
            path.unlink()
        HeadStore(library).delete("shade")
        assert library.index(prune=True).pruned == 20
        database = library.catalog.database
        assert database.rows("PRAGMA foreign_key_check") == []
        assert database.damage() == []
        assert database.scalar("PRAGMA foreign_keys") == 1
        tables = ("photos", "files", "vectors", "not_duplicates")
        assert [database.scalar(f"SELECT count(*) FROM {table}") for table in tables] == [20, 20, 40, 0]
        assert library.forget_root(photos) == 20
        assert [database.scalar(f"SELECT count(*) FROM {table}") for table in tables] == [0, 0, 0, 0]


def test_photos_of_a_large_library_are_forgotten_in_seconds(tmp_path):
    # For each photo all vectors were once looked through: minutes for this library, hours for a large one.
    (tmp_path / "library").mkdir()
    make(tmp_path / "library", tmp_path / "photos", 20_000)
    catalog = Catalog(Database.open(tmp_path / "library" / "library.db"))
    started = time.process_time()
    assert len(catalog.forget_root(catalog.roots()[0])) == 20_000
    assert time.process_time() - started < 5
    catalog.database.close()


def _index(folder, photos, stop):
    catalog = Catalog(Database.open(folder / "library.db"))
    space, root, start = catalog.require_space().id, catalog.roots()[0].id, 20_000
    while not stop.is_set():
        catalog.store(2, space, batch(root, photos, start, 64), [])
        start += 64
        time.sleep(0.1)
    catalog.database.close()


@pytest.mark.timing
def test_nobody_waits_a_second_while_a_library_of_twenty_thousand_photos_is_indexed(tmp_path):
    folder, photos = tmp_path / "library", tmp_path / "photos"
    folder.mkdir()
    make(folder, photos, 20_000)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=_index, args=(folder, photos, stop))
    writer.start()
    catalog = Catalog(Database.open(folder / "library.db"))
    reads, decisions = Clock(), Clock()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reads.time(lambda: catalog.photos(list(range(1, 11))))
        number = len(decisions.waits) + 1
        decisions.time(partial(dismiss, catalog, [number, number + 1]))
    stop.set()
    writer.join()
    catalog.database.close()
    assert max(reads.waits) < 1
    assert max(decisions.waits) < 1
