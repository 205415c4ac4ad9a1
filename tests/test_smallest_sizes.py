"""Every cache and pool works at size one, where each look-up misses and everybody waits for everybody."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from anyio import CapacityLimiter
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.web_client import web_client
from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates import tables
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify import geometric, many
from vitsearch.duplicates.verify.geometric import GeometricVerifier
from vitsearch.engines import merging
from vitsearch.library import Library
from vitsearch.photos.perceptual_hash import perceptual_hash
from vitsearch.storage import answers
from vitsearch.storage.layout import Layout
from vitsearch.web import server
from vitsearch.web.services import upload_store
from vitsearch.web.services.library_pool import LibraryPool, Stamp, StateCache
from vitsearch.web.services.query_vectors import QueryVectorCache

ONE, TWO = Stamp((1, 1), 1, (1,)), Stamp((1, 1), 2, (1,))
COLOURS = ("red", "darkred", "blue", "navy", "green", "white", "teal", "olive")


@pytest.fixture
def photos(tmp_path, picture):
    for number, colour in enumerate(COLOURS):
        picture(tmp_path / "photos" / f"{colour}.png", colour, size=(64 + number, 48))
    return tmp_path / "photos"


@pytest.fixture
def indexed(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        yield library


@pytest.fixture
def smallest_server(monkeypatch):
    """One reader, one decoder, one picture at a time, one remembered value, one known vector."""
    monkeypatch.setattr(server, "LibraryPool", partial(LibraryPool, count=1))
    monkeypatch.setattr(server, "StateCache", partial(StateCache, size=1))
    monkeypatch.setattr(server, "QueryVectorCache", partial(QueryVectorCache, 1))
    monkeypatch.setattr(server, "Decoders", lambda _: Decoders(1))
    monkeypatch.setattr(server, "CapacityLimiter", lambda _: CapacityLimiter(1))


def asked(client, photo: int, upload: str) -> list[object]:
    """What one open page asks for, one thing after the other."""
    answers: list[object] = []
    for address, options in (
        ("/api/status", {}),
        ("/api/grid", {}),
        ("/api/grid", {"by": "folder"}),
        ("/api/facets", {}),
        (f"/api/photos/{photo}", {}),
        ("/api/search", {"photo": photo, "k": 3}),
        ("/api/search", {"photo": photo, "crop": "4,4,40,40", "k": 3}),
        ("/api/search", {"upload": upload, "k": 3}),
        ("/api/search", {"upload": upload, "crop": "4,4,40,40", "not": f"photo:{photo}", "k": 3}),
        ("/api/captions", {"ids": photo}),
        ("/api/roots", {}),
        (f"/api/uploads/{upload}", {}),
    ):
        answer = client.get(address, params=options)
        assert answer.status_code == 200, (address, answer.text)
        told = answer.json()
        answers.append({name: told[name] for name in told.keys() - {"seconds", "images", "thumbnails_bytes"}})
    for address in (
        f"/api/photos/{photo}/thumbnail",
        f"/api/photos/{photo}/view",
        f"/api/uploads/{upload}/view",
    ):
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        answers.append(answer.content)
    return answers


def pages(client, library, tmp_path) -> list[list[object]]:
    """What as many pages as there are photos see, all at once."""
    Image.new("RGB", (64, 48), (250, 5, 5)).save(tmp_path / "query.png")
    upload = client.post("/api/uploads", content=(tmp_path / "query.png").read_bytes()).json()["token"]
    ids = tables.present_photos(library.catalog).tolist()
    with ThreadPoolExecutor(len(ids)) as threads:
        waiting = [threads.submit(asked, client, photo, upload) for photo in ids]
        return [each.result(timeout=60) for each in waiting]


def test_the_smallest_server_answers_many_pages_at_once_as_an_ordinary_one_does(
    indexed, tmp_path, smallest_server, monkeypatch
):
    with web_client(indexed.folder, MeanColour()) as client:
        found = pages(client, indexed, tmp_path)
    monkeypatch.undo()
    with web_client(indexed.folder, MeanColour()) as client:
        assert pages(client, indexed, tmp_path) == found


def test_one_value_is_remembered_and_never_that_of_another_key_or_state():
    remembered = StateCache(size=1)
    for stamp in (ONE, TWO):
        for key in "abab":
            assert remembered.get(key, stamp, partial(tuple, [key, stamp])) == (key, stamp)


def test_a_value_may_ask_for_another_one_while_it_is_made():
    remembered = StateCache(size=1)
    inner = partial(remembered.get, "inner", ONE, lambda: 1)
    assert remembered.get("outer", ONE, lambda: inner() + 1) == 2
    assert inner() == 1


def test_one_known_vector_is_never_that_of_another_query():
    known, embedded = QueryVectorCache(1), []

    def embed(number: int) -> np.ndarray:
        embedded.append(number)
        return np.full(3, number, np.float32)

    for number in (1, 1, 2, 1):
        assert known.get((number,), partial(embed, number)).tolist() == [number] * 3
    assert embedded == [1, 2, 1]


def test_threads_that_share_one_known_vector_get_their_own():
    known, start = QueryVectorCache(1), threading.Barrier(8)

    def ask(number: int) -> bool:
        start.wait()
        return all(
            (known.get((number,), lambda: np.full(3, number, np.float32)) == number).all() for _ in range(200)
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))


def test_views_are_right_with_room_for_one(monkeypatch):
    monkeypatch.setattr(geometric, "_CACHED_VIEWS", 1)
    monkeypatch.setattr(geometric, "_CACHED_PLANES", 1)
    images = [
        Image.open(SAMPLES / name).convert("RGB")
        for name in ("animals/cat-1.jpg", "copies/cat-1-mirrored.jpg", "animals/dog-1.jpg")
    ]
    look = GeometricVerifier(images.__getitem__, lambda number: perceptual_hash(images[number]))
    pairs = [(0, 1), (0, 2), (1, 2), (0, 1)]
    with ThreadPoolExecutor(4) as threads:
        confirmed = list(
            threads.map(lambda pair: look.compare(*pair).confirms(look.thresholds), pairs, timeout=60)
        )
    assert confirmed == [True, False, False, True]


def test_more_threads_than_decoders_wait_their_turn(photos):
    def size(path):
        with decoders.open(path) as photo:
            return photo.pixels().size

    with Decoders(1) as decoders, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(size, sorted(photos.iterdir()), timeout=60))
    assert sorted(found) == [(64 + number, 48) for number in range(len(COLOURS))]


def test_a_library_is_the_same_when_it_is_made_photo_by_photo(indexed, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("vitsearch.indexing.embedding._COMMIT_FILES", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with Library.open(tmp_path / "own", backbone=MeanColour(batch_size=1)) as library:
        report = library.index([photos], workers=1)
        assert (report.embedded, report.files) == (len(COLOURS), len(COLOURS))
        for query in photos.iterdir():
            assert library.search(query, k=8).results == indexed.search(query, k=8).results


def test_duplicates_are_the_same_pair_by_pair_and_fact_by_fact(indexed, photos, tmp_path, monkeypatch):
    for name in ("red", "blue", "teal"):
        with Image.open(photos / f"{name}.png") as image:
            image.save(photos / f"{name}.bmp")
            image.save(photos / f"{name}-again.bmp")
    indexed.index([photos])
    wanted = find_duplicates(indexed)
    assert len(wanted.groups) == 3
    Layout.of(indexed.folder).answers.unlink()
    monkeypatch.setattr(many, "_CHUNK", 1)
    monkeypatch.setattr(answers, "_WAITING", 1)
    assert find_duplicates(indexed) == wanted


def test_rows_that_name_files_are_imported_by_one_decoder(indexed, photos, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    from vitsearch.engines.parquet.importing import import_parquet

    monkeypatch.setattr(merging, "Decoders", lambda _: Decoders(1))
    paths = sorted(photos.iterdir())
    rows = np.eye(len(paths), dtype=np.float32)
    table = {"path": [str(path) for path in paths], "vector": list(rows)}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    report = import_parquet(indexed, [tmp_path / "rows.parquet"], model="theirs")
    assert (report.photos, report.vectors, report.refused) == (len(paths), len(paths), 0)


def test_with_room_for_one_upload_the_newest_stays(indexed, tmp_path, picture, monkeypatch):
    monkeypatch.setattr(upload_store, "_MOST", 1)
    with web_client(indexed.folder, MeanColour()) as client:
        tokens = [
            client.post(
                "/api/uploads", content=picture(tmp_path / f"{number}.png", (number, 9, 9)).read_bytes()
            ).json()["token"]
            for number in range(4)
        ]
        states = [client.get(f"/api/uploads/{token}").status_code for token in tokens]
        assert states == [404, 404, 404, 200]


def test_an_upload_larger_than_all_room_for_uploads_can_be_searched_for(indexed, photos, monkeypatch):
    monkeypatch.setattr(upload_store, "_MOST_BYTES", 1)
    with web_client(indexed.folder, MeanColour()) as client:
        upload = client.post("/api/uploads", content=(photos / "red.png").read_bytes())
        assert upload.status_code == 201, upload.text
        answer = client.get("/api/search", params={"upload": upload.json()["token"], "k": 1})
        assert answer.json()["results"][0]["path"].endswith("darkred.png")
