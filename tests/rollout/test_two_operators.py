"""Stories 4 and 5: a second operator is kept out and told why; Ctrl-C leaves nothing to clean up."""

from __future__ import annotations

import getpass
import os
import signal

import pytest

from tests.rollout.operator import STATE, answered_by, journal, until


def test_a_second_operator_is_told_who_is_at_work_since_when_and_at_which_step(operator):
    before = operator.status()
    with operator.typing("upgrade", "--python", "3.11") as first:
        until("the lock is taken", (STATE / "lock.json").exists, 60)
        second = operator.types("upgrade", "--python", "3.11")
        in_the_middle = operator.status()
        first.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (0, 2)
    lock = in_the_middle["lock"]
    said = " ".join(second.stdout.split())
    assert [word for word in (getpass.getuser(), lock["since"], "--take-over") if word not in said] == []
    assert any(f"step {step}" in said or step in said for step in ("begin", "start", "prove", "shift", "confirm"))
    assert before["lock"] is None


@pytest.mark.parametrize("step", ["begin", "prove", "shift"])
def test_ctrl_c_gives_traffic_back_and_frees_the_lock(operator, step):
    before = operator.status()
    seen = len(journal())
    with operator.typing("upgrade", "--python", "3.11") as running:
        until(f"the run is at {step}", lambda: any(line["step"] == step for line in journal()[seen:]), 120)
        os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to everything in the foreground
        output, _ = running.communicate(timeout=180)
    print(output)
    after = operator.status()
    assert running.returncode == 1
    assert "Traceback" not in output
    assert (after["live"], after["release"], after["lock"]) == (before["live"], before["release"], None)
    assert answered_by() == before["live"]
    assert operator.types("upgrade", "--python", "3.11").returncode == 0
