"""Story 8: what nobody confirms goes back by itself: after --hold, and when the operator died in the middle."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.rollout.operator import STACK, STATE, Operator, answered_by, docker, journal, kill_nine, until

WITHIN = 15


def reverted(seen: int) -> bool:
    return any(line["event"] == "reverted" for line in journal()[seen:])


def moved(seen: int, percent: int) -> bool:
    return any((line["event"], line.get("percent")) == ("moved", percent) for line in journal()[seen:])


def descendants(pid: int) -> list[int]:
    """A process and all that came of it, whatever sessions they made for themselves; parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def at_rest(operator: Operator, before: dict) -> None:
    """The host serves what it served, unlocked, and says how the last run ended."""
    after = operator.status()
    assert (after["live"], after["release"], after["confirmed"]) == (before["live"], before["release"], True)
    assert (after["lock"], after["last"]["result"], answered_by()) == (None, "reverted", before["live"])


def watch_is_over() -> bool:
    """Whether the shift's container has ended and will not be started again."""
    form = "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    return docker("inspect", "--format", form, f"{STACK}-shift") == "exited no"


def test_a_held_upgrade_is_kept_by_a_person_in_time(operator):
    held = operator.types("upgrade", "--python", "3.11", "--hold", "--confirm-within", "300")
    assert (held.returncode, "./invoke confirm" in held.stdout) == (0, True)
    waiting = operator.status()
    assert (waiting["confirmed"], waiting["python"][:5], waiting["lock"]["step"]) == (False, "3.11.", "shifted")
    assert operator.types("confirm").returncode == 0
    kept = operator.status()
    assert (kept["confirmed"], kept["release"], kept["lock"]) == (True, waiting["release"], None)
    assert operator.types("confirm").returncode == 2


def test_a_held_upgrade_that_nobody_keeps_goes_back_by_itself(operator):
    before, seen = operator.status(), len(journal())
    held = operator.types("upgrade", "--python", "3.11", "--hold", "--confirm-within", str(WITHIN))
    assert held.returncode == 0
    until("the host goes back", lambda: reverted(seen), WITHIN + 30)
    until("the watch is over", watch_is_over, 10)
    at_rest(operator, before)
    late = operator.types("confirm")
    assert (late.returncode, "nobody confirmed it" in " ".join(late.stdout.split())) == (2, True)


def test_a_rollback_ends_a_hold(operator):
    before = operator.status()
    assert operator.types("upgrade", "--python", "3.11", "--hold").returncode == 0
    assert operator.types("rollback").returncode == 0
    at_rest(operator, before)


def test_an_operator_and_a_pilot_killed_in_the_middle_need_nobody(operator):
    before, seen = operator.status(), len(journal())
    with operator.typing("upgrade", "--python", "3.11", "--confirm-within", str(WITHIN)) as running:
        until("a quarter of the traffic has moved", lambda: moved(seen, 25), 120)
        for pid in descendants(running.pid):
            os.kill(pid, signal.SIGKILL)
        kill_nine(f"{STACK}-shift")
        running.wait(timeout=10)
    assert (STATE / "lock.json").exists()
    until("the pilot goes on", lambda: moved(seen, 100), 60)
    until("the host goes back", lambda: reverted(seen), WITHIN + 60)
    until("the watch is over", watch_is_over, 10)
    at_rest(operator, before)
