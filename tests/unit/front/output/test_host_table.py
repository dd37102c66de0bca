"""The closing table: a line a host, stacked where the terminal is narrow, with the rollout's details below."""

from __future__ import annotations

from front.arguments.request import Request
from front.output.host_table import host_table
from front.run.outcome import Host

STATUS = {
    "live": "green", "confirmed": True, "release": "r2", "python": "3.11.2", "lock": None,
    "rollback": {"ready": True, "to": "r1", "seconds": 2.04},
}  # fmt: skip


def test_the_table_of_status_shows_state_rollback_and_lock():
    lock = {"owner": "u@h", "step": "prove", "since": "T", "expired": True}
    hosts = {"a": Host(status=STATUS), "b": Host(status={**STATUS, "confirmed": False, "lock": lock, "rollback": None})}
    assert host_table(Request("status"), hosts, 110) == [
        "HOST  RELEASE  PYTHON  LIVE   STATE        ROLLBACK  LOCK",
        "a     r2       3.11.2  green  confirmed    r1        -",
        "b     r2       3.11.2  green  unconfirmed  -         u@h at prove since T, expired",
    ]


def test_the_table_of_status_says_which_host_is_drained():
    hosts = {"a": Host(status={**STATUS, "draining": True}), "b": Host(status={**STATUS, "draining": False})}
    cells = [line.split("  ") for line in host_table(Request("status"), hosts, 110)[1:]]
    assert ["confirmed, drained" in row for row in cells] == [True, False]


def test_the_table_of_status_says_what_a_front_host_serves():
    front = {"active": True, "draining": False, "keepalived": True, "bridges": {"a": "UP", "b": "DOWN"}}
    hosts = {
        "a": Host(status=STATUS), "f1": Host(status={"front": front}),
        "f2": Host(status={"front": {**front, "active": False}}),
        "f3": Host(status={"front": {**front, "active": None, "bridges": {}}}),
        "f4": Host(status={"front": {**front, "active": False, "draining": True, "keepalived": False}}),
    }  # fmt: skip
    found = host_table(Request("status"), hosts, 110)[2:]
    assert [line.split(maxsplit=4)[4].rstrip("- ") for line in found] == [
        "active, 1 of 2 bridge hosts", "standby, 1 of 2 bridge hosts", "down",
        "standby, 1 of 2 bridge hosts, drained, without keepalived",
    ]  # fmt: skip


def test_a_host_whose_packages_were_updated_has_the_versions_before_and_after():
    before = {"kernel": "6.1.0-25-amd64", "engine": "20.10.24", "haproxy": "2.6.12"}
    patch = {"ended": True, "updated": 14, "rebooted": True, "before": before,
             "after": {**before, "kernel": "6.1.0-27-amd64"}}  # fmt: skip
    planned = {"ended": False, "work": True, "updates": [{"name": "openssl"}]}
    drained = {"front": {"active": False, "draining": True, "keepalived": True, "bridges": {"a": "UP"}}}
    hosts = {"a": Host(patch=patch, changed=3, status=drained), "b": Host(patch=planned, waiting=True)}
    assert host_table(Request("host.patch"), hosts, 110) == [
        "HOST  RESULT",
        "a     changed",
        "  updated   14 packages, rebooted",
        "  versions  kernel 6.1.0-25-amd64 -> 6.1.0-27-amd64; Docker Engine 20.10.24; HAProxy 2.6.12",
        "b     waiting",
    ]


def test_a_narrow_terminal_gets_a_block_a_host_that_fits():
    release, before = "20260101T093006Z-py3.11-5e912560", "20251201T080000Z-py3.9-3bfe0e05"
    status = {**STATUS, "release": release, "rollback": {**STATUS["rollback"], "to": before}}
    lines = host_table(Request("status"), {"bridge-1.example.org": Host(status=status), "b": None}, 40)
    assert lines == [
        "bridge-1.example.org",
        "  release   20260101T093006Z-py3.11-5e912560",
        "  python    3.11.2",
        "  live      green",
        "  state     confirmed",
        "  rollback  20251201T080000Z-py3.9-3bfe0e05",
        "b",
        "  result    untouched",
    ]


def test_the_table_of_a_rollout_shows_the_result_of_every_host_that_was_asked_for():
    hosts = {"a": Host(changed=1), "b": Host(failed="begin"), "lonely": None}
    assert host_table(Request("deploy"), hosts, 110) == [
        "HOST    RESULT",
        "a       changed",
        "b       refused",
        "lonely  untouched",
    ]


ROLLED = {
    "gates": {"smoke": "pass", "runtime": "pass", "performance": "inconclusive, only observed"},
    "changed": ["Python 3.9.2 → 3.11.2", "image eduhub/bridge:py3.9 → eduhub/bridge:py3.11",
                "package async-timeout 5.0.1 is gone"],
}  # fmt: skip


def test_a_rollout_ends_with_gates_changes_and_the_rollback_below_each_host():
    release = "20260101T093006Z-py3.11-5e912560"
    ready = {**STATUS["rollback"], "to": "20251201T080000Z-py3.9-3bfe0e05"}
    blocked = {"ready": False, "to": None, "seconds": None, "why": "no other release is good here"}
    hosts = {
        "a": Host(status={**STATUS, "release": release, "rollback": ready}, rolled=ROLLED, changed=3),
        "b": Host(status={**STATUS, "rollback": blocked}, rolled={"gates": {}, "changed": []}),
        "c": Host(unreachable=True),
    }
    lines = host_table(Request("upgrade", values={"eduhub_python": "3.11"}), hosts, 100)
    assert lines == [
        "HOST  RELEASE                           PYTHON  LIVE   STATE      RESULT",
        "a     20260101T093006Z-py3.11-5e912560  3.11.2  green  confirmed  changed",
        "  gates     smoke, runtime: pass; performance: inconclusive, only observed",
        "  changed   Python 3.9.2 → 3.11.2; image eduhub/bridge:py3.9 → eduhub/bridge:py3.11; package",
        "            async-timeout 5.0.1 is gone",
        "  rollback  ready: ./invoke rollback --limit a, to 20251201T080000Z-py3.9-3bfe0e05; its switch took",
        "            2 s when last measured",
        "b     r2                                3.11.2  green  confirmed  unchanged",
        "  rollback  blocked: no other release is good here",
        "c     -                                 -       -      -          unreachable",
    ]
    assert max(len(line) for line in lines) <= 100


def test_a_held_release_shows_its_deadline_and_the_command_that_confirms_it():
    rollout = {"hold": True, "deadline": "2026-01-01T10:00:00Z"}
    host = Host(status={**STATUS, "confirmed": False, "rollout": rollout}, rolled=ROLLED, changed=2)
    lines = host_table(Request("upgrade", limit="a", values={"eduhub_hold": True}), {"a": host}, 100)
    assert lines[-2:] == [
        "  hold      ./invoke confirm --limit a until 2026-01-01T10:00:00Z, else the host rolls back",
        "  rollback  ready: ./invoke rollback --limit a, to r1; its switch took 2 s when last measured",
    ]
    assert lines[1].split()[-2:] == ["unconfirmed", "changed"]
