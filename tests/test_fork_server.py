"""A program that was forked ends as one that was started: it waits for its threads, and does what was left to do."""

import atexit
import os
import sys
import threading
import time

import pytest

from tests.support.fork_server import run
from tests.support.programs import Programs


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


@pytest.mark.skipif(sys.platform != "linux", reason="this system does not fork commands")
def test_processes_that_run_tests_share_one_server_and_each_has_its_own_environment(programs, tmp_path):
    other = Programs(programs._shared)
    try:
        for each, width in ((programs, "50"), (other, "90"), (programs, "50")):
            done = each.run("status", "--help", environment={**os.environ, "COLUMNS": width}, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            assert max(map(len, done.stdout.splitlines())) in range(int(width) - 20, int(width) + 1)
        assert other._server is None
    finally:
        other.close()
    assert programs.run("--version", environment=os.environ, folder=tmp_path).returncode == 0
