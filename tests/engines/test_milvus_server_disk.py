"""A Milvus server whose disk fills up during an export. A server of its own: only one runs on a machine at a time."""

import contextlib
import os

import pytest

from tests.support.milvus_collections import did, export, held, many
from tests.support.milvus_server import PYTHON, Server
from tests.support.mounts import Mounts

pytestmark = [
    pytest.mark.milvus_server,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="no Milvus server is installed: `make test-milvus` does it"),
]

ROOM = 300_000


@pytest.fixture
def drive(tmp_path):
    mounts = Mounts()
    folder = tmp_path / "drive"
    folder.mkdir()
    mounts.drive(folder, megabytes=512)
    yield folder
    mounts.close()


def test_a_server_without_room_is_one_line_and_with_room_the_next_export_has_all(indexed, photos, run, drive):
    assert PYTHON is not None
    server = Server(PYTHON, drive / "milvus")
    server.folder.mkdir()
    server.start()
    try:
        address = server.address("photos")
        assert did(export(indexed, address)) == (10, 10, 0)
        many(indexed, photos, 20_000)
        with (drive / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1 << 20))
        os.truncate(drive / "filler", (drive / "filler").stat().st_size - ROOM)
        done = run("export", "--to", address)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1, done.stderr
        assert "run the command again" in done.stderr
        (drive / "filler").unlink()
        server.kill()
        server.start()
        assert export(indexed, address, timeout=60).photos == 20_010
        assert did(export(indexed, address)) == (20_010, 0, 0)
        assert len(held(address)) == 20_010
    finally:
        server.stop()
