"""Upgrades and deploys several hosts in waves: plays one playbook a batch, and asks fleet/waves.py what is next."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.waves import SETTINGS, Policy, Roll, Soak, State, Stop, among, breach, next_step, ordered
from front.inventory.documented import Documented, is_template
from front.inventory.loader import Target
from front.output.closing import last_words
from front.output.fleet import listed
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, REVERTED, host_exit
from front.run.messages import Message
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run, Signals, new_id, note, play, recover, show

FLEET = "bridge"  # the group whose hosts are rolled
FRONT = "front"  # the group of the hosts in front of them
# The verbs that play on front hosts too; all others are about bridges and Plone.
WITH_FRONT = {
    "certificates", "deploy", "destroy", "drain", "engine", "host.patch", "preflight", "status", "undrain", "verify",
}  # fmt: skip
HALT = "halt"


@dataclass(frozen=True)
class Playbooks:
    """What is played of a verb that goes in waves.

    `look`: on every host, before any is touched. `wave`: on the hosts of a batch. `end`: on the front hosts, once all
    others had their turn.
    """

    look: str
    wave: str
    end: str = ""


IN_WAVES = {
    "upgrade": Playbooks("upgrade_prepare", "rollout"),
    "deploy": Playbooks("deploy_look", "deploy_hosts", "deploy_fronts"),
}  # fmt: skip
CONFIRM = "pilot_confirm_seconds"
STATUS, PATCH_ON = ("./invoke", "status"), ("./invoke", "host.patch", "--take-over")
STATES = {DONE: State.DONE, REVERTED: State.REVERTED, REFUSED: State.REFUSED, NEEDS_PERSON: State.BROKEN}
EXITS = {State.REVERTED: REVERTED, State.BROKEN: NEEDS_PERSON}
LEFT_OUT = Message("host_left_out", "Ansible left this host out: the inventory may no longer have it.")

Status = Mapping[str, Any]
Play = Callable[[Run, str, Signals], Played]
Recover = Callable[[Run, Signals], Played]


def fleet_of(request: Request, hosts: Sequence[Target]) -> list[Target]:
    """Return the hosts that `request` rolls in waves; none for another verb, a check, and a single host.

    A deployment is also about hosts that have Plone alone.
    """
    groups = {FLEET, "plone"} if request.verb == "deploy" else {FLEET}
    found = [host for host in hosts if groups & set(host.variables.get("group_names") or ())]
    return found if request.verb in IN_WAVES and not request.check and len(found) > 1 else []


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


def policy_of(hosts: Sequence[Target], known: Documented, *, hold: bool, verb: str = "upgrade") -> Policy:
    """Return the policy that the inventory sets. Raises RefusalError where hosts do not agree on one.

    With `hold` there is no soak time: a person looks at all hosts, and until then each may roll back by itself. What a
    deployment does to Plone and the edge has no rollback, so it halts.
    """
    found = {name: _agreed(setting, hosts, known) for name, setting in SETTINGS.items()}
    if not found["waves"]:
        raise RefusalError("rollout_waves names no wave: write [1, 25%], or leave it out.")
    return Policy(
        waves=[str(size) for size in found["waves"]],
        soak_seconds=0.0 if hold else float(found["soak_seconds"]),
        max_unavailable=str(found["max_unavailable"]),
        failure_budget=int(found["failure_budget"]),
        on_breach=HALT if verb == "deploy" else str(found["on_breach"]),
        confirm_seconds=min(_confirm_seconds(host, known) for host in hosts),
    )


def _confirm_seconds(host: Target, known: Documented) -> float:
    default = known.options[CONFIRM]["default"]
    value = host.variables.get(CONFIRM, default)
    return float(default if is_template(value) else value)


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

    `names`: the hosts of the group bridge. `plones`: those of a deployment that have Plone alone, `fronts`: the front
    hosts of one; these come before, and after, the waves.

    `order`: the names as they are rolled; `canary`: the one that rehearses the rollback; `before`: the release of
    each before the run; `given`: the status of each that is done, at the end of its turn. `moved`: those that this run
    moved and that still serve what they got, in that order; `soaked`: those whose soak time is over, in this run or
    before it; `heard`: those that said what they serve since the last batch began. `why`: what ended the run early, as
    a sentence.
    """

    run: Run
    names: Sequence[str]
    policy: Policy
    plones: Sequence[str] = ()
    fronts: Sequence[str] = ()
    play: Play = play
    recover: Recover = recover
    order: Sequence[str] = ()
    canary: str = ""
    states: dict[str, State] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    given: dict[str, Status] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)
    soaked: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    wave: int = 0
    outcome: Outcome = field(default_factory=lambda: Outcome({}, ended=True))
    returned: int = 0
    stderr: str = ""
    interrupted: bool = False
    why: str = ""

    def roll(self, signals: Signals) -> Played:
        """Look at every host, then play the waves; return how it ended, as if one playbook had done it all."""
        if self._admitted(signals) and self._before(signals) and self._waves(signals) and not self.why and self.fronts:
            self._took(self.play(replace(self.run, only=self.fronts), self._playbooks.end, signals), ())
        return self._played()

    def _admitted(self, signals: Signals) -> bool:
        """Look at every host; return whether the run goes on: with a finding on any of them, no host is touched."""
        done = self.play(self.run, self._playbooks.look, signals)
        found = done.outcome.hosts if done.outcome else {}
        if any(host_exit(host) != DONE for name, host in found.items() if name not in self.names):
            self._took(done, ())  # where it is a front host, Ansible has come to no other one
            return False
        looked = self._took(done, self.names)
        self._admit(looked or {})
        return looked is not None and State.REFUSED not in self.states.values()

    def _before(self, signals: Signals) -> bool:
        """Bring Plone to each host that has it alone, which the bridges need; return whether the run goes on."""
        for name in () if breach(self.order, self.states, self.policy) else self.plones:
            self._say(f"Plone: {name}")
            done = self.play(replace(self.run, only=[name]), self._playbooks.wave, signals)
            hosts = self._took(done, [name], "prepare")
            if hosts is None or host_exit(hosts[name]) != DONE:
                self.why = f"{name} comes before the hosts of the group {FLEET}, and failed."
                return False
        return True

    def _waves(self, signals: Signals) -> bool:
        """Play the waves; return whether the run goes on, which it does not where it was interrupted."""
        while True:
            step = next_step(self.order, self.states, self.policy, moved=self.moved, soaked=self.soaked)
            if unheard := self._unheard(step):
                went_on = self._ask(unheard, signals)
            elif isinstance(step, Stop):
                break
            else:
                went_on = self._wave(step, signals) if isinstance(step, Roll) else self._soak(step, signals)
            if not went_on:
                return False
        self.why = step.why
        for name in step.revert:
            if not self._revert(name, signals):
                self.why = f"{self.why} The rollback of the hosts that had moved was interrupted."
                return False
        return True

    @property
    def _playbooks(self) -> Playbooks:
        return IN_WAVES[self.run.request.verb]

    def _admit(self, hosts: Mapping[str, Host]) -> None:
        """Order the hosts, those with an unfinished rollout first; note which are refused, or cannot be reached."""
        for name, host in hosts.items():
            if not (host.failed or host.unreachable) and (held := held_by_other(self.run, host.status or {})):
                self._amend(name, failed="status", exits={**host.exits, "status": REFUSED}, messages=[held])
            refused = State.REFUSED if self.outcome.hosts[name].failed else State.WAITING
            self.states[name] = State.LOST if host.unreachable else refused
            self.before[name] = str((host.status or {}).get("release") or "")
        unfinished = [name for name, host in hosts.items() if (host.status or {}).get("rollout")]
        lost = among(self.names, self.states, frozenset({State.LOST}))
        drained = [name for name, host in hosts.items() if (host.status or {}).get("draining")]
        empty = [name for name, host in hosts.items() if not (host.unreachable or (host.status or {}).get("live"))]
        if self.run.request.verb != "deploy":  # which refuses them
            empty = []
        elif len(empty) + len(lost) == len(self.names):
            # Where no host serves, none can be lost: all get their first release side by side.
            self.policy = replace(self.policy, waves=("100%",), max_unavailable="100%", soak_seconds=0.0)
        self.order = ordered(self.names, unfinished, lost, [*drained, *empty])
        if self.order and self.order[0] in drained:
            self._say(f"{self.order[0]} is drained, as is each host that can be reached: no client asks the canary.")

    def _wave(self, step: Roll, signals: Signals) -> bool:
        self._say(f"Wave {step.wave} of {step.waves}: {listed(step.hosts)}")
        self.wave, self.heard = step.wave, set(step.hosts)
        self.states |= dict.fromkeys(step.hosts, State.BROKEN)  # until they say otherwise
        if self.states.get(self.canary) is not State.DONE:
            self.canary = step.hosts[0]
        run = replace(self.run, only=step.hosts, canary=self.canary)
        hosts = self._took(self.play(run, self._playbooks.wave, signals), step.hosts, "begin")
        for name, host in (hosts or {}).items():
            self.states[name] = State.LOST if host.unreachable else STATES[host_exit(host)]
            if self.states[name] is State.DONE:
                self._amend(name, failed=None, messages=())  # confirmed, though the answer to that was lost
                self.given[name] = host.status or {}
                self.moved += [name] if host.moved else []
                known = self.outcome.hosts[name].status or {}  # of one that has the release, what it said before
                if not host.advanced and live_for(known, datetime.now(UTC)) >= self.policy.soak_seconds:
                    self.soaked.add(name)  # any other may have been moved by a run that was killed a moment ago
        return hosts is not None

    def _soak(self, step: Soak, signals: Signals) -> bool:
        self._say(f"Soak: wave {step.wave} serves for {self.policy.soak_seconds:g} s, then its hosts are verified")
        self.soaked |= set(step.hosts)
        end = time.monotonic() + self.policy.soak_seconds
        while time.monotonic() < end and not signals.count:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        return self._look(replace(self.run, only=step.hosts), "verify", signals)

    def _unheard(self, step: Roll | Soak | Stop) -> list[str]:
        """Return the hosts that are done and were left alone for a while, where a wave begins or the run ends."""
        if isinstance(step, Soak) or (isinstance(step, Roll) and step.wave == self.wave):
            return []
        return [name for name in among(self.order, self.states, frozenset({State.DONE})) if name not in self.heard]

    def _ask(self, names: Sequence[str], signals: Signals) -> bool:
        self._say(f"Asking whether the release is still live: {listed(names)}")
        return self._look(replace(self.run, only=names, json=True), "status", signals)  # no lines: only news is told

    def _look(self, run: Run, playbook: str, signals: Signals) -> bool:
        """Ask hosts that are done what they serve; return whether the run goes on.

        A release may go after its turn: at the deadline of --hold, or by another operator's rollback.
        """
        done = None if signals.count else self.play(run, playbook, signals)
        if done is None or done.interrupted:  # it only reads: there is nothing to undo
            self.interrupted, self.why = True, "The run was interrupted between two waves."
            return False
        if done.outcome is None or not done.outcome.ended:
            for line in last_words(done.stderr):
                note(line)
            done = replace(done, outcome=Outcome({}, ended=True))  # no host was asked
        for name, host in (self._took(done, run.only, "status") or {}).items():
            self.heard.add(name)
            for message in host.messages:
                if run.json and message != LEFT_OUT:
                    self._say(f"{name}: {message.message}")
            self.states[name] = self._found(name, host)
            if code := EXITS.get(self.states[name]):
                self._amend(name, exits={**self.outcome.hosts[name].exits, "revert": code})
        return True

    def _found(self, name: str, host: Host) -> State:
        """Return what has become of a host that was done."""
        now = host.status or {}
        if host.unreachable:
            return State.LOST
        if not now or serves_still(self.given[name], now):
            return State.BROKEN if host.failed else State.DONE
        self.moved = [each for each in self.moved if each != name]
        message = Message("release_replaced", replaced(self.given[name], now), (("./invoke", "status"),))
        self._amend(name, messages=[*self.outcome.hosts[name].messages, message])
        self._say(f"{name}: {message.message}")
        over = now.get("confirmed") and not now.get("rollout") and not host.failed
        return State.REVERTED if over and now.get("release") == self.before[name] else State.BROKEN

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
        # Of a release that was held nothing has to move: undoing its run is all.
        there = back.moved or (back.status or {}).get("release") == self.before[name]
        went = not interrupted and done.outcome is not None and done.outcome.ended and there
        went = went and host_exit(back) == DONE
        # A rollback that was reverted itself has left the new release live.
        self.states[name] = State.REVERTED if went else State.BROKEN
        back = replace(back, exits={**back.exits, "revert": EXITS[self.states[name]]})
        self.outcome = self.outcome.then(Outcome({name: back}, ended=True))
        self.interrupted = self.interrupted or interrupted
        return not interrupted

    def _took(self, done: Played, names: Sequence[str], phase: str = "") -> Mapping[str, Host] | None:
        """Add how a playbook ended to the run's outcome; return each host's part of it, None where the run ends.

        `phase`: the one in which each host that did not fail has answered.
        """
        self.returned, self.stderr = max(self.returned, done.returned), done.stderr or self.stderr
        self.interrupted = self.interrupted or done.interrupted
        outcome = done.outcome or Outcome({}, ended=False)
        if outcome.ended:
            hosts = {**outcome.hosts, **{name: took_part(outcome.hosts.get(name), phase) for name in names}}
            outcome = replace(outcome, hosts=hosts)
            if left_out := [name for name in names if LEFT_OUT in hosts[name].messages]:
                self._say(f"{listed(left_out)}: {LEFT_OUT.message}")
        self.outcome = self.outcome.then(outcome)
        return {name: outcome.hosts[name] for name in names} if outcome.ended else None

    def _amend(self, name: str, **fields: Any) -> None:
        hosts = self.outcome.hosts
        self.outcome = replace(self.outcome, hosts={**hosts, name: replace(hosts[name], **fields)})

    def _played(self) -> Played:
        hosts = {
            name: replace(host, waiting=self.states.get(name) is State.WAITING)
            for name, host in self.outcome.hosts.items()
        }
        return Played(self.returned, replace(self.outcome, hosts=hosts), self.stderr, self.interrupted)

    def _say(self, line: str) -> None:
        if not self.run.json:
            show(line)


def took_part(host: Host | None, phase: str) -> Host:
    """Return a host as it is if it failed or answered in `phase`, else as one that cannot be reached.

    Ansible says nothing of a host that has left the inventory meanwhile.
    """
    if host and (host.failed or host.unreachable or not phase or phase in host.exits):
        return host
    return replace(host or Host(), unreachable=True, messages=[LEFT_OUT])


def held_by_other(run: Run, status: Status) -> Message | None:
    """Return that a resumed run will not get a host's lock; None where it will, and for a run without --resume.

    Preflight leaves locks to a run that resumes, whose own interrupted run may hold them.
    """
    values, lock, rollout = run.request.values, status.get("lock"), status.get("rollout")
    if not values.get("eduhub_resume") or values.get("eduhub_take_over") or not lock or lock["expired"]:
        return None
    waits = values.get("eduhub_hold") and rollout and rollout["hold"] and rollout["step"] == "shifted"
    if waits or (rollout and lock["owner"] == run.owner):
        return None
    text = (
        f"{lock['owner']} holds the lock of this host since {lock['since']}: run {lock['run']}, verb {lock['verb']}, "
        f"step {lock['step']}. "
    )
    if not rollout:  # as the pilot says it: nothing is to be undone, and a rollout must not begin beside that run
        patch_on = [PATCH_ON] if lock["verb"] == PATCH_ON[1] else []
        text += "That run has no rollout to undo: repeat the command when it has ended."
        return Message("lock_held", text, (STATUS, *patch_on))
    again = shlex.split(run.request.without_recovery("--take-over"))
    text += "--resume goes on from an interrupted run of your own alone."
    return Message("lock_held", text, (STATUS, tuple(again)))


def live_for(status: Status, now: datetime) -> float:
    """Return for how many seconds a host's release has been live and confirmed; 0 where that is not known."""
    try:
        return (now - datetime.fromisoformat(status["since"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return 0.0


def serves_still(given: Status, now: Status) -> bool:
    """Whether a host serves what it got: the same release, confirmed, or held by the run that brought it."""
    run = (now.get("rollout") or {}).get("run")
    held = run is not None and run == (given.get("rollout") or {}).get("run")
    same = given.get("release") in {None, now.get("release")}
    return same and (held or (run is None and bool(now.get("confirmed"))))


def replaced(given: Status, now: Status) -> str:
    """Return that a host no longer serves what it got, and which run has done that."""
    text = f"{given.get('release')} was live after its turn, and {now.get('release')} is now."
    rollout, last = now.get("rollout"), now.get("last")
    if rollout:
        return f"{text} Run {rollout['run']} ({rollout['verb']}) is at step {rollout['step']}."
    why = f": {last['why']}" if last and last.get("why") else "."
    return f"{text} Its last run, {last['run']} ({last['verb']}), was {last['result']}{why}" if last else text
