"""From what the callback wrote to an exit code: 0 done, 1 reverted, 2 refused, 3 a person is needed."""

from __future__ import annotations

import pytest

from front.run.exit_codes import fleet_exit, host_exit, result_of, run_exit, worst
from front.run.messages import Message
from front.run.outcome import Host, Outcome

ROLLED = ("preflight", "begin", "prove")

# name: what one host did, its exit code, its word in the table
HOSTS = {
    "went well": (Host(phases=ROLLED, changed=3, exits={"begin": 0, "prove": 0}), 0, "changed"),
    "had nothing to do": (Host(phases=("preflight", "begin"), exits={"begin": 0}), 0, "unchanged"),
    "failed in preflight": (Host(phases=("preflight",), failed="preflight"), 2, "refused"),
    "failed before any phase": (Host(phases=("setup",), failed="setup"), 2, "refused"),
    "was refused by begin": (Host(phases=("begin",), failed="begin", exits={"begin": 2}), 2, "refused"),
    "was refused by begin once its directories were made": (
        Host(phases=("prepare", "begin", "revert"), failed="begin", changed_in=("stage", "prepare"),
             exits={"begin": 2, "revert": 2}), 3, "failed",
    ),
    "was refused when it had only got images": (
        Host(phases=("stage", "prepare"), failed="prepare", changed_in=("engine", "stage"), exits={"prepare": 2}), 2,
        "refused",
    ),
    "failed and was reverted": (
        Host(phases=(*ROLLED, "revert"), failed="prove", exits={"prove": 1, "revert": 1}), 1, "reverted",
    ),
    "failed, and held nothing to revert": (
        Host(phases=("begin", "edge", "revert"), failed="edge", exits={"revert": 2}), 2, "refused",
    ),
    "failed, and could not be reverted": (
        Host(phases=(*ROLLED, "revert"), failed="prove", exits={"prove": 1, "revert": 3}), 3, "failed",
    ),
    "failed, and was confirmed already": (
        Host(phases=(*ROLLED, "revert"), failed="confirm", changed=1, exits={"revert": 0}), 0, "changed",
    ),
    "was interrupted when it was confirmed and over": (
        Host(phases=(*ROLLED, "confirm", "end", "revert"), changed=1, exits={"confirm": 0, "revert": 2}), 0, "changed",
    ),
    "failed with nobody to revert it": (Host(phases=ROLLED, failed="prove", exits={"prove": 1}), 3, "failed"),
    "failed, and the pilot calls a person": (Host(phases=ROLLED, failed="prove", exits={"prove": 3}), 3, "failed"),
    "failed in a module of Ansible": (Host(phases=("preflight", "plone"), failed="plone"), 3, "failed"),
    "failed while its engine was installed": (Host(phases=("preflight", "engine"), failed="engine"), 2, "refused"),
    "was to be confirmed, and did not await it": (
        Host(phases=("confirm",), failed="confirm", exits={"confirm": 2}), 2, "refused",
    ),
    "was to be confirmed, and was reverted": (
        Host(phases=("confirm",), failed="confirm", exits={"confirm": 1}), 1, "reverted",
    ),
    "kept Plone as it was, for its standby did not start": (
        Host(phases=("preflight", "plone", "hand-over"), failed="hand-over", changed_in=("plone",),
             exits={"hand-over": 1}), 1, "reverted",
    ),
    "has no Plone that serves": (
        Host(phases=("preflight", "plone", "hand-over"), failed="hand-over", exits={"hand-over": 3}), 3, "failed",
    ),
    "a repository of copies that cannot be used, once its password was brought": (
        Host(phases=("preflight", "prepare", "copies"), failed="copies", changed_in=("prepare",),
             exits={"copies": 1}), 1, "reverted",
    ),
    "failed its self-test": (Host(phases=("preflight", "self-test"), failed="self-test", exits={"self-test": 1}), 1,
                             "reverted"),
    "could not start its self-test": (Host(phases=("preflight", "self-test"), failed="self-test"), 2, "refused"),
    "could not start the pilot that asks its status": (Host(phases=("status",), failed="status"), 2, "refused"),
    "was not as it should be when it was verified": (Host(phases=("status", "verify"), failed="verify"), 3, "failed"),
    "answered with a number that is no exit code": (Host(phases=ROLLED, exits={"revert": 7}), 3, "failed"),
    "was reverted by a recovery that did not fail": (Host(phases=("revert",), exits={"revert": 1}), 1, "reverted"),
    "was never reached": (Host(phases=("preflight",), failed="preflight", unreachable=True), 2, "unreachable"),
    "was disconnected while it took the lock": (
        Host(phase="begin", phases=("preflight", "begin"), failed="begin", unreachable=True), 3, "unreachable",
    ),
    "was disconnected in the middle": (Host(phases=ROLLED, failed="prove", unreachable=True), 3, "unreachable"),
}  # fmt: skip


@pytest.mark.parametrize(("host", "code", "said"), HOSTS.values(), ids=HOSTS)
def test_a_host_that(host, code, said):
    assert (code, said) == (host_exit(host), result_of(host))


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 0], 0), ([0, 2], 2), ([2, 1, 0], 1), ([1, 3, 2], 3), ([0, 7], 3)],
)
def test_the_worst_host_decides(codes, code):
    assert code == worst(codes)


FINE, REFUSED = Host(phases=("begin",)), Host(phases=("begin",), failed="begin")
MOVED = Host(phases=("begin", "shift", "confirm"), exits={"confirm": 0})
BACK = Host(phases=("begin", "prove", "revert"), failed="prove", exits={"prove": 1, "revert": 1})
CONFIRMED = Host(phases=("confirm",), changed_in=("confirm",), exits={"confirm": 0})
NOT_WAITING = Host(phases=("confirm",), failed="confirm", exits={"confirm": 2})
EXPIRED = Host(phases=("confirm",), failed="confirm", exits={"confirm": 1})
UNDONE = Host(phases=("begin", "verify"), changed_in=("begin",), exits={"begin": 0})
RUNS = {
    "one host was confirmed, and another one awaited nothing": (
        2, Outcome({"a": NOT_WAITING, "b": CONFIRMED}, ended=True), 3,
    ),
    "one host was confirmed, and another one went back": (2, Outcome({"a": CONFIRMED, "b": EXPIRED}, ended=True), 3),
    "each host was confirmed": (0, Outcome({"a": CONFIRMED, "b": CONFIRMED}, ended=True), 0),
    "no host awaited a confirmation": (2, Outcome({"a": NOT_WAITING, "b": NOT_WAITING}, ended=True), 2),
    "an interrupted run was undone on one host, and another one was refused": (
        2, Outcome({"a": UNDONE, "b": REFUSED}, ended=True), 3,
    ),
    "all is well": (0, Outcome({"a": FINE}, ended=True), 0),
    "one of two hosts was refused": (2, Outcome({"a": FINE, "b": REFUSED}, ended=True), 2),
    "one host was moved, and the next one went back": (2, Outcome({"a": MOVED, "b": BACK}, ended=True), 3),
    "one host was moved, and the next one was refused": (2, Outcome({"a": MOVED, "b": REFUSED}, ended=True), 3),
    "one host had the release, and the next one went back": (2, Outcome({"a": FINE, "b": BACK}, ended=True), 1),
    "Ansible died before its callback was loaded": (4, None, 3),
    "Ansible died in the middle": (250, Outcome({"a": FINE}, ended=False), 3),
    "Ansible ended early, however well": (0, Outcome({"a": FINE}, ended=False), 3),
    "no host was in the groups of the playbook": (0, Outcome({}, ended=True), 2),
    "Ansible failed though no host did": (1, Outcome({"a": FINE}, ended=True), 3),
}


@pytest.mark.parametrize(("returned", "outcome", "code"), RUNS.values(), ids=RUNS)
def test_a_run_in_which(returned, outcome, code):
    assert code == run_exit(returned, outcome)


WAITING = Host(waiting=True)
WAVES = {
    "an interrupted run was undone on one host, and another one was refused": ({"a": UNDONE, "b": REFUSED}, 3),
    "such a host was asked once more before the next was refused": ({"a": UNDONE.then(FINE), "b": REFUSED}, 3),
    "no host was touched, and some had the release": ({"a": FINE, "b": REFUSED, "c": WAITING}, 2),
    "one host was moved, and the next one was refused": ({"a": MOVED, "b": REFUSED, "c": WAITING}, 3),
    "the first host went back": ({"a": BACK, "b": WAITING}, 1),
}


@pytest.mark.parametrize(("hosts", "code"), WAVES.values(), ids=WAVES)
def test_a_run_in_waves_in_which(hosts, code):
    assert code == fleet_exit(2, Outcome(hosts, ended=True))


def test_a_host_that_has_entered_begin_may_hold_a_lock():
    assert [
        Host(phase="begin").begun,
        Host(phase="prove", phases=("begin",)).begun,
        Host(phase="preflight").begun,
    ] == [True, True, False]


def test_an_outcome_is_read_back_from_the_callbacks_document():
    held = {"code": "lock_held", "message": "ana holds the lock.", "next": [["./invoke", "status"]]}
    part = {"phases": ["begin"], "failed": "begin", "exits": {"begin": 2}, "messages": [held]}
    read = Outcome.from_json({"hosts": {"a": part}, "ended": True})
    message = Message("lock_held", "ana holds the lock.", (("./invoke", "status"),))
    host = Host(phases=["begin"], failed="begin", exits={"begin": 2}, messages=[message])
    assert read == Outcome({"a": host}, ended=True)
