"""A Hugging Face hub of one repository on this machine, for programs that are pointed at it with HF_ENDPOINT."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves folders as the commits of a repository, the last one as its main branch; lists the files fetched."""

    daemon_threads = True

    def __init__(self, repo_id: str, commits: dict[str, Path], *, gated: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo_id, self.commits, self.gated = repo_id, commits, gated
        self.fetched: list[str] = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers for a path of the hub's interface."""
        latest = list(self.commits)[-1]
        commit = next((part for part in path.split("/") if part in self.commits), latest)
        folder = self.commits[commit]
        file = folder / path.rpartition("/")[2]
        if self.gated:
            return 403, b"", {"X-Error-Code": "GatedRepo"}
        if path.startswith(f"/{self.repo_id}/resolve/") and file.is_file():
            return 200, file.read_bytes(), {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": commit}
        if path.startswith(f"/api/models/{self.repo_id}"):
            entries = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": _etag(path)}
                for path in sorted(folder.iterdir())
            ]
            siblings = [{"rfilename": entry["path"]} for entry in entries]
            answer = (
                entries if "/tree/" in path else {"id": self.repo_id, "sha": commit, "siblings": siblings}
            )
            return 200, json.dumps(answer).encode(), {}
        return 404, b"", {"X-Error-Code": "RepoNotFound"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._reply(send=False)

    def do_GET(self) -> None:
        self._reply(send=True)
        if "/resolve/" in self.path:
            self.server.fetched.append(self.path.rpartition("/")[2])

    def log_message(self, *arguments: object) -> None:
        pass

    def _reply(self, *, send: bool) -> None:
        status, body, headers = self.server.answer(self.path.split("?")[0])
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if send:
            self.wfile.write(body)


@contextmanager
def fake_hub(repo_id: str, folder: Path, *, gated: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as a repository: (endpoint, the list of files that were fetched)."""
    with serving(Hub(repo_id, {COMMIT: folder}, gated=gated)) as hub:
        yield hub.endpoint, hub.fetched


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Run a hub in a thread."""
    with hub as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
