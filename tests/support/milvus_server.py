"""A Milvus server that tests start, kill and start again; its package lives in an environment of its own.

`python milvus_server.py FOLDER PORT` runs one until its standard input ends; it needs nothing but the package `milvus`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PYTHON = os.environ.get("MILVUS_PYTHON")


class Server:
    """A server that keeps its data in a folder; users and passwords are checked."""

    user = "root:Milvus"

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.python, __file__, str(self.folder), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.pid = json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """End the server itself as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def address(self, collection: str, **options: str) -> str:
        asked = "&".join(f"{name}={value}" for name, value in {"index": "FLAT", **options}.items())
        return f"milvus://{self.user}@127.0.0.1:{self.port}/{collection}?{asked}"


def is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return b"OK" in answer.read()
    except OSError:
        return False


def serve(folder: str, port: int) -> None:
    from milvus import MilvusServer, MilvusServerConfig

    class Config(MilvusServerConfig):
        def try_bind_port(self, port):
            """Bind a port as servers do: also one with connections of a killed server that are not over yet."""
            taken = socket.socket()
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
                taken.listen()
            except OSError:
                taken.close()
                return None
            return taken

    # Each folder would get binaries of its own, which takes half a minute to unpack.
    binaries = Path(sys.prefix) / "milvus-binaries"
    binaries.mkdir(exist_ok=True)
    if not Path(folder, "bin").exists():
        Path(folder, "bin").symlink_to(binaries)
    config = Config(data_dir=folder, proxy_port=port)
    config.set("authorization_enabled", True)
    server = MilvusServer(config, wait_for_started=False)
    server.start()
    while not is_healthy(server.webservice_port):
        if server.server_proc.poll() is not None:
            sys.exit(f"the server ended: see {folder}/logs (does another one run on this machine?)")
        time.sleep(0.5)
    sys.stdout.write(f"{server.server_proc.pid}\n")
    sys.stdout.flush()
    sys.stdin.read()
    # What the package's own stop() does, with patience on a busy machine.
    server.server_proc.terminate()
    try:
        server.server_proc.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.server_proc.kill()
        server.server_proc.wait()
    server.stop()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
