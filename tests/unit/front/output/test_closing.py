"""What opens and closes a run: the header, the result, and what to type next."""

from __future__ import annotations

import pytest

from eduhub_pilot.model.codes import CODES
from front.arguments.request import Request
from front.output import closing
from front.output.fleet import mixed_document
from front.run.messages import Message
from front.run.outcome import Host, Outcome

STATUS = {"live": "green", "confirmed": True, "release": "r2"}


def test_the_header_names_verb_hosts_inventory_and_run():
    assert [
        closing.header(Request("deploy"), ["a"], "R"),
        closing.header(Request("deploy", "/x"), ["a", "b"], "R"),
    ] == ["deploy: a of inventory local, run R", "deploy: 2 hosts of inventory /x, run R"]


def test_status_is_the_contracts_document():
    hosts = {"a": {**STATUS, "end_of_life": "2026-08-31"}}
    ends = {"a": "2026-08-31"}
    assert closing.document("status", Outcome({"a": Host(status=STATUS)}, ended=True), 0, ends) == {"hosts": hosts}
    down = Host(phases=("status",), failed="status", messages=[Message("engine_down", "The engine is down.")])
    outcome = Outcome({"a": Host(status=STATUS), "b": down}, ended=True)
    said = {"code": "engine_down", "message": "The engine is down.", "next": []}
    assert closing.document("status", outcome, 2, ends) == {
        "hosts": hosts, "failed": {"b": {"exit": 2, "messages": [said]}},
    }  # fmt: skip


def test_other_verbs_are_a_document_of_results_exit_codes_and_messages():
    message = Message("lock_held", "ana holds the lock.", (("./invoke", "status"),))
    outcome = Outcome(
        {"a": Host(phases=("begin",), failed="begin", exits={"begin": 2}, messages=[message])}, ended=True
    )
    fields = {"code": "lock_held", "message": "ana holds the lock.", "next": [["./invoke", "status"]]}
    host = {"result": "refused", "exit": 2, "changed": 0, "failed": "begin", "messages": [fields], "status": None}
    assert closing.document("deploy", outcome, 2, {}) == {"hosts": {"a": host}, "exit": 2}
    assert closing.failure_lines(outcome, Request("deploy", "x"), 80) == [
        "a: ana holds the lock.", "  Next: ./invoke status --inventory x",
    ]  # fmt: skip


def test_of_several_hosts_one_that_is_locked_names_no_rollback_of_all():
    locked = Message("lock_held", "ana holds the lock.", (("./invoke", "rollback"), ("./invoke", "status")))
    outcome = Outcome({"a": Host(failed="begin", messages=[locked]), "b": Host()}, ended=True)
    assert closing.failure_lines(outcome, Request("upgrade", "x"), 80)[1:] == [
        "  Next: ./invoke rollback --inventory x --limit a", "        ./invoke status --inventory x",
    ]  # fmt: skip


def test_a_document_has_what_a_verb_was_to_list():
    outcome = Outcome({"a": Host(releases=[{"id": "r1"}]), "b": Host(backups=[])}, ended=True)
    a, b = closing.document("releases", outcome, 0, {})["hosts"].values()
    assert (a["releases"], b["backups"]) == ([{"id": "r1"}], [])
    assert ("backups" in a, "releases" in b) == (False, False)


def test_hosts_that_a_failed_run_did_not_come_to_are_in_its_document():
    failed = Outcome({"a": Host(phases=("begin",), failed="begin", exits={"begin": 2})}, ended=True)
    hosts = closing.document("deploy", failed, 2, {}, ["a", "b"])["hosts"]
    assert {name: host["result"] for name, host in hosts.items()} == {"a": "refused", "b": "untouched"}
    assert hosts["b"].keys() == hosts["a"].keys()
    # A host of a group that the verb does nothing to is no part of a success.
    assert list(closing.document("deploy", Outcome({"a": Host()}, ended=True), 0, {}, ["a", "b"])["hosts"]) == ["a"]


def test_where_no_host_has_a_result_the_document_says_why():
    assert closing.hostless_document(2, ["No such host."], ["sudo ./invoke deploy"]) == {
        "hosts": {}, "exit": 2, "messages": ["No such host."], "next": [["sudo", "./invoke", "deploy"]],
    }  # fmt: skip


def ending(verb: str, code: int, *, interrupted: bool = False, **hosts: Host) -> list[str]:
    outcome = Outcome(hosts, ended=True)
    return closing.closing(Request(verb), list(hosts), outcome, code, 100, interrupted=interrupted)


def test_a_single_host_without_a_status_needs_no_table():
    assert ending("deploy", 0, a=Host(changed=1)) == []


@pytest.mark.parametrize("code", sorted(closing.OTHER_COMMAND))
def test_a_command_that_is_refused_each_time_is_not_to_be_typed_again(code):
    wrong = Message(code, "Maintenance is on or off.", (("./invoke", "maintenance", "on"),))
    other = Message("lock_held", "ana holds the lock.")
    refused = {"failed": "maintenance", "exits": {"maintenance": 2}}
    request = Request("maintenance", values={"eduhub_state": "of"})

    def last(*messages: Message) -> str:
        hosts = {"a": Host(messages=messages, **refused)}
        return closing.closing(request, ["a"], Outcome(hosts, ended=True), 2, 100)[-1]

    assert last(wrong) == "Refused: nothing was touched."
    assert "Next: " in last(wrong, other)
    assert code in {"consent_missing", "not_debian", "patch_unfinished"} or CODES[code].exit == 2  # those of Ansible


def test_what_hosts_announce_alike_is_shown_once():
    assert ending("verify", 0, a=Host(announced=["x"], changed=1), b=Host(announced=["x", "y"], changed=1))[4:] == [
        "",
        "a, b:\nx",
        "",
        "b:\ny",
    ]


def test_nothing_to_change_is_said_only_where_something_might_have_changed():
    assert [
        ending("deploy", 0, a=Host()),
        ending("verify", 0, a=Host()),
    ] == [["", "Nothing to change: everything is as the inventory says."], []]


# This is where the wording of results is tested; elsewhere codes and commands are.
@pytest.mark.parametrize(
    ("verb", "code", "interrupted", "lines"),
    [
        ("deploy", 1, False, ["Reverted: the previous release is live again. Fix the cause, then try again.",
                              "Next: ./invoke deploy"]),
        ("deploy", 1, True, ["Reverted: the previous release is live again.", "Next: ./invoke deploy"]),
        ("deploy", 2, False, ["Refused: nothing was touched. Fix the cause, then try again.", "Next: ./invoke deploy"]),
        ("deploy", 2, True, ["Interrupted: nothing was touched.", "Next: ./invoke deploy"]),
        ("deploy", 3, False, ["A person is needed: the status shows what each host serves.", "Next: ./invoke status"]),
        ("host.patch", 3, True,
         ["Interrupted: a host may be drained and locked. --take-over goes on from there, and undrains it.",
          "Next: ./invoke host.patch --take-over"]),
        ("deploy", 0, True, ["", "The release had been confirmed before the interruption, and is live."]),
        ("confirm", 1, False,
         ["Reverted: the previous release is live again. Fix the cause, then start a new rollout.",
          "Next: ./invoke status"]),
        ("preflight", 1, False,
         ["Failed: nothing was touched. Start no rollout before the cause is fixed.", "Next: ./invoke preflight"]),
    ],
)  # fmt: skip
def test_a_run_that_did_not_succeed_ends_with_its_result_and_the_next_command(verb, code, interrupted, lines):
    assert lines == ending(verb, code, interrupted=interrupted, a=Host(changed=1))[-2:]


@pytest.mark.parametrize(("verb", "typed"), [("engine", "deploy"), ("host.patch", "host.patch"), ("status", "")])
def test_what_one_host_that_cannot_be_reached_refuses_for_all_is_offered_without_it(verb, typed):
    """As a dead front host does for an update of the others: which host to leave out stands in the table alone."""
    gone = Host(phase="preflight", phases=["preflight"], failed="preflight", unreachable=True)
    lines = ending(verb, 2, a=Host(), f1=gone, f2=Host())
    assert (f"      ./invoke {typed} --limit 'all:!f1'" in lines) is bool(typed)
    assert "all:!" not in "".join(ending(verb, 2, f1=gone))


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
    words = closing.last_words(stderr)
    assert words == ["[WARNING]: something", "KeyError: 'z'", "no such module", "Origin: deploy.yml:3"]


def test_only_the_end_of_many_last_words_is_shown():
    assert [str(number) for number in range(12, 20)] == closing.last_words("\n".join(map(str, range(20))))


def test_status_names_a_mixed_fleet_and_the_commands_that_end_it():
    def serves(python: str, day: int) -> Host:
        release = f"2026010{day}T000000Z-py{python}-abc"
        return Host(status={"release": release, "python": python, "rollback": {"ready": True, "to": "r1"}})

    lines = ending("status", 0, a=serves("3.9.2", 1), b=serves("3.11.2", 2), c=serves("3.9.2", 1))
    assert lines[-3:] == [
        "Mixed fleet: Python 3.9.2 on a, c; Python 3.11.2 on b.",
        "Next: ./invoke upgrade --python 3.11 --resume",
        "      ./invoke rollback --limit b",
    ]
    assert "Mixed" not in "".join(ending("status", 0, a=serves("3.9.2", 1), c=serves("3.9.2", 2)))


def test_status_as_json_has_the_hosts_of_a_mixed_fleet_and_the_commands_that_end_it():
    def serves(python: str, day: int) -> Host:
        return Host(status={"release": f"2026010{day}T000000Z-py{python}-abc", "python": python})

    request = Request("status", "x")
    assert mixed_document({"a": serves("3.9.2", 1), "b": serves("3.11.2", 2), "front1": Host()}, request) == {
        "mixed": {
            "pythons": {"3.9.2": ["a"], "3.11.2": ["b"]},
            "next": [["./invoke", "upgrade", "--python", "3.11", "--resume", "--inventory", "x"]],
        }
    }
    assert mixed_document({"a": serves("3.9.2", 1), "c": serves("3.9.2", 2)}, request) == {}
