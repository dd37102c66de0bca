"""The candidate of the second host is broken: the run halts, the mixed fleet is told, and --resume ends it."""

from __future__ import annotations

import yaml

from tests.fleet.fleet import BRIDGES, at_rest, pythons
from tests.rollout.operator import NEW, OLD
from tests.rotation import STORY

pytestmark = STORY


def test_a_broken_candidate_halts_the_run_and_resume_ends_it_once_it_is_fixed(fleet, tmp_path):
    # On the second host a release has to answer a page that is not there, so its candidate fails the gate smoke.
    broken = fleet.operator.inventory / "host_vars/lab2.yml"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text(yaml.safe_dump({"bridge_smoke_paths": ["/health", "/plone/no-such-page"]}))
    try:
        with fleet.under_load(tmp_path / "load") as load:
            code, halted = fleet.answers("upgrade", "--python", NEW)
            mixed_code, mixed = fleet.answers("status")
            broken.unlink()
            resumed_code, resumed = fleet.answers("upgrade", "--python", NEW, "--resume")
            result = load.result()
    finally:
        broken.unlink(missing_ok=True)
    after = fleet.status()
    print(f"{result['requests']} requests, {result['failed']} failed, gap {result['longest_gap_seconds']} s")

    assert (code, halted["exit"]) == (3, 3)
    assert [halted["hosts"][name]["result"] for name in BRIDGES] == ["changed", "reverted", "waiting"]
    assert [message["code"] for message in halted["hosts"]["lab2"]["messages"]] == ["gate_failed"]

    assert mixed_code == 0
    assert pythons(mixed["hosts"]) == [NEW, OLD, OLD]
    assert at_rest(mixed["hosts"])
    inventory = ["--inventory", str(fleet.operator.inventory)]
    assert sorted(mixed["mixed"]["pythons"].values()) == [["lab1"], ["lab2", "lab3"]]
    assert mixed["mixed"]["next"] == [
        ["./invoke", "upgrade", "--python", NEW, "--resume", *inventory],
        ["./invoke", "rollback", *inventory, "--limit", "lab1"],
    ]

    assert (resumed_code, resumed["exit"]) == (0, 0)
    assert [resumed["hosts"][name]["result"] for name in BRIDGES] == ["unchanged", "changed", "changed"]
    assert (pythons(after), at_rest(after)) == ([NEW] * 3, True)
    assert [count for count in result["failures"].values() if count] == [], result["examples"]
