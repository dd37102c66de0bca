"""Index, health and metrics."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from eduhub_bridge import __version__
from tests.unit.bridge.helpers import USER
from tests.unit.bridge.process import PYTHON_VERSION


def test_the_index_says_where_to_go(bridge):
    answer = bridge.get("/")
    links = {"plone": "/plone/", "api": "/api/v1/openapi.json", "health": "/health"}
    assert (answer.status, answer.json()["links"]) == (200, links)
    assert bridge.get("/", method="HEAD").status == 200


@pytest.mark.parametrize("path", ["/robots.txt", "/favicon.ico"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_clients_look_for_at_the_top_only_is_found_below_the_site(bridge, path, method):
    answer = bridge.get(path, method=method)
    assert (answer.status, answer.field("location")) == (307, [f"/plone{path}"])


def test_liveness_does_not_depend_on_plone_and_readiness_says_why_not(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone")
    assert bridge.get("/health/live").status == 200
    ready = bridge.get("/health/ready")
    assert (ready.status, ready.field("content-type")) == (503, ["application/problem+json"])
    assert "cannot be reached" in ready.json()["detail"]
    assert bridge.get("/health").json()["status"] == "degraded"


def test_readiness_asks_plone_at_most_once_a_second(start, plone):
    bridge = start(plone.url)
    before, begun = plone.probes, time.monotonic()
    assert {bridge.get("/health/ready").status for _ in range(20)} == {200}
    assert 1 <= plone.probes - before <= 1 + (time.monotonic() - begun)


def test_a_plone_that_answers_with_an_error_is_not_ready(start, plone):
    plone.ok = 503
    refused = start(plone.url).get("/health/ready")
    plone.ok = 200
    assert (refused.status, refused.json()["detail"]) == (503, "Plone answers 503 on /Plone/ok.")


def test_a_plone_that_hangs_is_not_ready(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bridge = start(f"http://127.0.0.1:{silent.getsockname()[1]}/Plone", EDUHUB_READY_SECONDS="0.2")
        with ThreadPoolExecutor(4) as pollers:  # who asks while somebody else waits is told the same
            answers = list(pollers.map(lambda _: bridge.get("/health/ready"), range(4)))
        assert [answer.status for answer in answers] == [503] * 4
        assert all("within 0.2 s" in answer.json()["detail"] for answer in answers)


def test_a_scrape_asks_for_what_the_next_one_tells(start, plone):
    """The gauge is of Plone as it is, though nobody asks /health/ready."""
    bridge = start(plone.url)

    def becomes(value):
        deadline = time.monotonic() + 20
        while f"\neduhub_bridge_ready {value}\n" not in bridge.get("/metrics").body.decode():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    becomes("1.0")
    plone.ok = 503
    becomes("0.0")
    plone.ok = 200


def test_the_summary_says_what_runs_here(bridge):
    summary = bridge.get("/health").json()
    assert (summary["version"], summary["python"]) == (__version__, PYTHON_VERSION)
    assert summary["plone"] == {"ready": True, "why": None}
    assert summary["store"] == {"ready": True}


def test_metrics_count_by_template_method_and_status(start, plone):
    bridge = start(plone.url)
    for target in ("/plone/a", "/plone/b?x=1", "/plone/nothing", "/plone/hang-up", "/plone/..", "/x", "/health/ready"):
        bridge.get(target)
    bridge.get("/plone/a", method="PROPFIND")
    answer = bridge.get("/metrics")
    lines = answer.body.decode().splitlines()
    assert answer.field("content-type")[0].startswith("text/plain; version=")

    def value(name, **labels):
        (line,) = [each for each in lines if each.startswith(name + ("{" if labels else " "))
                   and all(f'{label}="{text}"' in each for label, text in labels.items())]  # fmt: skip
        return float(line.rpartition(" ")[2])

    requests = "eduhub_bridge_request_seconds_count"
    assert value(requests, route="/plone/{path}", method="GET", status="200", cache="miss") == 2
    bridge.get("/plone/a")
    bridge.get("/plone/a", USER)
    lines = bridge.get("/metrics").body.decode().splitlines()
    for cache, count in {"miss": 2, "hit": 1, "none": 1}.items():
        assert value(requests, route="/plone/{path}", method="GET", status="200", cache=cache) == count
    assert value(requests, route="/plone/{path}", method="GET", status="204") == 1
    assert value(requests, route="/plone/{path}", method="GET", status="400") == 1
    assert value(requests, route="/plone/{path}", method="GET", status="502") == 1
    assert value(requests, route="/plone/{path}", method="other", status="200") == 1
    assert value(requests, route="unknown", method="GET", status="404") == 1
    assert value(requests, route="/health/ready", method="GET", status="200", cache="none") == 1
    assert value("eduhub_bridge_plone_seconds_count", method="GET", status="200", feature="pages") == 2
    assert value("eduhub_bridge_plone_errors_total", kind="severed") == 1
    assert value("eduhub_bridge_plone_retries_total") == 1
    assert [value("eduhub_bridge_plone_in_flight", lane=lane) for lane in ("reads", "writes", "transfers")] == [0, 0, 0]
    assert value("eduhub_bridge_plone_queue", lane="reads") == 0
    assert [value("eduhub_bridge_plone_breaker", state=state) for state in ("closed", "half_open", "open")] == [1, 0, 0]
    assert value("eduhub_bridge_in_flight") == 1  # the one that asks
    assert value("eduhub_bridge_ready") == 1
    assert value("eduhub_bridge_build_info", python=PYTHON_VERSION) == 1
