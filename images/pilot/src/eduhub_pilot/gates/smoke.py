"""The gate `smoke`: readiness, liveness and the given pages answer three times in a row, as the candidate."""

from __future__ import annotations

from eduhub_pilot.adapters.http import IN_A_ROW
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.waiver import waiver_of
from eduhub_pilot.model.facts import Answer, Slot, answered
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "smoke"
# A page may be slow once, while caches are cold; three good answers in a row within six requests are required.
ATTEMPTS = 6
PAUSE_SECONDS = 0.1


def run(candidate: Candidate) -> Verdict:
    """Return the verdict on the candidate, at its private endpoint. An unreachable endpoint is `error`."""
    clock, settings = candidate.host.clock, candidate.host.settings
    started = clock.monotonic()
    slowest: dict[str, float] = {}
    word, reason = _all(candidate, slowest)
    return Verdict(
        gate=GATE,
        verdict=word,
        reason=reason,
        measured={"slowest_seconds": {path: round(seconds, 3) for path, seconds in slowest.items()}},
        budget={"in_a_row": IN_A_ROW, "attempts": ATTEMPTS, "probe_seconds": settings.probe_seconds},
        seconds=round(clock.monotonic() - started, 3),
    )


def _all(candidate: Candidate, slowest: dict[str, float]) -> tuple[Word, str]:
    host, rollout = candidate.host, candidate.rollout
    asked: list[str] = []
    waiver, alive = None, candidate.record.spec.fields.get("live_path")
    for path in candidate.record.spec.paths:
        if waiver and path != alive:
            continue  # it may need what is missing
        row, why = 0, ""
        for _ in range(ATTEMPTS):
            candidate.between()
            answer = host.ask(candidate.endpoint, path, host.settings.probe_seconds)
            slowest[path] = max(slowest.get(path, 0.0), answer.seconds)
            why = fault(answer, rollout.slot, rollout.release) or why
            row = 0 if fault(answer, rollout.slot, rollout.release) else row + 1
            if row == IN_A_ROW:
                asked.append(path)
                break
            host.clock.sleep(PAUSE_SECONDS if row == 0 else 0)
        else:
            waiver = waiver_of(host, rollout) if path != alive else None
            if waiver is None:
                reason = f"{path} {why}; {IN_A_ROW} good answers in a row are required."
                return "error" if answer.trouble == "refused" else "fail", reason
    good = f"{', '.join(asked)} answered {IN_A_ROW} times in a row" if asked else "no page answered well"
    return "pass", f"{good}{f'; {waiver}' if waiver else ''}."


def fault(answer: Answer, slot: Slot, release: str) -> str | None:
    """Return what is wrong with an answer, or None for one that is good and of that slot and release."""
    if not answer.good:
        return answered(answer)
    if (answer.slot, answer.release) != (slot, release):
        return f"was answered by {answer.slot} with release {answer.release}, not by {slot} with {release}"
    return None
