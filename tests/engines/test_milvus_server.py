"""What holds on Milvus Lite holds on a server too, the oldest that is supported, and when it is killed."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from pymilvus import DataType

from tests.support.milvus_collections import Proxy, did, export, held, many
from tests.support.milvus_searches import Searches
from tests.support.milvus_server import PYTHON, Server
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.rows import row_of
from vitsearch.engines.milvus.search import MilvusSearch
from vitsearch.engines.portable import Selection
from vitsearch.errors import StoreError

pytestmark = [
    pytest.mark.milvus_server,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="no Milvus server is installed: `make test-milvus` does it"),
]

_names = (f"photos{number}" for number in count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    assert PYTHON is not None
    server = Server(PYTHON, tmp_path_factory.mktemp("milvus"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def address(server):
    return server.address(next(_names))


@pytest.fixture
def program(tmp_path):
    """Start the real program in a process of its own."""

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "vitsearch", "--library", tmp_path / "library", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


class TestSearch(Searches):
    """Every filter, and labels, on the server."""

    def test_a_thousand_lists_of_ten_are_those_of_the_librarys_exact_search(self, indexed, photos, address):
        many(indexed, photos, 10_000)
        export(indexed, address, timeout=60)
        queries = np.random.default_rng(7).standard_normal((1000, 13)).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        scores, ids = indexed.neighbours().search(queries, 16, exact=True)
        with MilvusSearch(Address.parse(address)) as store, ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda query: store.nearest(query, "", ["id"], limit=10), queries))
        for hits, own_scores, own in zip(answers, scores, ids, strict=True):
            known = dict(zip(own.tolist(), own_scores.tolist(), strict=True))
            assert len({row["id"] for row, _ in hits}) == 10
            # Both sides round sums differently: what scores alike may change places.
            assert [known[row["id"]] for row, _ in hits] == pytest.approx(own_scores[:10].tolist(), abs=1e-6)
            assert [score for _, score in hits] == pytest.approx(own_scores[:10].tolist(), abs=1e-6)


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

    def test_a_connection_that_drops_costs_nothing_that_the_next_run_does_not_mend(
        self, indexed, photos, server
    ):
        many(indexed, photos, 1500)
        with Proxy(server.port) as proxy:
            there = server.address(next(_names)).replace(str(server.port), str(proxy.port))
            proxy.left = 250_000
            with pytest.raises(StoreError, match="check address and network, then run the command") as caught:
                export(indexed, there, timeout=5)
            assert "\n" not in str(caught.value)
            proxy.left = 10**12
            assert export(indexed, there, timeout=60).photos == 1510
            assert did(export(indexed, there)) == (1510, 0, 0)
            same_rows(indexed, there)

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


class TestOthers:
    """Other exports and other programs at the same collection."""

    def test_a_killed_export_is_gone_on_with_where_it_was(self, indexed, photos, program, address):
        many(indexed, photos, 6000)
        with program("export", "--to", address) as killed:
            kept = 0
            while not kept and killed.poll() is None:
                kept = number_of_rows(address)
            killed.kill()
        kept = number_of_rows(address)
        assert kept >= 1000
        with program("export", "--to", address, "--json") as again:
            report = json.loads(again.communicate()[0])
        assert report["photos"] == 6010
        assert (
            report["written"] <= 6010 - kept
        )  # what was under way at the kill may have arrived after the count
        same_rows(indexed, address)

    def test_two_exports_at_once_leave_every_photo_once(self, indexed, photos, program, address):
        many(indexed, photos, 3000)
        with program("export", "--to", address) as first, program("export", "--to", address) as second:
            ended = [(each.communicate()[1], each.returncode) for each in (first, second)]
        for said, status in ended:
            assert said.count(b"\n") == 1, said
            assert status == 0 or b"run the command again" in said.lower(), said
        assert export(indexed, address).photos == 3010
        assert did(export(indexed, address)) == (3010, 0, 0)
        same_rows(indexed, address)

    def test_a_collection_that_another_export_made_meanwhile_is_not_dropped(
        self, indexed, server, monkeypatch
    ):
        name = next(_names)
        there = server.address(name)
        export(indexed, there)
        exists, calls = MilvusCollection.exists, count()
        # As if the other one had made it between this one's look and its first write.
        monkeypatch.setattr(
            MilvusCollection, "exists", lambda self: bool(next(calls)) and exists(self), raising=True
        )
        export(indexed, server.address(name, index="HNSW"))
        assert len(held(there)) == 10

    def test_an_index_that_another_program_dropped_is_asked_for_and_made_again(
        self, indexed, photos, run, address
    ):
        export(indexed, address)
        with MilvusCollection(Address.parse(address)) as collection:
            client, name = collection._client, collection.address.collection
            client.release_collection(name)
            client.drop_index(name, "vector")
        query = photos / "cold/red.jpg"
        TestTerminal.says_in_one_line(run("search", query, "--store", address), "run `vitsearch export")
        assert did(export(indexed, address)) == (10, 0, 0)
        assert run("search", query, "--store", address).returncode == 0

    def test_a_collection_of_other_columns_or_dimensions_is_refused_in_one_line(self, indexed, run, server):
        """What another program made of a collection under its name, with vitsearch's own description."""
        name = next(_names)
        there = server.address(name)
        export(indexed, there)
        with MilvusCollection(Address.parse(there)) as collection:
            client = collection._client
            described = client.describe_collection(name)["description"]
            for fields in ({"photo": 64}, {"photo": 64, "checksum": 32}):
                client.drop_collection(name)
                schema = client.create_schema(enable_dynamic_field=False, description=described)
                for field, longest in fields.items():
                    schema.add_field(field, DataType.VARCHAR, max_length=longest, is_primary=field == "photo")
                schema.add_field("vector", DataType.FLOAT_VECTOR, dim=32)
                index = client.prepare_index_params()
                index.add_index("vector", index_type="FLAT", metric_type="IP")
                client.create_collection(name, schema=schema, index_params=index)
                TestTerminal.says_in_one_line(run("export", "--to", there), name)


def number_of_rows(address):
    with MilvusCollection(Address.parse(address)) as collection:
        return collection.count() if collection.exists() and collection.is_indexed() else 0


class TestTerminal:
    """What the commands say, and that nobody else says anything."""

    def test_an_export_and_a_search_say_what_they_say(self, indexed, photos, run, address):
        done = run("export", "--to", address)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "10 photos: 10 written, 0 unchanged, 0 removed\n"
        assert re.fullmatch(r"\w+ at 127\.0\.0\.1:\d+, mean-colour, [\d.]+ s\n", done.stderr)
        done = run("search", photos / "cold/red.jpg", "--store", address, "--camera", "canon", "--paths")
        assert done.returncode == 0
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 3

    @pytest.mark.parametrize("token", ["root:wrong", "nobody:Milvus"])
    def test_a_wrong_name_or_password_is_one_line(self, indexed, photos, run, address, token):
        there = address.replace("root:Milvus", token)
        self.says_in_one_line(run("export", "--to", there), "check user and password")
        self.says_in_one_line(run("search", photos / "cold/red.jpg", "--store", there), "check user and")

    def test_a_user_who_may_only_search_searches_and_may_not_export(
        self, indexed, photos, run, server, address
    ):
        export(indexed, address)
        with MilvusCollection(Address.parse(address)) as collection:
            client, name = collection._client, f"reader{next(_names)}"
            client.create_user(name, "secret12")
            client.create_role(name)
            for privilege in ("DescribeCollection", "ShowCollections"):
                client.grant_privilege(name, "Global", privilege, "*")
            for privilege in ("Search", "Query", "Load", "IndexDetail", "GetLoadState", "GetStatistics"):
                client.grant_privilege(name, "Collection", privilege, "*")
            client.grant_role(name, name)
        theirs = address.replace("root:Milvus", f"{name}:secret12")
        done = run("search", photos / "cold/red.jpg", "--store", theirs, "--paths")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 9), done.stderr
        (photos / "cold/red.jpg").unlink()
        indexed.index([photos])
        self.says_in_one_line(run("export", "--to", theirs), "check user and password")
        assert len(held(address)) == 10

    def test_what_is_not_there_is_one_line(self, indexed, photos, run, server, address):
        query = photos / "cold/red.jpg"
        self.says_in_one_line(run("search", query, "--store", address), "there is no collection photos")
        self.says_in_one_line(run("export", "--to", f"{address}&database=other"), "other")
        self.says_in_one_line(run("search", query, "--store", f"{address}&database=other"), "other")
        self.says_in_one_line(run("export", "--to", f"{address}&shards=100000"), "shard")

    @staticmethod
    def says_in_one_line(done, text):
        assert done.returncode == 1
        assert done.stdout == ""
        assert re.fullmatch(rf"vitsearch: .*{text}.*\n", done.stderr), done.stderr
