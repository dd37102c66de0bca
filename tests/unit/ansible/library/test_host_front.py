"""What a front host serves, and what would stop it."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import pytest

from library import host_front as module
from module_utils.host_front import (
    MARK,
    answer,
    arrivals,
    interfaces_of,
    objections,
    patched,
    requests,
    sentence,
    servers,
    version_of,
)

ADDRESSES = """[
  {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
  {"ifname": "eth1", "addr_info": [{"local": "192.0.2.21"}, {"local": "2001:db8::21"}]}
]"""
ANY = "0.0.0.0"  # noqa: S104
STATISTICS = """# pxname,svname,status,check_status
public,FRONTEND,OPEN,
bridges,bridge-1,UP,L7OK
bridges,bridge-2,DOWN,L4CON
bridges,bridge-3,UP,INI
bridges,BACKEND,UP,
"""


def asked(**given: Any) -> dict[str, Any]:
    return {
        "stack": "eduhub", "image": "eduhub/edge:1", "address": "192.0.2.21", "virtual_addresses": ["192.0.2.10/24"],
        "public": ANY, "port": 80, "names": ["hub.example.edu"], "bridges": ["bridge-1"],
        "bridge_addresses": ["192.0.2.11"], "unreachable": [], "bridges_too": False,
        "acme": "", **given,
    }  # fmt: skip


def test_each_address_has_its_interface():
    found = interfaces_of(ADDRESSES)
    assert found == {"127.0.0.1": "lo", "192.0.2.21": "eth1", "2001:db8::21": "eth1"}
    assert interfaces_of("no JSON") == {}


@pytest.mark.parametrize(
    ("given", "keepalived", "codes"),
    [
        ({}, "", []),
        ({"address": "2001:DB8::21", "virtual_addresses": ["2001:db8::10/64"], "public": "::",
          "bridge_addresses": ["2001:db8::11"]}, "", []),
        ({"address": "[2001:db8::21]"}, "", ["front_address_unknown"]),
        ({"bridge_addresses": ["bridge-1.example.edu"]}, "", ["front_bridge_address_unknown"]),
        ({"bridge_addresses": ["2001:db8::11"]}, "", ["front_bridge_address_unknown"]),
        ({"virtual_addresses": ["2001:db8::10/64"], "public": "::"}, "", ["front_virtual_address_family"]),
        ({"virtual_addresses": ["192.0.2.10/24", "2001:db8::10/64"]}, "", ["front_address_bound"]),
        ({}, f"# {MARK}, stack eduhub-test", ["keepalived_in_use"]),
        ({}, f"# {MARK}, stack eduhub", []),
        ({"virtual_addresses": [], "public": "192.0.2.21"}, "vrrp_instance other {}", []),
        ({"address": "bridge.example.edu"}, "", ["front_address_unknown"]),
        ({"address": "192.0.2.99"}, "", ["front_address_not_here"]),
        ({"bridges": []}, "", ["front_bridges_missing"]),
        ({"unreachable": ["bridge-1"]}, "", ["front_bridge_loopback"]),
        ({"bridges_too": True}, "", ["front_also_bridge"]),
        ({"names": []}, "", ["front_names_missing"]),
        ({"acme": "https://acme.example/directory"}, "", ["front_acme"]),
        ({"virtual_addresses": ["192.0.2.10"]}, "", ["front_virtual_address_invalid"]),
        ({"public": "192.0.2.21"}, "", ["front_address_bound"]),
        ({}, "vrrp_instance other {}", ["keepalived_in_use"]),
        ({"names": [], "bridges": []}, "", ["front_bridges_missing", "front_names_missing"]),
    ],
)  # fmt: skip
def test_what_would_stop_a_front_host_is_told_all_at_once(given, keepalived, codes):
    found = list(objections(asked(**given), interfaces_of(ADDRESSES), keepalived))
    assert [each["code"] for each in found] == codes
    assert answer(found, 2, "", {})["exit"] == (2 if codes else 0)


def test_what_haproxy_says_of_bridge_hosts_is_said_in_a_sentence():
    bridges = servers(STATISTICS)
    assert bridges == {"bridge-1": "UP", "bridge-2": "DOWN", "bridge-3": "not asked yet"}
    state = {"active": True, "draining": False, "bridges": bridges}
    assert sentence(state) == (
        "This host has the site's addresses. 1 of 3 bridge hosts get requests; bridge-2 is DOWN, "
        "bridge-3 is not asked yet."
    )
    assert sentence({**state, "draining": True}).startswith("This host has the site's addresses. It is drained. 1 of 3")
    assert sentence({**state, "bridges": {}}) == "HAProxy does not answer on its admin socket."


def test_what_is_not_as_deployed_is_a_finding(monkeypatch):
    files = {"/etc/eduhub/edge/haproxy.cfg": "edited", "/etc/eduhub/edge/haproxy.cfg.sha1": sha1(b"").hexdigest()}  # noqa: S324
    programs = {"inspect": "running sha256:1\n", "image": "sha256:2\n"}
    monkeypatch.setattr(module, "text_of", lambda path: files.get(str(path), ""))
    monkeypatch.setattr(module, "printed", lambda *words: programs[words[1]])
    monkeypatch.setattr(module, "answers", lambda *_: False)
    state = {"active": False, "draining": False, "keepalived": False, "bridges": {"bridge-1": "DOWN"}}
    found = [each["code"] for each in module.differences(asked(), state)]
    assert found == [
        "front_image", "edge_configuration_edited", "front_alone", "keepalived_stopped", "front_address_lost",
    ]  # fmt: skip
    drained = [each["code"] for each in module.differences(asked(), {**state, "draining": True})]
    assert drained == found[:-1]


def test_a_front_host_as_it_was_deployed_has_no_finding(monkeypatch):
    files = {"/etc/eduhub/edge/haproxy.cfg": "", "/etc/eduhub/edge/haproxy.cfg.sha1": f"{sha1(b'').hexdigest()}\n"}  # noqa: S324
    programs = {"inspect": "running sha256:1\n", "image": "sha256:1\n"}
    monkeypatch.setattr(module, "text_of", lambda path: files[str(path)])
    monkeypatch.setattr(module, "printed", lambda *words: programs[words[1]])
    state = {"active": True, "draining": False, "keepalived": True, "bridges": {"b": "UP"}}
    assert list(module.differences(asked(), state)) == []


def test_what_an_update_of_packages_changed_is_told_as_of_a_bridge_host():
    before = {"kernel": "6.1.0-25-amd64", "engine": "20.10.24", "haproxy": "2.6.12"}
    after = {**before, "kernel": "6.1.0-27-amd64"}
    told, fields = patched({"versions": before, "updates": 1, "rebooted": True}, after)
    assert told == (
        "The host serves. 1 package updated, rebooted: kernel 6.1.0-25-amd64 -> 6.1.0-27-amd64; "
        "Docker Engine 20.10.24; HAProxy 2.6.12."
    )
    assert fields == {"updated": 1, "rebooted": True, "before": before, "after": after, "ended": True}
    assert (version_of("Name: HAProxy\nVersion: 2.6.12-1\n"), version_of("")) == ("2.6.12-1", "")


def test_requests_are_told_apart_by_the_address_that_they_came_by():
    sessions = """0x55d0: [30/Nov/2026:15:28:07.497505] id=1 proto=tcpv4 source=172.18.0.1:44618
  flags=0xc4a, conn_retries=0
  frontend=public (id=2 mode=http), listener=? (id=1) addr=192.0.2.10:80
  backend=bridges (id=6 mode=http) addr=192.0.2.21:37048
0x55d1: [30/Nov/2026:15:28:07.497505] id=2 proto=tcpv6 source=::ffff:172.18.0.1:44618
  frontend=public (id=2 mode=http), listener=? (id=1) addr=::ffff:192.0.2.10:80
0x55d2: [30/Nov/2026:15:28:07.497505] id=3 proto=tcpv4 source=172.18.0.1:44620
  frontend=public (id=2 mode=http), listener=? (id=1) addr=192.0.2.21:80
  backend=bridges (id=6 mode=http) addr=192.0.2.10:37048
0x55d3: [30/Nov/2026:15:28:09.297929] id=4 proto=unix_stream source=unix:1
  frontend=GLOBAL (id=0 mode=tcp), listener=? (id=1) addr=unix:1
"""
    assert arrivals(sessions) == ["192.0.2.10", "192.0.2.10", "192.0.2.21"]
    assert arrivals(sessions.replace("::ffff:192.0.2.10:", "2001:db8::ffff:10:"))[1] == "2001:db8::ffff:10"


def test_requests_that_are_not_over_are_told_from_those_that_ended_lately():
    table = """# table: inflight, type: string, size:8000, used:3
0x55: key=192.0.2.1:41440\\ /a use=1 exp=9000 conn_cur=1
0x56: key=192.0.2.1:41441\\ /b use=0 exp=8000 conn_cur=0
0x57: key=192.0.2.1:41442\\ /c use=0 exp=100 conn_cur=0
"""
    assert requests(table) == (1, 2)
    assert requests("# table: inflight, type: string, size:8000, used:0\n") == (0, 0)
