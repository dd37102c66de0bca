"""A host that was disconnected: what it does by itself, until when, and what to type next."""

from __future__ import annotations

import pytest

from front.arguments.request import Request
from front.output import closing
from front.output.disconnected import disconnected_messages
from front.run.exit_codes import host_exit
from front.run.outcome import Host, Outcome

UPGRADE = Request("upgrade", values={"eduhub_python": "3.11"})
UNTIL = "2026-01-01T12:00:00Z"
ROLLED = ("preflight", "begin", "start", "prove")

SHIFTING = ["./invoke status", "./invoke confirm", "./invoke rollback --take-over"]
BEFORE = ["./invoke upgrade --python 3.11 --resume", "./invoke upgrade --python 3.11 --take-over"]


def disconnected(phase: str, *phases: str, until: str | None = UNTIL) -> Host:
    return Host(phase=phase, phases=(*phases, phase), failed=phase, unreachable=True, until=until)


def about(request: Request, host: Host) -> tuple[str, list[str]]:
    """What is said of the only host, and its next commands."""
    ((text, commands),) = disconnected_messages({"a": host}, request, ["a"])
    return text, commands


@pytest.mark.parametrize(
    ("host", "words", "commands"),
    [
        (disconnected("begin", "preflight"), "before traffic was shifted", BEFORE),
        (disconnected("prove", *ROLLED), "before traffic was shifted", BEFORE),
        (disconnected("revert", *ROLLED), "before traffic was shifted", BEFORE),
        (disconnected("shift", *ROLLED), "while traffic was being shifted", SHIFTING),
        (disconnected("verify", *ROLLED, "shift"), "while traffic was being shifted", SHIFTING),
        (disconnected("hold", *ROLLED, "shift", "verify"), "while traffic was being shifted", SHIFTING),
        (disconnected("revert", *ROLLED, "shift"), "while traffic was being shifted", SHIFTING),
        (disconnected("confirm", *ROLLED, "shift"), "while its release was being confirmed", ["./invoke status"]),
        (disconnected("end", *ROLLED, "confirm"), "after its release was confirmed", ["./invoke status"]),
    ],
    ids=lambda value: value.phase if isinstance(value, Host) else "",
)
def test_an_upgrade_disconnected_in(host, words, commands):
    text, following = about(UPGRADE, host)
    assert text.startswith(f"a: disconnected {words}")
    assert (following, host_exit(host)) == (commands, 3)


CONFIRMED = Host(phases=("begin", "shift", "verify", "confirm"), exits={"begin": 0, "confirm": 0})


@pytest.mark.parametrize("phase", ["status", "verify"])
def test_a_host_that_is_lost_once_it_was_confirmed_is_not_told_to_roll_back_by_itself(phase):
    """As in the soak time of its wave."""
    text, commands = about(UPGRADE, CONFIRMED.then(disconnected(phase, until=None)))
    assert text.startswith("a: disconnected after its release was confirmed: the new release is live.")
    assert commands == ["./invoke status"]


@pytest.mark.parametrize("phases", [("begin",), ("begin", "shift"), ("begin", "shift", "verify")])
def test_a_host_that_is_lost_while_it_is_rolled_back_after_that_is_no_confirmed_one(phases):
    host = CONFIRMED.then(disconnected(phases[-1], *phases[:-1]))
    assert "its release was confirmed" not in about(Request("rollback"), host)[0]


def test_the_deadline_is_named_and_an_unknown_one_is_not_made_up():
    assert f" {UNTIL} " in about(UPGRADE, disconnected("shift", *ROLLED))[0]
    assert " after its deadline" in about(UPGRADE, disconnected("shift", *ROLLED, until=None))[0]


def test_a_rollback_is_typed_again():
    rollback = Request("rollback")
    assert about(rollback, disconnected("shift", "begin"))[1] == ["./invoke status", "./invoke confirm"]
    assert about(rollback, disconnected("begin"))[1] == ["./invoke rollback --take-over"]


def test_a_host_disconnected_before_its_rollout_is_asked_for_the_same_again():
    text, commands = about(Request("deploy"), disconnected("plone", "preflight"))
    assert text == "a: disconnected in plone, before a rollout began there."
    assert commands == ["./invoke deploy"]


def test_an_update_of_packages_is_taken_over_once_the_host_is_locked():
    patch = Request("host.patch", "campus", values={"eduhub_yes": True})
    text, commands = about(patch, disconnected("patch", "preflight", "updates", "lock", "drain"))
    assert text.startswith("a: disconnected in patch, in the middle of an update. ")
    assert commands == ["./invoke host.patch --yes --take-over --inventory campus"]
    text, commands = about(patch, disconnected("updates", "preflight"))
    assert (text, commands) == ("a: disconnected in updates, before an update began there.", [patch.command])


def ending(request: Request, code: int = 3, **hosts: Host) -> list[str]:
    return closing.closing(request, list(hosts), Outcome(hosts, ended=True), code, 100)


def test_of_several_hosts_the_disconnected_one_is_named_and_the_others_need_what_they_need():
    gone, failed = disconnected("shift", *ROLLED), Host(phases=("preflight", "plone"), failed="plone")
    campus = Request("upgrade", "x")
    lines = ending(campus, a=gone, b=failed)
    assert "      ./invoke confirm --inventory x --limit a" in lines
    assert lines[-1] == "Next: ./invoke status --inventory x"
    fine = ending(campus, a=gone, b=Host(changed=1, phases=ROLLED))
    assert fine[-1] == "      ./invoke rollback --take-over --inventory x --limit a"


@pytest.mark.parametrize("verb", ["rollback", "upgrade", "deploy", "host.patch"])
@pytest.mark.parametrize("limit", ["", "a,b,c", "all:!d"])
@pytest.mark.parametrize("phase", ["preflight", "plone", "lock", "begin", "prove", "shift", "confirm", "end"])
def test_no_command_for_a_disconnected_host_changes_another_one(verb, limit, phase):
    """A second rollback of a host that has moved takes it one release further."""
    gone = disconnected(phase, "preflight")
    for _, commands in disconnected_messages({"b": gone}, Request(verb, "x", limit), ["a", "b", "c"]):
        assert {command.split(" --limit ")[-1] for command in commands} == {"b"}


def test_hosts_that_were_disconnected_alike_share_their_commands():
    gone = {"a": disconnected("begin"), "b": disconnected("shift", "begin"), "c": disconnected("begin")}
    told = disconnected_messages(gone, Request("rollback", "x"), ["a", "b", "c"])
    assert [commands for _, commands in told] == [
        ["./invoke rollback --take-over --inventory x --limit a,c"],
        ["./invoke status --inventory x --limit b", "./invoke confirm --inventory x --limit b"],
    ]
    alike = dict.fromkeys("abc", disconnected("begin"))
    ((_, commands),) = disconnected_messages(alike, Request("rollback", "x"), ["a", "b", "c"])
    assert commands == ["./invoke rollback --take-over --inventory x"]


def test_a_host_that_was_never_reached_is_refused_as_before():
    refused = Host(phase="preflight", phases=("preflight",), failed="preflight", unreachable=True)
    assert ending(UPGRADE, 2, a=refused)[-1] == "Next: ./invoke upgrade --python 3.11"
    assert not any("disconnected" in line for line in ending(UPGRADE, 2, a=refused))


def test_undoing_an_interrupted_run_remembers_how_far_that_was():
    run = Outcome({"a": Host(phases=(*ROLLED, "shift"), exits={"prove": 0})}, ended=False)
    undoing = Outcome(
        {"a": disconnected("revert", until=None), "b": Host(phases=("revert",), exits={"revert": 1})}, ended=True
    )
    assert list(undoing.after(run).hosts["a"].phases) == [*ROLLED, "shift", "revert"]
    assert list(undoing.after(run).hosts["b"].phases) == ["revert"]
    assert [host.exits for host in undoing.after(run).hosts.values()] == [{"prove": 0}, {"revert": 1}]
