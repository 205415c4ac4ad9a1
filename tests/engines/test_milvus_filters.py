"""A filter keeps the same photos in SQL and in Milvus's expressions; and what collections are made of."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from vitsearch.errors import StoreError
from vitsearch.records import FoundFile, PhotoFacts
from vitsearch.storage.filters import IN_STORES, Filter
from vitsearch.storage.rows import ReadableFile

pytest.importorskip("milvus_lite", reason="Milvus Lite has no build for this system")

from tests.support.milvus_collections import export
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.filters import expression, fits
from vitsearch.engines.milvus.rows import ascii_lower
from vitsearch.engines.milvus.search import MilvusSearch

CAMERAS = (
    None,
    "Canon EOS R5",
    "canon eos 5d",
    'Odd "100%_\\ cam',
    "Odd '100",
    "ÄRA é İ 相機",
    "tab\tand\nline",
    "_",
    "%",
    "Pixel 8 Pro",
    "\\n",
)
FOLDERS = (
    "",
    "a",
    "ab",
    "a/b",
    "a/b/c",
    "A",
    'q"uote',
    "back\\slash",
    "per%cent",
    "under_score",
    "相機",
    "li'ne",
)


def random_library(library, root, random, how_many=150):
    """Photos with every mixture of facts and folders that a filter can ask for, unknown ones among them."""
    files = []
    for number in range(how_many):
        day = f"20{random.integers(10, 14)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}T10:00:00"
        facts = PhotoFacts(
            "JPEG",
            40,
            30,
            taken=day if random.random() < 0.8 else None,
            camera=CAMERAS[random.integers(len(CAMERAS))],
        )
        row = random.standard_normal(13).astype(np.float16)
        photo, file = random.bytes(32), random.bytes(32)
        for copy in range(1 + (random.random() < 0.2)):
            folder = FOLDERS[random.integers(len(FOLDERS))]
            found = FoundFile(root, f"{folder}/{number}-{copy}.jpg".lstrip("/"), 1, 1)
            files.append(
                ReadableFile(library.catalog.roots()[0].id, found, photo, file, facts, None, row, 1.0)
            )
    library.catalog.store(1, library.catalog.active_space()[0], files, [])


def random_filter(root, random):
    def perhaps(value):
        return value if random.random() < 0.5 else None

    def date():
        text = f"20{random.integers(9, 15)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}T10:00:00"
        return text[: random.choice([4, 7, 10, 19])]

    camera = CAMERAS[random.integers(1, len(CAMERAS))]
    assert camera is not None
    start = random.integers(len(camera))
    part = camera[start : start + random.integers(1, 6)]
    spelled = (str.upper, str.lower, str)[random.integers(3)](part)
    chosen = random.choice(FOLDERS, size=random.integers(1, 3))
    return Filter(
        folders=tuple(root / str(folder) for folder in chosen) if random.random() < 0.5 else (),
        after=perhaps(date()),
        before=perhaps(date()),
        camera=perhaps(spelled),
    )


@pytest.mark.skipif(os.name == "nt", reason="such names of folders are not possible there")
def test_a_thousand_filters_keep_the_same_photos_in_sql_and_in_milvus(indexed, photos, address):
    random = np.random.default_rng(22)
    random_library(indexed, photos, random)
    export(indexed, address)
    kept, asked = [], set()
    with MilvusSearch(Address.parse(address)) as store:
        every = store.rows("", ["id", "taken", "camera"])
        cameras = store._cameras()
        assert cameras == {ascii_lower(row["camera"]) for row in every if row["camera"]}
        for _ in range(1000):
            criteria = random_filter(photos, random)
            own = indexed.catalog.select(criteria).tolist()
            conditions = expression(criteria, lambda: cameras)
            theirs = sorted(row["id"] for row in store.rows(" and ".join(conditions), ["id"]))
            assert theirs == own, criteria
            about_photos = replace(criteria, folders=())
            left = sorted(row["id"] for row in every if fits(row, about_photos))
            assert left == indexed.catalog.select(about_photos).tolist(), criteria
            kept.append(len(own))
            asked.update(criteria.asked())
    assert len(set(kept)) > 50
    assert 0 in kept
    assert asked == IN_STORES


def columns(address):
    with MilvusCollection(Address.parse(address)) as collection:
        return collection._client.describe_collection(collection.address.collection)["fields"]


def test_no_column_is_nullable_which_servers_before_2_5_do_not_know(indexed, address):
    export(indexed, address)
    assert [column["name"] for column in columns(address) if column.get("nullable")] == []


def test_facts_that_are_not_known_come_back_so(library, photos, picture, address, tmp_path):
    folder = tmp_path / "bare"
    query = picture(folder / "one.png", "red")
    picture(folder / "two.png", "blue")
    library.index([folder])
    export(library, address)
    with MilvusSearch(Address.parse(address)) as store:
        (theirs,) = library.search(query, store=store).results
        assert library.search(query, store=store, where=Filter(before="2999")).results == ()
    (own,) = library.search(query).results
    assert (theirs.taken, theirs.camera) == (own.taken, own.camera) == (None, None)


def test_a_collection_with_nullable_columns_as_earlier_versions_made_them_stays_as_it_is(
    library, photos, picture, address, monkeypatch
):
    from pymilvus import CollectionSchema

    add_field, put = CollectionSchema.add_field, MilvusCollection.put
    may_be_null = {"format", "taken", "camera", "software", "latitude", "longitude", "camera_lower"}

    def add_nullable(self, field_name, datatype, **options):
        if field_name in may_be_null:
            options["nullable"] = True
        return add_field(self, field_name, datatype, **options)

    def put_nulls(self, rows):
        put(
            self,
            [
                {n: None if n in may_be_null and v in ("", 999.0) else v for n, v in row.items()}
                for row in rows
            ],
        )

    picture(photos / "bare.png", "teal")
    library.index([photos])
    with monkeypatch.context() as earlier:
        earlier.setattr(CollectionSchema, "add_field", add_nullable)
        earlier.setattr(MilvusCollection, "put", put_nulls)
        export(library, address)
    assert any(column.get("nullable") for column in columns(address))
    report = export(library, address)
    assert (report.photos, report.written) == (11, 0)
    query = photos / "cold/red.jpg"
    with MilvusSearch(Address.parse(address)) as store:
        for criteria in (Filter(before="2018"), Filter(camera="canon"), Filter()):
            theirs = library.search(query, store=store, where=criteria, k=20).results
            own = library.search(query, where=criteria, k=20).results
            assert [(one.path, one.taken, one.camera) for one in theirs] == [
                (one.path, one.taken, one.camera) for one in own
            ]


@pytest.mark.parametrize("version", ["v2.2.16", "2.3.1"])
def test_a_server_that_is_too_old_is_refused_by_name_and_version_before_anything_is_written(indexed, version):
    import grpc
    from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

    asked = []

    class Old(milvus_pb2_grpc.MilvusServiceServicer):
        def Connect(self, request, context):  # noqa: N802 - the protocol's name
            return milvus_pb2.ConnectResponse()

        def GetVersion(self, request, context):  # noqa: N802
            return milvus_pb2.GetVersionResponse(version=version)

        def HasCollection(self, request, context):  # noqa: N802
            asked.append(request)
            return milvus_pb2.BoolResponse()

        DescribeCollection = CreateCollection = HasCollection

    server = grpc.server(ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Old(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(StoreError, match=rf"Milvus {version.strip('v')} runs there.*2\.3\.2") as caught:
            export(indexed, f"milvus://127.0.0.1:{port}/photos", timeout=5)
    finally:
        server.stop(0)
    assert "\n" not in str(caught.value)
    assert asked == []
