"""What strangers' pages, strangers' files and strangers' clients try on the web page: none of it passes."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import HOST, web_client
from vitsearch.library import Library
from vitsearch.web.app import create_app
from vitsearch.web.guard import MAX_BODY, MAX_UPLOAD, Access
from vitsearch.web.settings import LibrarySettings

if TYPE_CHECKING:
    from pathlib import Path

EVIL_NAME = "<img src=x onerror=alert(1)>.png"
EVIL_CAMERA = "<script>alert(2)</script>"
REFUSED = {400, 401, 403, 404, 405, 409, 413, 422}
OWN = {"host": HOST, "x-vitsearch": "1"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(app, method, path, headers, *, body=b"", query="", pieces=None):
    """Put one request to the application exactly as it is: no client tidies the path or the headers up."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces or []]
    messages.append({"type": "http.request", "body": body, "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in (headers.items() if isinstance(headers, dict) else headers)
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8642),
    }
    asyncio.run(app(scope, receive, send))
    start = next(message for message in sent if message["type"] == "http.response.start")
    return Reply(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A library whose photos were named and tagged by an enemy, next to a file that is none of its photos."""
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0110] = EVIL_CAMERA
    Image.new("RGB", (64, 48), "red").save(folder / "photos" / EVIL_NAME, exif=exif)
    Image.new("RGB", (64, 48), "blue").save(folder / "photos/plain.png")
    (folder / "secret.txt").write_text("the secret")
    with Library.open(folder / "library", backbone=MeanColour()) as library:
        library.index([folder / "photos"])
    return folder


@pytest.fixture(scope="module")
def app(folder):
    app = create_app(LibrarySettings(folder / "library", backbone=MeanColour()))
    yield app
    app.state.server.close()


@contextmanager
def untouched(folder):
    """Nothing on the disk changes, the library's cache of thumbnails apart."""

    def seen():
        return {
            str(path): path.stat().st_mtime_ns
            for path in folder.rglob("*")
            if path.is_file() and "thumbnails" not in path.parts
        }

    before = seen()
    yield
    assert seen() == before


def refused(reply, statuses=REFUSED):
    assert reply.status in statuses, (reply.status, reply.body[:200])
    assert b"the secret" not in reply.body
    if reply.body:
        assert reply.headers["content-type"] == "application/json"
        assert set(json.loads(reply.body)) <= {"error", "changed"}
        assert b"Traceback" not in reply.body
        assert b"\\n" not in reply.body
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert not any(name.startswith("access-control") for name in reply.headers)


HOSTS = [
    "evil.example",
    "evil.example:8642",
    "127.0.0.1.evil.example:8642",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#127.0.0.1",
    "127.0.0.1:8642:8642",
    "127.0.0.1,evil.example",
    "127.0.0.1 evil.example",
    "evil.example\t127.0.0.1",
    "127.0.0.1\x00.evil.example",
    "localhost.",
    "127.0.0.1.nip.io",
    "0.0.0.0:8642",
    "192.168.1.10:8642",
    "10.0.0.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "[::ffff:127.0.0.1]",
    "[::1",
    "::1",
    "[::1]evil.example",
    "",
    " ",
    "*",
    "null",
    "metadata.google.internal",
    "ⓛocalhost",
]


@pytest.mark.parametrize("path", ["/", "/api/grid", "/api/photos/1/thumbnail"])
@pytest.mark.parametrize("host", HOSTS)
def test_another_name_of_the_machine_is_refused(app, host, path):
    refused(ask(app, "GET", path, {**OWN, "host": host}), {403})


def test_no_host_and_two_hosts_are_refused(app):
    refused(ask(app, "GET", "/api/grid", []), {403})
    refused(ask(app, "GET", "/api/grid", [("host", HOST), ("host", "evil.example")]), {403})
    refused(ask(app, "GET", "/api/grid", [("host", HOST), ("host", HOST)]), {403})


ORIGINS = [
    "http://evil.example",
    "https://evil.example:8642",
    "null",
    "",
    "file://",
    "http://localhost:8642",
    "http://127.0.0.1",
    "http://127.0.0.1:9999",
    "http://127.0.0.1:8642.evil.example",
    "http://127.0.0.1:8642/",
    "http://evil.example@127.0.0.1:8642",
    "HTTP://127.0.0.1:8642",
    "chrome-extension://abcdefgh",
    "http://[::1]:8642",
]
CHANGES = [
    ("POST", "/api/index"),
    ("POST", "/api/index/stop"),
    ("POST", "/api/roots"),
    ("POST", "/api/uploads"),
    ("POST", "/api/roots/forget"),
    ("POST", "/api/watch"),
    ("POST", "/api/duplicates/find"),
    ("POST", "/api/duplicates/not-duplicates"),
    ("POST", "/api/duplicates/not-duplicates/undo"),
    ("POST", "/api/themes/find"),
    ("POST", "/api/plans"),
    ("POST", "/api/plans/preview"),
    ("POST", "/api/plans/20240101-000000-00000000/reveal"),
    ("POST", "/api/plans/20240101-000000-00000000/apply"),
    ("POST", "/api/plans/20240101-000000-00000000/undo"),
    ("DELETE", "/api/plans/20240101-000000-00000000"),
    ("POST", "/api/photos/1/reveal"),
    ("POST", "/api/selection/favourites"),
    ("POST", "/api/selection/favourites/ratings"),
    ("POST", "/api/selection/labels-of"),
    ("POST", "/api/selection/labels"),
    ("POST", "/api/selection/copies"),
    ("POST", "/api/selection/archives"),
    ("POST", "/api/selection/plan"),
    ("POST", "/api/heads"),
    ("POST", "/api/heads/pets/train"),
    ("POST", "/api/heads/pets/corrections"),
    ("POST", "/api/heads/pets/corrections/all"),
    ("DELETE", "/api/heads/pets/corrections/1"),
]


def test_the_list_of_what_changes_something_is_complete(app):
    paths = app.openapi()["paths"]
    known = {
        (method.upper(), path) for path, methods in paths.items() for method in methods if method != "get"
    }
    shapes = {(method, path.replace("/1", "/{photo}").replace("20240101-000000-00000000", "{name}"))
              for method, path in CHANGES}  # fmt: skip
    assert known == {(method, path.replace("heads/pets", "heads/{name}")) for method, path in shapes}


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_origin_is_refused_for_reading_and_for_changing(app, folder, origin):
    with untouched(folder):
        refused(ask(app, "GET", "/api/grid", {**OWN, "origin": origin}), {403})
        refused(ask(app, "OPTIONS", "/api/index", {**OWN, "origin": origin}), {403})
        for method, path in CHANGES[:4]:
            refused(ask(app, method, path, {**OWN, "origin": origin}, body=b"{}"), {403})


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_what_a_form_of_another_page_can_send_changes_nothing(app, folder, method, path):
    simple = {"host": HOST, "content-type": "text/plain", "sec-fetch-site": "cross-site"}
    with untouched(folder):
        for headers in (
            {"host": HOST},
            {"host": HOST, "x-vitsearch": "0"},
            {"host": HOST, "content-type": "text/plain"},
            simple,
            {**simple, "x-vitsearch": "1"},
            {**simple, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        ):
            refused(ask(app, method, path, headers, body=b'{"folder":"/"}'), {403})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize(
    "path",
    ["/api/grid", "/api/photos/1/thumbnail", "/api/photos/1/view", "/api/events", "/openapi.json", "/static/0/app.js"],
)  # fmt: skip
def test_nothing_is_loaded_into_another_page(app, site, path):
    for mode, dest in (
        ("no-cors", "image"),
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("navigate", "document"),
    ):
        headers = {**OWN, "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        refused(ask(app, "GET", path, headers), {403})


def test_a_link_from_elsewhere_opens_the_page_but_no_frame_does(app):
    visit = {"host": HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    opened = ask(app, "GET", "/search", {**visit, "sec-fetch-dest": "document"}, query="photo=1")
    assert opened.status == 200
    refused(ask(app, "GET", "/search", {**visit, "sec-fetch-dest": "iframe"}, query="photo=1"), {403})


DOTS = [
    "..",
    "%2e%2e",
    "%2E%2e",
    "%252e%252e",
    "..%00",
    "....//..",
    "..;",
    "%c0%ae%c0%ae",
    "..\\..",
    "%2e%2e%5c",
]


@pytest.mark.parametrize("dots", DOTS)
@pytest.mark.parametrize(
    "base",
    ["/static/0/", "/static/", "/api/uploads/", "/api/plans/", "/api/photos/", "/api/heads/", "/photo/", "/"],
)
def test_no_path_leads_out(app, folder, base, dots):
    for slash in ("/", "%2f"):
        climb = slash.join([dots] * 8)
        for tail in ("secret.txt", "etc/passwd", str(folder / "secret.txt")):
            for end in ("", "/view"):
                refused(ask(app, "GET", f"{base}{climb}{slash}{quote(tail)}{end}", OWN))
    refused(ask(app, "GET", f"{base}{quote(str(folder / 'secret.txt'), safe='')}", OWN))


IDS = [
    "0", "-1", "+1", "1.0", "1e0", "0x1", "1_0", " 1", "1 ", "%201", "1%00", "%31%0a", "1;2", "1,2", "1'--",
    "1%20OR%201=1", "%EF%BC%91", "%D9%A1", "99999", "9223372036854775807", "9223372036854775808", "9" * 30, "9" * 5000,
    "null", "undefined", "NaN", "true", "[1]", "{}", "*", "%",
]  # fmt: skip


@pytest.mark.parametrize("number", IDS)
def test_a_photo_is_addressed_by_its_number_and_nothing_else(app, number):
    for tail in ("", "/thumbnail", "/view", "/heatmap"):
        refused(ask(app, "GET", f"/api/photos/{number}{tail}", OWN))
    refused(ask(app, "GET", "/api/search", OWN, query=f"photo={number}"))


@pytest.mark.parametrize(
    "query",
    [
        "k=1000000", "k=-1", "photo=1&k=1001", "photo=1&crop=0,0,0,0", "photo=1&crop=-1,0,5,5",
        "photo=1&crop=0,0,1e9,1", "photo=1&crop=999999,999999,999999,999999", "photo=1&not=photo:",
        "photo=1&not=file:/etc/passwd", "photo=1&not=photo:9223372036854775808", "upload=../../x",
        "upload=" + "a" * 32, "photo=1&folder=%00", "photo=1&folder=/etc", "photo=1&folder=../../..", "photo=1&after=x",
        "photo=1&before=2024-13", "photo=1&head=../../secret&label=x", "head=pets&label=%00", "text=" + "a" * 1001,
        "&".join(["photo=1"] * 51), "photo=1&" + "x" * 9000, "photo=1&distinct=maybe", "photo=1'%20UNION%20SELECT%201",
    ],
)  # fmt: skip
def test_a_query_is_checked(app, folder, query):
    with untouched(folder):
        refused(ask(app, "GET", "/api/search", OWN, query=query))


def png(width, height):
    """A small file that says it is huge."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def saved(image_format, size=(16, 16), cut=None):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, image_format)
    return buffer.getvalue()[:cut]


UPLOADS = {
    "empty": b"",
    "text": b"hello",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.4\n1 0 obj<<>>endobj",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run",
    "zip": b"PK\x03\x04" + bytes(100),
    "icns": b"icns" + bytes(100),
    "pcx": b"\x0a\x05\x01\x08" + bytes(200),
    "xpm": b'/* XPM */ static char *x[] = {"1 1 1 1", "a c #000000", "a"};',
    "fits": b"SIMPLE  =                    T" + bytes(2880),
    "bomb": png(60_000, 60_000),
    "just too large": png(10_001, 10_000),
    "wide bomb": png(2**31 - 1, 1),
    "bmp bomb": b"BM" + struct.pack("<IHHI", 100, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 65000, 65000, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif bomb": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x00\x00\x00,\x00\x00\x00\x00"
    + struct.pack("<HH", 65535, 65535) + b"\x00\x02\x00;",
    "half a header": saved("PNG", cut=20),
    "a jpeg's beginning": saved("JPEG", cut=10),
}  # fmt: skip


@pytest.mark.parametrize("name", UPLOADS)
def test_what_is_uploaded_must_be_an_image_of_bearable_size(app, folder, name):
    with untouched(folder):
        refused(ask(app, "POST", "/api/uploads", OWN, body=UPLOADS[name]), {400})


@pytest.mark.parametrize(
    ("path", "length"),
    [
        ("/api/uploads", str(MAX_UPLOAD + 1)), ("/api/uploads", "9" * 15), ("/api/uploads", "9" * 400),
        ("/api/uploads", "-1"), ("/api/uploads", "1, 2"), ("/api/uploads", "0x10"), ("/api/roots", str(MAX_BODY + 1)),
        ("/api/uploads/", str(MAX_BODY + 1)), ("/api/plans", str(MAX_UPLOAD)),
    ],
)  # fmt: skip
def test_a_body_is_refused_by_its_length_before_it_is_read(app, path, length):
    refused(ask(app, "POST", path, {**OWN, "content-length": length}), {400, 413})


@pytest.mark.parametrize(("path", "limit"), [("/api/uploads", MAX_UPLOAD), ("/api/plans", MAX_BODY)])
def test_a_body_that_goes_on_past_its_limit_is_cut_off_whatever_its_length_says(app, folder, path, limit):
    pieces = [bytes(1 << 20)] * ((limit >> 20) + 1)
    with untouched(folder):
        for headers in (OWN, {**OWN, "content-length": "10"}):
            refused(ask(app, "POST", path, headers, pieces=pieces), {413})


JSON = {**OWN, "content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/roots", '{"folder":"relative"}'),
        ("/api/roots", '{"folder":"/no/such/folder"}'),
        ("/api/roots", '{"folder":"/etc/passwd"}'),
        ("/api/roots", '{"folder":"\\u0000"}'),
        ("/api/roots", '{"folder":["/"]}'),
        ("/api/roots", '{"folder":"~nobody-at-all/x"}'),
        ("/api/roots", "[" * 100_000),
        ("/api/roots", "\xff\xfe"),
        ("/api/roots", '{"folder":"' + "a" * 5000 + '"}'),
        ("/api/roots/forget", '{"folder":"/etc"}'),
        ("/api/roots/forget", '{"folder":"\\u0000"}'),
        ("/api/watch", '{"on":"perhaps"}'),
        ("/api/plans/preview", '{"groups":[{"group":"../x","keep":0,"files":[1]}]}'),
        ("/api/plans/20240101-000000-00000000/reveal", '{"place":-1}'),
        ("/api/plans", '{"groups":[{"group":"1-2","keep":0,"files":[1]}]}'),
        ("/api/plans", '{"groups":[{"group":"../x","keep":0,"files":[1]}]}'),
        ("/api/plans", '{"groups":[{"group":"1","keep":-1,"files":[0]}],"action":"trash"}'),
        ("/api/plans", '{"groups":[{"group":"1","keep":0,"files":["/etc/passwd"]}],"action":"trash"}'),
        ("/api/plans", '{"groups":[{"group":"1","keep":0,"files":[1]}],"action":"delete"}'),
        ("/api/plans", '{"groups":[],"action":"move","destination":"/etc"}'),
        ("/api/duplicates/not-duplicates", '{"photos":[]}'),
        ("/api/duplicates/not-duplicates", '{"photos":[1,99999]}'),
        ("/api/duplicates/not-duplicates", '{"photos":["1; DROP TABLE photos"]}'),
        ("/api/duplicates/not-duplicates", '{"photos":[1e400]}'),
        ("/api/heads", '{"name":"../../x","labels":["a","b"]}'),
        ("/api/heads", '{"name":"x","folder":"relative"}'),
        ("/api/heads", '{"name":"x","folder":"/etc\\u0000"}'),
        ("/api/heads/..%2f..%2fsecret.txt/train", "{}"),
        ("/api/heads/none/corrections", '{"photo":1,"labels":["a"]}'),
        ("/api/photos/1/reveal", '{"file":0}'),
        ("/api/photos/1/reveal", '{"file":-1}'),
    ],
)
def test_what_a_request_asks_for_is_checked(app, folder, path, body):
    with untouched(folder):
        refused(ask(app, "POST", path, JSON, body=body.encode("latin-1")))


@pytest.mark.parametrize(
    "method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get", "X" * 100]
)
def test_other_methods_are_refused(app, method):
    for path in ("/api/grid", "/api/photos/1", "/"):
        refused(ask(app, method, path, OWN))


def test_names_and_metadata_are_data_and_nothing_else(folder):
    with web_client(folder / "library", MeanColour()) as client:
        found = client.get("/api/search", params={"photo": 2})
        assert EVIL_NAME in json.dumps(found.json())
        for address in (
            "/api/grid?by=folder",
            "/api/facets",
            "/api/captions?ids=1,2",
            "/api/photos/1",
            "/api/search?photo=2",
        ):
            answer = client.get(address)
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert EVIL_CAMERA in client.get("/api/facets").json()["cameras"][0]["camera"]
        for address in ("/", "/photo/1", f"/search?text={quote(EVIL_CAMERA)}", f"/search?{quote(EVIL_NAME)}"):
            page = client.get(address).text
            assert "alert(" not in page
        for picture in ("thumbnail", "view"):
            answer = client.get(f"/api/photos/1/{picture}")
            assert (answer.headers["content-type"], b"alert" in answer.content) == ("image/jpeg", False)


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline(folder):
    with web_client(folder / "library", MeanColour()) as client:
        for address in ("/", "/api/status", "/api/nothing", "/api/photos/1/thumbnail"):
            policy = dict(
                part.strip().split(" ", 1)
                for part in client.get(address).headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
            assert "unsafe" not in str(policy)
            assert "*" not in str(policy)


def test_an_error_inside_tells_the_client_nothing(folder, monkeypatch):
    def fail(*_):
        raise RuntimeError("the secret, in /home/somebody")

    monkeypatch.setattr("vitsearch.storage.listing.Listing.facets", fail)
    with web_client(folder / "library", MeanColour()) as client:
        answer = client.get("/api/facets")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert set(answer.json()) == {"error"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.fixture(scope="module")
def outside(folder):
    """A server that other machines can reach, and its token."""
    access = Access.to("0.0.0.0", 8642)
    app = create_app(LibrarySettings(folder / "library", backbone=MeanColour()), access=access)
    yield app, access
    app.state.server.close()


LAN = "192.168.1.10:8642"


def test_other_users_of_the_same_machine_do_not_get_in(folder):
    access = Access.to("127.0.0.1", 8642)
    app = create_app(LibrarySettings(folder / "library", backbone=MeanColour()), access=access)
    host = {"host": "127.0.0.1:8642", "x-vitsearch": "1"}
    for method, path in (("GET", "/"), ("GET", "/api/grid"), ("POST", "/api/index")):
        refused(ask(app, method, path, host), {401})
    assert ask(app, "GET", "/", host, query=f"token={access.token}").status == 303
    assert ask(app, "GET", "/api/grid", {**host, "authorization": f"Bearer {access.token}"}).status == 200
    refused(ask(app, "GET", "/api/grid", {"host": LAN, "authorization": f"Bearer {access.token}"}), {403})
    app.state.server.close()


# What other programs on localhost have set as cookies, before and after ours.
ODD_COOKIES = [
    "a", "=", "=x", ";", ";;", "a=", "a b=c", "a=b=c", 'a="b;c"', 'a="b', "a=\\", "a={}", 'a={"b": [1, 2]}',
    "a[0]=1", "a=1,2", "a:b=c", "a/b=c", "(a)=b", "<a>=b", "a=é", "é=a", "$Version=1",
    "path=/; expires=Thu, 01 Jan 1970", "a=" + "x" * 4000,
]  # fmt: skip


@pytest.mark.trust
@pytest.mark.parametrize("odd", ODD_COOKIES)
def test_a_cookie_of_another_program_never_locks_the_owner_out(outside, odd):
    app, access = outside
    ours = f"{access.cookie}={access.token}"
    for cookie in (
        f"{odd}; {ours}",
        f"{ours}; {odd}",
        f"{odd}; {ours}; {odd}",
        f"{access.cookie}=old; {ours}",
    ):
        assert ask(app, "GET", "/api/status", {"host": LAN, "cookie": cookie}).status == 200, cookie
    refused(ask(app, "GET", "/api/status", {"host": LAN, "cookie": f"{odd}; {access.cookie}=x"}), {401})


@pytest.mark.trust
def test_a_visit_from_the_file_that_opens_the_page_goes_on_from_the_page(outside):
    app, access = outside
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    opened = ask(app, "GET", "/", {"host": LAN, **visit}, query=f"token={access.token}&photo=%22%3E1")
    assert (opened.status, access.token in opened.body.decode()) == (200, False)
    assert 'content="0; url=/?photo=%22%3E1"' in opened.body.decode()
    assert access.token in opened.headers["set-cookie"]


def knocks(access):
    token, cookie = access.token, access.cookie
    wrong = [
        {}, {"cookie": ""}, {"cookie": f"{cookie}="}, {"cookie": f"{cookie}={token[:-1]}"},
        {"cookie": f"{cookie}={token}x"}, {"cookie": f"{cookie}={token.swapcase()}"},
        {"cookie": f"vitsearch={token}"}, {"cookie": f"{cookie}-1={token}"}, {"cookie": f"{cookie}=é"},
        {"cookie": ";;;==="}, {"authorization": token}, {"authorization": f"Basic {token}"},
        {"authorization": "Bearer "}, {"authorization": f"Bearer {token[:10]}"}, {"x-token": token},
        {"authorization": "Bearer é\x00"},
    ]  # fmt: skip
    return [{"host": LAN, "x-vitsearch": "1", **headers} for headers in wrong]


@pytest.mark.parametrize("number", range(16))
def test_nobody_gets_in_from_elsewhere_without_the_token(outside, folder, number):
    app, access = outside
    with untouched(folder):
        for method, path in (("GET", "/"), ("GET", "/api/grid"), ("GET", "/static/0/app.js"), *CHANGES[:2]):
            refused(ask(app, method, path, knocks(access)[number]), {401})


def test_a_token_in_an_address_opens_the_page_only(outside):
    app, access = outside
    right = f"token={access.token}"
    for query in (
        "token=",
        "token=x",
        f"token={access.token[1:]}",
        f"Token={access.token}",
        f"token=x&{right}",
    ):
        refused(ask(app, "GET", "/", {"host": LAN}, query=query), {401})
    refused(ask(app, "GET", "/api/grid", {"host": LAN}, query=right), {401})
    refused(ask(app, "POST", "/api/index", {"host": LAN, "x-vitsearch": "1"}, query=right), {401})
    opened = ask(app, "GET", "//evil.example/", {"host": LAN}, query=f"{right}&photo=1")
    assert (opened.status, opened.headers["location"]) == (303, "/?photo=1")
    cookie = opened.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/", access.token))
    assert ask(app, "GET", "/api/status", {"host": LAN, "cookie": cookie.split(";")[0]}).status == 200
    assert (
        ask(app, "GET", "/api/status", {"host": LAN, "authorization": f"Bearer {access.token}"}).status == 200
    )


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.10.evil.example", "evil.example:8642", ""])
def test_a_rebound_name_is_refused_even_with_the_token(outside, host):
    app, access = outside
    refused(ask(app, "GET", "/api/grid", {"host": host, "authorization": f"Bearer {access.token}"}), {403})


def test_files_are_not_revealed_on_a_machine_that_one_does_not_sit_at(folder):
    shown: list[Path] = []
    access = Access.to("0.0.0.0", 8642)
    with web_client(folder / "library", MeanColour(), access=access, reveal=shown.append) as client:
        headers = {"authorization": f"Bearer {access.token}"}
        assert client.post("/api/photos/1/reveal", json={}, headers=headers).status_code == 409
    assert shown == []
