"""A run over several hosts: what is played on which of them, what that comes to, and what the operator reads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.rollout import Fleet, fleet_of, held_by_other, played_on, policy_of, serves_still
from front.fleet.waves import Policy
from front.inventory.documented import documented
from front.inventory.loader import Target
from front.output.closing import closing
from front.output.fleet import ending
from front.run.exit_codes import fleet_exit, result_of
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run, Signals
from tests.unit.front.conftest import ROOT

REQUEST = Request("upgrade", "campus", "", {"eduhub_python": "3.11"})
KNOWN = documented(ROOT / "ansible")
NAMES = ["b1", "b2", "b3"]


def serves(python: str, **more: object) -> dict[str, object]:
    served = {"release": f"20260101T000000Z-py{python}-abc", "python": python, "confirmed": True}
    return served | {"rollback": {"ready": True, "to": "old"}} | more


# What becomes of a host while it is looked at, and while it is rolled or rolled back.
LOOKED_WELL = Host(phase="status", phases=["preflight", "stage", "status"], changed=1,
                   exits={"preflight": 0, "status": 0})  # fmt: skip
LOOKED = {
    "unreachable": Host(phase="preflight", phases=["preflight"], failed="preflight", unreachable=True),
    "refused": Host(phase="preflight", phases=["preflight"], failed="preflight", exits={"preflight": 2}),
}
ROLLED = {
    "reverted": Host(phase="revert", phases=["begin", "prove", "revert"], failed="prove",
                     exits={"begin": 0, "prove": 1, "revert": 1}),
    "refused": Host(phase="begin", phases=["begin"], failed="begin", exits={"begin": 2}),
    "lost": Host(phase="shift", phases=["begin", "prove", "shift"], failed="shift", unreachable=True),
    "broken": Host(phase="revert", phases=["begin", "shift", "revert"], failed="shift", exits={"revert": 3}),
    "interrupted": Host(phase="shift", phases=["begin", "prove", "shift"]),
    "undone": Host(phase="verify", phases=["begin", "verify"], exits={"begin": 0}, status=serves("3.9.2")),
    "freed": Host(phase="verify", phases=["begin", "verify"], changed=1, changed_in=["begin"], exits={"begin": 0},
                  status=serves("3.11.2")),
    "confirmed": Host(phase="revert", phases=["begin", "shift", "confirm", "revert"], failed="confirm", changed=2,
                      exits={"begin": 0, "shift": 0, "revert": 0}, status=serves("3.11.2")),
    "idle": Host(phase="begin", phases=["begin"]),
}  # fmt: skip
VERIFIED = Host(phase="verify", phases=["status", "verify"], exits={"status": 0})
MOVED = Host(phase="confirm", phases=["begin", "shift", "verify", "confirm"], changed=2,
             exits={"begin": 0, "shift": 0, "confirm": 0})  # fmt: skip


@dataclass
class Hosts:
    """Stands for Ansible: `fails` names what happens to a host in a playbook, `played` is what was played on whom.

    `states`: the fields of a host's status that are not as those of a confirmed release.
    """

    fails: dict[tuple[str, str], str] = field(default_factory=dict)
    played: list[tuple[str, ...]] = field(default_factory=list)
    python: dict[str, str] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    looked: dict[str, dict[str, object]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: NAMES)
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def changing(self) -> list[tuple[str, ...]]:
        """What was played, without the questions that change nothing."""
        return [each for each in self.played if each[0] not in {"upgrade_prepare", "status", "verify"}]

    def play(self, run: Run, playbook: str, _: Signals) -> Played:
        names = list(run.only or self.names)
        self.played.append((playbook, *names))
        self.runs.append(run)
        hosts = {name: host for name in names if (host := self._host(name, playbook))}
        failed = any(host.failed or host.unreachable for host in hosts.values())
        died = any(self.fails.get((name, playbook)) == "interrupted" for name in names)
        return Played(2 if failed else 0, Outcome(hosts, ended=not died), "", died)

    def recover(self, run: Run, _: Signals) -> Played:
        """Undo a run: a host whose rollback it interrupts keeps the newer release."""
        self.played.append(("recover", *run.only))
        undone = Host(phase="revert", phases=["revert"], exits={"revert": 1})
        return Played(0, Outcome(dict.fromkeys(run.only, undone), ended=True), "", interrupted=False)

    def _host(self, name: str, playbook: str) -> Host | None:
        what = self.fails.get((name, playbook), "")
        old = serves(self.python.setdefault(name, "3.9.2"))
        if what == "absent":
            return None
        if playbook == "upgrade_prepare":
            rollout = {"run": "before"} if name in self.unfinished else None
            given = self.states.get(name, {}) | self.looked.get(name, {})
            looked = old | {"rollout": rollout, "draining": name in self.drained} | given
            return LOOKED.get(what, replace(LOOKED_WELL, status=looked))
        if playbook in {"status", "verify"}:
            if what in {"unreachable", "lost"}:
                return Host(phase="status", phases=["status"], failed="status", unreachable=True)
            if what == "rolled back":
                self.python[name] = "3.9.2"
            failed = "verify" if what == "failed" else None
            return replace(VERIFIED, failed=failed, status=serves(self.python[name], **self.states.get(name, {})))
        if what in ROLLED:
            status = ROLLED[what].status or old
            self.python[name] = str(status["python"])
            return replace(ROLLED[what], status=status)
        if what == "unchanged":
            self.python[name] = "3.11.2"
            return Host(phase="verify", phases=["begin", "verify"], exits={"begin": 0})  # its status was told before
        self.python[name] = "3.9.2" if playbook == "rollback" else "3.11.2"
        return replace(MOVED, status=serves(self.python[name]))


@pytest.fixture
def roll(capsys) -> Callable[..., tuple[int, str, Fleet]]:
    """Roll a fleet of stand-ins; return the exit code, what the operator read, and the fleet."""

    def rolled(hosts: Hosts, **policy: object) -> tuple[int, str, Fleet]:
        fleet = fleet_run(hosts, Policy(**{"soak_seconds": 0.0, **policy}))  # type: ignore[arg-type]
        with Signals() as signals:
            done = fleet.roll(signals)
        code = fleet_exit(done.returned, done.outcome)
        assert done.outcome
        last = ending(REQUEST, done.outcome.hosts, code, fleet.why, 110)
        print("\n".join(closing(REQUEST, hosts.names, done.outcome, code, 110, fleet=last)))
        return code, capsys.readouterr().out, fleet

    return rolled


def fleet_run(hosts: Hosts, policy: Policy) -> Fleet:
    run = Run(REQUEST, Path("campus"), Path(), id="RUN")
    return Fleet(run, hosts.names, policy, play=hosts.play, recover=hosts.recover)


def results(fleet: Fleet) -> dict[str, str]:
    return {name: result_of(host) for name, host in fleet._played().outcome.hosts.items()}  # type: ignore[union-attr]


def test_the_canary_is_rolled_first_and_rehearses_for_all(roll):
    hosts = Hosts()
    code, text, _ = roll(hosts)
    assert code == 0
    assert hosts.played[0] == ("upgrade_prepare", *NAMES)
    assert hosts.changing == [("rollout", "b1"), ("rollout", "b2"), ("rollout", "b3")]
    assert [run.canary for run in hosts.runs if run.canary] == ["b1", "b1", "b1"]
    assert {"RUN"} == {run.id for run in hosts.runs}, "one run, so that an interruption undoes all of it"
    assert [line for line in text.splitlines() if "Wave" in line] == [f"Wave {n} of 3: b{n}" for n in (1, 2, 3)]
    assert "Next:" not in text


def test_ansible_reaches_the_hosts_of_a_batch_at_once(roll):
    hosts = Hosts()
    assert roll(hosts, waves=["1", "100%"], max_unavailable="2")[0] == 0
    assert hosts.changing == [("rollout", "b1"), ("rollout", "b2", "b3")]
    words = hosts.runs[2].command("rollout")
    assert words[words.index("--limit") + 1] == "b2,b3"
    assert '"eduhub_batch": 2' in words[words.index("--extra-vars") + 1]


def test_a_wave_is_verified_after_its_soak_time(roll):
    hosts = Hosts()
    code, text, _ = roll(hosts, soak_seconds=0.01, waves=["1", "100%"], max_unavailable="100%")
    assert code == 0
    assert hosts.played[1:4] == [("rollout", "b1"), ("verify", "b1"), ("rollout", "b2", "b3")]
    assert "Soak: wave 1 serves for 0.01 s, then its hosts are verified" in text


@pytest.mark.parametrize(("minutes", "soaks"), [(1, 1), (None, 1), (90, 0)])
def test_the_canary_of_a_run_that_was_killed_serves_its_soak_time_first(roll, minutes, soaks, monkeypatch):
    """With --resume it has the release already: since a moment ago, or for longer than the soak time."""
    monkeypatch.setattr("front.fleet.rollout.time.sleep", lambda _: None)
    monkeypatch.setattr("front.fleet.rollout.time.monotonic", itertools.count(0, 3600).__next__)
    since = minutes and {"since": f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"}
    hosts = Hosts({("b1", "rollout"): "unchanged"}, states={"b1": since or {}})
    code, _, fleet = roll(hosts, soak_seconds=3600.0, waves=["1", "100%"], max_unavailable="100%")
    assert (code, fleet.moved) == (0, ["b2", "b3"])
    assert hosts.played[1 : 2 + soaks] == [("rollout", "b1"), ("verify", "b1")][: 1 + soaks]
    assert hosts.changing[1] == ("rollout", "b2", "b3")


def test_halt_leaves_a_mixed_fleet_and_names_what_is_live_where_and_what_ends_it(roll):
    code, text, fleet = roll(Hosts({("b2", "rollout"): "reverted"}))
    assert code == 3
    assert results(fleet) == {"b1": "changed", "b2": "reverted", "b3": "waiting"}
    assert text.endswith(
        "Halted: 1 host failed or cannot be reached (b2), and rollout_failure_budget is 0. "
        "Mixed fleet: Python 3.9.2 on\n"
        "b2, b3; Python 3.11.2 on b1.\n"
        "Next: ./invoke upgrade --python 3.11 --resume --inventory campus\n"
        "      ./invoke rollback --inventory campus --limit b1\n"
        "      ./invoke status --inventory campus\n"
    )


def test_a_rollback_that_comes_to_some_of_its_hosts_leaves_a_mixed_fleet():
    back = {"b1": replace(MOVED, status=serves("3.9.2")), "b2": replace(ROLLED["refused"], status=serves("3.11.2"))}
    lines = ending(Request("rollback", "campus"), back, 3, "", 110)
    assert lines == [
        "Not every host was rolled back. Mixed fleet: Python 3.9.2 on b1; Python 3.11.2 on b2.",
        "Next: ./invoke rollback --inventory campus --limit 'all:!b1'",
        "      ./invoke status --inventory campus",
    ]


@pytest.mark.parametrize(
    ("limit", "rest"),
    [("", "'all:!b1'"), ("b1,b2", "'b1,b2,!b1'"), ("b1:b2", "'b1:b2:!b1'"), ("bridge", "'bridge:!b1'")],
)
def test_hosts_are_left_out_with_the_separator_that_the_limit_has(limit, rest):
    """Ansible splits a limit with a comma at commas only: `b1,b2:!b1` is b1."""
    back = {"b1": replace(MOVED, status=serves("3.9.2")), "b2": replace(ROLLED["refused"], status=serves("3.11.2"))}
    lines = ending(Request("rollback", "campus", limit), back, 3, "", 110)
    assert lines[1] == f"Next: ./invoke rollback --inventory campus --limit {rest}"


@pytest.mark.parametrize(("limit", "rest"), [
    ("", "all,!fe80::1"), ("fe80::1,b2", "fe80::1,b2,!fe80::1"), ("b2:web[0:1]:&all", "b2,web[0:1],&all,!fe80::1"),
])  # fmt: skip
def test_a_host_named_by_an_ipv6_address_is_left_out_by_a_comma(limit, rest):
    """Where there is a comma, Ansible takes no colon of an address for the end of a pattern."""
    refused = replace(ROLLED["refused"], status=serves("3.11.2"))
    back = {"fe80::1": replace(MOVED, status=serves("3.9.2")), "b2": refused}
    lines = ending(Request("rollback", "campus", limit), back, 3, "", 110)
    assert lines[1] == f"Next: ./invoke rollback --inventory campus --limit '{rest}'"


def test_a_rollback_that_ended_an_interrupted_run_on_a_host_is_not_offered_there_again():
    """It would take that host one release further, though no shift moved its traffic."""
    back = {
        "b1": Host(phases=["begin", "verify"], changed_in=["begin"], exits={"begin": 0}, status=serves("3.9.2")),
        "b2": replace(ROLLED["refused"], status=serves("3.11.2")),
    }
    lines = ending(Request("rollback", "campus"), back, 3, "", 110)
    assert lines[1] == "Next: ./invoke rollback --inventory campus --limit 'all:!b1'"


def test_hosts_that_were_confirmed_beside_others_are_named_with_what_ends_the_mixed_fleet():
    confirmed = Host(phase="confirm", phases=["confirm"], changed=1, changed_in=["confirm"], exits={"confirm": 0})
    hosts = {
        "b1": replace(ROLLED["refused"], phases=["confirm"], failed="confirm", status=serves("3.9.2")),
        "b2": replace(confirmed, status=serves("3.11.2")),
        "b3": replace(confirmed, status=serves("3.11.2")),
    }
    assert ending(Request("confirm", "campus"), hosts, 3, "", 110) == [
        "This run confirmed the release on b2, b3 alone. Mixed fleet: Python 3.9.2 on b1; Python 3.11.2 on b2, b3.",
        "Next: ./invoke upgrade --python 3.11 --resume --inventory campus",
        "      ./invoke rollback --inventory campus --limit b2,b3",
        "      ./invoke status --inventory campus",
    ]


def test_no_rollback_is_offered_for_a_host_that_an_upgrade_only_freed_of_an_interrupted_run():
    freed = Host(phases=["begin", "verify"], changed_in=["begin"], exits={"begin": 0}, status=serves("3.11.2"))
    lines = ending(Request("deploy", "campus"), {"b1": freed, "b2": ROLLED["refused"]}, 3, "", 110)
    assert [line.split()[-3] for line in lines[1:]] == ["deploy", "status"]


def test_a_confirmation_that_was_given_before_leaves_nothing_but_the_status_to_look_at():
    confirmed = Host(phases=["confirm"], changed_in=["confirm"], exits={"confirm": 0}, status=serves("3.11.2"))
    hosts = {"b1": replace(confirmed, changed_in=[], failed="confirm", exits={"confirm": 2}), "b2": confirmed}
    lines = ending(Request("confirm", "campus"), hosts, 3, "", 110)
    assert lines[1:] == ["Next: ./invoke status --inventory campus"]


def test_a_fleet_that_was_mixed_before_is_named_though_all_that_was_touched_went_back():
    before = {"b1": replace(ROLLED["reverted"], status=serves("3.9.2")), "b2": Host(status=serves("3.11.2"))}
    text = " ".join(ending(REQUEST, before, 1, "1 host failed.", 110))
    assert "1 host failed. Mixed fleet: Python 3.9.2 on b1; Python 3.11.2 on b2. Fix the cause" in text


def test_no_rollback_is_offered_where_none_is_ready():
    first = {"b1": replace(MOVED, status=serves("3.9.2", rollback={"ready": False})), "b2": ROLLED["reverted"]}
    lines = ending(Request("deploy", "campus"), first, 3, "", 110, interrupted=True)
    assert lines[0] == "Halted: The run was interrupted."
    assert [line.split()[-3] for line in lines[1:]] == ["deploy", "status"]


def test_revert_all_takes_the_moved_hosts_back_last_first(roll):
    hosts = Hosts({("b3", "rollout"): "reverted"})
    code, text, fleet = roll(hosts, on_breach="revert-all")
    assert code == 1
    assert hosts.played[-2:] == [("rollback", "b2"), ("rollback", "b1")]
    run = hosts.runs[-1]
    assert run.request.verb == "rollback"
    assert run.id != "RUN"
    assert "eduhub_python" not in str(run.command("rollback"))
    assert dict.fromkeys(NAMES, "reverted") == results(fleet)
    assert "Reverted: each host that was touched serves its previous release again. 1 host failed" in text


@pytest.mark.parametrize("how", ["reverted", "broken", "lost"])
def test_a_host_that_cannot_be_rolled_back_needs_a_person(roll, how):
    hosts = Hosts({("b3", "rollout"): "reverted", ("b2", "rollback"): how})
    code, _, fleet = roll(hosts, on_breach="revert-all")
    assert code == 3
    assert hosts.played[-1] == ("rollback", "b1"), "the others go back all the same"
    assert results(fleet)["b1"] == "reverted"
    assert results(fleet)["b2"] in {"failed", "unreachable"}


def test_a_held_release_is_rolled_back_without_a_shift(roll):
    hosts = Hosts({("b2", "rollout"): "reverted", ("b1", "rollback"): "undone"})
    code, text, fleet = roll(hosts, on_breach="revert-all")
    assert code == 1
    assert results(fleet) == {"b1": "reverted", "b2": "reverted", "b3": "waiting"}
    assert "Reverted: each host that was touched" in text


def test_an_interrupted_way_back_is_undone_and_no_other_host_follows(roll):
    hosts = Hosts({("b3", "rollout"): "reverted", ("b2", "rollback"): "interrupted"})
    code, text, fleet = roll(hosts, on_breach="revert-all")
    assert code == 3
    assert hosts.played[-2:] == [("rollback", "b2"), ("recover", "b2")]
    assert results(fleet) == {"b1": "changed", "b2": "failed", "b3": "reverted"}
    assert fleet.interrupted
    assert "The rollback of the hosts that had moved was interrupted." in " ".join(text.split())


def test_a_host_that_fails_after_the_soak_is_taken_back_too(roll):
    hosts = Hosts({("b1", "verify"): "failed"})
    code, _, _ = roll(hosts, on_breach="revert-all", soak_seconds=0.01)
    assert code == 1
    assert hosts.played[-2:] == [("verify", "b1"), ("rollback", "b1")]


@pytest.mark.parametrize("on_breach", ["halt", "revert-all"])
def test_a_host_that_was_rolled_back_by_hand_during_the_soak_stops_the_run(roll, on_breach):
    hosts = Hosts({("b1", "verify"): "rolled back"})
    code, text, fleet = roll(hosts, soak_seconds=0.01, on_breach=on_breach)
    assert code == 1
    assert hosts.changing == [("rollout", "b1")], "and no second rollback takes it a release further"
    assert results(fleet) == {"b1": "reverted", "b2": "waiting", "b3": "waiting"}
    assert "b1: 20260101T000000Z-py3.11.2-abc was live after its turn, and 20260101T000000Z-py3.9.2-abc is now." in text
    assert fleet.outcome.hosts["b1"].messages[-1].code == "release_replaced"


def test_hosts_of_earlier_waves_are_asked_before_each_wave_and_at_the_end(roll):
    hosts = Hosts()
    assert roll(hosts)[0] == 0
    assert hosts.played[2:] == [("rollout", "b2"), ("status", "b1"), ("rollout", "b3"), ("status", "b1", "b2")]
    assert [run.json for run in hosts.runs[1:]] == [False, False, True, False, True], "a question adds no lines"


def test_a_held_release_whose_deadline_passed_stops_the_run(roll):
    last = {"run": "RUN", "verb": "upgrade", "result": "reverted", "why": "It was not confirmed."}
    hosts = Hosts({("b1", "status"): "rolled back"}, states={"b1": {"last": last}})
    code, text, fleet = roll(hosts)
    assert code == 3
    assert results(fleet) == {"b1": "reverted", "b2": "changed", "b3": "waiting"}
    assert "Its last run, RUN (upgrade), was reverted: It was not confirmed." in text
    assert "Mixed fleet: Python 3.9.2 on b1, b3; Python 3.11.2 on b2." in " ".join(text.split())


def test_the_end_of_a_run_tells_of_a_release_that_went_meanwhile(roll):
    hosts = Hosts({("b1", "status"): "rolled back"}, names=["b1", "b2"])
    assert roll(hosts)[0] == 3
    assert hosts.played[-1] == ("status", "b1")


HELD = {"run": "RUN", "verb": "upgrade", "step": "shifted", "hold": True}


@pytest.mark.parametrize(
    ("given", "now", "still"),
    [
        ({}, {}, True),
        ({"rollout": HELD, "confirmed": False}, {"rollout": HELD, "confirmed": False}, True),
        ({"rollout": HELD, "confirmed": False}, {}, True),  # a person has confirmed it
        ({"release": None}, {}, True),
        ({}, {"release": "R1"}, False),
        ({}, {"confirmed": False}, False),
        ({}, {"rollout": {**HELD, "run": "OTHER"}}, False),
        ({"rollout": HELD}, {"rollout": {**HELD, "run": "OTHER"}}, False),
    ],
)
def test_a_host_serves_what_it_got_if_it_is_confirmed_or_held_by_the_same_run(given, now, still):
    assert serves_still(serves("3.11.2", **given), serves("3.11.2", **now)) is still


def test_a_rollout_of_another_run_on_a_host_that_was_done_needs_a_person(roll):
    hosts = Hosts(states={"b1": {"rollout": {**HELD, "run": "OTHER"}}})
    code, text, fleet = roll(hosts, soak_seconds=0.01, on_breach="revert-all")
    assert code == 3
    assert results(fleet)["b1"] == "failed"
    assert "Run OTHER (upgrade) is at step shifted." in text
    assert hosts.changing == [("rollout", "b1")]


def test_ctrl_c_while_hosts_are_asked_undoes_nothing():
    hosts = Hosts({("b1", "status"): "interrupted"})
    fleet = fleet_run(hosts, Policy(soak_seconds=0.0))
    with Signals() as signals:
        done = fleet.roll(signals)
    assert done.interrupted
    assert done.outcome
    assert done.outcome.ended
    assert results(fleet) == {"b1": "changed", "b2": "changed", "b3": "waiting"}
    assert fleet_exit(done.returned, done.outcome) == 3


def test_a_confirmation_whose_answer_was_lost_is_no_failure(roll):
    hosts = Hosts({("b1", "rollout"): "confirmed"})
    code, _, fleet = roll(hosts, soak_seconds=0.01)
    assert code == 0
    assert dict.fromkeys(NAMES, "changed") == results(fleet)
    assert fleet.outcome.hosts["b1"].failed is None


def test_a_failed_verification_counts_after_such_a_confirmation_too(roll):
    hosts = Hosts({("b1", "rollout"): "confirmed", ("b1", "verify"): "failed"})
    code, _, fleet = roll(hosts, soak_seconds=0.01, failure_budget=1, max_unavailable="2")
    assert code == 3
    assert results(fleet) == {"b1": "failed", "b2": "changed", "b3": "changed"}


@pytest.mark.parametrize("playbook", ["upgrade_prepare", "rollout", "verify", "status"])
def test_a_host_that_ansible_left_out_is_lost(roll, playbook):
    hosts = Hosts({("b2", playbook): "absent"})
    code, text, fleet = roll(hosts, soak_seconds=0.01, waves=["1"], failure_budget=1, max_unavailable="2")
    assert code == 3
    assert text.count("b2: Ansible left this host out: the inventory may no longer have it.") == 1
    assert results(fleet) == {"b1": "changed", "b2": "unreachable", "b3": "changed"}
    assert fleet.outcome.hosts["b2"].messages[-1].code == "host_left_out"


def test_a_host_that_never_began_is_lost(roll):
    code, _, fleet = roll(Hosts({("b2", "rollout"): "idle"}))
    assert code == 3
    assert results(fleet)["b2"] == "unreachable"


@pytest.mark.parametrize("how", ["reverted", "refused", "broken", "lost"])
def test_the_next_host_is_the_canary_where_the_first_one_fails(roll, how):
    names = [f"b{n}" for n in range(1, 9)]
    hosts = Hosts({("b1", "rollout"): how}, names=names)
    roll(hosts, failure_budget=1, max_unavailable="50%", soak_seconds=0.01)
    assert hosts.played[1:4] == [("rollout", "b1"), ("rollout", "b2"), ("verify", "b2")]
    assert hosts.played[4][0] == "rollout"
    assert len(hosts.played[4]) > 2, "then a quarter of the hosts at once"
    assert [run.canary for run in hosts.runs if run.canary][:3] == ["b1", "b2", "b2"]


def test_a_host_that_cannot_be_reached_is_no_canary(roll):
    hosts = Hosts({("b1", "upgrade_prepare"): "unreachable"})
    roll(hosts, failure_budget=1, max_unavailable="2")
    assert hosts.changing == [("rollout", "b2"), ("rollout", "b3")]
    assert {run.canary for run in hosts.runs if run.canary} == {"b2"}


def test_a_drained_host_is_no_canary_while_another_one_serves(roll):
    code, text, fleet = roll(hosts := Hosts(drained={"b1"}))
    assert (code, fleet.canary) == (0, "b2")
    assert hosts.changing == [("rollout", "b2"), ("rollout", "b3"), ("rollout", "b1")]
    assert "drained" not in text
    code, text, fleet = roll(Hosts(drained=set(NAMES)))
    assert (code, fleet.canary) == (0, "b1")
    assert "b1 is drained, as is each host that can be reached: no client asks the canary." in text


def test_a_finding_on_one_host_touches_none(roll):
    hosts = Hosts({("b3", "upgrade_prepare"): "refused"})
    code, text, fleet = roll(hosts)
    assert code == 2
    assert results(fleet) == {"b1": "waiting", "b2": "waiting", "b3": "refused"}
    assert [name for name, *_ in hosts.played] == ["upgrade_prepare"]
    assert "Refused: nothing was touched." in text


def test_an_unreachable_host_refuses_the_run_and_the_others_can_be_chosen(roll):
    hosts = Hosts({("b2", "upgrade_prepare"): "unreachable"})
    code, text, _ = roll(hosts)
    assert code == 2
    assert len(hosts.played) == 1
    assert "Next: ./invoke upgrade --python 3.11 --inventory campus\n" in text
    assert "./invoke upgrade --python 3.11 --inventory campus --limit 'all:!b2'" in text


def test_an_interrupted_run_that_was_undone_on_one_host_is_not_said_to_have_touched_nothing(roll):
    """It moved that host's traffic, though the hosts after it were refused."""
    for soak in (0.0, 0.01):
        code, text, fleet = roll(Hosts({("b1", "rollout"): "freed", ("b2", "rollout"): "refused"}), soak_seconds=soak)
        assert (code, results(fleet)) == (3, {"b1": "changed", "b2": "refused", "b3": "waiting"})
        assert "nothing was touched" not in text


def test_within_the_budget_the_run_goes_on_without_an_unreachable_host(roll):
    hosts = Hosts({("b2", "upgrade_prepare"): "unreachable"})
    code, text, fleet = roll(hosts, failure_budget=1, max_unavailable="2")
    assert code == 3
    assert hosts.changing == [("rollout", "b1"), ("rollout", "b3")]
    assert results(fleet) == {"b1": "changed", "b2": "unreachable", "b3": "changed"}
    assert "Not every host has the release." in text
    assert "Next: ./invoke upgrade --python 3.11 --resume --inventory campus" in text


def test_a_resumed_run_begins_with_the_hosts_that_were_interrupted(roll):
    hosts = Hosts({("b1", "rollout"): "unchanged"}, unfinished={"b3"})
    code, _, fleet = roll(hosts)
    assert code == 0
    assert hosts.changing == [("rollout", "b3"), ("rollout", "b1"), ("rollout", "b2")]
    assert fleet.moved == ["b3", "b2"]


LOCK = {"owner": "ben@far", "run": "OTHER", "verb": "deploy", "step": "prove", "since": "then", "expired": False}
IN_TURN = {"rollout": {"run": "OTHER", "step": "shift", "hold": False}}


@pytest.mark.parametrize(("state", "values", "code"), [
    ({"lock": LOCK}, {}, 2), ({"lock": LOCK} | IN_TURN, {}, 2), ({"lock": LOCK | {"owner": "ana@here"}}, {}, 2),
    ({"lock": LOCK | {"expired": True}} | IN_TURN, {}, 0), ({"lock": LOCK | {"owner": "ana@here"}} | IN_TURN, {}, 0),
    ({"lock": LOCK} | IN_TURN, {"eduhub_take_over": True}, 0), ({"lock": None}, {}, 0),
    ({"lock": LOCK, "rollout": {"run": "OTHER", "step": "shifted", "hold": True}}, {"eduhub_hold": True}, 0),
])  # fmt: skip
def test_a_lock_that_a_resumed_run_will_not_get_refuses_it_before_any_host_is_touched(state, values, code):
    hosts = Hosts()
    request = replace(REQUEST, values={**REQUEST.values, "eduhub_resume": True, **values})
    fleet = fleet_run(hosts, Policy(soak_seconds=0.0))
    fleet.run = replace(fleet.run, request=request, owner="ana@here")
    hosts.looked["b2"] = state
    with Signals() as signals:
        done = fleet.roll(signals)
    assert done.outcome
    assert (fleet_exit(done.returned, done.outcome), bool(hosts.changing)) == (code, code == 0)
    assert [each.code for each in done.outcome.hosts["b2"].messages] == ["lock_held"] * (code == 2)


@pytest.mark.parametrize(("verb", "rollout", "proposed"), [
    ("deploy", {}, []), ("plone.restore", {}, []), ("host.patch", {}, [["./invoke", "host.patch", "--take-over"]]),
    ("upgrade", IN_TURN, [["./invoke", "upgrade", "--python", "3.11", "--take-over", "--inventory", "campus"]]),
])  # fmt: skip
def test_only_a_rollout_is_proposed_to_be_taken_over_by_one(verb, rollout, proposed):
    request = replace(REQUEST, values={**REQUEST.values, "eduhub_resume": True})
    run = replace(fleet_run(Hosts(), Policy()).run, request=request, owner="ana@here")
    held = held_by_other(run, {"lock": LOCK | {"verb": verb}} | rollout)
    assert held
    assert [list(each) for each in held.next] == [["./invoke", "status"], *proposed]


def test_a_canary_that_goes_back_leaves_no_mixed_fleet(roll):
    code, text, _ = roll(Hosts({("b1", "rollout"): "reverted"}))
    assert code == 1
    assert "Mixed fleet" not in text


def test_a_resumed_run_whose_first_host_goes_back_leaves_a_mixed_fleet(roll):
    hosts = Hosts({("b1", "rollout"): "unchanged", ("b2", "rollout"): "reverted"})
    assert roll(hosts)[0] == 3


def test_an_interrupted_wave_ends_the_run_to_be_undone():
    hosts = Hosts({("b2", "rollout"): "interrupted"})
    fleet = fleet_run(hosts, Policy(soak_seconds=0.0))
    with Signals() as signals:
        done = fleet.roll(signals)
    assert done.interrupted
    assert done.outcome
    assert not done.outcome.ended
    assert done.outcome.begun


def test_a_host_whose_turn_did_not_come_still_waits_when_the_run_is_undone():
    nothing = Host(phase="revert", phases=["revert"], exits={"revert": 1}, status=serves("3.9.2"))
    before = Outcome({"b1": MOVED, "b2": Host(waiting=True), "b3": Host(waiting=True)}, ended=False)
    stuck = replace(nothing, exits={"revert": 3}, failed="revert")
    undone = Outcome({"b1": replace(MOVED), "b2": nothing, "b3": stuck}, ended=True).after(before)
    assert [result_of(host) for host in undone.hosts.values()] == ["changed", "waiting", "failed"]
    assert fleet_exit(0, undone) == 3


def test_ctrl_c_between_two_waves_starts_no_other():
    hosts = Hosts()
    fleet = fleet_run(hosts, Policy(soak_seconds=60.0))
    with Signals() as signals:
        play = fleet.play

        def played(run: Run, playbook: str, heard: Signals) -> Played:
            if playbook == "rollout":
                threading.Timer(0.3, lambda: setattr(signals, "count", 1)).start()
            return play(run, playbook, heard)

        fleet.play = played
        done = fleet.roll(signals)
    assert fleet_exit(done.returned, done.outcome) == 3
    assert hosts.played[-1] == ("rollout", "b1")
    assert done.interrupted


EVENTS = some.dictionaries(
    some.tuples(some.sampled_from([f"b{n}" for n in range(1, 9)]),
                some.sampled_from(["upgrade_prepare", "rollout", "rollback", "verify", "status"])),
    some.sampled_from(["reverted", "refused", "lost", "broken", "unreachable", "failed", "rolled back", "absent"]),
    max_size=4,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(EVENTS, some.integers(2, 8), some.integers(0, 3), some.sampled_from(["halt", "revert-all"]),
       some.sampled_from(["1", "50%", "3"]), some.sampled_from([0.0, 0.001]))  # fmt: skip
def test_whatever_happens_every_host_is_in_the_table_and_a_resume_ends_it(
    roll, fails, number, budget, on_breach, unavailable, soak
):
    names = [f"b{n}" for n in range(1, number + 1)]
    hosts = Hosts(dict(fails), names=names)
    code, text, fleet = roll(
        hosts, failure_budget=budget, on_breach=on_breach, max_unavailable=unavailable, soak_seconds=soak
    )
    assert set(names) == set(results(fleet))
    new = {name for name in names if hosts.python[name] == "3.11.2"}
    assert (code == 0) <= (new == set(names))
    assert (code in {1, 2}) <= (not new), "no mixed fleet goes unsaid"
    assert code == 0 or "Next: ./invoke " in text
    hosts.fails.clear()  # whatever it was, it is fixed
    assert roll(hosts)[0] == 0
    assert {"3.11.2"} == set(hosts.python.values())


def targets(*several: dict[str, object], group: str = "bridge") -> list[Target]:
    return [Target(f"b{n}", {"group_names": [group], **each}) for n, each in enumerate(several, start=1)]


def test_a_rollout_is_not_about_front_hosts():
    bridges, fronts = targets({}, {}), targets({}, group="front")
    assert played_on("upgrade", [*bridges, *fronts]) == bridges
    for verb in ("deploy", "drain", "undrain", "host.patch"):
        assert played_on(verb, [*bridges, *fronts]) == [*bridges, *fronts]
    assert played_on("upgrade", fronts) == fronts  # which then says that there is no bridge among them


def test_only_an_upgrade_of_several_bridge_hosts_goes_in_waves():
    assert len(fleet_of(REQUEST, targets({}, {}))) == 2
    assert fleet_of(REQUEST, targets({})) == []
    assert fleet_of(REQUEST, targets({}, {}, group="plone")) == []
    assert fleet_of(replace(REQUEST, verb="status"), targets({}, {})) == []


def test_the_policy_is_the_described_one_unless_the_inventory_sets_another():
    assert Policy() == replace(policy_of(targets({}, {}), KNOWN, hold=False), waves=Policy.waves)
    given = {"rollout_waves": [2, "50%"], "rollout_failure_budget": "3"}
    policy = policy_of(targets(given, given), KNOWN, hold=True)
    assert (policy.waves, policy.failure_budget, policy.soak_seconds) == (["2", "50%"], 3, 0.0)
    shortest = targets({"pilot_confirm_seconds": "{{ x }}"}, {"pilot_confirm_seconds": 90})
    assert policy_of(shortest, KNOWN, hold=True).confirm_seconds == 90


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        (targets({"rollout_failure_budget": 1}, {}), "rollout_failure_budget is 1 for b1 and 0 for b2, but one run"),
        (targets({"rollout_waves": []}, {"rollout_waves": []}), "rollout_waves names no wave"),
        (targets({"rollout_on_breach": "{{ x }}"}, {}), "rollout_on_breach is decided before Ansible runs"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(hosts, why):
    with pytest.raises(RefusalError, match=why):
        policy_of(hosts, KNOWN, hold=False)


PLAYED = """\
- hosts: bridge
  gather_facts: false
  tasks:
    - tell: {stdout: '{"code":"told","exit":0,"message":"fine."}'}
      vars: {phase: %s}
    - tell: {failed: true, stdout: '{"code":"gate_failed","exit":1,"message":"too slow."}'}
      vars: {phase: shift}
      when: inventory_hostname == 'b2' and '%s' == 'begin'
"""


def test_the_front_plays_the_waves_with_ansible(front, checkout):
    (checkout / "inventories/local/hosts.yml").write_text(
        "bridge:\n  vars: {ansible_connection: local, rollout_soak_seconds: 0}\n  hosts: {b1: , b2: , b3: }\n"
    )
    phases = {"upgrade": "x", "upgrade_prepare": "preflight", "rollout": "begin", "status": "status"}
    for name, phase in phases.items():
        (checkout / f"ansible/playbooks/{name}.yml").write_text(PLAYED % (phase, phase))
    code, text, _ = front.run("upgrade")
    assert code == 3
    assert "Wave 2 of 3: b2" in text
    assert "Wave 3" not in text
    assert "b3    waiting" in text
    assert "b1    unchanged" in text, "that it still serves its release was asked, and it answered"
