"""A plan says what an upgrade would do, and which difference of a host, the inventory or an image ends its life."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from front.arguments.request import Request
from front.plans.plan import POLICY as POLICY_FIELDS
from front.plans.plan import changes, fingerprints, is_allowed, parsed, stopped, upgrade_of
from front.plans.table import plan_table
from front.run.messages import Message
from front.run.outcome import Host
from tests.unit.front.plans.planned import ANSWER, FULL, NAMES, POLICY, REQUEST, SERVED, looked, planned


def test_a_plan_is_what_its_file_gives_back():
    plan = planned()
    assert parsed(json.dumps(plan)) == plan
    assert (plan["schema"], plan["inventory"], plan["options"]) == (1, "campus", {"python": "3.13"})
    assert upgrade_of(plan, Request("upgrade", "campus")).command == "./invoke upgrade --python 3.13 --inventory campus"
    assert fingerprints(plan) == dict.fromkeys(NAMES, "f1")


def test_waves_are_those_of_the_run_unfinished_rollouts_first():
    plan = planned(b3=looked({**ANSWER, "interrupted": "run-7"}))
    assert plan["waves"] == [["b3"], ["b1", "b2"]]
    assert {name: host["wave"] for name, host in plan["hosts"].items()} == {"b3": 1, "b1": 2, "b2": 2}


def test_minutes_are_those_of_the_slowest_host_of_each_batch_and_the_soak():
    assert planned()["minutes"] == 3 * 1.5 + 1
    assert planned(policy=replace(POLICY, max_unavailable="2"))["minutes"] == 2 * 1.5 + 1
    assert planned(b2=looked(SERVED), b3=looked(SERVED))["minutes"] == 1.5 + 1


def test_a_host_without_a_measured_upgrade_makes_no_time_up():
    plan = planned(b2=looked({**ANSWER, "seconds": None, "measured": 0}))
    assert (plan["minutes"], plan["hosts"]["b2"]["minutes"]) == (None, None)
    assert "  minutes   not measured yet: no upgrade has moved all traffic on b2" in plan_table(plan, 110)


def test_a_person_confirms_what_is_held():
    assert planned()["confirmed_by"] == "the run"
    held = planned(replace(REQUEST, values={"eduhub_hold": True, "eduhub_confirm_within": "60"}))
    assert (held["confirmed_by"], held["options"]) == ("a person", {"hold": True, "confirm_within": "60"})


def test_a_plan_says_where_a_held_host_goes_back_before_the_last_has_moved():
    policy = replace(POLICY, soak_seconds=0.0, confirm_seconds=120.0)
    asked = replace(REQUEST, values={"eduhub_hold": True})
    held = planned(asked, policy)
    assert (held["confirm_seconds"], held["held_seconds"]) == (120.0, 2 * 90)
    early = "the first host would roll back before the last has moved (180 s): give --confirm-within more"
    assert early in " ".join(" ".join(plan_table(held, 110)).split())
    longer = planned(replace(asked, values={**asked.values, "eduhub_confirm_within": "180"}), policy)
    assert "roll back before" not in " ".join(plan_table(longer, 110))
    assert "within 180 s of each host's shift" in " ".join(plan_table(longer, 110))
    alone = planned(asked, policy, b2=looked(SERVED), b3=looked(SERVED))
    assert (alone["held_seconds"], planned(policy=policy)["held_seconds"]) == (0, None)
    assert planned(replace(asked, values={**asked.values, "eduhub_confirm_within": "soon"}), policy)["confirm_seconds"]


def test_hosts_out_of_reach_come_last():
    lost = Host(unreachable=True, messages=[Message("host_unreachable", "No.")])
    assert planned(b1=lost)["waves"] == [["b2"], ["b3", "b1"]]


@pytest.mark.parametrize(("policy", "gone", "allowed"), [
    ({"failure_budget": 1, "max_unavailable": "2"}, ["b2"], True),
    ({"failure_budget": 0, "max_unavailable": "2"}, ["b2"], False),
    ({"failure_budget": 1, "max_unavailable": "1"}, ["b2"], False),  # it leaves no room for another host
    ({"failure_budget": 9, "max_unavailable": "3"}, NAMES, False),
])  # fmt: skip
def test_a_host_out_of_reach_stops_a_plan_unless_the_budget_allows_it(policy, gone, allowed):
    host = Host(unreachable=True, messages=[Message("host_unreachable", "No.")])
    plan = parsed(json.dumps(planned(policy=replace(POLICY, **policy), **dict.fromkeys(gone, host))))
    assert (is_allowed(plan), stopped(plan) == []) == (allowed, allowed)
    assert [line.split()[-1] for line in plan_table(plan, 100)[1:4]] == [
        "unreachable" if name in gone else "upgrade" for name in plan["hosts"]
    ]  # fmt: skip
    if allowed:
        assert plan["minutes"] == 1.5 + 1 + 1.5
        changed = ["b2: out of reach when the plan was made, and not now."]
        assert changes(plan, planned(policy=replace(POLICY, **policy))) == changed


def test_a_finding_beside_a_host_out_of_reach_stops_a_plan():
    gone = Host(unreachable=True, messages=[Message("host_unreachable", "No.")])
    policy = replace(POLICY, failure_budget=2, max_unavailable="3")
    assert not is_allowed(planned(policy=policy, b1=gone, b2=looked(ANSWER, FULL)))
    assert not is_allowed(planned(policy=policy))


def test_drained_hosts_come_after_those_that_serve_and_a_plan_tells_what_changed_the_waves():
    drained = replace(looked(ANSWER), status={"draining": True})
    now = planned(b1=drained)
    assert now["waves"] == [["b2"], ["b3", "b1"]]
    waves = "the waves are b2; b3, b1 now, and were b1; b2, b3 (b1 drained or undrained meanwhile)"
    assert changes(planned(), now) == [f"b2, b3, b1: {waves}."]
    assert changes(planned(), planned(b3=drained)) == []


def test_findings_and_hosts_out_of_reach_stand_in_the_plan_and_end_it():
    plan = planned(b2=looked(ANSWER, FULL), b3=Host(unreachable=True, messages=[Message("host_unreachable", "No.")]))
    assert plan["hosts"]["b2"]["findings"] == [FULL.document()]
    assert (plan["hosts"]["b2"]["changes"], plan["hosts"]["b3"]["changes"]) == (True, None)
    found = {"b2": "disk_short", "b3": "host_unreachable"}
    assert stopped(plan) == [f"The plan has findings on {name}: {code}." for name, code in found.items()]
    assert stopped(planned()) == []


def host(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan["hosts"][name].update(fields)


def added(plan: dict[str, Any]) -> None:
    plan["hosts"]["b4"] = deepcopy(plan["hosts"]["b1"])


CHANGED = {
    "another release is live": (
        host("b2", **{"from": {"release": "r9", "python": "3.11.2"}}),
        ["b2: the live release is r9 now, and was 20260101T000000Z-py3.9-aaaaaaaa."],
    ),
    "a run was interrupted": (host("b1", interrupted="run-9"), ["b1: the unfinished run is run-9 now, and was none."]),
    "an image was built": (
        host("b1", images={**ANSWER["images"], "x:3.13": "sha256:9"}), ["b1: other images now (x:3.13)."],
    ),
    "a setting was changed": (host("b3", settings="other"), ["b3: other settings in the inventory now."]),
    "a finding": (
        host("b2", findings=[FULL.document()], **{"from": None}),
        ["b2: findings that the plan does not have (disk_short)."],
    ),
    "a host was added": (added, ["b4: among the hosts now, and not in the plan."]),
    "a host is gone": (lambda plan: plan["hosts"].pop("b3"), ["b3: in the plan, and not among the hosts now."]),
    "other waves": (
        lambda plan: plan.update(waves=[["b1", "b2"], ["b3"]]),
        ["b1, b2, b3: the waves are b1, b2; b3 now, and were b1; b2, b3 (rollout_waves)."],
    ),
    "another soak": (
        lambda plan: plan.update(soak_seconds=5.0), ["b1, b2, b3: rollout_soak_seconds is 5 now, and was 60."],
    ),
    "another budget, and another end of a breach": (
        lambda plan: plan.update(failure_budget=11, on_breach="revert-all"),
        ["b1, b2, b3: rollout_failure_budget is 11 now, and was 0.",
         "b1, b2, b3: rollout_on_breach is revert-all now, and was halt."],
    ),
    "more hosts at once": (
        lambda plan: plan.update(max_unavailable="100%"),
        ["b1, b2, b3: rollout_max_unavailable is 100% now, and was 1."],
    ),
    "several hosts, one cause": (
        lambda plan: [host(name, settings="other")(plan) for name in NAMES],
        ["b1, b2, b3: other settings in the inventory now."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), CHANGED.values(), ids=CHANGED)
def test_what_changed_is_told_with_its_host(change, told):
    now = deepcopy(planned())
    change(now)
    assert changes(planned(), now) == told


def test_a_plan_of_an_earlier_version_is_not_compared_by_what_it_lacks():
    older = {name: value for name, value in planned().items() if name not in POLICY_FIELDS}
    assert changes(parsed(json.dumps(older)), planned(policy=replace(POLICY, max_unavailable="3"))) == []


def test_what_a_run_measures_ends_no_plan():
    later = looked({**ANSWER, "seconds": 20.0, "measured": 3, "send_bytes": 0})
    assert changes(planned(), planned(b1=later)) == []


BROKEN = {
    "cut off": (json.dumps(planned())[:-40], "is no JSON document, or was cut off"),
    "empty": ("", "is no JSON document, or was cut off"),
    "another document": ('{"hosts": {}}', "is no plan"),
    "a list": ("[1]", "is no plan"),
    "a later schema": (json.dumps(planned() | {"schema": 2}), "has schema 2, and this checkout reads 1"),
    "a strange budget": (
        json.dumps(planned() | {"failure_budget": "1"}), "is no plan: the field 'failure_budget' is wrong",
    ),
    "no waves": (json.dumps(planned() | {"waves": None}), "is no plan: the field 'waves' is missing or wrong"),
    "a strange option": (
        json.dumps(planned() | {"options": {"take_over": True}}), "is no plan: its options are not those of an upgrade",
    ),
    "no host": (json.dumps(planned() | {"hosts": {}}), "is no plan: it has no hosts, or no waves"),
    "a wrong host": (
        json.dumps(planned() | {"hosts": {"b1": {"from": "x"}}}), "is no plan: what it says of b1 is wrong",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_plan_is_refused(text, why):
    with pytest.raises(ValueError, match=f"^{why}$".replace("(", r"\(")):
        parsed(text)


def test_people_read_a_line_a_host_and_what_is_the_same_for_several_once():
    plan = planned(b2=looked(SERVED), b3=looked({**ANSWER, "interrupted": "run-7"}, FULL))
    plan = {**plan, "hosts": {name: plan["hosts"][name] for name in NAMES}}
    assert plan_table(plan, 100) == [
        "HOST  WAVE  RELEASE                          PYTHON          SENDS  MINUTES  PLAN",
        "b1    2     20260101T000000Z-py3.9-aaaaaaaa  3.9.2 → 3.13.5  36 MB  1.5      upgrade",
        "b2    2     20260101T000000Z-py3.9-aaaaaaaa  3.9.2           -      -        unchanged",
        "b3    1     20260101T000000Z-py3.9-aaaaaaaa  3.9.2 → 3.13.5  36 MB  1.5      refused",
        "",
        "b1:",
        "  gates     smoke, runtime: enforce; performance: off",
        "  changes   Python 3.9.2 → 3.13.5; image x:3.9 → x:3.13",
        "  sends     x:3.13",
        "",
        "b3:",
        "  undoes    run run-7, which was interrupted",
        "  gates     smoke, runtime: enforce; performance: off",
        "  changes   Python 3.9.2 → 3.13.5; image x:3.9 → x:3.13",
        "  sends     x:3.13",
        "",
        "  waves     b3; b1, b2, 60 s of soak between them",
        "  minutes   4, as the last upgrades took",
        "  confirms  the run, at its end",
    ]
    same = plan_table(planned(), 100)
    assert same[5:7] == ["b1, b2, b3:", "  gates     smoke, runtime: enforce; performance: off"]
