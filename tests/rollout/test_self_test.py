"""The gates of a deployed host stop every known-bad green, with its engine and its Python; nothing of it is touched."""

from __future__ import annotations

import re

from tests.rollout.operator import STACK, Operator, docker, journal, touched
from tests.rotation import STORY

pytestmark = STORY


def serving(operator: Operator) -> list[object]:
    status = operator.status()
    return [status[name] for name in ("live", "release", "confirmed", "lock", "last")]


def test_every_gate_stops_its_known_bad_greens_on_this_host(operator):
    before = touched(), len(journal()), serving(operator)
    tried = operator.types("preflight", "--self-test")
    # The seconds at the end of a phase's first line stand in the middle of its folded sentence.
    said = " ".join(re.sub(r" +\d+\.\d s$", "", tried.stdout, flags=re.MULTILINE).split())
    assert tried.returncode == 0
    stopped = re.search(r"All (\d+) known-bad candidates were stopped, and every good one passed, in (\d+) s\.", said)
    assert stopped
    assert int(stopped[1]) > 25
    # What this inventory would let through all the same is not kept secret.
    assert "On this host performance would not stop them: pilot_gate_performance is not enforce." in said
    assert (touched(), len(journal()), serving(operator)) == before
    assert docker("ps", "--all", "--quiet", "--filter", f"name={STACK}-selftest") == ""
