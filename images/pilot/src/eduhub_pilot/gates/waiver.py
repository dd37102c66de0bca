"""On the way back a release need not do better than the one it replaces: with Plone away, neither is ready.

The new release may be what Plone suffers from, so a rollback that waited for Plone would keep the cause in place. It is
enough then that the old release runs and answers for itself.
"""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.facts import Answer, other
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout

# A release that runs already is given so long to be ready; one that was just started half of pilot_start_seconds.
PATIENCE_SECONDS = 3.0
# A bridge that nobody has asked for a while may still answer as it did then (ours looks at Plone once a second at most,
# and takes one failure for a hiccup), and one bad answer may be one of a busy host.
ASKED, APART_SECONDS, BAD_IN_A_ROW = 4, 1.1, 2


def excuse(host: Host, rollout: Rollout) -> str | None:
    """Return why the slot of `rollout` may be unready: it is a way back, and what it leaves is not ready either."""
    record = host.known(rollout.origin)
    if rollout.verb != "rollback" or record is None:
        return None
    left, path, bad = other(rollout.slot), record.spec.health_path, 0
    for number in range(ASKED):
        host.clock.sleep(APART_SECONDS if number else 0)
        answer = host.ask(host.settings.private_endpoints[left], path, host.settings.probe_seconds)
        bad = 0 if answer.good else bad + 1
        if bad == BAD_IN_A_ROW:
            return f"{left}, which is left, is not ready either: {path} {_said(answer)}"
    return None


def alive(host: Host, rollout: Rollout, record: Record, last: Answer) -> bool:
    """Return whether the slot answers for itself: on its liveness path, or where it has none, `last` was its own."""
    path = record.spec.fields.get("live_path")
    if not path:
        return last.trouble is None
    return host.ask(host.settings.private_endpoints[rollout.slot], str(path), host.settings.probe_seconds).good


def _said(answer: Answer) -> str:
    words = {"door": "is out of reach", "nobody": "finds nobody", "closed": "is cut off", "hangs": "gets no answer"}
    return words[answer.trouble] if answer.trouble else f"answers {answer.status}"
