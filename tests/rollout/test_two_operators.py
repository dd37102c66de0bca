"""Stories 4 and 5: a second operator is kept out and told why; Ctrl-C leaves nothing to clean up."""

from __future__ import annotations

import getpass
import os
import signal

from tests.rollout.operator import NEW, STATE, Operator, answered_by, journal, until
from tests.rotation import STORY

pytestmark = STORY


def test_a_second_operator_is_told_who_is_at_work_since_when_and_at_which_step(operator):
    before = operator.status()
    with operator.typing("upgrade", "--python", NEW) as first:
        until("the lock is taken", (STATE / "lock.json").exists, 60)
        second = operator.types("upgrade", "--python", NEW)
        remover = operator.types("destroy")
        in_the_middle = operator.status()
        first.communicate(timeout=300)
    assert (first.returncode, second.returncode, remover.returncode) == (0, 2, 2)
    lock = in_the_middle["lock"]
    said = " ".join(second.stdout.split())
    for each in (said, " ".join(remover.stdout.split())):
        assert [word for word in (getpass.getuser(), lock["since"], "--take-over") if word not in each] == []
    assert any(f"step {step}" in said or step in said for step in ("begin", "start", "prove", "shift", "confirm"))
    assert before["lock"] is None


def test_ctrl_c_at_any_step_gives_traffic_back_and_frees_the_lock(operator):
    before = operator.status()
    for step in ("begin", "prove", "shift"):
        code, output = interrupted(operator, at=step)
        after = operator.status()
        assert (step, code, "Traceback" in output) == (step, 1, False)
        assert (after["live"], after["release"], after["lock"]) == (before["live"], before["release"], None)
        assert answered_by() == before["live"]
    assert operator.types("upgrade", "--python", NEW).returncode == 0


def interrupted(operator: Operator, at: str) -> tuple[int, str]:
    """Type an upgrade, and Ctrl-C once it is `at` that step; return exit code and output."""
    seen = len(journal())
    with operator.typing("upgrade", "--python", NEW) as running:
        until(f"the run is at {at}", lambda: any(line["step"] == at for line in journal()[seen:]), 120)
        os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to everything in the foreground
        output, _ = running.communicate(timeout=180)
    print(output)
    return running.returncode, output
