"""Story 8: an upgrade with --hold stays unconfirmed until a person keeps it."""

from __future__ import annotations


def test_a_held_upgrade_is_kept_by_a_person_in_time(operator):
    held = operator.types("upgrade", "--python", "3.11", "--hold", "--confirm-within", "300")
    assert (held.returncode, "./invoke confirm" in held.stdout) == (0, True)
    waiting = operator.status()
    assert (waiting["confirmed"], waiting["python"][:5], waiting["lock"]["step"]) == (False, "3.11.", "shifted")
    assert operator.types("confirm").returncode == 0
    kept = operator.status()
    assert (kept["confirmed"], kept["release"], kept["lock"]) == (True, waiting["release"], None)
    assert operator.types("confirm").returncode == 2
