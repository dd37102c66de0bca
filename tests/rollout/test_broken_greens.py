"""Story 2: greens that must not get traffic are refused, each with its own words, while blue goes on serving."""

from __future__ import annotations

import threading

import pytest

from tests.rollout.operator import STACK, answered_by, docker
from tests.rotation import STORY

pytestmark = STORY

# What the stranger does, and what the operator must read about it; the last words are from its own log.
BROKEN = {
    "never": ["no process listens", "pilot_start_seconds", "will behave as 'never'"],
    "exits": ["exited", "the database password is wrong", "will behave as 'exits'"],
    "301": ["301", "https://login.example.edu/", "bridge_health_path", '"GET /health/ready HTTP/1.1" 301'],
    "503": ["it answers 503", "pilot_start_seconds", '"GET /health/ready HTTP/1.1" 503'],
    "hangs": ["does not answer within", "pilot_probe_seconds", "will behave as 'hangs'"],
}


@pytest.mark.rotates(2)
@pytest.mark.parametrize(("behaviour", "words"), BROKEN.items())
def test_a_broken_green_is_refused_and_blue_serves_on(operator, stranger, tmp_path, behaviour, words):
    live = operator.status()
    broken = operator.with_variables(
        tmp_path / "inventory",
        bridge_image=stranger,
        bridge_command=["/run/eduhub/bridge.sock", behaviour],
        pilot_start_seconds=8,
        pilot_probe_seconds=2,
        bridge_stop_seconds=2,  # it does not hear the signal
    )
    answers, done = [], threading.Event()

    def ask() -> None:
        while not done.wait(0.1):
            answers.append(answered_by())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        refused = broken.upgrades_without_a_python(tmp_path / "plan.json")
    finally:
        done.set()
        asking.join()

    assert refused.returncode == 1
    said = " ".join(refused.stdout.split())
    assert [word for word in words if word not in said] == []
    assert "Traceback" not in refused.stdout
    # Why it stopped, then the live release, and in the end what to type next.
    live_again = f"Live release: {live['release']} ({live['live']})."  # `begin` names it too
    places = said.index(words[0]), said.rindex(live_again), said.rindex("Reverted: the previous release is live")
    assert places == tuple(sorted(places))
    assert refused.stdout.strip().splitlines()[-1].startswith("Next: ./invoke ")
    assert set(answers) == {live["live"]}
    after = operator.status()
    assert (after["live"], after["release"], after["lock"]) == (live["live"], live["release"], None)
    idle = {"blue": "green", "green": "blue"}[live["live"]]
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^{STACK}-{idle}$") == ""
