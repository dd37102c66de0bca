"""Each broken host gets the finding that says so: a stable code, the value that was found, the next command."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.typed import refusal
from tests.unit.ansible.verify.observation import (
    RELEASE,
    SECRET,
    STATE,
    answer,
    container,
    lock,
    observed,
    permissions,
    silence,
)  # fmt: skip
from verify.findings import Finding, Untrue
from verify.observed import Observed

CHECKOUT = Path(__file__).resolve().parents[4]
SUITE = CHECKOUT / "ansible/verify"
REFERENCE = CHECKOUT / "docs/reference/verify.md"
MODULES = [importlib.import_module(f"verify.{path.stem}") for path in sorted(SUITE.glob("test_*.py"))]
CHECKS = [each for module in MODULES for name, each in vars(module).items() if name.startswith("test_")]
ROLLING = {"slot": "green", "release": "r2", "step": "shift", "run": "run-2"}


def findings(seen: Observed) -> Iterator[Finding]:
    """Yield what all checks find; those of containers are left out without an engine, as the suite does."""
    for check in CHECKS:
        fixtures = {"seen": seen, "containers": seen.containers}
        wanted = inspect.signature(check).parameters
        if "containers" in wanted and seen.report["engine_trouble"]:
            continue
        try:
            check(**{name: fixtures[name] for name in wanted})
        except Untrue as untrue:
            yield from untrue.findings


def codes(**changes: Any) -> list[str]:
    return [finding.code for finding in findings(observed(**changes))]


def test_a_host_in_order_has_no_finding():
    assert codes() == []


EDGE_DOWN = {
    "public": silence("/"), "forged": silence("/"), "metrics": [silence("/metrics")],
    "statistics": silence("http://127.0.0.1:8404/metrics"), "balancer": silence("/health/host"),
    "health": [silence("http://127.0.0.1:8101/health/ready")],
}  # fmt: skip
BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the engine is down": ({"engine_trouble": "Cannot connect", "containers": {}}, ["engine_unavailable"]),
    "the edge was stopped": (
        {**EDGE_DOWN, "containers__edge__status": "exited", "containers__edge__exit_code": 137},
        ["container_stopped", "edge_unavailable", "live_slot_unhealthy", "statistics_unavailable"],
    ),
    "the edge was removed": ({"containers": {"blue": observed().containers["blue"]}}, ["container_missing"]),
    "plone was just started": ({"containers__plone__health": "starting"}, []),
    "plone is unhealthy": ({"containers__plone__health": "unhealthy"}, ["plone_unhealthy"]),
    "plone's endpoint was stopped": ({"containers__plone-endpoint__status": "exited"}, ["container_stopped"]),
    "plone's endpoint was removed": (
        {"containers": {name: each for name, each in observed().containers.items() if name != "plone-endpoint"}},
        ["container_missing"],
    ),
    "plone's endpoint runs another image": ({"containers__plone-endpoint__image": "sha256:else"}, ["image_differs"]),
    "no slot answers": ({"public": answer("/", 503)}, ["edge_unavailable"]),
    "another slot answers": (
        {"public": answer("/", 200, **{"x-eduhub-slot": "green", "x-eduhub-release": "r2"})}, ["live_slot_differs"],
    ),
    "the slot runs another release": ({"containers__blue__release": "r0"}, ["release_differs", "slot_release_differs"]),
    "the slot runs another image": ({"containers__blue__image": "sha256:else"}, ["image_differs"]),
    "the slot runs another Python": ({"python": "3.9.2"}, ["python_differs"]),
    "the slot is not ready": ({"health": [answer("http://127.0.0.1:8101/health/ready", 503)]}, ["live_slot_unhealthy"]),
    "metrics are public": ({"metrics": [answer("//metrics", 200, contains=True)]}, ["metrics_public"]),
    "statistics hold no metrics": (
        {"statistics": answer("http://127.0.0.1:8404/metrics", 200)}, ["statistics_unavailable"],
    ),
    "a drained host tells nobody": ({"drain_map": ["draining", "1"]}, ["drain_mark_differs"]),
    "nobody drained what is told as drained": (
        {"balancer": answer("/health/host", 503, contains=True)}, ["drain_mark_differs"],
    ),
    "the host is drained": (
        {"drain_map": ["draining", "1"], "balancer": answer("/health/host", 503, contains=True)}, [],
    ),
    "the live slot is down for a balancer": ({"balancer": answer("/health/host", 503)}, []),
    "the edge was deployed before there was a drain": ({"drain_map": [], "balancer": answer("/health/host", 200)}, []),
    "a client names the slot": ({"forged": answer("/", 200, **{"x-eduhub-slot": "purple"})}, ["slot_header_forged"]),
    "the state is gone": ({"state": None, "state_before": None, "records": {}, "kept": {}}, [
        "state_unreadable", "slot_release_differs",
    ]),
    "a record is gone": ({f"records__{RELEASE}": None}, ["record_unreadable"]),
    "a slot has another name": ({"containers__red": container("red", slot="red", release="r0")}, ["slot_unknown"]),
    "the journal is gone": ({"journal": {"lines": 0, "incomplete": []}}, ["journal_empty"]),
    "the journal is cut": ({"journal": {"lines": 12, "incomplete": [12]}}, ["journal_incomplete"]),
    "haproxy would start with green": ({"traffic_map": ["green", "100"]}, ["traffic_map_differs"]),
    "haproxy.cfg was edited": ({"edge_configuration": True}, ["edge_configuration_edited"]),
    "haproxy has no map": ({"traffic_map": []}, ["traffic_map_differs"]),
    "an image may be pruned": ({"kept": {f"eduhub/kept:{RELEASE.lower()}": False}}, ["image_unprotected"]),
    "a lock was left": ({"lock": lock("deploy", 901)}, ["lock_orphaned"]),
    "a lock is of tomorrow": ({"lock": lock("deploy", -901)}, ["lock_orphaned"]),
    "a root is writable": ({"containers__edge__read_only": False}, ["root_writable"]),
    "a container is privileged": ({"containers__edge__privileged": True}, ["container_privileged"]),
    "capabilities are kept": ({"containers__edge__cap_drop": []}, ["capabilities_kept"]),
    "privileges can be gained": ({"containers__edge__security_opt": []}, ["privileges_gainable"]),
    "a container is root": ({"containers__edge__user": "0:0"}, ["container_root"]),
    "a container stays down": ({"containers__edge__restart": "no"}, ["no_restart"]),
    "a log grows": ({"containers__edge__log_max_size": None}, ["log_unbounded"]),
    "a slot shares the network": ({"containers__blue__network": "host"}, ["host_network"]),
    "the edge is apart": ({"containers__edge__network": "bridge"}, ["edge_network"]),
    "the engine is in reach": ({"containers__blue__mounts": ["/var/run/docker.sock"]}, ["engine_reachable"]),
    "a secret is readable": ({"files": {**observed().report["files"], SECRET: permissions(0, 0, 0o444)}}, [
        "secret_readable",
    ]),
    "a secret is shown": ({"exposed": [SECRET]}, ["secret_exposed"]),
    "a key is readable": (
        {"files": {**observed().report["files"], "/etc/eduhub/bridge/state_key": permissions(0, 10001, 0o444)}},
        ["file_permissions"],
    ),
    "the journal is not root's": (
        {"files": {**observed().report["files"], "/var/lib/eduhub/journal.jsonl": permissions(1000, 0, 0o644)}},
        ["file_permissions"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_host_is_found_where(broken):
    changes, expected = BROKEN[broken]
    assert sorted(codes(**changes)) == sorted(expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {**STATE, "rollout": ROLLING}, "lock": lock("upgrade", 3)},
        {"state": {**STATE, "rollout": ROLLING}, "lock": lock("upgrade", 901)},
        *({"lock": lock(verb, 890)} for verb in ("plone.backup", "host.patch", "deploy")),
        {
            "state": {**STATE, "rollout": {**ROLLING, "step": "confirm"}}, "state_before": None,
            "public": answer("/", 200, **{"x-eduhub-slot": "green", "x-eduhub-release": "r2"}),
        },
        {"containers__blue__read_only": False, f"records__{RELEASE}__spec__read_only": False},
        {"containers": {name: each for name, each in observed().containers.items() if "plone" not in name}},
        {"containers": {
            "plone": container("plone"),
            **{name: each for name, each in observed().containers.items() if "plone" not in name},
        }},
        {"secrets": [], "exposed": []},
    ],
    ids=[
        "a shift", "a shift after the clock was set", "a backup", "an update of packages", "a deployment that begins",
        "a release to be confirmed", "an image that writes", "an own Plone", "a Plone without endpoint",
        "no secrets",
    ],
)  # fmt: skip
def test_legal_states_have_no_finding(changes):
    assert codes(**changes) == []


UPGRADING = {"slot": "green", "release": "r2", "step": "prove", "run": "run-2", "verb": "upgrade"}
LEFT = {
    "a confirmed upgrade": ("upgrade", None, ["./invoke", "status"], "It left no rollout"),
    "a backup": ("plone.backup", None, ["./invoke", "status"], "It left no rollout"),
    "an update": ("host.patch", None, ["./invoke", "host.patch", "--take-over"], "It may have left the host drained"),
    "an upgrade": ("upgrade", UPGRADING, ["./invoke", "rollback"], f"To undo that leaves {RELEASE} live"),
    "a rollback": ("rollback", {**UPGRADING, "verb": "rollback"}, ["./invoke", "status"], "interrupted at step prove"),
}


@pytest.mark.parametrize(("verb", "rollout", "typed", "words"), LEFT.values(), ids=LEFT)
def test_only_what_a_rollback_undoes_and_leaves_the_live_release_is_to_be_rolled_back(verb, rollout, typed, words):
    state = {**STATE, "rollout": rollout}
    (found,) = findings(observed(state=state, state_before=state, lock=lock(verb, 901)))
    assert (found.code, list(found.next)) == ("lock_orphaned", typed)
    assert words in found.what


def test_each_finding_names_a_command_that_can_be_typed():
    told = [each for changes, _ in BROKEN.values() for each in findings(observed(**changes))]
    assert [each.next for each in told if refusal(each.next)] == []


def test_a_plone_that_hangs_is_to_be_restarted():
    (found,) = findings(observed(containers__plone__health="unhealthy"))
    assert found.next == ("docker", "restart", "eduhub-plone")


def test_a_message_has_the_value_and_the_next_command():
    (found,) = [each for each in findings(observed(**EDGE_DOWN)) if each.code == "edge_unavailable"]
    what = (
        "The edge does not answer (Connection refused) at http://127.0.0.1:8080/; expected an answer of the live slot."
    )
    assert found.document("the_public_address", "host-1") == {
        "check": "the_public_address", "code": "edge_unavailable", "host": "host-1", "next": [["./invoke", "status"]],
        "what": what, "message": f"{what} Next: `./invoke status`",
    }  # fmt: skip
    changes = {"files": {**observed().report["files"], SECRET: permissions(0, 0, 0o644)}}
    assert [each.message for each in findings(observed(**changes))] == [
        f"{SECRET} is 0:0 mode 0644; expected owner 0 and no access for others. Next: `./invoke deploy`"
    ]


def test_a_wrong_live_slot_is_named_with_the_expected_one():
    wrong = answer("/", 200, **{"x-eduhub-slot": "green", "x-eduhub-release": "r2"})
    assert [each.what for each in findings(observed(public=wrong))] == [
        f"http://127.0.0.1:8080/ is served by green with release r2; expected blue with release {RELEASE}."
    ]


def test_every_code_has_a_broken_host_and_a_line_in_the_reference():
    known = {code for _, expected in BROKEN.values() for code in expected} | {"check_incomplete", "observation_failed"}
    rows = [line.split("`")[1] for line in REFERENCE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(known)
