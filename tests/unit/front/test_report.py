"""The words around a run: what was typed, what came of each host, what to type next."""

from __future__ import annotations

import pytest

from front import report
from front.outcome import Host, Outcome
from front.typed import located, status, typed

STATUS = {
    "live": "green", "confirmed": True, "release": "r2", "python": "3.11.2", "lock": None,
    "rollback": {"ready": True, "to": "r1", "seconds": 2.04},
}  # fmt: skip


def test_the_header_names_verb_hosts_inventory_and_run():
    assert [
        report.header("deploy", "local", ["a"], "R"),
        report.header("deploy", "/x", ["a", "b"], "R"),
    ] == ["deploy: a of inventory local, run R", "deploy: 2 hosts of inventory /x, run R"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("deploy", "local", "", {}), "./invoke deploy"),
        (("deploy", "my hosts", "a,b", {}), "./invoke deploy --inventory 'my hosts' --limit a,b"),
        (
            ("upgrade", "local", "", {"eduhub_python": "3.11", "eduhub_take_over": True}),
            "./invoke upgrade --python 3.11 --take-over",
        ),
    ],
)
def test_the_command_line_is_told_as_it_can_be_typed(arguments, line):
    assert line == typed(*arguments)


def test_status_is_the_contracts_document():
    outcome = Outcome({"a": Host(status=STATUS), "b": Host(failed="status")}, ended=True)
    assert report.document("status", outcome, 2) == {"hosts": {"a": STATUS}}


def test_the_table_of_status_tells_state_way_back_and_lock():
    lock = {"owner": "u@h", "step": "prove", "since": "T"}
    hosts = {"a": Host(status=STATUS), "b": Host(status={**STATUS, "confirmed": False, "lock": lock, "rollback": None})}
    assert report.table("status", hosts, "./invoke status") == [
        "HOST  RELEASE  PYTHON  LIVE   STATE        WAY BACK     LOCK",
        "a     r2       3.11.2  green  confirmed    r1 in 2.0 s  -",
        "b     r2       3.11.2  green  unconfirmed  -            u@h at prove since T",
    ]


def test_the_table_of_a_rollout_tells_what_came_of_every_host_that_was_asked_for():
    hosts = {"a": Host(changed=1), "b": Host(failed="begin"), "lonely": None}
    assert report.table("deploy", hosts, "./invoke deploy") == [
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


def test_a_rollout_ends_with_gates_what_changed_and_the_way_back_below_each_host():
    release = "20260101T093006Z-py3.11-5e912560"
    way_back = {**STATUS["rollback"], "to": "20251201T080000Z-py3.9-3bfe0e05"}
    closed = {"ready": False, "to": None, "seconds": None, "why": "no other release is good here"}
    hosts = {
        "a": Host(status={**STATUS, "release": release, "rollback": way_back}, rolled=ROLLED, changed=3),
        "b": Host(status={**STATUS, "rollback": closed}, rolled={"gates": {}, "changed": []}),
        "c": Host(unreachable=True),
    }
    lines = report.table("upgrade", hosts, "./invoke upgrade --python 3.11")
    assert lines == [
        "HOST  RELEASE                           PYTHON  LIVE   STATE      RESULT",
        "a     20260101T093006Z-py3.11-5e912560  3.11.2  green  confirmed  changed",
        "  gates     smoke, runtime: pass; performance: inconclusive, only observed",
        "  changed   Python 3.9.2 → 3.11.2; image eduhub/bridge:py3.9 → eduhub/bridge:py3.11; package",
        "            async-timeout 5.0.1 is gone",
        "  way back  ./invoke rollback, to 20251201T080000Z-py3.9-3bfe0e05, 2 s when last measured",
        "b     r2                                3.11.2  green  confirmed  unchanged",
        "  way back  none: no other release is good here",
        "c     -                                 -       -      -          unreachable",
    ]
    assert max(len(line) for line in lines) <= report.WIDTH


def test_a_release_that_waits_for_a_person_says_until_when_and_what_keeps_it():
    rollout = {"hold": True, "goes_back": "2026-01-01T10:00:00Z"}
    host = Host(status={**STATUS, "confirmed": False, "rollout": rollout}, rolled=ROLLED, changed=2)
    lines = report.table("upgrade", {"a": host}, "./invoke upgrade --python 3.11 --hold --limit a")
    assert lines[-3:] == [
        "  waits     for ./invoke confirm --limit a until 2026-01-01T10:00:00Z; then the host goes back by",
        "            itself",
        "  way back  ./invoke rollback --limit a, to r1, 2 s when last measured",
    ]
    assert lines[1].split()[-2:] == ["unconfirmed", "changed"]


def closing(verb: str, code: int, *, interrupted: bool = False, **hosts: Host) -> list[str]:
    outcome = Outcome(hosts, ended=True)
    return report.closing(verb, list(hosts), outcome, code, f"./invoke {verb}", interrupted=interrupted)


def test_a_single_host_without_a_status_needs_no_table():
    assert closing("deploy", 0, a=Host(changed=1)) == []


def test_what_hosts_announce_alike_is_told_once():
    assert closing("verify", 0, a=Host(announced=["x"], changed=1), b=Host(announced=["x", "y"], changed=1))[4:] == [
        "",
        "a, b:\nx",
        "",
        "b:\ny",
    ]


def test_nothing_to_change_is_said_only_where_something_might_have_changed():
    assert [
        closing("deploy", 0, a=Host()),
        closing("verify", 0, a=Host()),
    ] == [["", "Nothing to change: everything is as the inventory says."], []]


@pytest.mark.parametrize(
    ("code", "interrupted", "line"),
    [
        (1, False, "Reverted: what served before serves now. Mend the cause, then: ./invoke deploy"),
        (1, True, "Reverted: what served before serves now. To try again: ./invoke deploy"),
        (2, False, "Refused: nothing was touched. Mend the cause, then: ./invoke deploy"),
        (2, True, "Interrupted: nothing was touched. To try again: ./invoke deploy"),
        (3, False, "A person is needed: ./invoke status says what each host serves."),
        (0, True, "The release had been confirmed before the interruption: it serves."),
    ],
)
def test_a_run_that_did_not_succeed_ends_with_the_next_command(code, interrupted, line):
    assert line == closing("deploy", code, interrupted=interrupted, a=Host(changed=1))[-1]


def test_a_confirmation_that_failed_is_not_to_be_repeated():
    assert closing("confirm", 1, a=Host(changed=1))[-1] == (
        "Reverted: what served before serves now. Mend the cause, then roll the release out again; "
        "./invoke status says what each host serves."
    )


def test_a_self_test_that_fails_reverted_nothing():
    line = closing("preflight", 1, a=Host())[-1]
    assert line == "Nothing was touched, and nothing should be rolled out like this. To try again: ./invoke preflight"


def test_the_state_is_asked_of_the_same_inventory():
    assert (
        status("./invoke deploy --python 3.9 --inventory 'my hosts' --limit a")
        == "./invoke status --inventory 'my hosts'"
    )


@pytest.mark.parametrize(("again", "named"), [
    ("./invoke upgrade --python 3.11 --inventory 'my x' --limit a", "`./invoke rollback --inventory 'my x' --limit a`"),
    ("./invoke upgrade", "`./invoke rollback`"),
])  # fmt: skip
def test_what_a_host_says_to_type_is_about_the_same_hosts(again, named):
    assert located("Confirmed. `./invoke rollback` goes back to r1.", again) == f"Confirmed. {named} goes back to r1."


def test_what_an_operator_typed_is_told_again_as_it_was():
    said = located("`./invoke rollback --to it's --take-over` takes it", "./invoke rollback --inventory campus")
    assert said == "`./invoke rollback --to it's --take-over --inventory campus` takes it"


@pytest.mark.parametrize("text", [
    "`./invoke images.build` makes it", "`./invoke --list` names the verbs", "`docker logs x` says why",
    "`./invoke status --inventory other` says", "./invoke confirm",
])  # fmt: skip
def test_commands_that_take_no_hosts_or_name_some_are_left_as_they_are(text):
    assert located(text, "./invoke upgrade --inventory campus") == text


def test_ansibles_last_words_are_shown_without_label_and_traceback():
    stderr = """
[WARNING]: something
Traceback (most recent call last):
  File "x", line 1, in y
    z
KeyError: 'z'

[ERROR]: no such module
Origin: deploy.yml:3
"""
    words = report.last_words(stderr)
    assert words == ["[WARNING]: something", "KeyError: 'z'", "no such module", "Origin: deploy.yml:3"]


def test_only_the_end_of_many_last_words_is_shown():
    assert [str(number) for number in range(12, 20)] == report.last_words("\n".join(map(str, range(20))))
