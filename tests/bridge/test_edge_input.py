"""Bad input through the edge as deployed: nothing is smuggled past it, nothing leaks, nobody gets another's page."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bridge import stack
from tests.templates.edge import Edge
from tests.unit.bridge.fake_plone import Plone
from tests.unit.bridge.helpers import TRICKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

SECONDS = 10
# Whose pages may call the bridge from a browser.
ORIGIN = "https://app.example"


@dataclass
class Stack:
    edge: Edge
    plone: Plone
    container: Container

    def send(self, data: bytes) -> bytes:
        """Send bytes to the public, and nothing more; return all that comes back until nothing does."""
        received = b""
        with socket.create_connection(("127.0.0.1", self.edge.ports["edge_port"]), SECONDS) as connection:
            connection.sendall(data)
            connection.settimeout(0.25)
            try:
                while block := connection.recv(65536):
                    received += block
            except (TimeoutError, ConnectionResetError):
                pass
        return received

    def get(
        self, path: str, method: str = "GET", body: bytes | list[bytes] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; `X_Name` stands for the field X-Name, a list for a body in chunks."""
        connection = self.edge.connect()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def refused(self, data: bytes) -> int:
        """Return the status of the problem document that these bytes are answered with."""
        head, _, body = self.send(data).partition(b"\r\n\r\n")
        assert b"content-type: application/problem+json" in head.lower()
        document = json.loads(body)
        assert head.split(b" ")[1] == b"%d" % document["status"]
        return int(document["status"])

    def log(self) -> str:
        """What edge and bridge have written."""
        return (self.edge.folder / "log").read_text() + self.container.logs().decode()


@pytest.fixture(scope="module")
def stacks(engine, tmp_path_factory) -> Iterator[dict[str, Stack]]:
    plone = Plone().start()
    names = ["x", "good.example", "evil.example"]
    with Edge(tmp_path_factory.mktemp("edge")).running(edge_hosts=names) as edge, ExitStack() as running:
        stacks = {}
        for slot, python in stack.SLOTS.items():
            folder, more = edge.folder / "run" / slot, {"EDUHUB_CORS_ORIGINS": ORIGIN}
            container = running.enter_context(stack.slot(engine, plone.url, python, folder, **more))
            until = time.monotonic() + stack.BRIDGE_SECONDS
            while edge.ask("/health/live", port=f"edge_{slot}_port").status != 200:
                assert time.monotonic() < until, container.logs(tail=20).decode()
                time.sleep(0.05)
            stacks[slot] = Stack(edge, plone, container)
        yield stacks
    plone.stop()


@pytest.fixture(params=stack.SLOTS, ids=lambda slot: f"py{stack.SLOTS[slot]}")
def site(request, stacks) -> Stack:
    """The edge with all traffic on one Python."""
    site = stacks[request.param]
    site.edge.move(100 if request.param == "green" else 0)
    site.plone.seen.clear()
    site.plone.slow = 0.0
    return site


# What an attacker wants: a page that the edge keeps from the public, as part of what it takes for something else.
WANTED = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + WANTED


def post(*fields: bytes, body: bytes = WANTED, path: bytes = b"/plone/x") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: x", *fields, b"", body])


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


TE = b"Transfer-Encoding: chunked"
PIECE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(WANTED), WANTED)
SMUGGLED = {
    "length over chunks": post(length(CHUNKED), TE, body=CHUNKED),
    "chunks over length": post(b"Content-Length: 4", TE, body=PIECE),
    "chunks, length after": post(TE, b"Content-Length: 4", body=PIECE),
    "two lengths": post(b"Content-Length: 0", length(WANTED)),
    "two lengths, the other order": post(length(WANTED), b"Content-Length: 0"),
    "a list of lengths": post(b"Content-Length: 0, %d" % len(WANTED)),
    "a signed length": post(b"Content-Length: +0"),
    "a negative length": post(b"Content-Length: -1"),
    "a length in base 16": post(b"Content-Length: 0x0"),
    "a length with a gap": post(b"Content-Length: 0 %d" % len(WANTED)),
    "a length beyond all": post(b"Content-Length: 18446744073709551616"),
    "a length of nothing": post(b"Content-Length: "),
    "length before its colon": post(b"Content-Length : 0"),
    "an unknown coding": post(b"Transfer-Encoding: xchunked", length(CHUNKED), body=CHUNKED),
    "a coding after chunked": post(b"Transfer-Encoding: chunked, identity", length(CHUNKED), body=CHUNKED),
    "a coding before chunked": post(b"Transfer-Encoding: gzip, chunked", length(CHUNKED), body=CHUNKED),
    "two codings": post(TE, b"Transfer-Encoding: cow", length(CHUNKED), body=CHUNKED),
    "coding before its colon": post(b"Transfer-Encoding : chunked", length(CHUNKED), body=CHUNKED),
    "coding after a tab": post(b"Transfer-Encoding:\tchunked", length(CHUNKED), body=CHUNKED),
    "coding after a control": post(b"Transfer-Encoding: \x0bchunked", length(CHUNKED), body=CHUNKED),
    "coding in capitals": post(b"Transfer-Encoding: CHUNKED", length(CHUNKED), body=CHUNKED),
    "coding folded": post(b"Transfer-Encoding:\r\n chunked", length(CHUNKED), body=CHUNKED),
    "coding behind a fold": post(b"X: y\r\n Transfer-Encoding: chunked", length(CHUNKED), body=CHUNKED),
    "coding behind a bare line feed": post(b"X: y\nTransfer-Encoding: chunked", length(CHUNKED), body=CHUNKED),
    "coding behind a bare return": post(b"X: y\rTransfer-Encoding: chunked", length(CHUNKED), body=CHUNKED),
    "coding behind a null": post(b"X: y\x00\r\nTransfer-Encoding: chunked", length(CHUNKED), body=CHUNKED),
    "coding with an underscore": post(b"Transfer_Encoding: chunked", length(CHUNKED), body=CHUNKED),
    "coding in HTTP/1.0": post(length(CHUNKED), TE, body=CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "framing called hop by hop": post(b"Connection: Content-Length, close", length(WANTED)),
    "coding called hop by hop": post(b"Connection: Transfer-Encoding", TE, length(CHUNKED), body=CHUNKED),
    "a chunk in base 10": post(TE, body=b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(WANTED), WANTED)),
    "a chunk beyond all": post(TE, body=b"FFFFFFFFFFFFFFFF0\r\n" + WANTED),
    "a negative chunk": post(TE, body=b"-1\r\n" + WANTED),
    "chunks ended by line feeds": post(TE, body=b"0\n\n" + WANTED),
    "a chunk's extension across lines": post(TE, body=b"0;a=\"\r\n\r\n" + WANTED),
    "trailers": post(TE, b"Trailer: Content-Length", body=b"0\r\nContent-Length: 100\r\n\r\n" + WANTED),
    "a body that is refused": post(length(WANTED), path=b"/plone/.."),
    "a body where nothing is": post(length(WANTED), path=b"/nothing"),
    "a body of a GET": post(length(WANTED), path=b"/health/live").replace(b"POST", b"GET", 1),
    "a body of a HEAD": post(length(WANTED), path=b"/plone/head-only").replace(b"POST", b"HEAD", 1),
    "a WebSocket that is none": post(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 777", b"Sec-WebSocket-Key: x",
        path=b"/api/v1/live",
    ).replace(b"POST", b"GET", 1),
    "an upgrade to HTTP/2": post(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ).replace(b"POST", b"GET", 1),
    "HTTP/2 from the start": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + WANTED,
    "HTTP/0.9": b"GET /metrics\r\n",
    "a line with two versions": b"GET /plone/x HTTP/1.1\r\n\tGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address with its origin": b"GET http://x/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address with another origin": b"GET http://evil.example/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "an encoded line": b"GET /plone/x%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line feed in the address": b"GET /plone/x\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + WANTED,
    "a tunnel by path": b"CONNECT /plone/x HTTP/1.1\r\nHost: x\r\n\r\n" + WANTED,
    "an encoded end of line": b"GET /metrics%0a HTTP/1.1\r\nHost: x\r\n\r\n",
    "spaces in the address": b"GET /plone/x /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("attack", SMUGGLED)
def test_nothing_is_smuggled_past_the_edge(site, attack):
    received = site.send(SMUGGLED[attack])
    assert b"eduhub_bridge_" not in received
    # And nothing of it waits on a kept connection for whoever comes next.
    for number in range(4):
        body = f"victim {number}".encode()
        assert site.get("/plone/digest", "POST", body) == (201, hashlib.sha256(body).hexdigest().encode())


def test_what_the_attacks_want_exists(site):
    assert "eduhub_bridge_" in site.edge.ask("/metrics", port="edge_blue_port").body


@pytest.mark.parametrize("path", TRICKS)
def test_path_tricks_do_not_reach_plone(site, path):
    assert site.get(path)[0] in (400, 404)
    assert site.plone.seen == []


@pytest.mark.parametrize(
    "fields",
    [
        [b"X: " + b"x" * 100_000], [b"X-%d: x" % number for number in range(300)], [b"Cookie: " + b"a=b; " * 10_000],
    ],
    ids=["one long field", "many fields", "a long cookie"],
)  # fmt: skip
def test_headers_too_large_are_refused(site, fields):
    answer = site.send(b"\r\n".join([b"GET /plone/x HTTP/1.1", b"Host: x", *fields, b"", b""]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert site.plone.seen == []


def test_an_address_too_long_is_refused(site):
    answer = site.send(b"GET /plone/" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert site.plone.seen == []


LARGE = b'"' + b"x" * 5_000_000 + b'"'


@pytest.mark.parametrize("body", [LARGE, [LARGE]], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("path", ["content", "login", "exports"])
def test_a_document_too_large_is_refused(site, path, body):
    fields = {"Content_Type": "application/json", "Authorization": "Bearer x"}
    status, answer = site.get(f"/api/v1/{path}", "POST", body, **fields)
    assert (status, json.loads(answer)["status"]) == (413, 413)
    assert site.plone.seen == []


INVALID = {
    "nothing": b"", "half of it": b'{"login": "ada", "pass', "two of it": b"{}{}", "another type": b"[1]",
    "a number": b"7", "null": b"null", "not a number": b'{"login": NaN, "password": Infinity}',
    "no UTF-8": b'{"login": "\xff\xfe", "password": "x"}', "UTF-16": '{"login": "a", "password": "b"}'.encode("utf-16"),
    "half a character": b'{"login": "\\ud800", "password": "x"}', "a comment": b'{/**/"login": "a", "password": "b"}',
    "very deep": b"[" * 100_000, "deep": b'{"login": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a number beyond all": b'{"login": ' + b"9" * 5000 + b', "password": "x"}', "a null byte": b"{}\x00",
    "a form": b"login=ada&password=x",
}  # fmt: skip


@pytest.mark.parametrize("document", INVALID)
@pytest.mark.parametrize("path", ["content?path=/", "login", "exports", "bulk"])
def test_what_is_no_fitting_json_is_refused(site, path, document):
    kind = "application/x-ndjson" if path == "bulk" else "application/json"
    status, body = site.get(f"/api/v1/{path}", "POST", INVALID[document], Content_Type=kind, Authorization="Bearer x")
    assert 400 <= status < 500
    answer = json.loads(body)
    assert (answer["status"], bool(answer["detail"])) == (status, True)
    assert site.plone.seen == []


FORGED = ("%0d%0aX-Forged:%20yes", "%0aX-Forged:%20yes", "%e5%98%8d%e5%98%8aX-Forged:%20yes", "%00X-Forged:%20yes")


@pytest.mark.parametrize("line", FORGED)
@pytest.mark.parametrize(
    "path", ["/plone/x{}", "/plone/redirect?{}", "/nothing{}", "/api/v1/content?path=/{}", "/api/v1/jobs/{}"]
)
def test_no_header_can_be_put_into_an_answer_or_a_request(site, path, line):
    answer = site.send(f"GET {path.format(line)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"\nx-forged" not in answer.lower()
    assert [seen for seen in site.plone.seen if seen.field("x-forged")] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"X_Forwarded_Host": "evil.example"}, "http/good.example:80"),
        ({"X_Forwarded_Proto": "https"}, "http/good.example:80"),
        ({"Forwarded": "host=evil.example;proto=https"}, "http/good.example:80"),
        ({"Connection": "close, Host, X-Forwarded-Host"}, "http/good.example:80"),
    ],
)
def test_nobody_but_the_edge_says_where_links_point(site, fields, expected):
    site.get("/plone/x", Host="good.example", Cookie="__ac=a", **fields)
    assert [seen.target for seen in site.plone.seen] == [
        f"/VirtualHostBase/{expected}/Plone/VirtualHostRoot/_vh_plone/x"
    ]


def test_nobody_hides_from_plone_where_he_comes_from(site):
    for fields in ({"X_Forwarded_For": "10.0.0.1"}, {"Connection": "close, X-Forwarded-For"}):
        site.get("/plone/x", Cookie="__ac=a", **fields)
    assert [seen.field("x-forwarded-for") for seen in site.plone.seen] == [["127.0.0.1"]] * 2


@pytest.mark.parametrize("line", ["X: a\x01b", "X: a\x7fb"])
def test_a_control_character_reaches_no_plone(site, line):
    assert site.send(f"GET /plone/x HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()).startswith(b"HTTP/1.1 400 ")
    assert site.plone.seen == []


def test_a_page_with_another_hosts_links_is_nobodys(site):
    for host in ("evil.example", "good.example"):
        site.get("/plone/links", Host=host)
    assert [seen.target.split("/")[3] for seen in site.plone.seen] == ["evil.example:80", "good.example:80"]


@pytest.mark.parametrize("host", ["evil.example/x", "evil.example#", "a b", "a\tb", "evil.example:x", "<script>"])
def test_a_host_that_is_none_is_refused(site, host):
    assert site.refused(f"GET /plone/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == 400
    assert site.plone.seen == []


def test_a_page_of_somebody_is_nobody_elses(site):
    path = f"/plone/{time.monotonic_ns()}/whoami"
    asked = [
        ({"Authorization": "Bearer ada"}, b"Bearer ada"), ({}, b""), ({"Cookie": "__ac=bob"}, b"__ac=bob"), ({}, b""),
        ({"authorization": "Bearer eve"}, b"Bearer eve"), ({"Connection": "authorization", "Authorization": "x"}, b""),
        ({"Connection": "cookie", "Cookie": "__ac=bob"}, b""), ({"Authorization": "Bearer ada"}, b"Bearer ada"),
        ({"Cookie": "", "Authorization": ""}, None), ({}, b""),
    ]  # fmt: skip
    for fields, expected in asked:
        status, body = site.get(path, **fields)
        assert status == 200
        assert expected is None or body == expected, fields


def test_those_who_ask_at_the_same_time_get_their_own_page(site):
    site.plone.slow = 0.2
    path = f"/plone/{time.monotonic_ns()}/whoami"
    users = ["", "Bearer ada", "Bearer bob", ""] * 3

    def ask(user: str) -> bytes:
        return site.get(path, **({"Authorization": user} if user else {}))[1]

    with ThreadPoolExecutor(len(users)) as pool:
        assert list(pool.map(ask, users)) == [user.encode() for user in users]


def test_a_stranger_cannot_make_a_page_of_his_own_body(site):
    path = f"/plone/{time.monotonic_ns()}/x"
    for method in ("GET", "HEAD", "OPTIONS"):
        site.get(path, method, b"poison", Content_Type="text/html")
    assert site.get(path) == (200, b"hello")


def browser(site: Stack, method: str, origin: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Return the status and the fields of an answer to what a page of `origin` lets its browser send."""
    connection = site.edge.connect()
    fields = {"Origin": origin, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, "/api/v1/content", headers=fields)
    answer = connection.getresponse()
    answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_a_page_of_a_named_origin_may_ask_and_read_through_the_edge(site):
    asks = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "authorization,content-type"}
    status, said = browser(site, "OPTIONS", ORIGIN, **asks)
    assert (status, said["access-control-allow-origin"]) == (204, ORIGIN)
    assert said["access-control-allow-headers"] == "authorization,content-type"
    assert "PATCH" in said["access-control-allow-methods"].split(", ")
    status, said = browser(site, "GET", ORIGIN, Authorization="Bearer ada")
    assert (status < 500, said["access-control-allow-origin"]) == (True, ORIGIN)
    assert "X-Request-ID" in said["access-control-expose-headers"].split(", ")
    assert said["x-request-id"]  # which the edge sets
    assert "access-control-allow-credentials" not in said


def test_a_page_of_another_origin_may_not(site):
    status, said = browser(site, "OPTIONS", "https://evil.example", Access_Control_Request_Method="GET")
    assert (status, "access-control-allow-origin" in said) == (403, False)
    _, said = browser(site, "GET", "https://evil.example")
    assert "access-control-allow-origin" not in said


def test_the_page_of_the_api_comes_with_its_policy_and_needs_nothing_else(site):
    connection = site.edge.connect()
    connection.request("GET", "/api/v1/docs")
    answer = connection.getresponse()
    page = answer.read().decode()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert 'id="content_read"' in page
    assert set(re.findall(r'href="([^"#]+)', page)) == {"/api/v1/openapi.json"}
    assert site.plone.seen == []


def test_no_secret_is_written_down(site):
    for path in ("plone/x", "plone/cut", "plone/garbage", "plone/hang-up", "plone/..", "api/v1/users", "nothing"):
        try:
            site.get(f"/{path}?token=planted-1", Authorization="Bearer planted-2", Cookie="__ac=planted-3")
        except http.client.HTTPException:
            assert path == "plone/cut"
    site.get("/api/v1/login", "POST", b'{"login": "ada", "password": "planted-4"}', Content_Type="application/json")
    site.send(b"GET /plone/x?planted-5 HTTP/1.1\r\nHost: x\r\nAuthorization: planted-6\r\nBad Field: planted-7\r\n\r\n")
    time.sleep(0.2)
    metrics = [site.edge.ask("/metrics", port=f"edge_{slot}_port").body for slot in stack.SLOTS]
    assert "planted" not in site.log() + "".join(metrics)
    assert "/plone/x" in site.log()
