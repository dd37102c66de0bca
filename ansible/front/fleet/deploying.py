"""Which hosts a deployment that stopped did not come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from front.run.outcome import PHASES_WITHOUT_UNDO, Host
from front.run.play import Played

# Of a bridge host, the phase in which its own turn begins; of a front host, the first one that changes it.
BRIDGE_BEGINS, FRONT_BEGINS = "begin", "prepare"


def with_waiting(done: Played, bridges: Sequence[str], fronts: Sequence[str]) -> Played:
    """Return the same, with each host as waiting whose turn did not come, once the deployment had begun to change some.

    Of several hosts that get their first release side by side, such a host may have been changed: its directories,
    Plone and edge come before the release of any of them.
    """
    if done.outcome is None:
        return done
    hosts = dict(done.outcome.hosts)
    stopped = not done.outcome.ended or any(host.failed or host.unreachable for host in hosts.values())
    begun = any(host.begun or PHASES_WITHOUT_UNDO & set(host.changed_in) for host in hosts.values())
    for begins, names in ((BRIDGE_BEGINS, bridges), (FRONT_BEGINS, fronts)):
        for name in names if stopped and begun else ():
            if name in hosts and _waits(hosts[name], begins):
                hosts[name] = replace(hosts[name], waiting=True)
    return replace(done, outcome=replace(done.outcome, hosts=hosts))


def _waits(host: Host, begins: str) -> bool:
    return not (host.failed or host.unreachable or begins in (host.phase, *host.phases))
