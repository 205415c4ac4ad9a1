"""The real program, to run on the library of all acceptance tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "clip-vit-base-patch16-int8"


@dataclass(frozen=True, slots=True)
class Program:
    """The command line on one library. `seconds`: what each command took."""

    library: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, *arguments: object, status: int = 0, stdin: bytes | None = None) -> str:
        """Run a command, demand its exit status, and return what it printed."""
        words = [str(argument) for argument in arguments]
        started = time.monotonic()
        done = subprocess.run(
            [*self.words(), *words],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=480,
            env=environment(),
        )
        self.seconds[" ".join(words)] = time.monotonic() - started
        assert done.returncode == status, (words, done.stdout.decode()[-2000:], done.stderr.decode()[-2000:])
        assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
        return done.stdout.decode()

    def answer(self, *arguments: object, stdin: bytes | None = None) -> dict[str, Any]:
        """Run a command with --json and return its document."""
        return json.loads(self.run(*arguments, "--json", stdin=stdin))

    def words(self) -> list[str]:
        """The program's own words on a command line."""
        return [sys.executable, "-m", "vitsearch", "--library", str(self.library)]


def environment() -> dict[str, str]:
    """No network, and lines of a fixed width."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
