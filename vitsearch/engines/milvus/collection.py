"""Milvus, for libraries beyond one machine, or as a local file with Milvus Lite.

A collection holds the photos of one library in one space. The photo's hash is the primary key, so that writing a photo
again replaces it. Every row has a checksum of its content, which later exports compare to find changed photos.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from vitsearch.engines.milvus.rows import LONGEST_PATH, LONGEST_TEXT, MOST_FOLDERS
from vitsearch.errors import SpaceMismatch, StoreError
from vitsearch.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from vitsearch.engines.milvus.address import Address
    from vitsearch.engines.milvus.rows import Row

# The most that Milvus returns to one request (its quota `limits.topK`).
MOST_ROWS = 16_384
# The first server with columns of type ARRAY.
_OLDEST = (2, 3, 2)
_SPACE, _LIBRARY = "vitsearch.space", "vitsearch.library"
_REFUSALS = ("auth", "permission", "privilege", "denied")
# What gRPC and the client say in several lines of a server that is not there.
_NOBODY = {
    "connection refused": "nothing answers there (connection refused)",
    "domain name not found": "no server of that name is found",
    "name or service not known": "no server of that name is found",
    "resolving": "no server of that name is found",
    "deadline": "it does not answer",
    "timed out": "it does not answer",
    "timeout": "it does not answer",
    "fail connecting to server": "it does not answer",
}
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
_STARTING = ("unrecoverable error", "node not found", "not ready")
_BUILDING: Mapping[str, dict[str, int]] = {
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
}


class MilvusCollection:
    """An open collection. A context manager; all methods raise one-line `StoreError`s."""

    # What was written last is read, which a server needs a tenth of a second or three for.
    _consistency = "Strong"

    def __init__(self, address: Address, *, timeout: float = 60.0) -> None:
        """Connect. `timeout`: seconds per request, including retries.

        Raises:
            StoreError: pymilvus is not installed, the server does not answer, or access is denied.

        """
        self.address = address
        self._timeout = timeout
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise StoreError(
                "Milvus needs its client: install it with `pip install 'vitsearch[milvus]'`"
            ) from error
        _silence_clients()
        if address.is_file:
            _check_folder(address.uri)
        patience = min(timeout, 10.0)
        with self._plain_errors("reach"):
            # A shared connection stays open after close(), with the patience of whoever opened it.
            self._client = MilvusClient(
                address.uri,
                token=address.token,
                db_name=address.database,
                timeout=patience,
                dedicated=not address.is_file,
            )
            version = "" if address.is_file else self._server_version(patience)
        _check_version(version, address)
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

    def _server_version(self, timeout: float) -> str:
        try:
            return str(self._client.get_server_version(timeout=timeout))
        except BaseException:
            self._client.close()
            raise

    def exists(self) -> bool:
        """Return whether the collection exists."""
        return bool(self._call("has_collection"))

    def is_indexed(self) -> bool:
        """Return whether the collection has a vector index, without which it cannot be read."""
        return bool(self._call("list_indexes", field_name="vector"))

    def space(self) -> Space:
        """Return the space of the embeddings in the collection.

        Raises:
            StoreError: there is no such collection, or vitsearch did not create it.

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

    def open_for(self, space: Space, library: int) -> bool:
        """Create the collection for a library's photos, or check that it belongs to it; return whether it was created.

        Raises:
            SpaceMismatch: it holds embeddings of another space.
            StoreError: it holds photos of another library, or vitsearch did not create it.

        """
        if not self.exists():
            self._create(space, library)
            return True
        if (found := self.space()) != space:
            raise SpaceMismatch(
                f"the collection {self.address.shown} holds vectors of {found.model} ({found.dimension} dimensions), "
                f"the library those of {space.model} ({space.dimension}): choose another name for the collection"
            )
        if self._notes().get(_LIBRARY) != str(library):
            raise StoreError(
                f"the collection {self.address.shown} holds the photos of another library: choose another name, or "
                "bring the libraries together first, with `vitsearch import`"
            )
        if not self.is_indexed():  # a run broke off as soon as it had made it, or another program dropped it
            self._create_index()
        return False

    def count(self, expression: str = "") -> int:
        """Return the number of photos in the collection, or of those that match an expression."""
        rows = self._call(
            "query", filter=expression, output_fields=["count(*)"], consistency_level=self._consistency
        )
        return int(rows[0]["count(*)"])

    def rows(self, expression: str, fields: Sequence[str], *, limit: int = MOST_ROWS) -> list[Row]:
        """Return the current rows that match an expression, at most `limit`."""
        return list(
            self._call(
                "query",
                filter=expression,
                output_fields=list(fields),
                limit=limit,
                consistency_level=self._consistency,
            )
        )

    def all_rows(self, expression: str, fields: Sequence[str]) -> Iterator[Row]:
        """Yield all rows that match an expression."""
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
        """Return the rows nearest to a unit query (d,) among those that match an expression, with their cosines."""
        hits = self._call(
            "search",
            data=[query.tolist()],
            anns_field="vector",
            filter=expression,
            limit=limit,
            output_fields=list(fields),
            consistency_level=self._consistency,
            search_params={"metric_type": "IP", "params": self._effort(limit)},
        )[0]
        return [({"photo": hit.get("photo"), **hit["entity"]}, float(hit["distance"])) for hit in hits]

    def put(self, rows: Sequence[Row]) -> None:
        """Insert rows, replacing those with the same primary key."""
        self._call("upsert", data=list(rows))

    def delete(self, photos: Sequence[str]) -> None:
        """Delete rows by primary key."""
        self._call("delete", ids=list(photos))

    def flush(self) -> None:
        """Flush recent writes to the server's disk."""
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
            schema.add_field(name, max_length=longest, **text)
        for name in ("latitude", "longitude"):
            schema.add_field(name, DataType.DOUBLE)
        # What `--in`, `--camera` and `--label` ask for.
        schema.add_field("camera_lower", max_length=1024, **text)
        lists: dict[str, Any] = {"datatype": DataType.ARRAY, "element_type": DataType.VARCHAR}
        schema.add_field("folders", max_capacity=MOST_FOLDERS, max_length=LONGEST_PATH, **lists)
        schema.add_field("labels", max_capacity=MOST_FOLDERS, max_length=LONGEST_PATH, **lists)
        for name in ("files", "said"):  # JSON that is only read back
            schema.add_field(name, max_length=LONGEST_TEXT, **text)
        schema.add_field("checksum", max_length=32, **text)
        self._call("create_collection", schema=schema, num_shards=self.address.shards, properties=notes)
        try:
            self._create_index()
        except StoreError:
            if not self.is_indexed():  # else another export made the same collection meanwhile
                self._call("drop_collection")
                raise

    def _create_index(self) -> None:
        from pymilvus import MilvusClient

        index = MilvusClient.prepare_index_params()
        index.add_index(
            "vector",
            index_type=self.address.index,
            metric_type="IP",
            params=_BUILDING.get(self.address.index, {}),
        )
        self._call("create_index", index_params=index)

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
            self._load()
        with self._plain_errors("write to" if method in ("upsert", "delete", "flush") else "read from"):
            return getattr(self._client, method)(self.address.collection, timeout=self._timeout, **options)

    def _load(self) -> None:
        """Load the collection. Retries, because the parts of a newly started server do not find each other at once."""
        until = time.monotonic() + self._timeout
        while not self._loaded:
            try:
                self._call("load_collection")
                self._loaded = True
            except StoreError as error:
                if time.monotonic() > until or not any(word in str(error) for word in _STARTING):
                    raise
                time.sleep(0.5)

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
            elif "index not found" in folded:
                way = "run `vitsearch export --to ADDRESS`, which makes it"
            elif any(word in folded for word in _REFUSALS):
                way = (
                    "check user and password (--token, or VITSEARCH_STORE_TOKEN), and what they may do there"
                )
            elif doing == "reach" and any(word in folded for word in _NOBODY):
                text = next(words for said, words in _NOBODY.items() if said in folded)
                way = "check address and network, and that the server runs"
            elif any(word in folded for word in _BREAKS):
                way = "check address and network, then run the command again: it goes on where it stopped"
            else:
                way = "mend that, then run the command again: it goes on where it stopped"
            raise StoreError(f"cannot {doing} {self.address.shown}: {text}; {way}") from error


def _silence_clients() -> None:
    """Suppress the clients' logs: remarks, and tracebacks of errors that they also raise.

    Must be called after importing them, because they configure their loggers then.
    """
    for name in ("pymilvus", "milvus_lite"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False


def _check_version(version: str, address: Address) -> None:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found and tuple(int(number or 0) for number in found.groups()) < _OLDEST:
        raise StoreError(
            f"cannot use {address.shown}: Milvus {found[0]} runs there, and lists in columns came with "
            f"{'.'.join(map(str, _OLDEST))}; nothing was written: upgrade the server"
        )


def _check_folder(file: str) -> None:
    folder = os.path.dirname(file)  # noqa: PTH120
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise StoreError(f"cannot write to {file}: its folder does not exist or is not yours")


def _reason(error: BaseException) -> str:
    """Return an error's message; the server's, if that caused it."""
    # pymilvus raises errors "from" themselves: no loop over causes.
    for each in (error, error.__cause__):
        details = getattr(each, "details", None)
        if callable(details):
            text = details()
            break
    else:
        text = getattr(error, "message", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__
