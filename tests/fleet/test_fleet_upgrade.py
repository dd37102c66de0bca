"""Three bridge hosts behind a pair of front hosts: upgraded in waves and rolled back, and no request fails."""

from __future__ import annotations

from tests.fleet.fleet import BRIDGES, at_rest, pythons
from tests.rollout.operator import NEW, OLD
from tests.rotation import STORY

pytestmark = STORY

# Only a hang fails; the printed figure is what counts.
HANG_SECONDS = 5.0


def test_an_upgrade_in_waves_and_the_rollback_fail_no_request(fleet, tmp_path):
    with fleet.under_load(tmp_path / "load") as load:
        forward, upgraded = fleet.answers("upgrade", "--python", NEW)
        middle = fleet.status()
        back, rolled_back = fleet.answers("rollback")
        result = load.result()
    after = fleet.status()
    print(f"{result['requests']} requests, {result['failed']} failed, gap {result['longest_gap_seconds']} s")
    for code, document in ((forward, upgraded), (back, rolled_back)):
        assert (code, document["exit"]) == (0, 0)
        assert {name: document["hosts"][name]["result"] for name in BRIDGES} == dict.fromkeys(BRIDGES, "changed")
    assert (pythons(middle), pythons(after)) == ([NEW] * 3, [OLD] * 3)
    assert at_rest(middle)
    assert at_rest(after)
    # One wave after the other, and one host after the other.
    assert [middle[name]["since"] for name in BRIDGES] == sorted(middle[name]["since"] for name in BRIDGES)
    assert [count for count in result["failures"].values() if count] == [], result["examples"]
    assert result["downloads_completed"] >= 2
    assert {entry["python"] for entry in result["timeline"]} == {OLD, NEW}
    assert result["longest_gap_seconds"] <= HANG_SECONDS
