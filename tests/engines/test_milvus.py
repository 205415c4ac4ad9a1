"""A Milvus collection holds what the library holds and answers alike. On Milvus Lite, through a cluster's client."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from tests.support.mounts import Mounts
from vitsearch.errors import SpaceMismatch, StoreError
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library

pytest.importorskip("milvus_lite", reason="Milvus Lite has no build for this system")

from tests.support.milvus_collections import Proxy, did, export, held, many
from tests.support.milvus_searches import Searches
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.search import MilvusSearch


class TestExport:
    def test_a_second_run_brings_only_what_changed(self, indexed, photos, picture, address):
        assert did(export(indexed, address)) == (10, 10, 0)
        assert did(export(indexed, address)) == (10, 0, 0)
        picture(photos / "warm/new.png", "teal")
        (photos / "cold/red.jpg").unlink()
        (photos / "cold/green.jpg").rename(photos / "warm/moved.jpg")
        indexed.index()
        assert did(export(indexed, address)) == (10, 2, 1)
        assert did(export(indexed, address)) == (10, 0, 0)

    def test_photos_outside_of_the_folders_that_are_exported_stay(self, indexed, photos, address):
        export(indexed, address)
        assert did(export(indexed, address, folders=(photos / "warm",))) == (5, 0, 0)
        assert len(held(address)) == 10

    def test_a_new_label_is_a_change(self, indexed, photos, address):
        export(indexed, address)
        HeadStore(indexed).train("tone", folder=photos)
        Labeller(HeadStore(indexed), "tone").label()
        assert did(export(indexed, address)) == (10, 10, 0)
        HeadStore(indexed).correct("tone", photos / "cold/red.jpg", ("warm",))
        assert did(export(indexed, address))[:2] == (10, 1)

    def test_a_photo_whose_drive_is_not_mounted_stays(self, indexed, photos, address):
        export(indexed, address)
        photos.rename(photos.with_name("away"))
        indexed.index()
        assert did(export(indexed, address)) == (10, 0, 0)

    def test_a_range_that_is_too_full_for_one_request_is_halved(self, indexed, address, monkeypatch):
        monkeypatch.setattr("vitsearch.engines.milvus.export.MOST_ROWS", 4)
        assert did(export(indexed, address)) == (10, 10, 0)
        assert did(export(indexed, address)) == (10, 0, 0)

    def test_a_row_that_another_program_changed_is_found_and_mended(self, indexed, address):
        export(indexed, address)
        with MilvusCollection(Address.parse(address)) as collection:
            (row,) = collection.rows("id == 3", ["*"])
            collection.put([{**row, "checksum": "0" * 32}])
            collection.delete([collection.rows("id == 4", ["photo"])[0]["photo"]])
        assert did(export(indexed, address)) == (10, 2, 0)

    def test_an_index_that_another_program_dropped_is_made_again(self, indexed, photos, address):
        export(indexed, address)
        with MilvusCollection(Address.parse(address)) as collection:
            client, name = collection._client, collection.address.collection
            client.release_collection(name)
            client.drop_index(name, "vector")
            others = client.prepare_index_params()
            others.add_index("taken", index_type="INVERTED")
            client.create_index(name, others)
        assert did(export(indexed, address)) == (10, 0, 0)
        with MilvusSearch(Address.parse(address)) as store:
            assert len(indexed.search(photos / "cold/red.jpg", store=store).results) == 9

    def test_an_engine_that_does_not_keep_what_is_written_is_found_out(self, indexed, address, monkeypatch):
        put = MilvusCollection.put
        monkeypatch.setattr(
            MilvusCollection,
            "put",
            lambda self, rows: put(self, [{**row, "vector": -row["vector"]} for row in rows]),
        )
        with pytest.raises(StoreError, match="does not hold what was written"):
            export(indexed, address)

    def test_the_collection_of_another_space_is_left_alone(self, indexed, photos, address, tmp_path):
        export(indexed, address)
        before = held(address)
        with Library.open(tmp_path / "second", backbone=MeanColour(model="other")) as second:
            second.index([photos])
            with pytest.raises(
                SpaceMismatch, match=r"holds vectors of mean-colour .* the library those of other"
            ):
                export(second, address)
        assert held(address) == before

    def test_the_collection_of_another_library_is_left_alone(self, indexed, photos, address, tmp_path):
        export(indexed, address)
        with Library.open(tmp_path / "second", backbone=MeanColour()) as second:
            second.index([photos / "warm"])
            with pytest.raises(StoreError, match="another library: choose another name"):
                export(second, address)
            assert did(export(second, f"{address}/second")) == (5, 5, 0)
        assert len(held(address)) == 10

    def test_a_collection_that_is_not_of_vitsearch_is_left_alone(self, indexed, address):
        with MilvusCollection(Address.parse(address)) as collection:
            collection._client.create_collection("theirs", dimension=13)
        with pytest.raises(StoreError, match="was not made by vitsearch"):
            export(indexed, f"{address}/theirs")


class TestSearch(Searches):
    """On Milvus Lite."""


class TestAddresses:
    @pytest.mark.parametrize(
        "text",
        [
            "http://host/photos",
            "milvus://",
            "milvus:///",
            "milvus:///tmp/file.txt",
            "milvus://host:port/photos",
            "milvus://host/pho-tos",
            "milvus://host/photos?shards=none",
            "milvus://host/photos?replicas=2",
        ],
    )
    def test_what_is_none_is_refused_in_one_line(self, text):
        with pytest.raises(StoreError) as caught:
            Address.parse(text)
        assert "\n" not in str(caught.value)

    def test_a_password_is_used_and_never_shown(self):
        address = Address.parse("milvus+tls://ann:se%40cret@host:443/photos?database=d&index=hnsw&shards=8")
        assert (address.uri, address.token, address.database) == ("https://host:443", "ann:se@cret", "d")
        assert (address.collection, address.index, address.shards) == ("photos", "HNSW", 8)
        assert address.shown == "photos in the database d at host:443"

    def test_nobody_there_is_said_within_seconds(self, indexed):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(
            StoreError,
            match=r"photos at 127\.0\.0\.1:\d+: nothing answers there \(connection refused\); check address",
        ) as caught:
            export(indexed, f"milvus://127.0.0.1:{port}/photos", timeout=2)
        assert time.monotonic() - start < 10
        assert "\n" not in str(caught.value)

    def test_a_folder_that_is_not_ones_own_is_named(self, indexed, own_folder):
        (own_folder / "closed").mkdir(mode=0o500)
        for folder in ("closed", "missing"):
            with pytest.raises(StoreError, match=r"cannot write to .*/store\.db"):
                MilvusCollection(Address.parse(f"milvus://{own_folder}/{folder}/store.db"))

    def test_a_file_that_another_process_uses_is_named(self, indexed, address):
        export(indexed, address)
        code = (
            f"import sys; from vitsearch.engines.milvus.collection import MilvusCollection; "
            f"from vitsearch.engines.milvus.address import Address; c = MilvusCollection(Address.parse({address!r})); "
            "print('open', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"open\n"
            with pytest.raises(StoreError) as caught:
                export(indexed, address)
            assert other.stdin is not None
            other.stdin.close()
        assert "\n" not in str(caught.value)
        assert "another process" in str(caught.value)
        assert did(export(indexed, address)) == (10, 0, 0)

    def test_a_server_that_refuses_says_to_check_the_password(self, indexed):
        import grpc

        class Refuse(grpc.GenericRpcHandler):
            def service(self, details):
                def refuse(request, context):
                    context.abort(
                        grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check api key is correct"
                    )

                return grpc.unary_unary_rpc_method_handler(refuse)

        server = grpc.server(ThreadPoolExecutor(2), handlers=(Refuse(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with pytest.raises(StoreError, match="check user and password"):
                export(indexed, f"milvus://ann:wrong@127.0.0.1:{port}/photos", timeout=5)
        finally:
            server.stop(0)


@pytest.fixture
def server(tmp_path):
    """Milvus Lite as a server of its own: what a cluster is to the client."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "milvus_lite",
            "server",
            "--data-dir",
            str(tmp_path / "served"),
            "--port",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    process.kill()
    process.wait()


class TestBreaks:
    def test_a_network_that_breaks_off_leaves_nothing_that_the_next_run_does_not_mend(
        self, indexed, photos, server
    ):
        many(indexed, photos, 1500)
        with Proxy(server) as proxy:
            there = f"milvus://127.0.0.1:{proxy.port}/photos?index=FLAT"
            proxy.left = 150_000
            with pytest.raises(
                StoreError, match=r"cannot .*check address and network, then run the command again"
            ) as caught:
                export(indexed, there, timeout=3)
            assert "\n" not in str(caught.value)
            proxy.left = 10**12
            report = export(indexed, there)
            assert report.photos == 1510
            assert did(export(indexed, there)) == (1510, 0, 0)
            assert len(held(there)) == 1510

    def test_an_export_that_is_killed_is_completed_by_the_next_without_doubles(
        self, indexed, photos, address, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("vitsearch.engines.milvus.export._ROWS_AT_ONCE", 50)
        many(indexed, photos, 600)
        library = indexed.folder
        code = f"""
import sys
from vitsearch.library import Library
from vitsearch.engines.milvus import export as milvus_export
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.portable import Selection
milvus_export._ROWS_AT_ONCE = 50
put = MilvusCollection.put
def loudly(self, rows):
    print("put", flush=True)
    put(self, rows)
MilvusCollection.put = loudly
with Library.open({str(library)!r}) as library, MilvusCollection(Address.parse({address!r})) as collection:
    milvus_export.export_milvus(library, Selection.of(library), collection)
"""
        random = np.random.default_rng(9)
        for puts in (1, 4):
            with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
                for _ in range(puts):
                    assert process.stdout is not None
                    assert process.stdout.readline() == b"put\n"
                time.sleep(float(random.uniform(0, 0.02)))
                process.send_signal(signal.SIGKILL)
        report = export(indexed, address)
        assert report.photos == 610
        assert 0 < report.written <= 610 - 3 * 50  # the next run goes on where the killed one was
        assert did(export(indexed, address)) == (610, 0, 0)
        assert len(held(address)) == 610

    def test_a_full_disk_is_one_line_and_the_next_export_mends_it(
        self, indexed, photos, run, tmp_path, mounts
    ):
        many(indexed, photos, 3000)
        drive = tmp_path / "drive"
        drive.mkdir()
        mounts.drive(drive)
        address = f"milvus://{drive.as_posix()}/store.db"
        with (drive / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(65536))
        os.truncate(drive / "filler", (drive / "filler").stat().st_size - 600_000)
        done = run("export", "--to", address)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1, done.stderr
        assert "space" in done.stderr
        (drive / "filler").unlink()
        assert export(indexed, address).photos == 3010
        assert did(export(indexed, address)) == (3010, 0, 0)
        assert len(held(address)) == 3010


@pytest.fixture
def mounts():
    made = Mounts()
    yield made
    made.close()


class TestCommands:
    def test_export_and_search_say_in_json_what_the_library_says(self, indexed, photos, answer, address):
        report = answer("export", "--to", address)
        assert (report["photos"], report["written"], report["removed"], report["model"]) == (
            10,
            10,
            0,
            "mean-colour",
        )
        query = photos / "cold/red.jpg"
        own = answer("search", query, "--camera", "canon", "-k", "2")
        theirs = answer("search", query, "--camera", "canon", "-k", "2", "--store", address)
        for document in (own, theirs):
            for match in document["results"]:
                match["score"] = round(match["score"], 5)
            document["matches_above"] = document["matches_above"] and round(document["matches_above"], 4)
        assert json.dumps(theirs) == json.dumps(own)
