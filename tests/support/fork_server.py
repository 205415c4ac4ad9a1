"""A process that has imported what takes long and forks a child for each run of the real command line.

Each connection to its socket has a fork of its own, so that several processes that run tests share what was imported.
It sends where it gets decoders, then one JSON request a line, and reads one answer a line: the exit status, negative
for a signal, or null for a run that took too long. A child has the arguments, environment, folder and streams of its
request, and of its server nothing but modules: what those read from the environment when they are imported is read
again.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

# What commands import as they need it. None of it may start a thread (OpenVINO does): a fork copies only the one that
# forks.
IMPORTS = (
    "torch transformers.models.vit.modeling_vit transformers.models.clip.modeling_clip huggingface_hub faiss cv2 "
    "scipy.optimize sklearn.linear_model sklearn.model_selection safetensors.numpy filelock platformdirs "
    "rich.progress pi_heif blake3 PIL.JpegImagePlugin PIL.PngImagePlugin"
).split()
# Of our own packages those that most commands import. They read nothing of the environment as they are imported.
COMMANDS = (
    "vitsearch.cli",
    "vitsearch.duplicates",
    "vitsearch.indexing",
    "vitsearch.searching",
    "vitsearch.heads",
)
# The allocator of pyarrow, which scikit-learn imports, starts its thread again in each child.
RESTARTED = "jemalloc_bg_thd"
# What a connection begins with: without it, it was made while the server ended.
GREETING = b"+"


def main() -> None:
    """Serve until stdin ends."""
    for name in IMPORTS:
        importlib.import_module(name)
    for package in map(importlib.import_module, COMMANDS):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    import tests.support.forked_decoders  # noqa: F401 - for each connection
    from tests.support.ready_tables import make_tables_at_once
    from tests.support.unsynced import wait_for_nothing

    make_tables_at_once()
    wait_for_nothing()
    gc.freeze()  # or each child's first collection copies all that was imported
    names = [(thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()]
    say({"threads": sum(name != RESTARTED for name in names)})
    listen(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # to take all those modules down in order takes seconds


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def listen(listener: socket.socket) -> None:
    """Fork for each connection until stdin ends; then wait for those that are left."""
    connections: set[int] = set()
    sources = {0, listener.fileno()}
    while sources or connections:
        for ready in select.select([*sources, *connections], [], [])[0]:
            if ready == 0:
                sources.clear()
                listener.close()
            elif ready in connections:
                connections.remove(ready)
                os.waitid(os.P_PIDFD, ready, os.WEXITED)
                os.close(ready)
            elif ready in sources:
                connection, _ = listener.accept()
                child = os.fork()
                if not child:
                    listener.close()
                    for other in connections:
                        os.close(other)
                    converse(connection)
                connection.close()
                connections.add(os.pidfd_open(child))


def converse(connection: socket.socket) -> None:
    """Answer the requests of one connection until it ends: never returns."""
    try:
        connection.sendall(GREETING)
        lines = connection.makefile("r", encoding="utf-8")
        address = json.loads(lines.readline())["decoders"]
        if address is not None:
            from tests.support.forked_decoders import use_forked

            use_forked(address)
        for line in lines:
            answer = serve(json.loads(line), connection)
            connection.sendall(json.dumps(answer).encode() + b"\n")
    finally:
        os._exit(0)


def serve(request: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
    """Run one command in a child."""
    child = os.fork()
    if not child:
        os.close(connection.fileno())
        run(request)
    deadline = time.monotonic() + request["seconds"]
    pause = 0.001
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return {"status": os.waitstatus_to_exitcode(status)}
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"status": None}
        time.sleep(pause)
        pause = min(0.01, 1.5 * pause)


def run(request: dict[str, Any]) -> None:
    """Be the command: never returns."""
    code = 99
    atexit._clear()  # what the server's modules have left for its own end
    try:
        os.setsid()
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
            flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(request[name], flags)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(
            2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False
        )
        sys.argv = ["vitsearch", *request["arguments"]]
        sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        importlib.reload(importlib.import_module("huggingface_hub.constants"))
        from vitsearch.cli import main as command

        command()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter would end
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        # As the interpreter ends: it waits for threads, and runs what was left for its end.
        vars(threading)["_shutdown"]()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
