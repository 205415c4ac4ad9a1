"""The real command line in processes of its own, which are forked: to start Python and torch takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forked_decoders import ForkedDecoders

ROOT = Path(__file__).parents[1]
_SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Programs:
    """Runs the command line, each time in a new process with an environment and a folder of its own."""

    def __init__(self, *, decoders: ForkedDecoders | None = None) -> None:
        self._decoders = decoders
        self._server: subprocess.Popen[str] | None = None
        self._streams = tempfile.TemporaryDirectory(prefix="vitsearch-runs-")

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stdin.close()
            self._server.wait()
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
        server = self._started()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = self._answer()["status"]
        if status is None:
            raise subprocess.TimeoutExpired(words, seconds)
        output, errors = (Path(streams[name]).read_bytes().decode() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(["vitsearch", *words], status, output, errors)

    def _started(self) -> subprocess.Popen[str]:
        if self._server is None:
            if self._decoders is not None:
                self._decoders.start()
            addresses = [self._decoders.address] if self._decoders is not None else []
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", *addresses],
                cwd=ROOT,
                env={**os.environ, **_SINGLE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._answer() == {"threads": 1}, "a fork would lose the other threads"
        return self._server

    def _answer(self) -> dict:
        line = self._server.stdout.readline()
        assert line, "the fork server has died"
        return json.loads(line)
