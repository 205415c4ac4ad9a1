"""What `status` says of a library's growth agrees with what libraries of that size really take."""

import json

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.library import Library
from vitsearch.neighbours.forecast import forecasts, index_bytes, measured_multiply_rate, new_database_bytes
from vitsearch.neighbours.neighbours import Neighbours
from vitsearch.neighbours.reference_sample import ReferenceSample
from vitsearch.neighbours.sizing import CellShape
from vitsearch.records import FoundFile, PhotoFacts
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.rows import ReadableFile


def unit_rows(count, dimension):
    rows = np.random.default_rng(0).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def folder_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def filled_database(folder, count, dimension):
    """A database with that many photos, stored as an index run stores them."""
    catalog = Catalog(Database.open(folder / "library.db", create=True))
    backbone = MeanColour()
    space = catalog.add_space(backbone.space)
    root, _ = catalog.add_root(folder / "photos")
    random = np.random.default_rng(1)
    facts = PhotoFacts("JPEG", 4032, 3024, "2024-05-17T12:00:00", "Canon EOS R5")
    for start in range(0, count, 32):
        files = [
            ReadableFile(
                root.id,
                FoundFile(root.path, f"2024/05/IMG_{number:06}.jpg", 3_000_000, 1_700_000_000_000_000_000),
                random.bytes(32),
                random.bytes(32),
                facts,
                random.bytes(64),
                np.ones(dimension, np.float16),
                10.0,
            )
            for number in range(start, min(start + 32, count))
        ]
        catalog.store(1, space, files, [])
    catalog.database.close()
    return (folder / "library.db").stat().st_size


@pytest.mark.parametrize("dimension", [384, 512, 768])
def test_the_size_of_a_new_database_is_forecast_within_a_tenth(tmp_path, dimension):
    real = filled_database(tmp_path, 1500, dimension)
    assert new_database_bytes(1500, dimension) == pytest.approx(real, rel=0.1)


def test_a_library_that_knows_itself_is_forecast_by_its_own_size():
    (double, tenfold, *_) = forecasts(2000, 384, database_bytes=3_000_000, rate=None, multiply_rate=1e11)
    assert (double.photos, double.database_bytes, tenfold.database_bytes) == (4000, 6_000_000, 30_000_000)


@pytest.mark.parametrize("dimension", [24, 96, 383])
def test_the_size_of_a_small_index_is_forecast_exactly_but_for_its_manifest(tmp_path, dimension):
    rows = unit_rows(600, dimension)
    Neighbours.build(dimension, [(np.arange(600), rows)], folder=tmp_path, generation=1)
    ReferenceSample(np.arange(600), rows).save(tmp_path / "background.npz", generation=1)
    assert 0 <= folder_bytes(tmp_path) - index_bytes(600, dimension) < 2000


@pytest.mark.parametrize("dimension", [24, 96, 130])
def test_the_size_of_an_approximate_index_is_forecast_within_a_twentieth(tmp_path, dimension):
    rows = unit_rows(8000, dimension)
    Neighbours.build(
        dimension, [(np.arange(8000), rows)], folder=tmp_path, generation=1, approximate_from=2000
    )
    (cells,) = tmp_path.glob("cells-*")
    assert CellShape.of(8000, dimension).bytes_for(8000) == pytest.approx(cells.stat().st_size, rel=0.05)


def test_sizes_are_twice_ten_times_a_million_and_ten_million_as_far_as_they_lie_ahead():
    def sizes(photos):
        return [one.photos for one in forecasts(photos, 384, database_bytes=0, rate=None, multiply_rate=1e11)]

    assert sizes(0) == [1_000_000, 10_000_000]
    assert sizes(300) == [600, 3000, 1_000_000, 10_000_000]
    assert sizes(700_000) == [1_000_000, 1_400_000, 7_000_000, 10_000_000]
    assert sizes(20_000_000) == [40_000_000, 200_000_000]


def test_everything_grows_with_the_library_and_embedding_takes_the_rate_that_was_measured():
    found = forecasts(1000, 384, database_bytes=2_000_000, rate=20, multiply_rate=1e11)
    assert [one.embed_seconds for one in found] == [50, 450, 999_000 / 20, 9_999_000 / 20]
    for name in ("database_bytes", "index_bytes", "memory_bytes", "mapped_bytes", "build_seconds"):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values)
    slower = forecasts(1000, 384, database_bytes=2_000_000, rate=20, multiply_rate=1e10)
    assert slower[-1].build_seconds > 4 * found[-1].build_seconds
    assert measured_multiply_rate(64) > 1e8


def test_the_rate_is_that_of_all_runs_together_and_each_model_has_its_own(library, tmp_path, picture):
    for number in range(6):
        picture(tmp_path / "photos" / f"{number}.png", (40 * number, 100, 200))
    seconds = library.index([tmp_path / "photos"]).seconds
    catalog = library.catalog
    assert catalog.embedding_rate(1) == pytest.approx(6 / seconds, rel=0.05)
    catalog.note_embedding(1, 94, 10 - seconds)
    assert catalog.embedding_rate(1) == pytest.approx(10, rel=0.01)
    assert catalog.embedding_rate(2) is None
    assert library.index().embedded == 0
    assert catalog.embedding_rate(1) == pytest.approx(10, rel=0.01)
    assert library.forecast()[0].embed_seconds == pytest.approx(0.6, rel=0.01)


def test_status_says_it_in_lines_and_as_json(library, tmp_path, picture, run):
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", (40 * number, 100, 200))
    library.index([tmp_path / "photos"])
    library.close()
    lines = run("status", "--forecast").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[-4:]] == ["at 6", "at 30", "at 1,000,000", "at 10,000,000"]
    assert "page cache), index built in " in lines[-1]
    assert lines[-1].endswith(" to embed the rest")
    document = json.loads(run("status", "--json").stdout)
    assert [one["photos"] for one in document["forecast"]] == [6, 30, 1_000_000, 10_000_000]
    with Library.open(tmp_path / "library", backbone=MeanColour()) as again:
        expected = again.forecast()[-1]
    got = document["forecast"][-1]
    assert (got["index_bytes"], got["memory_bytes"]) == (expected.index_bytes, expected.memory_bytes)
