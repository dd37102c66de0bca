"""The edge before the internet: names, identities, ids and limits of requests, as HAProxy itself applies them."""

from __future__ import annotations

import itertools
import json
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eduhub_bridge.patterns.lane import TOGETHER_TIMES
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.store import maintenance_value
from tests.templates.edge import Edge, Slot, ask
from tests.templates.render import value

pytestmark = pytest.mark.slow

NAMES = ["hub.example.edu", "www.Hub.example.edu."]
# A proxy at the address from which the tests ask, so that they may name clients that are not this machine.
PROXY = ["127.0.0.0/8"]


@contextmanager
def site(folder, **given) -> Iterator[tuple[Edge, Slot]]:
    """Run the edge with what an inventory gives, before a slot."""
    with Edge(folder).running(**given) as edge:
        slot = Slot("blue", folder / "run/blue/bridge.sock")
        yield edge, slot
        slot.close()


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Iterator[tuple[Edge, Slot]]:
    with site(tmp_path_factory.mktemp("edge"), edge_hosts=NAMES) as running:
        yield running


@pytest.fixture(scope="module")
def proxied(tmp_path_factory) -> Iterator[tuple[Edge, Slot]]:
    given = {"edge_proxy_headers": ["X-Remote-User", "eppn"], "edge_client_requests_per_second": 1,
             "edge_client_logins_per_minute": 2}  # fmt: skip
    with site(tmp_path_factory.mktemp("edge"), edge_hosts=NAMES, edge_trusted_proxies=PROXY, **given) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[tuple[Edge, Slot]]:
    with site(tmp_path_factory.mktemp("edge"), edge_address="::") as running:
        yield running


def status(edge: Edge, head: str) -> int:
    """Return the status of the answer to a request with these lines."""
    with socket.create_connection(("127.0.0.1", edge.ports["edge_port"]), 30) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        return int(connection.recv(65536).split()[1])


def hosts(*lines: str, target: str = "/") -> str:
    return "\n".join([f"GET {target} HTTP/1.1", *(f"Host: {each}" for each in lines)])


SPELLINGS = {
    "the name": (hosts("hub.example.edu"), 200),
    "in capitals": (hosts("HUB.Example.EDU"), 200),
    "a trailing dot": (hosts("hub.example.edu."), 200),
    "a port": (hosts("hub.example.edu:8443"), 200),
    "a dot and a port": (hosts("hub.example.edu.:443"), 200),
    "the name with capitals and a dot in the inventory": (hosts("www.hub.example.edu"), 200),
    "an absolute address": (hosts("hub.example.edu", target="http://hub.example.edu/"), 200),
    "another name": (hosts("evil.example"), 421),
    "another name with a port": (hosts("evil.example:80"), 421),
    "a name below": (hosts("x.hub.example.edu"), 421),
    "a name around": (hosts("hub.example.edu.evil.example"), 421),
    "a user before it": (hosts("hub.example.edu@evil.example"), 400),
    "an absolute address of another": (hosts("evil.example", target="http://evil.example/"), 421),
    "an absolute address, another Host": (hosts("hub.example.edu", target="http://evil.example/"), 400),
    "two Hosts": (hosts("hub.example.edu", "evil.example"), 400),
    "two Hosts, the other order": (hosts("evil.example", "hub.example.edu"), 400),
    "a list": (hosts("hub.example.edu,evil.example"), 400),
    "an address of IPv6": (hosts("[2001:db8::1]:80"), 421),
    "an address of IPv4": (hosts("192.0.2.1"), 421),
    "a list, the other order": (hosts("evil.example,hub.example.edu"), 400),
    "a path": (hosts("hub.example.edu/x"), 400),
    "a letter for a port": (hosts("hub.example.edu:x"), 400),
    "none": ("GET / HTTP/1.1", 421),
    "none, of old": ("GET / HTTP/1.0", 421),
    "nothing": (hosts(""), 421),
    "this host's own check": (hosts("127.0.0.1"), 200),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_only_the_names_of_the_site_reach_the_bridge(named, spelling):
    edge, slot = named
    slot.seen.clear()
    head, expected = SPELLINGS[spelling]
    assert (status(edge, head), len(slot.seen)) == (expected, int(expected == 200))


@pytest.mark.parametrize(("host", "expected"), [
    ("localhost", 200), ("localhost:8080", 200), ("127.0.0.1", 200), ("127.0.0.2:1", 200), ("[::1]:8080", 200),
    ("here", 200), ("HERE.", 200), ("evil.example", 421), ("192.0.2.1", 421), ("[2001:db8::1]", 421),
])  # fmt: skip
def test_without_names_a_host_answers_to_its_addresses_and_its_name_in_the_inventory(plain, host, expected):
    assert status(plain[0], hosts(host)) == expected


def test_of_proxies_in_a_row_the_first_names_the_site(proxied):
    edge, slot = proxied
    row = {"Host": "edge-7", "X_Forwarded_Proto": "https, http", "X_Forwarded_For": "203.0.113.1, 192.0.2.9"}
    assert edge.ask(**row, X_Forwarded_Host="hub.example.edu, front.example").status == 200
    assert (slot.headers["X-Forwarded-Host"], slot.headers["X-Forwarded-Proto"]) == ("hub.example.edu", "https")
    row["X_Forwarded_For"] = "203.0.113.1, 192.0.2.10"
    assert edge.ask(**row, X_Forwarded_Host="evil.example, hub.example.edu").status == 421


def test_a_proxy_says_the_name_and_a_foreign_one_is_refused_from_it_too(proxied):
    edge, _ = proxied
    names = ["hub.example.edu", "hub.example.edu:443", "evil.example", "a b"]
    found = [
        edge.ask(Host="edge-7:8080", X_Forwarded_Host=name, X_Forwarded_For=f"192.0.2.{number}").status
        for number, name in enumerate(names)
    ]
    assert found == [200, 200, 421, 400]


IDENTITIES = [
    "CGI-Authorization", "cgi_authorization",
    "X-Remote-User", "x_remote_user", "Remote-User", "REMOTE_USER", "Remote-Groups", "Shib-Session-ID",
    "Shib_Identity_Provider", "X-Shib-Mail", "X-Forwarded-User", "X-Forwarded-Port", "X-Forwarded", "Forwarded",
    "X-Real-IP", "X_Real_IP", "X-Auth-Request-Email", "X-Authenticated-User", "eppn", "EPPN",
]  # fmt: skip


def passed(running: tuple[Edge, Slot], **given: str) -> set[str]:
    """Return which of these header fields, in lower case, reach the bridge."""
    edge, slot = running
    connection = edge.connect()
    connection.request("GET", "/", headers={"Host": "hub.example.edu", **given})
    assert connection.getresponse().status == 200
    return {name.lower() for name in slot.headers} & {name.lower() for name in given}


@pytest.mark.parametrize("name", [name for name in IDENTITIES if name.lower() != "eppn"])
def test_the_public_cannot_say_who_it_is(named, name):
    assert passed(named, **{name: "admin"}) == set()


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_proxy_may_say_what_the_inventory_names(proxied, name):
    number = IDENTITIES.index(name) + 1
    allowed = {"x-remote-user", "x_remote_user", "eppn"} & {name.lower()}
    assert passed(proxied, **{name: "ada", "X-Forwarded-For": f"198.51.100.{number}"}) == allowed | {"x-forwarded-for"}


def test_what_a_proxy_may_say_is_taken_from_everybody_else(tmp_path):
    with site(tmp_path, edge_proxy_headers=["eppn"], edge_trusted_proxies=["192.0.2.1"],
              edge_hosts=NAMES) as running:  # fmt: skip
        assert passed(running, **{"eppn": "admin", "X-Kept": "x"}) == {"x-kept"}


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def test_each_request_has_an_id_in_its_answer_in_the_log_and_at_the_bridge(named):
    edge, slot = named
    connection = edge.connect()
    ids = []
    for path in ("/", "/metrics"):  # the bridge's answer, and the edge's own
        connection.request("GET", path, headers={"Host": "hub.example.edu", "X-Request-ID": "x" * 20,
                                                 "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})  # fmt: skip
        answer = connection.getresponse()
        answer.read()
        ids.append(answer.headers["X-Request-ID"])
    assert all(UUID.fullmatch(each) for each in ids)
    assert slot.headers["X-Request-ID"] == ids[0] != ids[1]
    assert slot.headers["traceparent"] == "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    for each, path in zip(ids, ("/", "/metrics"), strict=True):
        assert [said["path"] for said in edge.lines(request=each)] == [path]


@pytest.mark.parametrize(("given", "taken"), [("trace-0123456789", True), ("short", False), ("a b c d e f g", False)])
def test_a_proxy_gives_the_id_of_a_request_where_it_is_one(proxied, given, taken):
    edge, slot = proxied
    edge.ask(Host="hub.example.edu", X_Request_ID=given, X_Forwarded_For=f"203.0.113.{len(given)}")
    assert (slot.headers["X-Request-ID"] == given) is taken


@pytest.mark.parametrize(("path", "fields"), [
    ("/broken?_authenticator=x", {}), ("/broken?a=1&%5Fauthenticator=x", {}), ("/broken?_%61uthenticator=x", {}),
    ("/broken?_AUTHENTICATOR", {}), ("/broken", {"X_CSRF_TOKEN": "x"}),
    ("/broken?delete:method=x", {}), ("/broken?a=b&:default_%61ction=x", {}),
])  # fmt: skip
def test_a_get_that_writes_is_never_asked_twice(tmp_path, path, fields):
    with site(tmp_path) as (edge, slot):
        connection = edge.connect()
        slot.broken = path
        answer = ask(connection, path, **fields)
        assert (answer.status, slot.seen) == (502, [("GET", path)])


def test_a_client_that_asks_too_much_is_told_when_to_come_back_and_no_other_client_is(proxied):
    edge, _ = proxied
    connection = edge.connect()

    def asked(client: str) -> tuple[int, str | None]:
        connection.request("GET", "/", headers={"Host": "hub.example.edu", "X-Forwarded-For": f"1.2.3.4, {client}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Retry-After"]

    answers = [asked("192.0.2.77") for _ in range(12)]
    assert answers == [(200, None)] * 10 + [(429, "10")] * 2
    assert asked("192.0.2.78") == asked("2001:db8::78") == (200, None)


@pytest.mark.parametrize("path", ["/plone/@login", "/plone/%40login", "/plone/login", "/plone/failsafe_login/",
                                  "/api/v1/login", "/plone/++api++/@login", "/plone/@login/.", "/plone/login/./",
                                  "/plone/failsafe_login_form", "/plone?login:m%65thod=1"])  # fmt: skip
def test_attempts_to_log_in_have_a_limit_of_their_own(proxied, path):
    edge, _ = proxied
    network = f"2001:db8:1:{zlib.crc32(path.encode()) % 65536:x}:"
    clients = itertools.count(1)

    def asked(path: str, method: str = "POST") -> int:
        client = f"{network}:{next(clients)}"
        return edge.ask(path, method=method, Host="hub.example.edu", X_Forwarded_For=client).status

    assert [asked(path) for _ in range(4)] == [200, 200, 429, 429]
    assert asked("/plone", "GET") == 200


def test_the_hosts_own_checks_have_no_limit(tmp_path):
    limits = {"edge_client_requests_per_second": 1, "edge_client_logins_per_minute": 1, "edge_client_connections": 1}
    with site(tmp_path, **limits) as (edge, _):
        assert {edge.ask().status for _ in range(30)} == {200}


def test_whatever_waits_inside_ends_before_the_edge_gives_up():
    """Of the settings as they are by default: the queue and Plone's silence, after a connection to it."""
    inside = described_environment()
    reads = TOGETHER_TIMES * inside["EDUHUB_PLONE_READ_WAIT_SECONDS"]
    queue = max(reads, inside["EDUHUB_PLONE_WRITE_WAIT_SECONDS"])
    longest = queue + inside["EDUHUB_PLONE_CONNECT_SECONDS"] + inside["EDUHUB_PLONE_SECONDS"]
    assert longest + 5 <= value("edge_server_seconds")
    assert value("edge_keep_alive_seconds") < value("edge_client_seconds") <= value("edge_server_seconds")


def described_environment() -> dict[str, float]:
    from settings.described import described, every  # noqa: PLC0415 - by the path that tests of settings add

    return {name: each.told["default"] for name, each in every(described()).items()
            if isinstance(each.told.get("default"), int | float)}  # fmt: skip


WRITES = [("POST", "/x", {}), ("PUT", "/x", {}), ("PATCH", "/x", {}), ("DELETE", "/x", {}), ("PROPPATCH", "/x", {}),
          ("DELETE", "/x/@querystring-search", {}),
          ("GET", "/x?%5Fauthenticator=y", {}), ("GET", "/x?y:method=1", {}),
          ("GET", "/x", {"X-CSRF-TOKEN": "y"})]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "fields"), WRITES)
def test_in_maintenance_writes_are_refused_with_the_reason_and_reads_go_on(plain, method, path, fields):
    edge, slot = plain
    proxy = Proxy(edge.folder / "run/edge/admin.sock", f"{edge.folder}/maps")
    connection = edge.connect()

    def asked(method: str, path: str, fields: dict[str, str]) -> tuple[int, str | None, str]:
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        body = answer.read().decode()
        return answer.status, answer.headers["Retry-After"], body

    proxy.set_writes(maintenance_value('Until 18:00; "Plone 6.1" & more\u2026'), 5)
    try:
        status, again, body = asked(method, path, fields)
        document = json.loads(body)
        assert (status, again, document["status"]) == (503, "120", 503)
        assert document["detail"].endswith('at the moment. Until 18:00; "Plone 6.1" & more\u2026')
        reads = [("GET", "/x"), ("HEAD", "/x"), ("PROPFIND", "/x"), ("POST", "/x/@querystring-search?a=b")]
        assert [asked(*read, {})[0] for read in reads] == [200] * len(reads)
        proxy.set_writes(maintenance_value("<b>Until 18:00</b> & more"), 5)
        status, again, page = asked(method, path, {**fields, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert (status, again) == (503, "120")
        assert "Maintenance: nothing can be written at the moment. &lt;b>Until 18:00&lt;/b> &amp; more</p>" in page
    finally:
        proxy.set_writes(maintenance_value(None), 5)
    slot.seen.clear()
    assert asked("POST", "/x", {})[0] == 200


def test_maintenance_outlives_a_haproxy_that_restarts(tmp_path):
    edge = Edge(tmp_path)
    path = edge.write()
    (tmp_path / "maps/maintenance.map").write_text(f"writes {maintenance_value('x')}\n")
    with edge.started(path):
        assert edge.ask(method="POST").status == 503
