"""The waiver of a rollback: its target need not do better than the release that it replaces.

With Plone down neither is ready, and the replaced release may be the cause, so a rollback that waited for Plone would
keep the cause in place. It is then enough that the rollback target is alive.
"""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.facts import Answer, answered, other
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout

# The time to become ready of a release that runs already; one that was just started has half of pilot_start_seconds.
GRACE_SECONDS = 3.0
# An idle bridge may answer from its last check (ours checks Plone once a second at most, and tolerates one failure),
# and one bad answer may be due to a busy host.
ASKED, APART_SECONDS, BAD_IN_A_ROW = 4, 1.1, 2


def waiver_of(host: Host, rollout: Rollout) -> str | None:
    """Return why the slot of `rollout` need not be ready: it is a rollback, and the replaced release is not ready."""
    record = host.known(rollout.origin)
    if rollout.verb != "rollback" or record is None:
        return None
    left, path, bad = other(rollout.slot), record.spec.health_path, 0
    for number in range(ASKED):
        host.clock.sleep(APART_SECONDS if number else 0)
        answer = host.ask(host.settings.private_endpoints[left], path, host.settings.probe_seconds)
        bad = 0 if answer.good else bad + 1
        if bad == BAD_IN_A_ROW:
            return f"the release to replace ({left}) is not ready either: {path} {answered(answer)}"
    return None


def alive(host: Host, rollout: Rollout, record: Record, last: Answer) -> bool:
    """Return whether the slot is alive: its liveness path answers, or, where it has none, `last` was its own answer."""
    path = record.spec.fields.get("live_path")
    if not path:
        return last.trouble is None
    return host.ask(host.settings.private_endpoints[rollout.slot], str(path), host.settings.probe_seconds).good
