"""A front host tells the bridge hosts behind it for whom each request is, whatever proxies stand before it."""

from __future__ import annotations

import pytest

from eduhub_bridge.upstream.headers import address
from tests.templates.edge import Edge, Slot

NAME = "hub.example.edu"
LOCAL = "127.0.0.1"
PUBLIC = "198.51.100.7"


@pytest.mark.parametrize(("proxies", "given", "client"), [
    (["127.0.0.0/8"], {"X_Forwarded_For": PUBLIC}, PUBLIC),
    (["127.0.0.0/8"], {"X_Forwarded_For": f"203.0.113.1, {PUBLIC}"}, PUBLIC),
    (["127.0.0.0/8"], {"X_Forwarded_For": "unknown"}, LOCAL),
    (["127.0.0.0/8"], {}, LOCAL),
    ([], {"X_Forwarded_For": PUBLIC}, LOCAL),
], ids=["a proxy", "two proxies", "a proxy that names no address", "a proxy that says nothing",
        "no proxy"])  # fmt: skip
def test_the_client_is_known(tmp_path, proxies, given, client):
    host, front = Edge(tmp_path), Edge(tmp_path / "f")  # the paths of sockets are limited
    fronts = {"front": ["here"], "bridge": ["behind"]}
    with host.running(edge_hosts=[NAME], groups=fronts | {"front": ["before"]},
                      hostvars={"before": {"front_host_address": LOCAL}}):  # fmt: skip
        slot = Slot("blue", tmp_path / "run/blue/bridge.sock")
        behind = {"front_host_address": LOCAL, "edge_port": host.ports["edge_port"]}
        hostvars = {"here": {"front_host_address": LOCAL}, "behind": behind}
        with front.running(edge_hosts=[NAME], edge_trusted_proxies=proxies, groups=fronts, hostvars=hostvars,
                           front_host_address=LOCAL):  # fmt: skip
            assert front.ask(Host=NAME, **given).status == 200
        slot.close()
    told = ", ".join(slot.headers.get_all("X-Forwarded-For"))
    assert address(told) == client
    assert told.count(",") == 1  # the client, and the front host
