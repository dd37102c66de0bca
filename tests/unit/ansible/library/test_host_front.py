"""What a front host serves, and what would stop it."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import pytest

from library import host_front as module
from module_utils.host_front import MARK, answer, interfaces_of, objections, sentence, servers

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
    state = {"active": True, "bridges": bridges}
    assert sentence(state) == (
        "This host has the site's addresses. 1 of 3 bridge hosts get requests; bridge-2 is DOWN, "
        "bridge-3 is not asked yet."
    )
    assert sentence({**state, "bridges": {}}) == "HAProxy does not answer on its admin socket."


def test_what_is_not_as_deployed_is_a_finding(monkeypatch):
    files = {"/etc/eduhub/edge/haproxy.cfg": "edited", "/etc/eduhub/edge/haproxy.cfg.sha1": sha1(b"").hexdigest()}  # noqa: S324
    programs = {"inspect": "running sha256:1\n", "image": "sha256:2\n", "is-active": "inactive\n"}
    monkeypatch.setattr(module, "text_of", lambda path: files.get(str(path), ""))
    monkeypatch.setattr(module, "printed", lambda *words: programs[words[1]])
    monkeypatch.setattr(module, "answers", lambda *_: False)
    state = {"active": False, "bridges": {"bridge-1": "DOWN"}}
    found = [each["code"] for each in module.differences(asked(), state)]
    assert found == [
        "front_image", "edge_configuration_edited", "front_alone", "keepalived_stopped", "front_address_lost",
    ]  # fmt: skip


def test_a_front_host_as_it_was_deployed_has_no_finding(monkeypatch):
    files = {"/etc/eduhub/edge/haproxy.cfg": "", "/etc/eduhub/edge/haproxy.cfg.sha1": f"{sha1(b'').hexdigest()}\n"}  # noqa: S324
    programs = {"inspect": "running sha256:1\n", "image": "sha256:1\n", "is-active": "active\n"}
    monkeypatch.setattr(module, "text_of", lambda path: files[str(path)])
    monkeypatch.setattr(module, "printed", lambda *words: programs[words[1]])
    assert list(module.differences(asked(), {"active": True, "bridges": {"b": "UP"}})) == []
