"""Examples from the web, on a real server with a certificate of its own."""

import contextlib
import http.server
import io
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from PIL import Image

from vitsearch.errors import UnreadablePhoto
from vitsearch.searching.fetching import fetch

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


class Server(http.server.ThreadingHTTPServer):
    """`away`: where it leads who asks for /away."""

    away = ""


class Pages(http.server.BaseHTTPRequestHandler):
    """What the server has: pictures, and what a hostile one would send."""

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            assert isinstance(self.server, Server)
            self.send_header("Location", self.server.away)
            self.end_headers()
            return
        if self.path == "/moved":
            self.send_response(301)
            self.send_header("Location", "/red.png")
            self.end_headers()
            return
        bodies = {"/red.png": picture("red"), "/page": b"<html>no picture</html>"}
        if self.path == "/never":
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.05)
            return
        if self.path not in (*bodies, "/endless", "/slow"):
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(bodies.get(self.path, b""))
            while self.path == "/endless":
                self.wfile.write(b"\xff" * 65536)
            while self.path == "/slow":
                self.wfile.write(b"\xff")
                time.sleep(0.05)

    def log_message(self, *_):
        """Say nothing."""


def picture(colour):
    data = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "certificate"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def unknown_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate", certificate / "key")
    server = Server(("127.0.0.1", 0), Pages)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def trusted(unknown_server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return unknown_server


def at(server, path):
    return f"https://127.0.0.1:{server.server_port}{path}"


def test_a_picture_is_fetched_also_where_it_has_moved(trusted):
    assert fetch(at(trusted, "/red.png")) == picture("red")
    assert fetch(at(trusted, "/moved")) == picture("red")


def test_what_grows_past_the_limit_or_trickles_is_let_go(trusted):
    with pytest.raises(UnreadablePhoto, match="more bytes than the limit of 1000000"):
        fetch(at(trusted, "/endless"), most=1_000_000)
    for path in ("/slow", "/never"):
        started = time.monotonic()
        with pytest.raises(UnreadablePhoto, match="did not come within 1 s"):
            fetch(at(trusted, path), seconds=1)
        assert time.monotonic() - started < 10


def test_a_handshake_that_trickles_is_let_go():
    """A record of TLS that is announced and comes byte by byte, never whole."""

    def trickle(listener):
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(b"\x16\x03\x03\x40\x00")
            for _ in range(200):
                connection.sendall(b"\x02")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(UnreadablePhoto, match="did not come within 1 s"):
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/red.png", seconds=1)
        assert time.monotonic() - started < 5
        thread.join()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("https://127.0.0.1:1/red.png", r"nothing answers there \(connection refused\)"),
        ("https://nowhere.invalid/red.png", "no server of that name is found"),
    ],
)
def test_an_address_at_which_nobody_answers_is_told_in_plain_words(address, says):
    with pytest.raises(UnreadablePhoto, match=f"{says}: check the address and your network, or download"):
        fetch(address)


@pytest.mark.parametrize("away", ["http://127.0.0.1:9/red.png", "file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_a_server_cannot_lead_away_from_https(trusted, away):
    trusted.away = away
    with pytest.raises(UnreadablePhoto, match="it leads away from https"):
        fetch(at(trusted, "/away"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.png", "file:///etc/hostname", "ftp://127.0.0.1/a.png", "data://x"]
)
def test_nothing_but_https_is_fetched(url):
    with pytest.raises(UnreadablePhoto, match="only https addresses are fetched"):
        fetch(url)


def test_a_server_that_nobody_vouches_for_is_not_asked(unknown_server):
    with pytest.raises(
        UnreadablePhoto,
        match=r"its certificate is not trusted \(self.signed certificate\): check the address",
    ):
        fetch(at(unknown_server, "/red.png"))


def test_what_is_not_there_is_told(trusted):
    with pytest.raises(UnreadablePhoto, match="the server says 404"):
        fetch(at(trusted, "/nothing"))
    with pytest.raises(UnreadablePhoto, match="cannot read https://"):
        fetch("https://127.0.0.1:9/nobody-listens.png")


def test_a_url_is_an_example_decoded_in_a_process_of_its_own(trusted, library, picture_of, monkeypatch):
    photos = picture_of("red", "blue", "green")
    library.index([photos])
    # In this process it must not be decoded.
    monkeypatch.setattr("vitsearch.searching.queries.parse_photo", None)
    result = library.search(at(trusted, "/red.png"), include_self=True, k=1)
    assert (result.query, result.results[0].path.name) == ((at(trusted, "/red.png"),), "red.png")
    with pytest.raises(UnreadablePhoto, match="cannot read https://"):
        library.search(at(trusted, "/page"))


@pytest.fixture
def picture_of(tmp_path, picture):
    def write(*colours):
        for colour in colours:
            picture(tmp_path / "photos" / f"{colour}.png", colour)
        return tmp_path / "photos"

    return write


def test_the_command_line_takes_urls(trusted, library, picture_of, run):
    library.index([picture_of("red", "blue")])
    done = run("search", at(trusted, "/nothing"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "the server says 404" in done.stderr
