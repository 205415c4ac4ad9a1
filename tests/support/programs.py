"""The real command line in processes of its own, which are forked: to start Python and torch takes seconds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tests.support.fork_server import GREETING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tests.support.forked_decoders import ForkedDecoders

ROOT = Path(__file__).parents[2]
_SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Programs:
    """Runs the command line, each time in a new process with an environment and a folder of its own."""

    def __init__(self, shared: Path, *, decoders: ForkedDecoders | None = None) -> None:
        """`shared` is a folder of all processes that run tests: the first that needs the server starts it for all."""
        self._shared = shared
        self._decoders = decoders
        self._server: subprocess.Popen[str] | None = None
        self._connection: socket.socket | None = None
        self._answers: TextIO | None = None
        self._streams = tempfile.TemporaryDirectory(prefix="vitsearch-runs-")

    def close(self) -> None:
        """End the server, when the others need it no more either."""
        if self._connection is not None:
            assert self._answers is not None
            self._answers.close()
            self._connection.close()
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait()
            assert self._server.stdout is not None
            self._server.stdout.close()
        self._streams.cleanup()

    def run(
        self,
        *arguments: object,
        environment: Mapping[str, str],
        folder: object = None,
        stdin: bytes = b"",
        seconds: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run `vitsearch` with these arguments and wait for it."""
        streams = {name: str(Path(self._streams.name, name)) for name in ("stdin", "stdout", "stderr")}
        Path(streams["stdin"]).write_bytes(stdin)
        words = [str(each) for each in arguments]
        if sys.platform != "linux":
            command = [sys.executable, "-m", "vitsearch", *words]
            done = subprocess.run(
                command,
                env=environment,
                cwd=folder,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=seconds,
            )
            return subprocess.CompletedProcess(
                words, done.returncode, done.stdout.decode(), done.stderr.decode()
            )
        request = {
            "arguments": words,
            "environment": dict(environment),
            "folder": str(folder or Path.cwd()),
            "seconds": seconds,
            **streams,
        }
        self._ask(request)
        status = self._answer()["status"]
        if status is None:
            raise subprocess.TimeoutExpired(words, seconds)
        output, errors = (Path(streams[name]).read_bytes().decode() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(["vitsearch", *words], status, output, errors)

    def _ask(self, request: dict[str, Any]) -> None:
        if self._connection is None:
            if self._decoders is not None:
                self._decoders.start()
            self._connection = self._connected()
            self._answers = self._connection.makefile("r", encoding="utf-8")
            self._ask({"decoders": None if self._decoders is None else self._decoders.address})
        self._connection.sendall(json.dumps(request).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        assert self._answers is not None
        line = self._answers.readline()
        assert line, "the fork server has died"
        return json.loads(line)

    def _connected(self) -> socket.socket:
        """A connection to the server that is there, or to one that is started now."""
        address = self._shared / "fork-server"
        with FileLock(f"{address}.lock"):
            with suppress(OSError):  # none was started, or it ends with the tests of whoever did
                return _greeted(address.read_text())
            path = str(Path(self._streams.name, "fork-server"))
            self._start(path)
            address.write_text(path)
            return _greeted(path)

    def _start(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(listener.fileno())],
                cwd=ROOT,
                env={**os.environ, **_SINGLE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=[listener.fileno()],
            )
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line == '{"threads": 1}\n', "it has died, or a fork would lose its other threads"


def _greeted(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
        if connection.recv(1) != GREETING:
            raise ConnectionError("the fork server ends")
    except OSError:
        connection.close()
        raise
    return connection
