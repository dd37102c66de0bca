"""Waiting until the candidate's slot is ready; where it is not, what its answers show."""

from __future__ import annotations

import re

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.http import IN_A_ROW, Readiness, wait_ready
from eduhub_pilot.gates import waiver
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer, Container, Trouble
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.rollout.undo import LOG_LINES

# So many restarts while the pilot watches are a crash loop, not a hiccup.
RESTARTS = 3


def readiness_of(
    host: Host, run: str, rollout: Rollout, record: Record, container: Container, warm: bool
) -> tuple[Readiness, str | None]:
    """Return how the slot got ready, and the excuse of one that did not; FailedError without one."""
    heart, settings = host.heart(run), host.settings
    patience = waiver.PATIENCE_SECONDS if warm else max(waiver.PATIENCE_SECONDS, settings.start_seconds / 2)
    why: str | None = None

    def stopped() -> str | None:
        heart.beat()
        return gone(host.engine.container(container.name), container)

    def enough(answer: Answer, seconds: float) -> bool:
        nonlocal why
        if answer.good or rollout.verb != "rollback" or seconds < patience:
            return answer.good
        if not waiver.alive(host, rollout, record, answer):
            return False
        why = why or waiver.excuse(host, rollout)
        return bool(why)

    readiness = wait_ready(
        host.clock,
        lambda: host.ask(settings.private_endpoints[rollout.slot], record.spec.health_path, settings.probe_seconds),
        stopped,
        settings.start_seconds,
        enough,
    )
    if not readiness.ready:
        words = unready(host, rollout, record, readiness)
        log = host.engine.log(container.name, LOG_LINES)
        host.note(run, "prove", "failed", why=words, attempts=readiness.attempts, log=log)
        raise FailedError(words + log_tail(host, container.name), log=log)
    return readiness, None if readiness.last and readiness.last.good else why


def gone(now: Container | None, before: Container) -> str | None:
    """Return why a container will not get ready any more, or None while it may."""
    if now is None:
        return f"{before.name} is gone"
    if now.state in {"exited", "dead"}:
        return f"{before.name} exited with code {now.exit_code}"
    if now.restarts - before.restarts >= RESTARTS:
        return f"{before.name} exited {now.restarts - before.restarts} times, last with code {now.exit_code}"
    return None


def unready(host: Host, rollout: Rollout, record: Record, readiness: Readiness) -> str:
    """Return the words for a slot that is not ready: what it did, last answer, time, attempts, what to raise."""
    settings, path = host.settings, record.spec.health_path
    spent = f"after {readiness.elapsed:.1f} s and {readiness.attempts} attempts"
    what, advice = readiness.stopped or "", "Its log says why."
    if not what:
        what, advice = fault(readiness.last, rollout.slot, path, settings.probe_seconds)
    words = (
        f"{rollout.slot} never became ready with {record.named()}: {what}. Gave up {spent}; last answer to {path}: "
        f"{last_answer(readiness.last)}. {advice} Raise pilot_start_seconds (now {settings.start_seconds:g}) if it "
        "only needs longer to start."
    )
    return words.replace(".  ", ". ")


def fault(last: Answer | None, slot: str, path: str, probe_seconds: float) -> tuple[str, str]:
    """Return what the last answer shows, and advice of its own where there is some."""
    if last is None:
        return "there was no time for an attempt", ""
    if last.trouble:
        return silence(last.trouble, slot, probe_seconds)
    if last.good:
        return f"it was not good {IN_A_ROW} times in a row", ""
    status = last.status or 0
    if 300 <= status < 400:
        return (
            f"it answers {status}, a redirect to {last.location or 'nowhere'}, instead of being ready",
            f"Set bridge_health_path (now {path}) to a page that answers 200 by itself.",
        )
    if status == 503:
        return "it answers 503: it runs and says that it is not ready", "It may miss something that it depends on."
    return f"it answers {status}", f"Is bridge_health_path (now {path}) its readiness page?"


def silence(trouble: Trouble, slot: str, probe_seconds: float) -> tuple[str, str]:
    """Return the same for a slot that gave no answer of its own."""
    compare = "Compare bridge_port and bridge_command with what it does."
    known: dict[Trouble, tuple[str, str]] = {
        "nobody": ("nothing listens on its socket or port", compare),
        "closed": ("it closes connections without an answer, as a port does when nothing listens behind it", compare),
        "hangs": (
            f"it accepts connections and hangs: no answer within {probe_seconds:g} s",
            f"Raise pilot_probe_seconds (now {probe_seconds:g}) if an answer may take longer.",
        ),
        "door": (f"HAProxy's door to {slot} does not answer", "`./invoke status` says whether the edge runs."),
    }
    return known[trouble]


def last_answer(last: Answer | None) -> str:
    """Return one answer in words."""
    words = {
        "nobody": "503 by HAProxy, nobody listens", "closed": "connection closed", "hangs": "none in time",
        "door": "connection refused by the door",
    }  # fmt: skip
    if last is None:
        return "none"
    if last.trouble:
        return words[last.trouble]
    body = re.sub(r"\s+", " ", last.body)[:200]
    return f"{last.status}{f' ({body})' if body else ''}"


def log_tail(host: Host, name: str) -> str:
    lines = host.engine.log(name, LOG_LINES)
    if not lines:
        return f"\n{name} logged nothing."
    return f"\nLast lines of {name}:\n" + "\n".join(f"  {line}" for line in lines)
