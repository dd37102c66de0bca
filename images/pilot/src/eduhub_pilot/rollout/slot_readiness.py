"""Waits until the candidate's slot is ready; where it is not, explains its answers."""

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

# This many restarts are a crash loop.
RESTARTS = 3


def readiness_of(
    host: Host, run: str, rollout: Rollout, record: Record, container: Container, warm: bool
) -> tuple[Readiness, str | None]:
    """Return how the slot became ready, and the waiver of one that did not; FailedError without a waiver."""
    heart, settings = host.heart(run), host.settings
    grace = waiver.GRACE_SECONDS if warm else max(waiver.GRACE_SECONDS, settings.start_seconds / 2)
    why: str | None = None

    def stopped() -> str | None:
        heart.beat()
        return gone(host.engine.container(container.name), container)

    def enough(answer: Answer, seconds: float) -> bool:
        nonlocal why
        if answer.good or rollout.verb != "rollback" or seconds < grace:
            return answer.good
        if not waiver.alive(host, rollout, record, answer):
            return False
        why = why or waiver.waiver_of(host, rollout)
        return bool(why)

    readiness = wait_ready(
        host.clock,
        lambda: host.ask(settings.private_endpoints[rollout.slot], record.spec.health_path, settings.probe_seconds),
        stopped,
        settings.start_seconds,
        enough,
    )
    if not readiness.ready:
        message = unready(host, rollout, record, readiness)
        log = host.engine.log(container.name, LOG_LINES)
        host.note(run, "prove", "failed", why=message, attempts=readiness.attempts, log=log)
        raise FailedError(
            "slot_not_ready", message + log_tail(host, container.name), ["docker", "logs", container.name], log=log
        )
    return readiness, None if readiness.last and readiness.last.good else why


def gone(now: Container | None, before: Container) -> str | None:
    """Return why a container can no longer become ready, or None while it can."""
    if now is None:
        return f"{before.name} was removed"
    if now.state in {"exited", "dead"}:
        return f"{before.name} exited with {code_of(now)}"
    if now.restarts - before.restarts >= RESTARTS:
        return f"{before.name} exited {now.restarts - before.restarts} times, last with {code_of(now)}"
    return None


def code_of(container: Container) -> str:
    """Return a container's exit code in words. One that was killed for its memory logs nothing of it."""
    killed = " (killed; that is so where bridge_memory is too small)" if container.exit_code == 137 else ""
    return f"code {container.exit_code}{killed}"


def unready(host: Host, rollout: Rollout, record: Record, readiness: Readiness) -> str:
    """Return the message for a slot that is not ready: what it did, its last answer, time, attempts, advice."""
    settings, path = host.settings, record.spec.health_path
    spent = f"after {readiness.elapsed:.1f} s and {readiness.attempts} attempts"
    what, advice = readiness.stopped or "", "Its log has the reason."
    if not what:
        what, advice = fault(readiness.last, rollout.slot, path, settings.probe_seconds)
    message = (
        f"The candidate {record.named()} ({rollout.slot}) did not become ready: {what}. Gave up {spent}. Last answer "
        f"to {path}: {last_answer(readiness.last)}. {advice} If it only starts slowly, raise pilot_start_seconds (now "
        f"{settings.start_seconds:g})."
    )
    return message.replace(".  ", ". ")


def fault(last: Answer | None, slot: str, path: str, probe_seconds: float) -> tuple[str, str]:
    """Return what the last answer shows, and advice where there is some."""
    if last is None:
        return "there was no time for an attempt", ""
    if last.trouble:
        return silence(last.trouble, slot, probe_seconds)
    if last.good:
        return f"it did not answer well {IN_A_ROW} times in a row", ""
    status = last.status or 0
    if 300 <= status < 400:
        return (
            f"it answers {status}, a redirect to {last.location or 'nowhere'}",
            f"Set bridge_health_path (now {path}) to a page that answers 200.",
        )
    if status == 503:
        return "it answers 503: it runs and reports that it is not ready", "A dependency may be missing."
    return f"it answers {status}", f"Check that bridge_health_path (now {path}) is its readiness page."


def silence(trouble: Trouble, slot: str, probe_seconds: float) -> tuple[str, str]:
    """Return the same for a slot that gave no answer."""
    compare = "Check bridge_port and bridge_command."
    known: dict[Trouble, tuple[str, str]] = {
        "no_listener": ("no process listens on its socket or port", compare),
        "closed": ("it closes connections without an answer, as a published port without a listener does", compare),
        "timeout": (
            f"it accepts connections and does not answer within {probe_seconds:g} s",
            f"Raise pilot_probe_seconds (now {probe_seconds:g}) if an answer may take longer.",
        ),
        "refused": (f"HAProxy's private endpoint of {slot} refuses connections", "Check that the edge runs."),
    }
    return known[trouble]


def last_answer(last: Answer | None) -> str:
    """Return one answer in words."""
    words = {
        "no_listener": "503 by HAProxy, no process listens", "closed": "connection closed", "timeout": "none, timeout",
        "refused": "connection refused",
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
