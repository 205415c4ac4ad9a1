"""Collections of Milvus: filled from a library, read, reached through a network that breaks off."""

import contextlib
import socket
import threading

import numpy as np

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.portable import Selection


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
    library.catalog.store(1, library.catalog.require_space().id, files, [])


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
