"""Connections and requests that hang, trickle or are given up shut nobody out of the page, and fill no memory."""

import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from tests.support.mean_colour import MeanColour
from vitsearch.library import Library
from vitsearch.web import connections, guard
from vitsearch.web.app import create_app
from vitsearch.web.connections import MOST_CONNECTIONS
from vitsearch.web.guard import MAX_UPLOAD
from vitsearch.web.serving import server_config
from vitsearch.web.settings import LibrarySettings

pytestmark = pytest.mark.trust

HOST = "127.0.0.1"


@pytest.fixture
def page(tmp_path, picture):
    """A real server with a small library, on a port of this machine: the port, and the application."""
    for colour in ("red", "green", "blue"):
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    app = create_app(LibrarySettings(tmp_path / "library", backbone=MeanColour()))
    with socket.create_server((HOST, 0), backlog=1024) as listener, app.state.server.decoders:
        server = uvicorn.Server(server_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1], app
        server.should_exit = True
        thread.join(30)


@contextmanager
def many(port, count, text=b""):
    """So many connections, each of which has said this much."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection((HOST, port), timeout=20))
            opened[-1].sendall(text)
        yield opened
    finally:
        for each in opened:
            each.close()


def status(port):
    """Ask for the status as the page does: the seconds until the answer."""
    started = time.monotonic()
    answer = httpx.get(f"http://{HOST}:{port}/api/status", timeout=20)
    assert answer.status_code == 200
    return time.monotonic() - started


def is_closed(connection):
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("text", [b"", b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More: "])
def test_half_open_connections_shut_nobody_out(page, text):
    port, _ = page
    with many(port, 2 * MOST_CONNECTIONS + 40, text):
        assert status(port) < 5


def test_a_request_whose_headers_do_not_come_is_closed_in_time(page, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    port, _ = page
    half = b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1"
    whole = f"{half.decode()}:{port}\r\n\r\n".encode()
    for first in (b"", half, whole + half):
        with many(port, 1, first) as (connection,):
            started = time.monotonic()
            assert is_closed(connection)
            # uvicorn itself gives a connection that has had an answer five seconds.
            assert time.monotonic() - started < 8


def test_headers_that_trickle_in_are_given_no_more_time(page, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.6)
    port, _ = page
    with many(port, 1, b"GET / HTTP/1.1\r\n") as (connection,), pytest.raises(ConnectionError):  # noqa: PT012
        for _ in range(100):
            connection.sendall(b"X-A: b\r\n")
            time.sleep(0.1)


def test_an_open_page_is_not_closed_while_its_answer_goes_on(page, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    port, app = page
    with httpx.stream("GET", f"http://{HOST}:{port}/api/events", timeout=20) as stream:
        lines = stream.iter_lines()
        time.sleep(1)
        with many(port, MOST_CONNECTIONS + 20):
            app.state.server.events.publish("failed", {"error": "told later"})
            assert any("told later" in line for line in lines)


def test_a_body_that_does_not_come_is_answered_and_closed(page, monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(guard, "UPLOAD_SECONDS", 0.7)
    port, _ = page
    for path in ("/api/uploads", "/api/index"):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nX-Vitsearch: 1\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n{"
        )
        with many(port, 1, head.encode()) as (connection,):
            started = time.monotonic()
            assert b" 408 " in connection.recv(65536).partition(b"\r\n")[0]
            assert is_closed(connection)
            assert time.monotonic() - started < 5


def test_parallel_uploads_are_received_two_at_a_time(page, tmp_path, picture):
    port, app = page
    seen, most = [0], [0]
    uploading = app.state.server.uploading
    image = picture(tmp_path / "upload.png", "teal").read_bytes()

    def upload(answers):
        headers = {"X-Vitsearch": "1"}
        answers.append(
            httpx.post(f"http://{HOST}:{port}/api/uploads", content=image, headers=headers, timeout=60)
        )

    answers: list[httpx.Response] = []
    head = f"POST /api/uploads HTTP/1.1\r\nHost: {HOST}:{port}\r\nX-Vitsearch: 1\r\n"
    head += f"Content-Length: {MAX_UPLOAD}\r\n\r\n"
    with many(port, 30, head.encode() + bytes(200_000)) as waiting:
        time.sleep(1)
        seen[0], most[0] = uploading.borrowed_tokens, uploading.total_tokens
        assert (seen[0], most[0]) == (2, 2)
        assert status(port) < 5
        for each in waiting:
            each.close()
        threads = [threading.Thread(target=upload, args=(answers,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert uploading.borrowed_tokens == 0


def test_heat_maps_that_nobody_waits_for_are_not_drawn_and_delay_no_one(page, monkeypatch):
    port, app = page
    drawn, begun, go_on = [], threading.Event(), threading.Event()

    def slow(*_, **__):
        drawn.append(1)
        begun.set()
        go_on.wait(20)
        return b"\xff\xd8 a picture"

    monkeypatch.setattr(app.state.server.heat_maps, "draw", slow)
    head = f"GET /api/photos/1/heatmap HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    with many(port, 80, head):
        assert begun.wait(10)
        time.sleep(0.5)
        assert status(port) < 2
    time.sleep(0.5)
    go_on.set()
    answer = httpx.get(f"http://{HOST}:{port}/api/photos/2/heatmap", timeout=20)
    assert answer.status_code == 200
    assert len(drawn) == 2
