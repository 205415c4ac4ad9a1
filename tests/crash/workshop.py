"""A place to disturb real commands in: two small models, and a process that forks the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forked_decoders import ForkedDecoders
from tests.support.tiny_checkpoints import make_checkpoint

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit status (negative: killed), what it said, and what it did, in order."""

    status: int
    stdout: str
    stderr: str
    survivors: list[str]
    trace: list[str]
    # What another program did meanwhile, if it was asked to and the run came to that point.
    meddled: dict[str, Any] | None = None

    @property
    def points(self) -> list[str]:
        """The changes to the trial's folder, "operation file", the first one first."""
        return [line.split(" ", 1)[1] for line in self.trace if line[0].isdigit()]

    def told(self, word: str) -> list[int]:
        """The numbers that followed a word of the trace."""
        return [int(line.split()[1]) for line in self.trace if line.startswith(f"{word} ")]


class Tools:
    """What takes long to make and no trial changes: two models, and a process that forks commands."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.model = make_checkpoint("vit", base / "vit")
        self.other_model = make_checkpoint("vit", base / "other", seed=1)
        shim = base / "write_faults.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "write_faults.c", "-ldl"], check=True
        )
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **single, "LD_PRELOAD": str(shim), "HF_HUB_OFFLINE": "1"}
        self._decoders = ForkedDecoders()
        self._decoders.start()
        self._process = subprocess.Popen(
            [sys.executable, HERE / "zygote.py", self._decoders.address, str(self._decoders.pid)],
            cwd=HERE.parent.parent,
            env=environment | {"PYTHONPATH": str(HERE.parent.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.threads = self._answer()["threads"]

    def close(self) -> None:
        """End the process and remove the folder."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._decoders.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have the process do something, and return what it says of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has died"
        return json.loads(line)


class Workshop:
    """A folder in which to use the tools. Trials run in `trial`, always at the same path."""

    def __init__(self, base: Path, tools: Tools) -> None:
        self.base = base
        self.trial = base / "trial"
        self.library = self.trial / "library"
        self.photos = self.trial / "photos"
        self._templates = base / "templates"
        self._traces = base / "traces"
        self._traces.mkdir(parents=True)
        self._tools = tools
        self.model, self.other_model, self.threads = tools.model, tools.other_model, tools.threads

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.base, ignore_errors=True)

    def run(self, *arguments: object, **disturbance: object) -> Ended:
        """Run one command; `after` seconds, or `action` `at` a change (from then on, with `stays`), disturb it."""
        names = {name: str(self._traces / name) for name in ("trace", "stdout", "stderr")}
        for name in names.values():
            Path(name).unlink(missing_ok=True)
        words = ["--library", self.library, "--cache", self._tools.base / "cache", *arguments]
        request = {
            "arguments": [str(word) for word in words],
            "folder": str(self.trial),
            **names,
            **disturbance,
        }
        answer = self._tools.ask(request)
        texts = {
            name: Path(path).read_text(errors="replace") if Path(path).exists() else ""
            for name, path in names.items()
        }
        return Ended(
            answer["status"],
            texts["stdout"],
            texts["stderr"],
            answer["survivors"],
            texts["trace"].splitlines(),
            answer.get("meddled"),
        )

    def done(self, *arguments: object) -> Ended:
        """Run one command that must succeed."""
        ended = self.run(*arguments)
        assert ended.status == 0, ended.stderr
        return ended

    def keep(self, name: str) -> None:
        """Keep the trial's folder as it is, under a name."""
        shutil.copytree(self.trial, self._templates / name, symlinks=True)

    def has(self, name: str) -> bool:
        """Whether something was kept under a name."""
        return self.kept(name).exists()

    def kept(self, name: str) -> Path:
        """Where the trial's folder is as it was kept under a name."""
        return self._templates / name

    def restore(self, name: str) -> None:
        """Put back what was kept."""
        shutil.rmtree(self.trial, ignore_errors=True)
        shutil.copytree(self._templates / name, self.trial, symlinks=True)
