"""Decoding processes that are forked from one that has imported their program: imports are most of a start.

A decoder of a test reads the same pipes, under the same limits, with the same code as one that was started, in a
process of its own; only interpreter and imports are there already. Tests of the start ask for `started_decoders`.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vitsearch.decoding import process

if TYPE_CHECKING:
    from collections.abc import Callable

# What each program imports, at the latest with its first file. All that are not named here read photos.
PHOTOS, TABLES = "vitsearch.decoding.worker", "vitsearch.engines.parquet.worker"
IMPORTS = {
    PHOTOS: "PIL.Image PIL.ImageOps PIL.JpegImagePlugin PIL.PngImagePlugin PIL.TiffImagePlugin".split(),
    TABLES: ["pyarrow.parquet"],
}
_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<i")
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
_PATIENCE = 60.0  # seconds for one side to hear of the other on a machine that is busy

started = process._popen


class ForkedDecoders:
    """Starts a server when the first decoder of its kind is wanted; other processes find it by `address`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vitsearch-decoders-")
        self.address = str(Path(self._folder.name, "socket"))
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, program: str = PHOTOS) -> None:
        """Start the server of a program, unless it runs."""
        with self._lock:
            if program not in self._servers:
                self._servers[program] = self._started(program)

    def _started(self, program: str) -> subprocess.Popen[bytes]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(_socket_of(self.address, program))
            listener.listen(64)
            code = f"import sys; sys.path[:] = {sys.path!a}; from tests.support.forked_decoders import serve; serve"
            options = ["-I", "-S", "-B", "-W", "ignore", "-X", f"utf8={sys.flags.utf8_mode}"]
            return subprocess.Popen(
                [sys.executable, *options, "-c", f"{code}({listener.fileno()}, {program!a})"],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a fork would lose the other threads
            )

    @property
    def pid(self) -> int:
        """The server whose children the decoders of photos are. It must have been started."""
        return self._servers[PHOTOS].pid

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            assert server.stdin is not None
            server.stdin.close()
            server.wait()
        self._folder.cleanup()


def _socket_of(address: str, program: str) -> str:
    return f"{address}-{program.rpartition('.')[0]}"


def use_forked(address: str, start: Callable[[str], None] = lambda _: None) -> None:
    """Have this process, and those forked from it, get decoders from the servers there; `start` sees that one runs."""
    rights = _rights()

    def popen(command: list[str], *, pipesize: int) -> subprocess.Popen[bytes]:
        if _rights() != rights:
            return started(command, pipesize=pipesize)
        program = TABLES if TABLES in command[-1] else PHOTOS
        start(program)
        place = _socket_of(address, program)
        if not Path(place).exists():  # nobody in the process that starts servers has read a table yet
            place = _socket_of(address, PHOTOS)
        return cast("subprocess.Popen[bytes]", ForkedDecoder(place, command, pipesize=pipesize))

    process._popen = popen


def _rights() -> list[object]:
    """What a process inherits and a test may have taken from this thread for a while."""
    status = Path("/proc/thread-self/status").read_text().splitlines()
    capabilities = [line for line in status if line.startswith("Cap")]
    mounts = Path("/proc/thread-self/ns/mnt").readlink()
    return [os.geteuid(), os.getegid(), capabilities, mounts, *map(resource.getrlimit, _LIMITS)]


class ForkedDecoder:
    """What the owner of a decoding process uses of `subprocess.Popen`."""

    def __init__(self, address: str, command: list[str], *, pipesize: int) -> None:
        import fcntl

        ours: list[int] = []
        theirs: list[int] = []
        self.returncode: int | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            for inwards in (False, True):
                reading, writing = os.pipe()
                ours.append(reading if inwards else writing)
                theirs.append(writing if inwards else reading)
                if pipesize > 0:
                    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, pipesize)
            request = {"code": command[-1], "folder": str(Path.cwd()), "environment": dict(os.environ)}
            message = json.dumps(request).encode()
            self._socket.settimeout(_PATIENCE)
            self._socket.connect(address)
            socket.send_fds(self._socket, [_LENGTH.pack(len(message))], theirs)
            self._socket.sendall(message)
            self.pid = _NUMBER.unpack(_exactly(self._socket, _NUMBER.size))[0]
        except BaseException:
            self._socket.close()
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.stdin, self.stdout = os.fdopen(ours[0], "wb"), os.fdopen(ours[1], "rb")

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process to end, and return its exit status."""
        if self.returncode is None:
            ready, _, _ = select.select([self._socket], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("decoder", timeout or 0)
            try:
                self.returncode = _NUMBER.unpack(_exactly(self._socket, _NUMBER.size))[0]
            except (EOFError, OSError):  # the server has gone: at the end of all tests
                self._kill()
                self.returncode = -signal.SIGKILL
            self._socket.close()
        return self.returncode

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        if self.poll() is None:
            self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def serve(descriptor: int, program: str) -> None:
    """Fork a decoder for each connection, and tell it the exit status; until standard input is closed."""
    for name in (program, *IMPORTS[program]):
        with suppress(ImportError):  # of an extra that is not installed
            __import__(name)
    gc.collect()
    gc.freeze()  # or the first collection of each decoder copies what was imported
    listener = socket.socket(fileno=descriptor)
    owners: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([0, descriptor, *owners], [], [])[0]:
            if ready == 0:
                os._exit(0)
            elif ready == descriptor:
                with suppress(OSError, EOFError):
                    _forked(listener.accept()[0], owners)
            else:
                pid, connection = owners.pop(ready)
                os.close(ready)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with suppress(OSError):  # whose decoder it was has gone
                    connection.sendall(_NUMBER.pack(status))
                connection.close()


def _forked(connection: socket.socket, owners: dict[int, tuple[int, socket.socket]]) -> None:
    connection.settimeout(_PATIENCE)
    length, pipes, _, _ = socket.recv_fds(connection, _LENGTH.size, 2)
    try:
        request = json.loads(_exactly(connection, _LENGTH.unpack(length)[0]))
        child = os.fork()
        if not child:
            _be_decoder(request, pipes)
    finally:
        for pipe in pipes:
            os.close(pipe)
    owners[os.pidfd_open(child)] = child, connection
    connection.sendall(_NUMBER.pack(child))


def _be_decoder(request: dict[str, Any], pipes: list[int]) -> None:
    try:
        os.setpgid(0, 0)
        os.dup2(pipes[0], 0)
        os.dup2(pipes[1], 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        exec(request["code"], {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 - as the interpreter would end
        traceback.print_exc()
    os._exit(1)
