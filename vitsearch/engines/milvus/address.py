"""Parse the address of a Milvus collection."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from vitsearch.errors import StoreError

DEFAULT_COLLECTION = "vitsearch"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a collection: `milvus://HOST:PORT/COLLECTION`, or `milvus:///path/file.db` for Milvus Lite.

    `milvus+tls://` uses TLS. Query parameters are `database`, and for a new collection `index` (FLAT, HNSW, …) and
    `shards`. `shown` is the address without the password, for messages.
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
        """Parse an address.

        Raises:
            StoreError: it is not valid.

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
        database = options.get("database", "")
        default = "AUTOINDEX" if parts.hostname else "FLAT"
        return cls(
            uri=uri,
            collection=collection,
            database=database,
            token=token or password,
            index=options.get("index", default).upper(),
            shards=int(shards),
            shown=f"{collection}{f' in the database {database}' if database else ''} at {where}",
        )
