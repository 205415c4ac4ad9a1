"""Milvus: the engine for libraries beyond one machine, or a file of its own through Milvus Lite.

A collection holds the photos of one library in one space. The photo's hash is its primary key, so that bringing it
twice replaces it. Every row carries a checksum of all that it says: a later export reads those and brings what differs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from vitsearch.backbones.spec import Space
from vitsearch.errors import SpaceMismatch, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.heads.tables import Said
    from vitsearch.stores.portable import PortablePhoto

    Row = dict[str, Any]

DEFAULT_COLLECTION = "vitsearch"
# The most that Milvus returns to one request (its quota `limits.topK`).
MOST_ROWS = 16_384
FACTS = ("format", "width", "height", "taken", "camera", "latitude", "longitude", "software")
FIELDS = ("photo", "id", *FACTS, "files")
_CONTENT = (*FIELDS, "norm", "folders", "labels", "said")
_SPACE, _LIBRARY = "vitsearch.space", "vitsearch.library"
_LONGEST_TEXT = 65_535
_MOST_FOLDERS = 4_096
_LONGEST_PATH = 8_192
_REFUSALS = ("auth", "permission", "privilege", "denied")
_BREAKS = (
    "connect",
    "unavailable",
    "timeout",
    "timed out",
    "deadline",
    "socket",
    "reset by peer",
    "cancelled",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a collection is: `milvus://HOST:PORT/COLLECTION`, or `milvus:///path/file.db` for Milvus Lite.

    `milvus+tls://` encrypts. After a question mark: `database`, and for a collection that is made new, `index` (FLAT,
    HNSW, …) and `shards`. `shown` is what messages may say: no password.
    """

    uri: str
    collection: str
    database: str
    token: str
    index: str
    shards: int
    shown: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file of Milvus Lite."""
        return "://" not in self.uri

    @classmethod
    def parse(cls, text: str, *, token: str | None = None) -> Address:
        """Take an address apart.

        Raises:
            StoreError: it is none.

        """
        form = "milvus://HOST:PORT/COLLECTION or milvus:///path/file.db"
        try:
            parts = urlsplit(text)
            port = parts.port or 19530
        except ValueError as error:
            raise StoreError(f"{text!r} is no address: write {form}") from error
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = options.keys() - {"database", "index", "shards", "collection"}
        shards = options.get("shards", "1")
        if parts.scheme not in ("milvus", "milvus+tls") or unknown or not shards.isdigit() or not int(shards):
            raise StoreError(f"{text!r} is no address: write {form}")
        path = unquote(parts.path)
        if parts.hostname:
            uri = f"{'https' if parts.scheme == 'milvus+tls' else 'http'}://{parts.hostname}:{port}"
            collection = path.strip("/")
        else:
            file, found, rest = path.partition(".db")
            if not found or not file.strip("/") or (rest and not rest.startswith("/")):
                raise StoreError(f"{text!r} is no address: write {form}")
            uri = os.path.abspath(f"{file[1:] if re.match(r'/[A-Za-z]:', file) else file}.db")  # noqa: PTH100
            collection = rest.strip("/")
        collection = options.get("collection") or collection or DEFAULT_COLLECTION
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", collection):
            raise StoreError(
                f"{collection!r} cannot be the name of a collection: letters, digits and _ only, not a digit first"
            )
        password = unquote(f"{parts.username}:{parts.password}") if parts.username else ""
        where = uri if not parts.hostname else f"{parts.hostname}:{port}"
        default = "AUTOINDEX" if parts.hostname else "FLAT"
        return cls(
            uri=uri,
            collection=collection,
            database=options.get("database", ""),
            token=token or password,
            index=options.get("index", default).upper(),
            shards=int(shards),
            shown=f"{collection} at {where}",
        )


class MilvusCollection:
    """One collection, open. A context manager; each method raises `StoreError` in one line."""

    def __init__(self, address: Address, *, timeout: float = 60.0) -> None:
        """Connect. `timeout`: seconds that a request may take, retries included.

        Raises:
            StoreError: pymilvus is not installed, nobody answers there, or the user may not.

        """
        self.address = address
        self._timeout = timeout
        # It logs tracebacks of errors that are raised as well.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise StoreError(
                "Milvus needs its client: install it with `pip install 'vitsearch[milvus]'`"
            ) from error
        if address.is_file:
            _check_folder(address.uri)
        with self._plain_errors("reach"):
            self._client = MilvusClient(
                address.uri, token=address.token, db_name=address.database, timeout=min(timeout, 10.0)
            )
        self._index: dict[str, Any] | None = None
        self._loaded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        with self._plain_errors("close"):
            self._client.close()
        if self.address.is_file:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.address.uri)

    def exists(self) -> bool:
        """Whether the collection is there."""
        return bool(self._call("has_collection"))

    def space(self) -> Space:
        """Return the space of the vectors in the collection.

        Raises:
            StoreError: there is no such collection, or vitsearch did not make it.

        """
        if not self.exists():
            raise StoreError(
                f"there is no collection {self.address.shown}: make it with `vitsearch export --to ADDRESS`"
            )
        try:
            return Space.from_json(self._notes()[_SPACE])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"the collection {self.address.shown} was not made by vitsearch: choose another name"
            ) from error

    def open_for(self, space: Space, library: int) -> None:
        """Make the collection for the photos of a library, or check that it is that.

        Raises:
            SpaceMismatch: it holds vectors of another space.
            StoreError: it holds photos of another library, or vitsearch did not make it.

        """
        if not self.exists():
            self._create(space, library)
        elif (found := self.space()) != space:
            raise SpaceMismatch(
                f"the collection {self.address.shown} holds vectors of {found.model} ({found.dimension} dimensions), "
                f"the library those of {space.model} ({space.dimension}): choose another name for the collection"
            )
        elif self._notes().get(_LIBRARY) != str(library):
            raise StoreError(
                f"the collection {self.address.shown} holds the photos of another library: choose another name, or "
                "bring the libraries together first, with `vitsearch import`"
            )

    def count(self, expression: str = "") -> int:
        """Return how many photos the collection holds, or of those that fit an expression."""
        rows = self._call("query", filter=expression, output_fields=["count(*)"], consistency_level="Strong")
        return int(rows[0]["count(*)"])

    def rows(self, expression: str, fields: Sequence[str], *, limit: int = MOST_ROWS) -> list[Row]:
        """Return the rows that fit an expression, at most `limit`, as they are now."""
        return list(
            self._call(
                "query",
                filter=expression,
                output_fields=list(fields),
                limit=limit,
                consistency_level="Strong",
            )
        )

    def all_rows(self, expression: str, fields: Sequence[str]) -> Iterator[Row]:
        """Yield all rows that fit an expression, however many."""
        pages = self._call("query_iterator", filter=expression, output_fields=list(fields), batch_size=1000)
        try:
            while True:
                with self._plain_errors("read from"):
                    page = pages.next()
                if not page:
                    return
                yield from page
        finally:
            pages.close()

    def nearest(
        self, query: npt.NDArray[np.float32], expression: str, fields: Sequence[str], *, limit: int
    ) -> list[tuple[Row, float]]:
        """Return the rows nearest to a unit query (d,) among those that fit an expression, with their cosine."""
        hits = self._call(
            "search",
            data=[query.tolist()],
            anns_field="vector",
            filter=expression,
            limit=limit,
            output_fields=list(fields),
            search_params={"metric_type": "IP", "params": self._effort(limit)},
        )[0]
        return [({"photo": hit.get("photo"), **hit["entity"]}, float(hit["distance"])) for hit in hits]

    def put(self, rows: Sequence[Row]) -> None:
        """Store rows in place of those with the same primary key."""
        self._call("upsert", data=list(rows))

    def delete(self, photos: Sequence[str]) -> None:
        """Delete rows by primary key."""
        self._call("delete", ids=list(photos))

    def flush(self) -> None:
        """Make what was written last on the server's disk."""
        self._call("flush")

    def _create(self, space: Space, library: int) -> None:
        from pymilvus import DataType, MilvusClient

        notes = {_SPACE: space.to_json(), _LIBRARY: str(library)}
        # Milvus Lite keeps properties and drops the description; every Milvus keeps the description.
        schema = MilvusClient.create_schema(
            auto_id=False, enable_dynamic_field=False, description=json.dumps(notes)
        )
        text: dict[str, Any] = {"datatype": DataType.VARCHAR}
        schema.add_field("photo", is_primary=True, max_length=64, **text)
        schema.add_field("id", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=space.dimension)
        schema.add_field("norm", DataType.FLOAT)
        for name in ("width", "height"):
            schema.add_field(name, DataType.INT32)
        for name, longest in (("format", 64), ("taken", 64), ("camera", 1024), ("software", 1024)):
            schema.add_field(name, max_length=longest, nullable=True, **text)
        for name in ("latitude", "longitude"):
            schema.add_field(name, DataType.DOUBLE, nullable=True)
        # What `--in`, `--camera` and `--label` ask for.
        schema.add_field("camera_lower", max_length=1024, nullable=True, **text)
        lists: dict[str, Any] = {"datatype": DataType.ARRAY, "element_type": DataType.VARCHAR}
        schema.add_field("folders", max_capacity=_MOST_FOLDERS, max_length=_LONGEST_PATH, **lists)
        schema.add_field("labels", max_capacity=_MOST_FOLDERS, max_length=_LONGEST_PATH, **lists)
        for name in ("files", "said"):  # JSON that is only read back
            schema.add_field(name, max_length=_LONGEST_TEXT, **text)
        schema.add_field("checksum", max_length=32, **text)
        index = MilvusClient.prepare_index_params()
        index.add_index(
            "vector",
            index_type=self.address.index,
            metric_type="IP",
            params=_BUILDING.get(self.address.index, {}),
        )
        self._call(
            "create_collection",
            schema=schema,
            index_params=index,
            num_shards=self.address.shards,
            properties=notes,
        )

    def _notes(self) -> dict[str, str]:
        told = self._call("describe_collection")
        try:
            described = json.loads(told.get("description") or "{}")
        except ValueError:
            described = {}
        return {**(described if isinstance(described, dict) else {}), **told.get("properties", {})}

    def _effort(self, limit: int) -> dict[str, Any]:
        if self._index is None:
            self._index = self._call("describe_index", index_name="vector") or {}
        kind = str(self._index.get("index_type", ""))
        return {"ef": min(32_768, max(128, 2 * limit))} if kind.startswith("HNSW") else {}

    def _call(self, method: str, **options: Any) -> Any:  # noqa: ANN401 - whatever pymilvus returns
        if method in ("query", "query_iterator", "search") and not self._loaded:
            self._call("load_collection")
            self._loaded = True
        with self._plain_errors("write to" if method in ("upsert", "delete", "flush") else "read from"):
            return getattr(self._client, method)(self.address.collection, timeout=self._timeout, **options)

    @contextmanager
    def _plain_errors(self, doing: str) -> Iterator[None]:
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError, ConnectionError, OSError, ValueError) as error:
            text = _reason(error)
            folded = f"{text} {type(error).__name__}".casefold()
            if "open local milvus failed" in folded:
                text, way = "it does not open", "another process uses it, or it is damaged"
            elif any(word in folded for word in _REFUSALS):
                way = (
                    "check user and password (--token, or VITSEARCH_STORE_TOKEN), and what they may do there"
                )
            elif any(word in folded for word in _BREAKS):
                way = "check address and network, then run the command again: it goes on where it stopped"
            else:
                way = "mend that, then run the command again: it goes on where it stopped"
            raise StoreError(f"cannot {doing} {self.address.shown}: {text}; {way}") from error


def _check_folder(file: str) -> None:
    folder = os.path.dirname(file)  # noqa: PTH120
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise StoreError(f"cannot write to {file}: its folder does not exist or is not yours")


_BUILDING: Mapping[str, dict[str, int]] = {
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
}


def row_of(photo: PortablePhoto, said: Sequence[Said]) -> Row:
    """Return a photo as a row of a collection."""
    facts = photo.facts
    row: Row = {
        "photo": photo.payload.hex(),
        "id": photo.id,
        "vector": photo.row.astype(np.float32),
        "norm": float(np.float32(photo.norm)),
        **{name: getattr(facts, name) for name in FACTS},
        "camera_lower": ascii_lower(facts.camera) if facts.camera else None,
        "folders": _folders(photo),
        "labels": sorted(
            {f"{each.head}/" for each in said if not each.by_person}
            | {f"{each.head}/{each.label}" for each in said}
        )[:_MOST_FOLDERS],
        "files": _fitting([[place.root, place.path] for place in photo.places]),
        "said": _fitting(
            [[each.head, each.label, each.probability, each.given, each.by_person] for each in said]
        ),
    }
    row["checksum"] = checksum(row)
    return row


def checksum(row: Row) -> str:
    """Return a hash of all that a row says, the same before and after its way through Milvus."""
    told = {name: row[name] if not isinstance(row[name], float) else repr(row[name]) for name in _CONTENT}
    told["norm"] = repr(float(np.float32(row["norm"])))
    told["folders"], told["labels"] = list(row["folders"]), list(row["labels"])
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    digest.update(np.asarray(row["vector"], "<f4").tobytes())
    return digest.hexdigest()


def ascii_lower(text: str) -> str:
    """Lower the letters A to Z, as SQLite does."""
    return text.encode().lower().decode()


def folder_text(folder: str) -> str:
    """A folder's name as Milvus takes it: bytes that are not UTF-8 become visible escapes."""
    return folder.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def quoted(text: str) -> str:
    """A text as a literal of Milvus's expressions."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def _folders(photo: PortablePhoto) -> list[str]:
    """Every folder that a photo is in, at whatever depth."""
    found: dict[str, None] = {}
    for place in photo.places:
        path = PurePosixPath(place.root.replace("\\", "/") if "\\" in place.root else place.root) / place.path
        found.update((folder_text(str(folder)), None) for folder in path.parents)
    return sorted(name for name in found if len(name.encode()) <= _LONGEST_PATH)[:_MOST_FOLDERS]


def _fitting(values: list[list[Any]]) -> str:
    """JSON text that is no longer than a field may be: the last values give way."""
    text = json.dumps(values)
    while len(text) > _LONGEST_TEXT:
        values = values[: max(1, len(values) * 3 // 4)] if len(values) > 1 else []
        text = json.dumps(values)
    return text


def _reason(error: BaseException) -> str:
    """What an error says; what the server said, where that is its cause."""
    # pymilvus raises errors "from" themselves: no loop over causes.
    for each in (error, error.__cause__):
        details = getattr(each, "details", None)
        if callable(details):
            text = details()
            break
    else:
        text = getattr(error, "message", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__
