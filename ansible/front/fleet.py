"""Upgrades several hosts in waves: plays one playbook a batch, and asks front/waves.py what comes next."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from front.documented import Documented, is_template
from front.exit_codes import DONE, NEEDS_PERSON, REFUSED, REVERTED, host_exit
from front.inventory import Target
from front.outcome import Host, Outcome
from front.output.fleet import listed
from front.play import Played, Run, Signals, new_id, play, recover, show
from front.refusal import RefusalError
from front.request import Request
from front.waves import SETTINGS, Policy, Roll, Soak, State, Stop, next_step, ordered

FLEET = "bridge"  # the group whose hosts are rolled
FRONT = "front"  # the group of the hosts in front of them
# The verbs that play on front hosts too; all others are about bridges and Plone.
WITH_FRONT = {
    "certificates", "deploy", "destroy", "drain", "engine", "host.patch", "preflight", "status", "undrain", "verify",
}  # fmt: skip
# The verbs that go in waves, and the playbook that looks at every host before any is touched.
IN_WAVES = {"upgrade": "upgrade_prepare"}
STATES = {DONE: State.DONE, REVERTED: State.REVERTED, REFUSED: State.REFUSED, NEEDS_PERSON: State.BROKEN}

Play = Callable[[Run, str, Signals], Played]
Recover = Callable[[Run, Signals], Played]


def fleet_of(request: Request, hosts: Sequence[Target]) -> list[Target]:
    """Return the hosts that `request` rolls in waves; none for another verb, and for a single host."""
    found = bridges(hosts)
    return found if request.verb in IN_WAVES and len(found) > 1 else []


def bridges(hosts: Sequence[Target]) -> list[Target]:
    """Return the hosts that have a bridge, which an upgrade is about."""
    return in_group(FLEET, hosts)


def in_group(group: str, hosts: Sequence[Target]) -> list[Target]:
    """Return the hosts of a group."""
    return [host for host in hosts if group in (host.variables.get("group_names") or ())]


def played_on(verb: str, hosts: Sequence[Target]) -> list[Target]:
    """Return the hosts that `verb` plays on: front hosts are left out where it does nothing to them."""
    others = [host for host in hosts if _is_more_than_front(set(host.variables.get("group_names") or ()))]
    return list(hosts) if verb in WITH_FRONT or not others else others


def _is_more_than_front(groups: set[str]) -> bool:
    return FRONT not in groups or bool(groups & {FLEET, "plone"})


def policy_of(hosts: Sequence[Target], known: Documented, *, hold: bool) -> Policy:
    """Return the policy that the inventory sets. Raises RefusalError where hosts do not agree on one.

    With `hold` there is no soak time: a person looks at all hosts, and until then each may roll back by itself.
    """
    found = {name: _agreed(setting, hosts, known) for name, setting in SETTINGS.items()}
    if not found["waves"]:
        raise RefusalError("rollout_waves names no wave: write [1, 25%], or leave it out.")
    return Policy(
        waves=[str(size) for size in found["waves"]],
        soak_seconds=0.0 if hold else float(found["soak_seconds"]),
        max_unavailable=str(found["max_unavailable"]),
        failure_budget=int(found["failure_budget"]),
        on_breach=str(found["on_breach"]),
    )


def _agreed(setting: str, hosts: Sequence[Target], known: Documented) -> Any:
    default = known.options[setting]["default"]
    values = {host.name: host.variables.get(setting, default) for host in hosts}
    if any(is_template(value) for value in values.values()):
        raise RefusalError(f"{setting} is decided before Ansible runs, so it may be no template: write its value.")
    first, *others = values
    other = next((name for name in others if json.dumps(values[name]) != json.dumps(values[first])), None)
    if other:
        raise RefusalError(
            f"{setting} is {values[first]} for {first} and {values[other]} for {other}, but one run has one value: "
            "write it for the group all, or select hosts with --limit."
        )
    return values[first]


@dataclass
class Fleet:
    """One run over several hosts.

    `order`: their names as they are rolled; `moved`: those that this run moved, in that order; `why`: what ended it
    early, as a sentence.
    """

    run: Run
    names: Sequence[str]
    policy: Policy
    play: Play = play
    recover: Recover = recover
    order: Sequence[str] = ()
    states: dict[str, State] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=lambda: Outcome({}, ended=True))
    returned: int = 0
    stderr: str = ""
    interrupted: bool = False
    soaked: int = 0
    why: str = ""

    def roll(self, signals: Signals) -> Played:
        """Look at every host, then play the waves; return how it ended, as if one playbook had done it all."""
        if not self._took(self.play(self.run, IN_WAVES[self.run.request.verb], signals)):
            return self._played()
        if any(host.failed and not host.unreachable for host in self.outcome.hosts.values()):
            return self._played()  # findings: no host was touched
        self._admit()
        while True:
            step = next_step(self.order, self.states, self.policy, moved=self.moved, soaked=self.soaked)
            if isinstance(step, Stop):
                break
            if not (self._wave(step, signals) if isinstance(step, Roll) else self._soak(step, signals)):
                return self._played()
        self.why = step.why
        for name in step.revert:
            if not self._revert(name, signals):
                self.why = f"{self.why} The rollback of the hosts that had moved was interrupted."
                break
        return self._played()

    def _admit(self) -> None:
        """Order the hosts, those with an unfinished rollout first, and note which cannot be reached."""
        hosts = {name: self.outcome.hosts.get(name, Host(unreachable=True)) for name in self.names}
        self.order = ordered(self.names, [name for name in hosts if (hosts[name].status or {}).get("rollout")])
        self.states = {name: State.LOST if host.unreachable else State.WAITING for name, host in hosts.items()}

    def _wave(self, step: Roll, signals: Signals) -> bool:
        self._say(f"Wave {step.wave} of {step.waves}: {listed(step.hosts)}")
        run = replace(self.run, only=step.hosts, canary=self.order[0])
        went_on = self._took(self.play(run, "rollout", signals))
        for name in step.hosts:
            host = self.outcome.hosts[name]
            self.states[name] = State.LOST if host.unreachable else STATES[host_exit(host)]
            if host.moved and self.states[name] is State.DONE:
                self.moved.append(name)
        return went_on

    def _soak(self, step: Soak, signals: Signals) -> bool:
        self._say(f"Soak: wave {step.wave} serves for {self.policy.soak_seconds:g} s, then its hosts are verified")
        self.soaked = step.wave
        end = time.monotonic() + self.policy.soak_seconds
        while time.monotonic() < end and not signals.count:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        if signals.count:
            self.interrupted, self.why = True, "The run was interrupted between two waves."
            return False
        went_on = self._took(self.play(replace(self.run, only=step.hosts), "verify", signals))
        for name in step.hosts:
            host = self.outcome.hosts[name]
            if host.unreachable or host.failed:
                self.states[name] = State.LOST if host.unreachable else State.BROKEN
        return went_on

    def _revert(self, name: str, signals: Signals) -> bool:
        """Roll one host back; return whether the run goes on. An interrupted rollback is undone.

        In the table the host is as one that went back by itself; as failed where it did not.
        """
        self._say(f"Rolling back {name}")
        asked = self.run.request
        request = Request("rollback", asked.inventory, asked.limit, {}, asked.login)
        run = replace(self.run, request=request, id=new_id(), only=[name])
        done = self.play(run, "rollback", signals)
        interrupted = done.interrupted
        if interrupted and done.outcome and done.outcome.begun:
            done = self.recover(run, signals)
        back = done.outcome.hosts.get(name, Host()) if done.outcome else Host()
        went = not interrupted and done.outcome is not None and done.outcome.ended and back.moved
        went = went and host_exit(back) == DONE
        # A rollback that was reverted itself has left the new release live.
        exits = {**back.exits, "revert": REVERTED if went else NEEDS_PERSON}
        self.outcome = self.outcome.then(Outcome({name: replace(back, exits=exits)}, ended=True))
        self.states[name] = State.REVERTED if went else State.BROKEN
        self.interrupted = self.interrupted or interrupted
        return not interrupted

    def _took(self, done: Played) -> bool:
        """Add how a playbook ended to the run's outcome; return whether the run goes on."""
        self.returned, self.stderr = max(self.returned, done.returned), done.stderr or self.stderr
        self.interrupted = self.interrupted or done.interrupted
        self.outcome = self.outcome.then(done.outcome or Outcome({}, ended=False))
        return self.outcome.ended

    def _played(self) -> Played:
        hosts = {
            name: replace(host, waiting=self.states.get(name) is State.WAITING)
            for name, host in self.outcome.hosts.items()
        }
        return Played(self.returned, replace(self.outcome, hosts=hosts), self.stderr, self.interrupted)

    def _say(self, line: str) -> None:
        if not self.run.json:
            show(line)
