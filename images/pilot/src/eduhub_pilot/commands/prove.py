"""`prove`: the slot's container runs the candidate, becomes ready before its deadline, and passes the gates."""

from __future__ import annotations

import argparse
from typing import Any, cast

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.criteria import for_verb
from eduhub_pilot.gates.performance import gate as performance
from eduhub_pilot.gates.runner import EVENTS, Asked, ask
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import other
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState, Rollout
from eduhub_pilot.model.verdict import Verdict
from eduhub_pilot.rollout.messages import being_undone
from eduhub_pilot.rollout.slot import start
from eduhub_pilot.rollout.slot_readiness import log_tail, readiness_of
from eduhub_pilot.rollout.undo import LOG_LINES, rename

DETAILS = 10
# What to type after an inconclusive gate.
DECISIONS = (["./invoke", "upgrade", "--resume"], ["./invoke", "rollback"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return prove(host, options.run)


def prove(host: Host, run: str) -> Outcome:
    """Start the candidate; return the verdicts when it is ready and passes. FailedError, with its log, when not.

    An inconclusive gate ends the run in place: no traffic is moved, the slot stays up behind its private endpoint, the
    lock is released. `--resume` runs the gates again; any other run removes the slot first.
    """
    with host.step(run, "prove") as (_, state):
        rollout = state.rollout
        if rollout is None:
            raise FailedError("not_begun", f"Run {run} has no rollout to prove: `begin` has to come first.")
        if rollout.undoing:
            raise being_undone(rollout)
        record = host.store.record(rollout.release)
        judged_by = for_verb(host.settings.gates, rollout.verb, record.spec)
        if rollout.step == "begin":
            host.store.save_state(state.at(rollout, "prove"))
        container, ran = start(host, rollout.slot, record)
        # A container that a killed pilot has just started is waited for as one that starts.
        warm = ran and rollout.step == "begin"
        rename(host, rollout.slot, rollout.release)
        host.note(run, "prove", "started", slot=rollout.slot, release=rollout.release)
    readiness, why = readiness_of(host, run, rollout, record, container, warm)
    host.note(
        run, "prove", "waived" if why else "ready", attempts=readiness.attempts, seconds=round(readiness.elapsed, 3),
        **({"why": why} if why else {}),
    )  # fmt: skip
    live = host.known(state.live.release) if state.live else None
    left = host.engine.container(host.settings.container(other(rollout.slot)))
    candidate = Candidate(host, rollout, record, live, judged_by, host.heart(run).beat, bool(left and left.runs))
    asked = []
    for each in ask(candidate):
        asked.append(each)
        event = EVENTS[each.found.verdict] if isinstance(each.found, Verdict) else "skipped"
        host.note(run, "prove", event, **each.document)
    data = {"verdicts": [each.document for each in asked], "ready_seconds": round(readiness.elapsed, 3)}
    if asked and asked[-1].stops:
        return _stopped(host, run, rollout, state, asked, data, record.python)
    ready = f"is alive but not ready; {why}" if why else f"was ready after {readiness.elapsed:.1f} s"
    lines = [f"The candidate ({rollout.slot}) {ready}.", *(each.message for each in asked)]
    return Outcome("proven", "\n".join(lines), True, data)


def _stopped(
    host: Host, run: str, rollout: Rollout, state: HostState, asked: list[Asked], data: dict[str, Any],
    python: str | None,
) -> Outcome:  # fmt: skip
    """Return the outcome of a run that a person has to decide; FailedError for one to revert."""
    last = asked[-1]
    found = cast("Verdict", last.found)
    details = "".join(f"\n  {line}" for line in shown(last.details))
    before = "".join(f"\n{each.message}" for each in asked[:-1])
    if found.consequence == "wait for a person":
        _leave(host, run)
        endpoint = host.settings.private_endpoints[rollout.slot]
        message = undecided(rollout, state, found, endpoint) + details + before
        return Outcome("gate_inconclusive", message, True, {**data, "waits": True}, DECISIONS)
    error = found.verdict == "error"
    name = host.settings.container(rollout.slot)
    # Only the answers that the smoke gate judges are explained by the log.
    log = log_tail(host, name) if found.gate == smoke.GATE else ""
    # Findings of this gate are budgets that are exceeded; without one it failed for answers, which are no slowness.
    slower = found.gate == performance.GATE and not error and bool(last.details)
    raise FailedError(
        "gate_error" if error else "gate_failed",
        f"Gate {found.gate} {'could not be evaluated, twice' if error else 'failed'} on the candidate "
        f"({rollout.slot}): {found.reason}{details}{before}{log}",
        *([accepting(rollout, python)] if python and slower else []),
        **data, log=host.engine.log(name, LOG_LINES),
    )  # fmt: skip


def accepting(rollout: Rollout, python: str) -> list[str]:
    """Return the command that takes a slower release on purpose, such as an older Python."""
    return ["./invoke", "deploy" if rollout.verb == "deploy" else "upgrade", "--python", python, "--accept-slower"]


def _leave(host: Host, run: str) -> None:
    """Release the lock: the decision may come from another operator, later than any lock lives."""
    with host.step(run, "prove"):
        host.note(run, "prove", "awaiting_decision")
        host.store.free()


def undecided(rollout: Rollout, state: HostState, found: Verdict, endpoint: str) -> str:
    """Return the message of a run that a person has to decide."""
    live = f"The live release {state.live.release} ({state.live.slot}) is" if state.live else "The host is"
    return (
        f"Gate {found.gate} is inconclusive: {found.reason} {live} unchanged. The candidate ({rollout.slot}) stays up "
        f"without traffic at {endpoint}, and the lock is released. Resuming runs the gates again; with "
        f"pilot_gate_{found.gate}: observe in the inventory the run then continues whatever this gate finds. A "
        "rollback removes the candidate."
    )


def shown(lines: list[str]) -> list[str]:
    """Return the first lines; the journal has them all."""
    return lines if len(lines) <= DETAILS else [*lines[:DETAILS], f"and {len(lines) - DETAILS} more in the journal."]
