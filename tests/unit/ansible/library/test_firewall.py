"""What nftables does to containers, from what `nft --json list ruleset` prints."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from module_utils.host_readiness import firewall
from module_utils.host_readiness.findings import notes
from module_utils.host_readiness.model import Firewall, Network
from tests.unit.ansible.library.hosts import FINE, REQUIRED

OURS = Network(("172.19.0.0/16",), 1500, "br-bebde42b2b6c")
CAMPUS = "chain forward of table inet filter"


def chain(policy: str, family: str = "inet", table: str = "filter", hook: str = "forward") -> dict[str, Any]:
    base = {"family": family, "table": table, "name": hook, "type": "filter", "hook": hook, "prio": 0, "policy": policy}
    return {"chain": base}


def rule(*expressions: Any, family: str = "inet", table: str = "filter") -> dict[str, Any]:
    return {"rule": {"family": family, "table": table, "chain": "forward", "expr": list(expressions)}}


def match(meta: str, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": meta}}, "right": right}}


ACCEPT = {"accept": None}
# As the engine writes them through iptables: its chain of the same hook drops too, and is its own.
DOCKERS = [
    chain("drop", "ip", "filter"),
    rule(match("oifname", "br-bebde42b2b6c"), ACCEPT, family="ip"),
    rule({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                    "right": {"prefix": {"addr": "172.19.0.0", "len": 16}}}}, {"masquerade": None},
         family="ip", table="nat"),
]  # fmt: skip
WIDE = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                  "right": {"set": [{"prefix": {"addr": "172.16.0.0", "len": 12}}]}}}  # fmt: skip
RULESETS = {
    "the engine's own": (DOCKERS, Firewall((), False, OURS.interface)),
    "a firewall of incoming traffic": ([*DOCKERS, chain("drop", hook="input")], Firewall((), False, OURS.interface)),
    "one of what is forwarded": ([*DOCKERS, chain("drop")], Firewall((CAMPUS,), False, OURS.interface)),
    "one that knows other interfaces": (
        [*DOCKERS, chain("drop"), rule(match("iifname", "wg0"), ACCEPT)], Firewall((CAMPUS,), False, OURS.interface),
    ),
    "one that knows Docker's": (
        [*DOCKERS, chain("drop"), rule(match("iifname", "br-*"), ACCEPT)], Firewall((), False, OURS.interface),
    ),
    "one that knows its addresses": (
        [*DOCKERS, chain("drop"), rule(WIDE, ACCEPT)], Firewall((), False, OURS.interface),
    ),
    "one that accepts": ([*DOCKERS, chain("accept")], Firewall((), False, OURS.interface)),
    "a flushed one": ([chain("drop")], Firewall((CAMPUS,), True, OURS.interface)),
    "none": ([], Firewall((), True, OURS.interface)),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "seen"), RULESETS.values(), ids=RULESETS)
def test_what_cuts_containers_off_is_seen(entries, seen):
    assert firewall.judged(json.dumps({"nftables": [{"metainfo": {}}, *entries]}), OURS, iptables=True) == seen


def test_nothing_is_missed_where_the_engine_writes_no_rules_or_is_not_there_yet():
    ruleset = json.dumps({"nftables": [chain("drop")]})
    assert firewall.judged(ruleset, OURS, iptables=False) == Firewall((CAMPUS,), False, OURS.interface)
    assert firewall.judged(ruleset, None, iptables=True) == Firewall((CAMPUS,), False, "")


@pytest.mark.parametrize("printed", ["", "{}", "[]", "Error: no such thing"])
def test_what_is_no_ruleset_says_nothing(printed):
    assert firewall.judged(printed, OURS, iptables=True) == Firewall()


def test_the_notes_name_chain_interface_and_what_to_do():
    cut, forgotten = notes(replace(FINE, firewall=Firewall((CAMPUS,), True, "br-1")), REQUIRED)
    assert [word for word in (CAMPUS, "br-1", 'iifname "br-*" accept') if word not in cut] == []
    assert "systemctl restart docker" in forgotten
