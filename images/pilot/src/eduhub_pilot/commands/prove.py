"""`prove`: the slot's container is the release it should be, gets ready in time, and passes the gates."""

from __future__ import annotations

import argparse
from typing import Any, cast

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.criteria import for_verb
from eduhub_pilot.gates.runner import EVENTS, Asked, ask
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import other
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState, Rollout
from eduhub_pilot.model.verdict import Verdict
from eduhub_pilot.rollout.slot import start
from eduhub_pilot.rollout.slot_readiness import log_tail, readiness_of
from eduhub_pilot.rollout.undo import LOG_LINES, rename

DETAILS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return prove(host, options.run)


def prove(host: Host, run: str) -> Outcome:
    """Start the candidate and return the verdicts when it is ready and passes; FailedError with its log otherwise.

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
        container, ran = start(host, rollout, record)
        # A container that a killed pilot has just started is waited for as one that starts.
        warm = ran and rollout.step == "begin"
        rename(host, rollout.slot, rollout.release)
        host.note(run, "prove", "started", slot=rollout.slot, release=rollout.release)
    readiness, why = readiness_of(host, run, rollout, record, container, warm)
    host.note(
        run, "prove", "excused" if why else "ready", attempts=readiness.attempts, seconds=round(readiness.elapsed, 3),
        **({"why": why} if why else {}),
    )  # fmt: skip
    blue = host.known(state.live.release) if state.live else None
    live = host.engine.container(host.settings.container(other(rollout.slot)))
    candidate = Candidate(host, rollout, record, blue, judged_by, host.heart(run).beat, bool(live and live.runs))
    asked = []
    for each in ask(candidate):
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
        message = waiting(rollout, state, found, host.settings.private_endpoints[rollout.slot]) + details + before
        return Outcome(3, message, True, {**data, "waits": True})
    twice = " (asked twice)" if found.verdict == "error" else ""
    name = host.settings.container(rollout.slot)
    # What a page answered is explained by the log; what a gate read or compared is not.
    log = log_tail(host, name) if found.gate == smoke.GATE else ""
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
