"""`prove`: the slot's container is the release it should be, gets ready in time, and passes the gates."""

from __future__ import annotations

import re
from typing import Any, cast

from eduhub_pilot import excuse
from eduhub_pilot.errors import FailedError
from eduhub_pilot.facts import Answer, Container, Trouble, other
from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.bench import Bench
from eduhub_pilot.gates.criteria import for_verb
from eduhub_pilot.gates.runner import EVENTS, Asked, ask
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.probe import IN_A_ROW, Readiness, wait_ready
from eduhub_pilot.record import Record
from eduhub_pilot.state import HostState, Rollout
from eduhub_pilot.undo import LOG_LINES, rename
from eduhub_pilot.verdict import Verdict

# So many restarts while the pilot watches are a crash loop, not a hiccup.
RESTARTS = 3
DETAILS = 10


def prove(host: Host, run: str, warm: bool = False) -> Outcome:
    """Return the verdicts when the slot is ready and passes; FailedError says what it does instead, with its log.

    `warm`: its container has been running for long, so that it need not be waited for as one that starts.

    A gate that is inconclusive ends the run where it is, with code 3: nothing is moved, the slot stays up behind its
    door, the lock is freed. `--resume` asks the gates again; any other run removes the slot first.
    """
    with host.step(run, "prove") as (_, state):
        rollout = state.rollout
        if rollout is None:
            raise FailedError(f"Run {run} has no rollout to prove: `begin` comes first.")
        record = host.store.record(rollout.release)
        judged_by = for_verb(host.settings.gates, rollout.verb, record.spec)
        if rollout.step == "begin":
            host.store.save_state(state.at(rollout, "prove"))
        container = _right(host, rollout, record)
        rename(host, rollout.slot, rollout.release)
        host.note(run, "prove", "started", slot=rollout.slot, release=rollout.release)
    readiness, why = _readiness(host, run, rollout, record, container, warm)
    host.note(
        run, "prove", "excused" if why else "ready", attempts=readiness.attempts, seconds=round(readiness.elapsed, 3),
        **({"why": why} if why else {}),
    )  # fmt: skip
    blue = host.known(state.live.release) if state.live else None
    live = host.engine.container(host.settings.container(other(rollout.slot)))
    bench = Bench(host, rollout, record, blue, judged_by, host.heart(run).beat, bool(live and live.runs))
    asked = []
    for each in ask(bench):
        asked.append(each)
        event = EVENTS[each.found.verdict] if isinstance(each.found, Verdict) else "skipped"
        host.note(run, "prove", event, **each.document)
    data = {"verdicts": [each.document for each in asked], "ready_seconds": round(readiness.elapsed, 3)}
    if asked and asked[-1].stops:
        return _stopped(host, run, rollout, state, asked, data)
    ready = f"is not ready, but alive; {why}" if why else f"was ready after {readiness.elapsed:.1f} s"
    say = [f"{rollout.slot} {ready}.", *(each.say for each in asked)]
    return Outcome(0, "\n".join(say), True, data)


def _stopped(
    host: Host, run: str, rollout: Rollout, state: HostState, asked: list[Asked], data: dict[str, Any]
) -> Outcome:
    """Return the outcome of a run that a gate leaves to a person; FailedError for one that is to be reverted."""
    last = asked[-1]
    found = cast("Verdict", last.found)
    details = "".join(f"\n  {line}" for line in shown(last.details))
    before = "".join(f"\n{each.say}" for each in asked[:-1])
    if found.consequence == "wait for a person":
        _leave(host, run)
        return Outcome(3, waiting(rollout, state, found, host.settings.doors[rollout.slot]) + details + before, True,
                       {**data, "waits": True})  # fmt: skip
    twice = " (asked twice)" if found.verdict == "error" else ""
    name = host.settings.container(rollout.slot)
    # What a page answered is explained by the log; what a gate read or compared is not.
    log = _log(host, name) if found.gate == smoke.GATE else ""
    raise FailedError(
        f"{rollout.slot} failed the gate {found.gate}{twice}: {found.reason}{details}{before}{log}",
        **data, log=host.engine.log(name, LOG_LINES),
    )  # fmt: skip


def _leave(host: Host, run: str) -> None:
    """Free the lock: whoever comes to judge may be somebody else, and later than any lock lives."""
    with host.step(run, "prove"):
        host.note(run, "prove", "waiting")
        host.store.free()


def waiting(rollout: Rollout, state: HostState, found: Verdict, door: str) -> str:
    """Return the words of a run that waits for a person."""
    serves = f"{state.live.slot} serves {state.live.release}" if state.live else "nothing serves yet"
    return (
        f"The gate {found.gate} is inconclusive: {found.reason} Nothing was moved: {serves}, {rollout.slot} waits "
        f"without traffic at {door}, and the lock is free. `./invoke upgrade --resume` asks the gates again; with "
        f"pilot_gate_{found.gate}: observe in the inventory it goes on whatever this one says. `./invoke rollback` "
        f"removes {rollout.slot} and leaves what serves; any other run removes it first."
    )


def shown(lines: list[str]) -> list[str]:
    """Return as many lines as an operator reads at once; the journal has them all."""
    return lines if len(lines) <= DETAILS else [*lines[:DETAILS], f"and {len(lines) - DETAILS} more in the journal."]


def _right(host: Host, rollout: Rollout, record: Record) -> Container:
    """Return the slot's container; FailedError unless it is of the release to prove."""
    name = host.settings.container(rollout.slot)
    container = host.engine.container(name)
    if container is None:
        raise FailedError(f"There is no container {name} to prove: role bridge starts it before.")
    if container.release != record.id or container.image != record.image_id:
        raise FailedError(
            f"{name} runs release {container.release} of image {container.image[:19]}, not {record.id} of "
            f"{record.image_id[:19]}: role bridge should have replaced it."
        )
    return container


def _readiness(
    host: Host, run: str, rollout: Rollout, record: Record, container: Container, warm: bool
) -> tuple[Readiness, str | None]:
    """Return how the slot got ready, and the excuse of one that did not; FailedError without one."""
    heart, settings = host.heart(run), host.settings
    patience = excuse.PATIENCE_SECONDS if warm else max(excuse.PATIENCE_SECONDS, settings.start_seconds / 2)
    why: str | None = None

    def stopped() -> str | None:
        heart.beat()
        return gone(host.engine.container(container.name), container)

    def enough(answer: Answer, seconds: float) -> bool:
        nonlocal why
        if answer.good or rollout.verb != "rollback" or seconds < patience:
            return answer.good
        if not excuse.alive(host, rollout, record, answer):
            return False
        why = why or excuse.excuse(host, rollout)
        return bool(why)

    readiness = wait_ready(
        host.clock,
        lambda: host.ask(settings.doors[rollout.slot], record.spec.health_path, settings.probe_seconds),
        stopped,
        settings.start_seconds,
        enough,
    )
    if not readiness.ready:
        words = unready(host, rollout, record, readiness)
        log = host.engine.log(container.name, LOG_LINES)
        host.note(run, "prove", "failed", why=words, attempts=readiness.attempts, log=log)
        raise FailedError(words + _log(host, container.name), log=log)
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


def _log(host: Host, name: str) -> str:
    lines = host.engine.log(name, LOG_LINES)
    if not lines:
        return f"\n{name} logged nothing."
    return f"\nLast lines of {name}:\n" + "\n".join(f"  {line}" for line in lines)
