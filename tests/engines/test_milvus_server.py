"""What holds on Milvus Lite holds on a server too, the oldest that is supported, and when it is killed."""

import os
from itertools import count

import numpy as np
import pytest
import test_milvus
from milvus_server import Server
from test_milvus import did, export, held, many

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.rows import row_of
from vitsearch.engines.portable import Selection
from vitsearch.errors import StoreError

PYTHON = os.environ.get("MILVUS_PYTHON")

pytestmark = [
    pytest.mark.milvus_server,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="no Milvus server is installed: `make test-milvus` does it"),
]

photos, indexed = test_milvus.photos, test_milvus.indexed  # the same fixtures

_names = (f"photos{number}" for number in count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(PYTHON, tmp_path_factory.mktemp("milvus"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def address(server):
    return server.address(next(_names))


class TestSearch(test_milvus.TestSearch):
    """Every filter, and labels, on the server."""


def same_rows(library, address):
    """Demand that every row says what the library says, no row more and none less."""
    selection = Selection.of(library)
    expected = {row["photo"]: row for row in (row_of(photo, ()) for photo in selection.photos(selection.ids))}
    with MilvusCollection(Address.parse(address)) as collection:
        found = {row["photo"]: row for row in collection.all_rows("", ["*"])}
    assert found.keys() == expected.keys()
    for photo, row in expected.items():
        np.testing.assert_array_equal(np.asarray(found[photo]["vector"], np.float32), row["vector"])
        told = {name: value for name, value in found[photo].items() if name != "vector"}
        assert told == {name: value for name, value in row.items() if name != "vector"}


class TestExport:
    def test_every_row_is_the_librarys_and_a_second_run_brings_only_what_changed(
        self, indexed, photos, picture, address
    ):
        many(indexed, photos, 1500)
        assert did(export(indexed, address)) == (1510, 1510, 0)
        same_rows(indexed, address)
        assert did(export(indexed, address)) == (1510, 0, 0)
        picture(photos / "warm/new.png", "teal")
        (photos / "cold/red.jpg").unlink()
        indexed.index([photos])
        remaining = len(Selection.of(indexed).ids)
        report = export(indexed, address)
        assert (report.photos, report.written) == (remaining, 1)
        same_rows(indexed, address)

    def test_a_kind_of_index_that_there_is_not_leaves_no_collection_behind(self, indexed, server):
        name = next(_names)
        with pytest.raises(StoreError, match="invalid index type"):
            export(indexed, server.address(name, index="NONSENSE"))
        assert did(export(indexed, server.address(name))) == (10, 10, 0)

    def test_a_wrong_password_is_one_line(self, indexed, run, server, address):
        done = run("export", "--to", address.replace("root:Milvus", "root:wrong"))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "check user and password" in done.stderr

    def test_a_server_that_is_killed_during_an_export_has_all_after_the_next(
        self, indexed, photos, run, server, address, monkeypatch
    ):
        monkeypatch.setattr("vitsearch.engines.milvus.export._ROWS_AT_ONCE", 50)
        many(indexed, photos, 1500)
        put, puts = MilvusCollection.put, count()

        def put_until_the_kill(self, rows):
            if next(puts) == 12:
                server.kill()
            put(self, rows)

        monkeypatch.setattr(MilvusCollection, "put", put_until_the_kill)
        try:
            with pytest.raises(StoreError, match="check address and network, then run the command") as caught:
                export(indexed, address, timeout=5)
            assert "\n" not in str(caught.value)
            done = run("search", photos / "cold/blue.jpg", "--store", address)
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert "check address and network" in done.stderr
        finally:
            server.start()
        report = export(indexed, address, timeout=60)
        assert report.photos == 1510
        assert 0 < report.written < 1510
        assert did(export(indexed, address)) == (1510, 0, 0)
        same_rows(indexed, address)
        assert len(held(address)) == 1510
