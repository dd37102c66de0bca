"""HAProxy accepts what role edge renders, and does with it what the rollout relies on."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from tests.templates.edge import Edge, Slot, ask, haproxy

pytestmark = pytest.mark.slow

# A front host and the two bridge hosts behind it.
FRONT = {
    "groups": {"front": ["here"], "bridge": ["b1", "b2"]},
    "hostvars": {"here": {}, "b1": {"ansible_host": "192.0.2.11"}, "b2": {"front_host_address": "192.0.2.12"}},
    "front_host_address": "127.0.0.1",
}  # fmt: skip
FRONT_IPV6 = FRONT | {
    "hostvars": {"here": {}, "b1": {"ansible_host": "2001:db8::11"}, "b2": {"front_host_address": "2001:db8::12"}},
    "front_host_address": "2001:db8::5",
}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {}, {"edge_address": "0.0.0.0", "edge_port": 80}, {"eduhub_stack": "other", "edge_wait_seconds": 0},  # noqa: S104 - as an inventory says it
        {"edge_trusted_proxies": ["192.0.2.1", "2001:db8::/32"]}, {"edge_address": "[::]"},
        {"edge_address": "127.0.0.1, ::1, 192.0.2.7"}, {"edge_address": "0.0.0.0,::"}, FRONT, FRONT_IPV6,
    ],
    ids=[
        "default", "all addresses", "another stack", "behind proxies", "IPv6", "addresses", "all, by kind",
        "front host", "front host of IPv6",
    ],
)  # fmt: skip
def test_haproxy_accepts_the_configuration(tmp_path, given):
    path = Edge(tmp_path).write(**given)
    done = subprocess.run([*haproxy(tmp_path), "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "WARNING" in line or "ALERT" in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge")).running(edge_wait_seconds=60) as edge:
        yield edge


@pytest.fixture
def edge(running: Edge) -> Edge:
    """HAProxy with all traffic on blue."""
    running.move(0)
    return running


@pytest.fixture
def blue(running: Edge) -> Iterator[Slot]:
    slot = Slot("blue", running.folder / "run/blue/bridge.sock")
    yield slot
    slot.close()
    (running.folder / "run/blue/bridge.sock").unlink()


@pytest.fixture
def green(running: Edge) -> Iterator[Slot]:
    slot = Slot("green", running.folder / "run/green/bridge.sock")
    yield slot
    slot.close()
    (running.folder / "run/green/bridge.sock").unlink()


@pytest.mark.usefixtures("blue", "green")
def test_one_number_moves_all_traffic_also_on_a_connection_that_is_open(edge):
    connection = edge.connect()
    assert (ask(connection).body, ask(connection).body) == ("blue", "blue")
    edge.move(100)
    assert [ask(connection).body for _ in range(20)] == ["green"] * 20
    edge.move(0)
    assert [ask(connection).body for _ in range(20)] == ["blue"] * 20


@pytest.mark.usefixtures("blue", "green")
def test_a_share_is_shared(edge):
    edge.move(50)
    connection = edge.connect()
    bodies = [ask(connection).body for _ in range(200)]
    assert 50 < bodies.count("green") < 150  # seven standard deviations


@pytest.mark.usefixtures("blue")
def test_an_answer_says_slot_and_release_whatever_the_bridge_says(edge):
    answer = edge.ask()
    assert (answer.slot, answer.release) == ("blue", "release-b")


@pytest.mark.usefixtures("blue", "green")
def test_a_private_endpoint_leads_to_its_slot_wherever_traffic_goes(edge):
    assert (edge.ask(port="edge_green_port").body, edge.ask(port="edge_blue_port").body) == ("green", "blue")


@pytest.mark.usefixtures("blue")
def test_where_nobody_listens_no_slot_is_named(edge):
    answer = edge.ask(port="edge_green_port")
    assert (answer.status, answer.slot, answer.release) == (503, None, None)


def test_a_client_cannot_speak_as_the_edge(edge, blue):
    edge.ask(X_EduHub_Release="mine", X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https", X_Request_ID="mine-mine",
             Host="localhost")  # fmt: skip
    ours = {name.lower(): value for name, value in blue.headers.items() if name.lower().startswith("x-")}
    assert ours.pop("x-request-id") != "mine-mine"
    assert ours == {
        "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "localhost",
    }  # fmt: skip


@pytest.mark.parametrize(("proxies", "given", "told"), [
    (["127.0.0.0/8"], {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "hub.example"},
     ("https", "hub.example", ["192.0.2.1", "127.0.0.1"])),
    (["127.0.0.0/8"], {"Host": "hub.example"}, ("http", "hub.example", ["127.0.0.1"])),
    (["192.0.2.0/24"], {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "a.example",
                        "Host": "hub.example"}, ("http", "hub.example", ["127.0.0.1"])),
], ids=["a proxy", "a proxy that says nothing", "somebody else"])  # fmt: skip
def test_only_a_trusted_proxy_says_whom_it_speaks_for(tmp_path, proxies, given, told):
    edge = Edge(tmp_path)
    with edge.running(edge_trusted_proxies=proxies, edge_hosts=["hub.example"]):
        slot = Slot("blue", tmp_path / "run/blue/bridge.sock")
        edge.ask(**given)
        slot.close()
    seen = slot.headers
    addresses = ",".join(seen.get_all("X-Forwarded-For")).replace(" ", "").split(",")
    assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Host"], addresses) == told


METRICS = ["/metrics", "/metrics?x", "/METRICS", "/metrics/", "//metrics", "/%6detrics", "/./metrics", "/.//metrics;a",
           "/metrics%0a", "/metrics/..", "/plone/../metrics", "/plone/%2e%2e/metrics", "/a/../b/metrics"]  # fmt: skip


@pytest.mark.parametrize("path", METRICS)
def test_metrics_are_not_for_the_public_in_any_spelling(edge, blue, path):
    assert (edge.ask(path).status, blue.seen) == (404, [])


def test_metrics_are_for_the_doors_and_their_name_is_free_below(edge, blue):
    edge.ask("/metrics", port="edge_blue_port")
    edge.ask("/plone/metrics")
    assert blue.seen == [("GET", "/metrics"), ("GET", "/plone/metrics")]


def test_reading_is_asked_again_when_a_bridge_hangs_up(edge, blue):
    assert edge.ask("/broken").status == 200
    assert blue.seen == [("GET", "/broken")] * 2


def test_who_meets_a_slot_that_crashed_waits_until_it_is_back(edge):
    path = edge.folder / "run/blue/bridge.sock"
    Slot("blue", path).close()  # as after kill -9: the socket is there, and nobody listens
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(edge.ask, method=method) for method in ("GET", "POST")]
        edge.until_waiting("blue", 2)
        assert [asked.done() for asked in waiting] == [False, False]
        path.unlink()
        back = Slot("blue", path)
        answers = [asked.result(timeout=60) for asked in waiting]
    back.close()
    path.unlink()
    assert [(answer.status, answer.slot, answer.body) for answer in answers] == [(200, "blue", "blue")] * 2


def test_who_waits_for_a_slot_goes_where_traffic_goes_meanwhile(edge, green):
    path = edge.folder / "run/blue/bridge.sock"
    Slot("blue", path).close()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(edge.ask)
        edge.until_waiting("blue", 1)
        edge.move(100)
        answer = waiting.result(timeout=60)
    path.unlink()
    assert (answer.status, answer.slot, answer.body, len(green.seen)) == (200, "green", "green", 1)


def test_writing_is_never_asked_twice(edge, blue):
    assert edge.ask("/broken", method="POST").status == 502
    assert blue.seen == [("POST", "/broken")]


@pytest.mark.usefixtures("blue")
def test_a_gate_sees_the_first_answer(edge):
    assert edge.ask("/broken", port="edge_blue_port").status == 502


@pytest.mark.usefixtures("blue", "green")
def test_a_bridge_that_speaks_tcp_is_reached_once_the_map_says_so(edge):
    published = Slot("tcp", edge.ports["edge_green_published_port"])
    said = edge.tell(f"set map {edge.folder}/maps/transport.map green tcp").strip()
    bodies = edge.ask(port="edge_green_port").body, edge.ask(port="edge_blue_port").body
    edge.tell(f"set map {edge.folder}/maps/transport.map green socket")
    published.close()
    assert (said, bodies) == ("", ("tcp", "blue"))


@pytest.mark.usefixtures("blue")
@pytest.mark.parametrize(
    ("method", "path", "port", "status"),
    [
        ("GET", "/metrics", "edge_port", 404), ("POST", "/broken", "edge_port", 502),
        ("GET", "/", "edge_green_port", 503),
    ],
)  # fmt: skip
def test_what_the_edge_says_itself_is_a_problem_document(edge, method, path, port, status):
    connection = edge.connect(port)
    connection.request(method, path)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    assert (answer.status, document["status"], document["type"]) == (status, status, "about:blank")
    assert (document["title"], bool(document["detail"])) == (HTTPStatus(status).phrase, True)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


def test_statistics_have_an_address_of_their_own(edge):
    assert "haproxy_process_uptime_seconds" in edge.ask("/metrics", port="edge_statistics_port").body
    assert "Statistics Report" in edge.ask("/", port="edge_statistics_port").body


def test_a_haproxy_that_starts_goes_by_the_file(tmp_path):
    with Edge(tmp_path).running(green=100) as edge:
        slot = Slot("green", tmp_path / "run/green/bridge.sock")
        assert edge.ask().body == "green"
        slot.close()


def by_address(edge: Edge, address: str) -> int:
    """Return the status of the public's answer at one of the host's addresses."""
    connection = http.client.HTTPConnection(address, edge.ports["edge_port"], timeout=60)
    connection.request("GET", "/metrics")
    return connection.getresponse().status


@pytest.mark.parametrize("given", ["::", "[::]", "::1,127.0.0.1", "0.0.0.0,::"])
def test_the_public_is_answered_on_every_address_that_is_set(tmp_path, given):
    with Edge(tmp_path).running(edge_address=given) as edge:
        assert [by_address(edge, address) for address in ("127.0.0.1", "::1")] == [404, 404]
