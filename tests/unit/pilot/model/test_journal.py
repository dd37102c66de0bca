"""A journal's line says when, which run, where and what; a line cut short is found."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from eduhub_pilot.model import journal

EAST = timezone(timedelta(hours=5))


def test_a_line_is_json_with_the_time_in_utc():
    line = journal.line(datetime(2026, 1, 1, 5, 0, 0, 250_000, EAST), "vm", "run", "shift", "moved", weight=100)
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250Z", "run": "run", "host": "vm", "step": "shift", "event": "moved",
        "weight": 100,
    }  # fmt: skip


def test_what_follows_the_last_newline_is_the_cut_line():
    assert [journal.cut(tail) for tail in (b"", b"{}\n", b'{}\n{"a', b'{"a')] == [b"", b"", b'{"a', b'{"a']


def test_a_line_may_lack_its_newline_only():
    fragments = {b'{"a": 1}': True, b'{"a": 1': False, b"1": False, b"\xff": False}
    assert {fragment: journal.whole(fragment) for fragment in fragments} == fragments
