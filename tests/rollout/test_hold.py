"""Story 8: an upgrade with --hold stays unconfirmed until a person keeps it, or ends it, or lets the time run out."""

from __future__ import annotations

import re

import pytest

from tests.rollout.operator import NEW, STACK, answered_by, docker, journal, until
from tests.rotation import STORY

pytestmark = [STORY, pytest.mark.rotates(2, by="module")]

WITHIN = 15


def at_rest(operator, before: dict) -> None:
    """The host serves what it served, unlocked, and says how the last run ended."""
    after = operator.status()
    assert (after["live"], after["release"], after["confirmed"]) == (before["live"], before["release"], True)
    assert (after["lock"], after["last"]["result"], answered_by()) == (None, "reverted", before["live"])


def below_the_row(printed: str) -> dict[str, str]:
    """Return the details of the closing table, which stand below the host's row or, where it is wide, in its list."""
    return dict(re.findall(r"^  (gates|changed|hold|rollback) +(.*)$", printed, flags=re.MULTILINE))


def watch_is_over() -> bool:
    """Whether the shift's container has ended and will not be started again."""
    form = "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    return docker("inspect", "--format", form, f"{STACK}-shift") == "exited no"


def test_a_held_upgrade_is_kept_by_a_person_in_time(operator):
    held = operator.types("upgrade", "--python", NEW, "--hold", "--confirm-within", "300")
    assert held.returncode == 0
    below = below_the_row(held.stdout)
    assert list(below) == ["gates", "changed", "hold", "rollback"]
    assert below["hold"].startswith("./invoke confirm ")
    waiting = operator.status()
    assert (waiting["confirmed"], waiting["lock"]["step"]) == (False, "shifted")
    assert waiting["python"].startswith(f"{NEW}.")
    keeping = operator.types("confirm")
    assert keeping.returncode == 0
    assert list(below_the_row(keeping.stdout)) == ["gates", "changed", "rollback"]
    kept = operator.status()
    assert (kept["confirmed"], kept["release"], kept["lock"]) == (True, waiting["release"], None)
    assert operator.types("confirm").returncode == 2
    confirmed = [line for line in journal() if line["event"] == "confirmed"][-1]
    assert confirmed["owner"] == waiting["lock"]["owner"]


def test_a_held_upgrade_that_nobody_keeps_goes_back_by_itself(operator):
    before, seen = operator.status(), len(journal())
    held = operator.types("upgrade", "--python", NEW, "--hold", "--confirm-within", str(WITHIN))
    assert held.returncode == 0
    until("the host goes back", lambda: any(line["event"] == "reverted" for line in journal()[seen:]), WITHIN + 30)
    until("the watch is over", watch_is_over, 10)
    at_rest(operator, before)
    told = " ".join(operator.types("status").stdout.split())
    assert [word for word in ("was reverted at", "was not confirmed") if word not in told] == []
    late = operator.types("confirm")
    assert (late.returncode, "was not confirmed" in " ".join(late.stdout.split())) == (2, True)


def test_a_rollback_ends_a_hold(operator):
    before = operator.status()
    assert operator.types("upgrade", "--python", NEW, "--hold").returncode == 0
    assert operator.types("rollback").returncode == 0
    at_rest(operator, before)
