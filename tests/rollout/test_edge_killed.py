"""Story 3: HAProxy killed with -9 comes back with the committed slot, whenever that happens."""

from __future__ import annotations

import pytest

from tests.rollout.operator import NEW, OLD, STACK, STATE, answered_by, journal, kill_nine, until
from tests.rotation import STORY

pytestmark = [STORY, pytest.mark.rotates(2, by="module")]


def committed() -> str:
    """The slot on disk."""
    return "green" if (STATE / "edge/traffic.map").read_text().split() == ["green", "100"] else "blue"


def test_at_rest_it_comes_back_with_the_live_slot(operator):
    for python in (NEW, OLD):  # once with each slot live
        assert operator.types("deploy", "--python", python).returncode == 0
        live = operator.status()["live"]
        kill_nine(f"{STACK}-edge")
        assert until("the edge answers again", answered_by, 20) == live == committed()


@pytest.mark.parametrize(
    ("step", "event"),
    [("prove", "passed"), ("shift", "moved")],
    ids=["right before the switch", "right after the switch"],
)
def test_around_the_switch_it_comes_back_with_the_committed_slot(operator, step, event):
    before = len(journal())
    with operator.typing("upgrade", "--python", NEW) as running:
        until(
            f"{step} {event}",
            lambda: any((line["step"], line["event"]) == (step, event) for line in journal()[before:]),
            120,
        )
        kill_nine(f"{STACK}-edge")
        output, _ = running.communicate(timeout=300)
    print(output)
    after = operator.status()
    assert until("the edge answers again", answered_by, 20) == after["live"] == committed()
    assert (after["lock"], after["confirmed"]) == (None, True)
    assert running.returncode == (0 if after["python"].startswith(f"{NEW}.") else 1)
    assert "Traceback" not in output
