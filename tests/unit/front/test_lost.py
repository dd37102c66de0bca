"""A host whose connection was lost: what it does by itself, until when, and what to type next."""

from __future__ import annotations

import pytest

from front import report
from front.outcome import Host, Outcome, host_code
from front.typed import anew, beside

UPGRADE = "./invoke upgrade --python 3.11"
UNTIL = "2026-01-01T12:00:00Z"
ROLLED = ("preflight", "begin", "start", "prove")


def lost(phase: str, *phases: str, until: str | None = UNTIL) -> Host:
    return Host(phase=phase, phases=(*phases, phase), failed=phase, unreachable=True, until=until)


def ending(again: str, code: int = 3, **hosts: Host) -> str:
    """What stands below the table of a run, as one line."""
    lines = report.closing(again.split()[1], list(hosts), Outcome(hosts, ended=True), code, again)
    return " ".join(line for line in lines if line and not line.startswith(("HOST ", "a  ", "b  ")))


MOVING = (
    "The connection to a was lost while traffic moved. The host needs nobody for that: it goes on, and unless somebody "
    f"confirms the release it goes back by itself, at {UNTIL} at the latest; a host that was restarted goes back at "
    "once. When it is in reach again: ./invoke status says what serves, ./invoke confirm keeps the release once it has "
    "all traffic, ./invoke rollback --take-over goes back at once."
)
BEFORE = (
    "The connection to a was lost before traffic moved: what served before serves, and stays. When it is in reach "
    f"again: {UPGRADE} --resume goes on, {UPGRADE} --take-over begins anew."
)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (lost("begin", "preflight"), BEFORE),
        (lost("prove", *ROLLED), BEFORE),
        (lost("revert", *ROLLED), BEFORE),
        (lost("shift", *ROLLED), MOVING),
        (lost("verify", *ROLLED, "shift"), MOVING),
        (lost("hold", *ROLLED, "shift", "verify"), MOVING),
        (lost("revert", *ROLLED, "shift"), MOVING),
    ],
    ids=lambda value: value.phase if isinstance(value, Host) else "",
)
def test_an_upgrade_lost_at(host, said):
    assert (said, 3) == (ending(UPGRADE, a=host), host_code(host))


def test_a_time_that_is_not_known_is_not_made_up():
    assert "it goes back by itself in the end; a host" in ending(UPGRADE, a=lost("shift", *ROLLED, until=None))


def test_a_confirmation_that_was_lost_is_either_through_or_ends_by_itself():
    assert ending("./invoke confirm", a=lost("confirm", until=None)) == (
        "The connection to a was lost while its release was confirmed. Either it is confirmed, or the host goes back "
        "by itself in the end. When it is in reach again: ./invoke status says which."
    )


def test_a_host_lost_when_all_was_done_serves_the_new_release():
    said = ending(UPGRADE, a=lost("end", *ROLLED, "shift", "confirm"))
    assert "was lost when its release was confirmed already: it serves." in said


def test_a_rollback_that_was_lost_is_typed_again():
    said = ending("./invoke rollback", a=lost("shift", "begin"))
    assert said.endswith("./invoke confirm keeps the release once it has all traffic.")
    assert ending("./invoke rollback", a=lost("begin")).endswith("./invoke rollback --take-over begins anew.")


def test_a_host_lost_before_its_rollout_is_asked_for_the_same_again():
    said = ending("./invoke deploy", a=lost("plone", "preflight"))
    assert said.startswith("The connection to a was lost at plone, before a rollout began there.")
    assert said.endswith("When it is in reach again: ./invoke deploy")


def test_of_several_hosts_the_lost_one_is_named_and_the_others_need_what_they_need():
    gone, failed = lost("shift", *ROLLED), Host(phases=("preflight", "plone"), failed="plone")
    said = ending(f"{UPGRADE} --inventory x", a=gone, b=failed)
    assert "The connection to a was lost while traffic moved." in said
    assert "./invoke confirm --inventory x --limit a keeps" in said
    assert said.endswith("A person is needed: ./invoke status --inventory x says what each host serves.")
    assert "A person is needed" not in ending(UPGRADE, a=gone, b=Host(changed=1, phases=ROLLED))


def test_a_host_that_was_never_reached_is_refused_as_before():
    refused = Host(phase="preflight", phases=("preflight",), failed="preflight", unreachable=True)
    assert ending(UPGRADE, 2, a=refused) == f"Refused: nothing was touched. Mend the cause, then: {UPGRADE}"


def test_undoing_an_interrupted_run_remembers_how_far_that_was():
    run = Outcome({"a": Host(phases=(*ROLLED, "shift"), pilot={"prove": 0})}, ended=False)
    undoing = Outcome({"a": lost("revert", until=None), "b": Host(phases=("revert",), pilot={"revert": 1})}, ended=True)
    assert list(undoing.after(run).hosts["a"].phases) == [*ROLLED, "shift", "revert"]
    assert list(undoing.after(run).hosts["b"].phases) == ["revert"]
    assert [host.pilot for host in undoing.after(run).hosts.values()] == [{"prove": 0}, {"revert": 1}]


def test_other_commands_are_about_the_same_hosts():
    assert beside("./invoke upgrade --inventory 'my x' --limit a", "confirm") == (
        "./invoke confirm --inventory 'my x' --limit a"
    )
    assert anew(f"{UPGRADE} --resume --limit a", "--take-over") == f"{UPGRADE} --limit a --take-over"
