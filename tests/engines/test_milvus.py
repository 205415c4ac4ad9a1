"""A Milvus collection holds what the library holds and answers alike. On Milvus Lite, through a cluster's client."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import MeanColour
from mounts import Mounts
from PIL import Image

from vitsearch.engines.portable import Selection
from vitsearch.errors import BadQuery, SpaceMismatch, StoreError
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadShelf
from vitsearch.library import Library
from vitsearch.storage.filters import Filter

pytest.importorskip("milvus_lite", reason="Milvus Lite has no build for this system")

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.milvus.search import MilvusSearch

COLOURS = ("red", "darkred", "green", "lime", "blue", "navy", "orange", "gold", "purple", "brown")


@pytest.fixture
def address(tmp_path):
    from pymilvus.client.cache import GlobalCache

    # The client remembers schemas by port, and a file that is opened may get the port of one that was closed.
    GlobalCache.schema.clear()
    return f"milvus://{tmp_path.as_posix() if os.name == 'posix' else '/' + tmp_path.as_posix()}/store.db"


@pytest.fixture
def photos(tmp_path, picture):
    folder = tmp_path / "photos"
    for number, colour in enumerate(COLOURS):
        tags = Image.Exif()
        tags[0x0110] = ("Canon EOS R5", 'Odd "100%_\\ cam', "Pixel 8")[number % 3]
        tags[0x0132] = f"20{15 + number}:05:17 10:00:00"
        picture(folder / f"{'warm' if number % 2 else 'cold'}/{colour}.jpg", colour, exif=tags)
    return folder


@pytest.fixture
def indexed(library, photos):
    library.index([photos])
    return library


def export(library, address, *, folders=(), timeout=20.0):
    with MilvusCollection(Address.parse(address), timeout=timeout) as collection:
        return export_milvus(library, Selection.of(library, folders), collection, whole=not folders)


def did(report):
    return report.photos, report.written, report.removed


def held(address):
    """All rows of a collection, by primary key; a double would show as a count that differs."""
    with MilvusCollection(Address.parse(address)) as collection:
        rows = list(collection.all_rows("", ["photo", "checksum"]))
        assert collection.count() == len(rows)
    assert len({row["photo"] for row in rows}) == len(rows)
    return {row["photo"]: row["checksum"] for row in rows}


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
        assert did(export(indexed, address, folders=[photos / "warm"])) == (5, 0, 0)
        assert len(held(address)) == 10

    def test_a_new_label_is_a_change(self, indexed, photos, address):
        export(indexed, address)
        HeadShelf(indexed).train("tone", folder=photos)
        Labeller(HeadShelf(indexed), "tone").label()
        assert did(export(indexed, address)) == (10, 10, 0)
        HeadShelf(indexed).correct("tone", photos / "cold/red.jpg", ("warm",))
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


class TestSearch:
    @pytest.fixture
    def both(self, indexed, photos, address):
        """Ask the library and the collection the same, demand the same answer, and return it."""
        HeadShelf(indexed).train("tone", folder=photos)
        Labeller(HeadShelf(indexed), "tone").label()
        HeadShelf(indexed).correct("tone", photos / "cold/red.jpg", ("warm",))
        HeadShelf(indexed).correct("tone", photos / "cold/blue.jpg", ("cold",))
        export(indexed, address)
        with MilvusSearch(Address.parse(address)) as store:

            def ask(*examples, **options):
                own = indexed.search(*examples, **options)
                theirs = indexed.search(*examples, store=store, **options)
                assert [match.path for match in theirs.results] == [match.path for match in own.results]
                assert [match.score for match in theirs.results] == pytest.approx(
                    [match.score for match in own.results], abs=2e-6
                )
                assert theirs.matches_above == pytest.approx(own.matches_above, abs=1e-5)
                strip = [
                    (m.percentile, m.photo, m.width, m.taken, m.camera, m.other_paths) for m in own.results
                ]
                assert strip == [
                    (m.percentile, m.photo, m.width, m.taken, m.camera, m.other_paths) for m in theirs.results
                ]
                return theirs.results

            ask.store = store
            yield ask

    def test_answers_are_those_of_the_library_with_every_filter(self, both, photos, picture, tmp_path):
        red = photos / "cold/red.jpg"
        assert len(both(red)) == 9
        assert len(both(red, k=3)) == 3
        assert len(both(red, include_self=True)) == 10
        assert len(both(red, photos / "warm/gold.jpg", negatives=[photos / "cold/blue.jpg"])) == 8
        assert len(both(red, where=Filter(folders=[photos / "warm"]))) == 5
        assert len(both(red, where=Filter(folders=[photos.parent]))) == 9
        assert len(both(red, where=Filter(folders=[photos / "warm", photos / "cold"]))) == 9
        assert len(both(red, where=Filter(after="2018", before="2022-05-17"))) == 4
        assert len(both(red, where=Filter(camera="canon"))) == 3
        assert len(both(red, where=Filter(camera='"100%_\\ C'))) == 3
        assert both(red, where=Filter(camera="1000_")) == ()
        assert len(both(red, where=Filter(camera="pixel", after="2018", folders=[photos / "warm"]))) == 1
        both(red, distinct=True)
        both(red, only_matches=True)
        assert len(both(picture(tmp_path / "new.png", "teal"))) == 10
        both(red, crop=(0, 0, 20, 20))

    @pytest.mark.parametrize(
        ("criteria", "option"), [(Filter(keyword="sea"), "keyword"), (Filter(rating=3), "rating")]
    )
    def test_a_label_passes_over_no_filter_in_silence(self, both, criteria, option):
        with pytest.raises(BadQuery, match=f"leave --{option} away"):
            both.store.find_label("tone", "warm", k=10, criteria=criteria)

    def test_a_label_finds_what_it_finds_in_the_library(self, both, indexed, photos):
        for label in ("warm", "cold"):
            for criteria in (Filter(), Filter((photos / "warm",)), Filter(after="2018", camera="pixel")):
                own = Labeller(HeadShelf(indexed), "tone").search(label, criteria=criteria)
                assert own.results or criteria
                assert both.store.find_label("tone", label, k=10, criteria=criteria) == own

    def test_a_place_on_a_drive_that_is_not_mounted_is_left_out(self, both, indexed, photos, tmp_path):
        query = tmp_path / "query.jpg"
        query.write_bytes((photos / "cold/red.jpg").read_bytes())
        photos.rename(tmp_path / "away")
        assert both(query) == ()

    def test_a_machine_without_the_library_can_ask_too(self, both, photos, tmp_path):
        with Library.open(tmp_path / "none", backbone=MeanColour()) as nothing:
            results = nothing.search(photos / "cold/red.jpg", store=both.store).results
        assert len(results) == 9
        assert not (tmp_path / "none").exists()


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
            assert other.stdout.readline() == b"open\n"
            with pytest.raises(StoreError) as caught:
                export(indexed, address)
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


class Proxy:
    """Passes bytes on to a server, until it has passed so many."""

    def __init__(self, port):
        self.target = port
        self.left = 10**12
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.left <= 0:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self.pass_on, args=(source, target), daemon=True).start()

    def pass_on(self, source, target):
        try:
            while data := source.recv(4096):
                self.left -= len(data)
                if self.left <= 0:
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.listener.close()
        for pair in self.pairs:
            for each in pair:
                each.close()


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


def many(library, root, count):
    """Photos by the hundred that nobody has to embed."""
    from vitsearch.records import FoundFile, PhotoFacts
    from vitsearch.storage.rows import ReadableFile

    random = np.random.default_rng(count)
    rows = random.standard_normal((count, 13)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    files = [
        ReadableFile(
            library.catalog.roots()[0].id,
            FoundFile(root, f"many/{number}.jpg", 1, 1),
            random.bytes(32),
            random.bytes(32),
            PhotoFacts("JPEG", 40, 30),
            None,
            row.astype(np.float16),
            1.0,
        )
        for number, row in enumerate(rows)
    ]
    library.catalog.store(1, library.catalog.active_space()[0], files, [])


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
