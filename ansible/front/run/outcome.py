"""What a run came to, as the callback wrote it down: one part for each host. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from front.run.messages import Message

# What a deployment does before it takes the lock, and what updates a host. Once one of these has changed something,
# nothing after it is a refusal that touched nothing, and none undoes it.
PHASES_WITHOUT_UNDO = frozenset({"prepare", "plone", "hand-over", "edge", "patch", "reboot"})

@dataclass(frozen=True)
class Host:
    """One host's part of a run.

    `phase`: the one it is in. `phases`: those in which something ran, in order. `failed`: the phase of the first
    failure, None without one. `changed_in`: the phases in which something of the host was changed. `exits`: the `exit`
    of the pilot's last answer in each phase. `messages`: why it failed.
    `announced`: blocks of text for the end. `status`: the pilot's status object. `report`: its report of the last
    rollout. `python`: the live one as it was found, as "3.11"; `plone_python`, `plone_version`: Plone's. `rolled`: the
    verdicts of this rollout's gates, and what it changed. `releases`, `backups`: what the host keeps, `trace`: what its
    logs say of a request, `plan`: what an upgrade would do to it, where that was asked.
    `patch`: which packages are to be updated, or once that is `ended`, what changed. `until`: when a host that was
    disconnected has ended its rollout by itself at the latest (UTC, RFC 3339). `waiting`: it belongs to a wave whose
    turn did not come.
    """

    phase: str = ""
    phases: Sequence[str] = ()
    failed: str | None = None
    unreachable: bool = False
    changed: int = 0
    changed_in: Sequence[str] = ()
    exits: Mapping[str, int] = field(default_factory=dict)
    messages: Sequence[Message] = ()
    announced: Sequence[str] = ()
    status: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    python: str | None = None
    plone_python: str | None = None
    plone_version: str | None = None
    rolled: Mapping[str, Any] | None = None
    releases: Sequence[Mapping[str, Any]] | None = None
    backups: Sequence[Mapping[str, Any]] | None = None
    trace: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    patch: Mapping[str, Any] | None = None
    until: str | None = None
    waiting: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Host:
        """Return the host's part in the callback's file; raises KeyError or TypeError for another document."""
        messages = [Message.from_fields(each) for each in document.get("messages") or ()]
        return cls(**{**document, "messages": messages})

    def then(self, later: Host) -> Host:
        """Return this host after another playbook of the same run: what it has been through, and what is known last."""
        last = (
            "failed", "status", "report", "python", "plone_python", "plone_version", "rolled", "releases", "backups",
            "trace", "plan", "patch",
        )  # fmt: skip
        kept = {name: getattr(later, name) or getattr(self, name) for name in last}
        return replace(
            later, **kept, phases=(*self.phases, *later.phases), exits={**self.exits, **later.exits},
            changed=self.changed + later.changed, changed_in=(*self.changed_in, *later.changed_in),
            messages=(*self.messages, *later.messages),
            announced=(*self.announced, *later.announced),
        )  # fmt: skip

    @property
    def moved(self) -> bool:
        """Whether this run moved its traffic, or updated its packages."""
        return "shift" in self.phases or bool((self.patch or {}).get("ended"))

    @property
    def advanced(self) -> bool:
        """Whether this run, once it is done, has taken the host from where it was: it moved it, confirmed what it
        serves, undid an interrupted run, or changed what nothing undoes.
        """
        undid = "begin" in self.changed_in and "verify" in self.phases  # `begin` did that, and nothing was left to do
        return self.moved or undid or bool({"confirm", *PHASES_WITHOUT_UNDO} & {*self.changed_in})

    @property
    def begun(self) -> bool:
        """Whether the host may hold the lock of this run."""
        return "begin" in (self.phase, *self.phases)


@dataclass(frozen=True)
class Outcome:
    """What the callback wrote: the hosts that took part, and whether the playbook came to its end."""

    hosts: Mapping[str, Host]
    ended: bool

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Outcome:
        """Return the outcome in the callback's file; raises KeyError or TypeError for another document."""
        hosts = {name: Host.from_json(values) for name, values in document["hosts"].items()}
        return cls(hosts, bool(document["ended"]))

    def then(self, later: Outcome) -> Outcome:
        """Return the outcome of this playbook and of another of the same run, that played on some of the hosts."""
        hosts = {name: self.hosts.get(name, Host()).then(host) for name, host in later.hosts.items()}
        return Outcome({**self.hosts, **hosts}, later.ended)

    def after(self, before: Outcome) -> Outcome:
        """Return the outcome of undoing what `before` had done, with what each host had been through and answered."""
        hosts = {
            name: replace(
                host,
                phases=(*old.phases, *host.phases),
                changed_in=(*old.changed_in, *host.changed_in),
                exits={**old.exits, **host.exits},
                waiting=old.waiting,
            )
            for name, host in self.hosts.items()
            for old in (before.hosts.get(name, Host()),)
        }
        return replace(self, hosts=hosts)

    @property
    def begun(self) -> bool:
        """Whether any host may hold the lock of this run."""
        return any(host.begun for host in self.hosts.values())
