"""Questions about weights, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import json, sys, time
from pathlib import Path
from vitsearch.backbones.weights import choose_default, obtain
from vitsearch.errors import VitsearchError

action, model, cache = sys.argv[1:]
try:
    if action == "choose":
        started = time.perf_counter()
        answer = choose_default(cache=Path(cache))
        print(json.dumps([answer.model, answer.reason, time.perf_counter() - started]))
    else:
        print(obtain(model, cache=Path(cache), notice=lambda message: None).folder)
except VitsearchError as error:
    print(type(error).__name__, error)
"""


def ask(action, model, tmp_path, *, endpoint="", **environment):
    """Run a question in a process of its own, because the hub's client reads its endpoint when it is imported."""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        **environment,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, action, model, str(tmp_path / "cache")],
        env=inherited | {name: value for name, value in settings.items() if value},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()
