"""What the tests of several rooms of the bridge need."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.unit.bridge.process import Answer, Process

TRICKS = [
    "/plone/..", "/plone/../metrics", "/plone/a/../b", "/plone/%2e%2e/x", "/plone/.%2E/x", "/plone/a%2f..%2fb",
    "/plone/%252e%252e/x", "/plone/%25252e./x", "/plone/VirtualHostBase/http/evil:80/Plone/VirtualHostRoot/x",
    "/plone/x/VirtualHostRoot", "/plone/%56irtualHostRoot/x", "/plone/_vh_evil/x", "/plone/a%2F_vh_evil",
    "/plone/%5fvh_x", "/plone/++vh++http:evil:80/++/x", "/plone/%2b+vh++http:evil:80",
    "/plone/" + "%25" * 9 + "%25252541",
    # Zope appends such names, or their values, to the path: see upstream/directives.
    "/plone/login?../../../../../../https/evil:443/Plone/VirtualHostRoot/_vh_plone/login:method=1",
    "/plone/?..%2f..%2f..%2frootdoc:method=1", "/plone/?a=b&:method=..%2f..%2fx", "/plone/?%2e./x%3Aaction=1",
    "/plone/?x/%2e%2e/y:default_%6dethod=1", "/plone/?:default_action=/x", "/plone/?../x:int:method:list=1",
    "/plone/?../x:method.x=1", "/plone/?:method:utf_7=%2BAC4-%2BAC4-/x", "/plone/?a;../x:method=1",
    "/plone/?VirtualHostRoot/x:method=", "/plone/?a/_vh_evil/x:method=", "/plone/?%2b%2bvh%2b%2bhttp:evil:80:method=1",
]  # fmt: skip
USER = "Authorization: Basic eA=="


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what `what` returns once it is true; the seconds bound only a failure."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return found


def metric(bridge: Process, name: str, **labels: str) -> float:
    """Return a number of the page /metrics."""
    wanted = "".join(f'{label}="{text}"' for label, text in labels.items())
    for line in bridge.get("/metrics").body.decode().splitlines():
        if line.startswith(name) and (not wanted or f"{{{wanted}}}" in line):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"there is no {name} {labels}")


def send(
    bridge: Process, target: str, *fields: str, method: str = "GET", body: bytes = b"", host: str = "b"
) -> socket.socket:
    """Send a request and return the connection, nothing read."""
    connection = bridge.connect()
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", ""]
    connection.sendall("\r\n".join(head).encode() + body)
    return connection


def all_at_once(bridge: Process, count: int, method: str, target: str, *fields: str) -> list[Answer]:
    """Return the answers to `count` requests that are sent together."""
    with ThreadPoolExecutor(count) as clients:
        return list(clients.map(lambda n: bridge.get(f"{target}?{n}", *fields, method=method), range(count)))


def is_problem(answer: Answer, status: int) -> str:
    """Return the detail of an answer that must be a problem document."""
    document = answer.json()
    assert (answer.status, document["status"], document["type"]) == (status, status, "about:blank")
    assert answer.field("content-type") == ["application/problem+json"]
    assert answer.field("cache-control") == ["no-store"]
    assert len(answer.field("date")) == 1
    return document["detail"]
