"""A Parquet file of a stranger fills no memory, and whatever makes no sense in it is one clear line."""

import json
import os
import resource
import signal
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.decoding.process import Limits
from vitsearch.engines.parquet.importing import import_parquet
from vitsearch.engines.parquet.reading import VectorFile
from vitsearch.engines.parquet.writing import FORMAT_KEY, SPACE_KEY, export_parquet
from vitsearch.engines.portable import Selection
from vitsearch.errors import StoreError
from vitsearch.library import Library

pytestmark = pytest.mark.trust


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as opened:
        yield opened


def space_text(**changes):
    fields = json.loads(MeanColour().space.to_json())
    return json.dumps(fields | changes)


def vectors(rows, dimension=13):
    return pa.array(list(np.eye(rows, dimension, dtype=np.float32)), pa.list_(pa.float32()))


def write(path, columns, **metadata):
    table = pa.table(columns)
    if metadata:
        table = table.replace_schema_metadata(
            {SPACE_KEY: metadata["space"], FORMAT_KEY: metadata.get("format", "1")}
        )
    pq.write_table(table, path)
    return path


def test_a_vector_of_millions_of_numbers_in_a_few_kilobytes_is_not_read(library, tmp_path):
    path = tmp_path / "bomb.parquet"
    count = 60_000_000
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([1.0], pa.float32()))
    lists = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), values.cast(pa.float32()))
    pq.write_table(pa.table({"path": ["a.png"], "model": ["m"], "vector": lists}), path, compression="ZSTD")
    del values, lists
    assert path.stat().st_size < 1_000_000
    started = time.process_time()
    with pytest.raises(StoreError, match=r"claims 60,000,000 values of vector"):
        import_parquet(library, [path])
    assert time.process_time() - started < 1


def test_rows_that_take_no_bytes_are_not_counted_one_by_one(library, tmp_path):
    nulls = pa.nulls(7_000_000, pa.list_(pa.float32()))
    path = write(tmp_path / "rows.parquet", {"path": pa.nulls(7_000_000, pa.string()), "vector": nulls})
    with pytest.raises(StoreError, match="claims 7,000,000 rows"):
        import_parquet(library, [path])


@pytest.mark.parametrize(
    "space",
    [
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        space_text(dimension=0).replace("0", "9" * 5000, 1),
        '{"dimension": ' + "9" * 5000 + "}",
        space_text(dimension="13"),
        space_text(dimension=-1),
        space_text(dimension=10**9),
        space_text(model=["x"]),
        space_text(preprocessing=7),
        "[]",
        "null",
        "\x00",
    ],
)
def test_metadata_that_makes_no_sense_is_one_line(library, tmp_path, space):
    columns = {"photo": ["0" * 64], "path": ["a.png"], "vector": vectors(1)}
    path = write(tmp_path / "odd.parquet", columns, space=space)
    with pytest.raises(StoreError, match=r"odd\.parquet"):
        import_parquet(library, [path])


@pytest.mark.parametrize("version", ["2", "9" * 5000, "²", "-1", ""])
def test_a_format_of_another_version_is_one_line(library, tmp_path, version):
    columns = {"photo": ["0" * 64], "path": ["a.png"], "vector": vectors(1)}
    path = write(tmp_path / "odd.parquet", columns, space=space_text(), format=version)
    with pytest.raises(StoreError, match="later version"):
        import_parquet(library, [path])


def test_paths_and_numbers_that_no_file_can_have_are_left_out(library, tmp_path):
    named = {"path": ["a\0b.png", "", "x" * 5000], "model": ["m"] * 3, "vector": vectors(3)}
    report = import_parquet(library, [write(tmp_path / "paths.parquet", named)], root=tmp_path)
    assert (report.photos, report.refused) == (0, 3)
    place = {"root": "/p", "path": "a.png", "size": 2**64 - 1, "modified_ns": 0, "content": "0" * 64}
    kind = pa.list_(
        pa.struct(
            [("root", pa.string()), ("path", pa.string()), ("size", pa.uint64()), ("modified_ns", pa.int64()),
             ("content", pa.string())]
        )
    )  # fmt: skip
    columns = {
        "photo": [f"{number:064x}" for number in range(3)],
        "width": pa.array([2**63, 5, 5], pa.uint64()),
        "height": pa.array([5, 5, 5], pa.uint64()),
        "files": pa.array([[place], [place], [place | {"size": 3, "path": "b\0.png"}]], kind),
        "vector": vectors(3),
    }
    path = write(tmp_path / "numbers.parquet", columns, space=space_text())
    with Library.open(tmp_path / "another", backbone=MeanColour()) as another:
        report = import_parquet(another, [path])
    assert (report.photos, report.refused) == (2, 1)


def test_a_file_is_read_by_a_process_with_limits_on_memory_and_time(library, tmp_path, picture):
    # Within all that its footer claims, so that nothing but the limit stops it: it unpacks to 256 MB.
    text = pa.array(["x" * (1 << 27)] * 2)
    path = tmp_path / "large.parquet"
    table = pa.table({"path": text, "model": ["m"] * 2, "vector": vectors(2)})
    pq.write_table(table, path, compression="ZSTD")
    del text, table
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StoreError, match=r"large\.parquet: .*MB"):
        import_parquet(library, [path], root=tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    sound = write(tmp_path / "sound.parquet", {"path": ["a.png"], "model": ["m"], "vector": vectors(1)})
    with pytest.raises(StoreError, match=r"sound\.parquet"):
        VectorFile(sound, limits=Limits(memory=128 << 20))
    with VectorFile(sound, limits=Limits(seconds=5)) as file:
        process = file._process._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(StoreError, match="longer than 5 seconds to read"):
            next(file.batches())
        assert time.monotonic() - started < 15


def test_a_process_that_is_killed_while_it_reads_is_one_line(library, tmp_path):
    sound = write(tmp_path / "sound.parquet", {"path": ["a.png"], "model": ["m"], "vector": vectors(1)})
    with VectorFile(sound) as file:
        process = file._process._process
        assert process is not None
        process.kill()
        with pytest.raises(StoreError, match=r"cannot read .*sound\.parquet"):
            next(file.batches())


def test_an_ordinary_export_of_constant_photos_is_within_the_limits(library, tmp_path, picture):
    for number in range(30):
        picture(tmp_path / "photos" / f"{number}.png", (number, 0, 0))
    library.index([tmp_path / "photos"])
    export_parquet(Selection.of(library), tmp_path / "out.parquet")
    with Library.open(tmp_path / "another", backbone=MeanColour()) as another:
        assert import_parquet(another, [tmp_path / "out.parquet"]).photos == 30
