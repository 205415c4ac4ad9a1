"""A program that was forked ends as one that was started: it waits for its threads, and does what was left to do."""

import atexit
import os
import sys
import threading
import time

import pytest
from fork_server import run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_program_waits_for_its_threads_and_does_what_was_left_for_its_end(tmp_path, monkeypatch):
    def end_late():
        time.sleep(0.3)
        sys.stdout.write("a thread has ended\n")

    def program():
        threading.Thread(target=end_late).start()
        atexit.register(lambda: sys.stdout.write("at the end\n"))

    monkeypatch.setattr("vitsearch.cli.main", program)
    (tmp_path / "stdin").touch()
    streams = {name: str(tmp_path / name) for name in ("stdin", "stdout", "stderr")}
    child = os.fork()
    if not child:
        run({"arguments": [], "environment": dict(os.environ), "folder": str(tmp_path), **streams})
    os.waitpid(child, 0)
    assert (tmp_path / "stdout").read_text() == "a thread has ended\nat the end\n"
