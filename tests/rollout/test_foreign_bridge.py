"""A bridge of somebody else, which speaks TCP only, is deployed and upgraded blue-green by variables alone."""

from __future__ import annotations

import urllib.request

from tests.rollout.operator import URL, LoadGenerator, answered_by
from tests.rotation import STORY

pytestmark = STORY


def greeting() -> str:
    with urllib.request.urlopen(URL, timeout=5) as answer:
        return str(answer.read().decode())


def test_variables_alone_deploy_and_upgrade_a_foreign_image(operator, stranger, tmp_path):
    ours = operator.status()

    def foreign(word: str):
        return operator.with_variables(
            tmp_path / word,
            bridge_image=stranger,
            bridge_command=["8000", "fine"],
            bridge_port=8000,
            bridge_health_path="/",
            bridge_live_path="/",
            bridge_smoke_paths=["/"],
            bridge_environment={"GREETING": word},
            pilot_gate_contract="observe",  # the second greets otherwise than the first, and should
        )

    assert foreign("first").types("deploy").returncode == 0
    assert (greeting(), operator.status()["release"].split("-")[1]) == ("first", "pynone")
    with LoadGenerator.running(tmp_path / "load", 120, "--light-only", "/", warm=True) as load:
        assert foreign("second").upgrades_without_a_python(tmp_path / "plan.json").returncode == 0
        result = load.result()
    assert (greeting(), [kind for kind, count in result["failures"].items() if count]) == ("second", [])

    # And back to ours, by the same door.
    assert operator.types("rollback", "--to", ours["release"]).returncode == 0
    assert operator.status()["python"] == ours["python"]
    assert answered_by("/health/live") == operator.status()["live"]
