"""A process that has imported everything and forks a child for each run of the real command line.

It reads one JSON request a line on stdin and answers one a line on stdout. A child is killed after `after` seconds, or
by the library that is preloaded (write_faults.c) right before its `at`-th change below `folder`; or it is stopped there
while this process does what another program may do (meddling.py), and goes on. Children write a
trace: each change, and what they had told a person by then ("done 4": so many photos are stored; "embedded 4").

Their decoders are forked by a process of its own (forked_decoders.py), whose socket and number are its arguments.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.crash.meddling import meddle
from tests.support.forked_decoders import use_forked

ACTIONS = {"watch": 0, "kill": 1, "torn": 2, "no space": 3, "broken": 4, "short": 5, "stop": 6}
IMPORTS = (
    "vitsearch.cli vitsearch.library vitsearch.indexing.run vitsearch.neighbours.cache vitsearch.duplicates.find "
    "vitsearch.duplicates.cleanup.applying vitsearch.heads.store vitsearch.heads.training vitsearch.doctor.repair "
    "vitsearch.backbones.openvino_runtime vitsearch.storage.migrations faiss openvino sklearn.linear_model "
    "sklearn.model_selection scipy.optimize cv2 pi_heif torch rich.progress safetensors.numpy filelock "
    "PIL.JpegImagePlugin PIL.PngImagePlugin transformers.models.vit.modeling_vit"
).split()
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Serve until stdin ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of a killed child come to us
    for name in IMPORTS:
        importlib.import_module(name)
    use_forked(sys.argv[1])
    print(json.dumps({"threads": len(list(Path("/proc/self/task").iterdir()))}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
    os._exit(0)  # to take all those modules down in order takes seconds


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a child; return its exit status (negative: the signal) and whether a process outlived it."""
    child = os.fork()
    if not child:
        run(request)
    if request.get("action") == "stop":
        status, meddled = wait_and_meddle(child, request["meddle"])
    else:
        status, meddled = wait(child, request.get("after")), None
    return {"status": os.waitstatus_to_exitcode(status), "survivors": survivors(), "meddled": meddled}


def wait_and_meddle(child: int, wish: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """Do what another program may do while the child is stopped; say what that was, unless it was never stopped."""
    meddled = None
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return status, meddled
        meddled = meddle(wish)
        os.kill(child, signal.SIGCONT)


def wait(child: int, after: float | None) -> int:
    deadline = None if after is None else time.monotonic() + after
    while deadline is not None:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.0005)
    return os.waitpid(child, 0)[1]


def survivors(patience: float = 5.0) -> list[str]:
    """The command lines of processes that a dead child has left behind and that do not end by themselves."""
    deadline = time.monotonic() + patience
    while True:
        orphans = [pid for pid in children(os.getpid()) if not reaped(pid)]
        decoders = children(int(sys.argv[2]))
        if not orphans and not decoders:
            return []
        if time.monotonic() > deadline:
            names = [Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") for pid in orphans]
            for pid in (*orphans, *decoders):
                os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                os.waitpid(pid, 0)
            return names + [f"decoder {pid}" for pid in decoders]
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def run(request: dict[str, Any]) -> None:
    """Be the command: never returns."""
    code = 99
    try:
        trace = os.open(request["trace"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
        # Text written by the parent's streams must not come out twice.
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.argv = ["vitsearch", *request["arguments"]]
        report_to(trace)
        arm = ctypes.CDLL(None).faults_arm
        arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_int]
        arm(
            os.fsencode(request["folder"]),
            trace,
            ACTIONS[request.get("action", "watch")],
            request.get("at", 0),
            request.get("stays", False),
        )
        from vitsearch.cli import main as command

        command()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the test sees it on stderr
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def report_to(trace: int) -> None:
    """Write down what a progress bar would show, and how many photos the model was given."""
    from vitsearch.backbones.openvino_runtime import OpenVINOBackbone

    names = ("index", "heads_improve", "heads_make", "heads_manage")
    modules = [importlib.import_module(f"vitsearch.cli.{name}") for name in names]

    @contextmanager
    def progress_bar(*, quiet):
        yield lambda step: os.write(trace, f"{step.stage} {step.done}\n".encode())

    for module in modules:
        assert "progress_bar" in vars(module)
        vars(module)["progress_bar"] = progress_bar
    embed_batch = OpenVINOBackbone.embed_batch

    def counted(self, pixels):
        os.write(trace, f"embedded {len(pixels)}\n".encode())
        return embed_batch(self, pixels)

    OpenVINOBackbone.embed_batch = counted


if __name__ == "__main__":
    main()
