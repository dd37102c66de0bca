"""What a run came to. Pure: from what the callback wrote down to an exit code and a word for each host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

DONE, REVERTED, REFUSED, NEEDS_PERSON = 0, 1, 2, 3
WORST_FIRST = (NEEDS_PERSON, REVERTED, REFUSED, DONE)
WORDS = {REVERTED: "reverted", REFUSED: "refused", NEEDS_PERSON: "failed"}

# A failure in one of these has touched nothing; "setup" is what the callback calls tasks without a phase.
REFUSING = frozenset({"setup", "preflight", "begin", "stage", "status", "releases", "report"})


@dataclass(frozen=True)
class Host:
    """One host's part of a run, as the callback saw it.

    `phase`: the one it is in. `phases`: those in which something ran, in order. `failed`: the phase of the first
    failure, None without one. `pilot`: the last exit code that the pilot gave in each phase. `code`: what the failing
    task says its failure means. `says`: the sentences of the failure. `announced`: blocks of text for the end.
    `status`: the pilot's status object. `report`: its report of the last rollout.
    `rolled`: the verdicts of this rollout's gates, and what it changed. `until`: when a host that was lost has ended
    its rollout by itself at the latest (UTC, RFC 3339).
    """

    phase: str = ""
    phases: Sequence[str] = ()
    failed: str | None = None
    unreachable: bool = False
    changed: int = 0
    pilot: Mapping[str, int] = field(default_factory=dict)
    code: int | None = None
    says: Sequence[str] = ()
    announced: Sequence[str] = ()
    status: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    rolled: Mapping[str, Any] | None = None
    until: str | None = None

    @property
    def touched(self) -> bool:
        """Whether a phase began that may change what the host serves."""
        return not REFUSING.issuperset(self.phases)

    @property
    def begun(self) -> bool:
        """Whether the host may hold the lock of this run."""
        return "begin" in (self.phase, *self.phases)

    @property
    def lost(self) -> bool:
        """Whether the connection was lost when the host may have been touched, and nobody can ask what it serves.

        Lost in the middle of begin, it may hold the lock and a release to go on with.
        """
        return self.unreachable and (self.touched or self.begun)


@dataclass(frozen=True)
class Outcome:
    """What the callback wrote: the hosts that took part, and whether the playbook came to its end."""

    hosts: Mapping[str, Host]
    ended: bool

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Outcome:
        """Return the outcome in the callback's file; raises KeyError or TypeError for another document."""
        hosts = {name: Host(**values) for name, values in document["hosts"].items()}
        return cls(hosts, bool(document["ended"]))

    def after(self, before: Outcome) -> Outcome:
        """Return the outcome of undoing what `before` had done, with what each host had been through and answered."""
        hosts = {
            name: replace(host, phases=(*old.phases, *host.phases), pilot={**old.pilot, **host.pilot})
            for name, host in self.hosts.items()
            for old in (before.hosts.get(name, Host()),)
        }
        return replace(self, hosts=hosts)

    @property
    def begun(self) -> bool:
        return any(host.begun for host in self.hosts.values())


def host_code(host: Host) -> int:
    """Return the exit code that one host's part of the run asks for."""
    if host.unreachable:
        return NEEDS_PERSON if host.lost else REFUSED
    if "revert" in host.pilot:
        # Confirmed and with its lock free, a run was over: that there is nothing to undo refuses nothing.
        over = host.pilot["revert"] == REFUSED and host.pilot.get("confirm") == DONE
        return DONE if over else host.pilot["revert"]  # 0 where it found the release confirmed already
    if host.failed is None:
        return worst(host.pilot.values())
    if host.code is not None:
        return host.code
    if host.pilot.get(host.failed) in {REFUSED, NEEDS_PERSON}:
        return host.pilot[host.failed]
    return NEEDS_PERSON if host.touched else REFUSED


def worst(codes: Iterable[int]) -> int:
    """Return the worst of some exit codes (a person is needed, reverted, refused, done); 3 for any other."""
    found = set(codes)
    if found - set(WORST_FIRST):
        return NEEDS_PERSON
    return next((code for code in WORST_FIRST if code in found), DONE)


def exit_code(returned: int, outcome: Outcome | None) -> int:
    """Return the exit code of a run, from ansible-playbook's own (`returned`) and what the callback wrote.

    An Ansible that ended early, or badly though no host did, died of something that no playbook expected: 3. A
    playbook that came to none of the hosts did nothing: 2.
    """
    hosts = outcome.hosts.values() if outcome else ()
    explained = any(host.failed or host.unreachable for host in hosts)
    if outcome is None or not outcome.ended or (returned and not explained):
        return NEEDS_PERSON
    if not hosts:
        return REFUSED
    return worst(host_code(host) for host in hosts)


def word(host: Host | None) -> str:
    """Return the word for one host in the closing table; None stands for a host that the run did not come to."""
    if host is None:
        return "untouched"
    if host.unreachable:
        return "unreachable"
    return WORDS.get(host_code(host)) or ("changed" if host.changed else "unchanged")
