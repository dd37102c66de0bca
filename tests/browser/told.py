"""A report to look at: an upgrade under load with gaps, one that reverted, a host out of reach, hostile texts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from eduhub_pilot.analysis import samples, series, timeline
from eduhub_pilot.analysis.samples import Moment, Part
from front.arguments.request import Request
from front.report import page
from front.run.messages import Message
from front.run.outcome import Host

BEGAN = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
OLD, NEW = "20251201T080000Z-py3.9-3bfe0e05", "20260101T093006Z-py3.11-5e912560"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# What a label of somebody else's image, or a path in a gate's sentence, may hold.
HOSTILE = '</title></svg><script>document.title="owned"</script><img src=x onerror=alert(1)>"\'{{ 7*7 }}'
STATUS = {
    "live": "green", "confirmed": True, "release": NEW, "python": "3.11.2", "weight": 100,
    "rollback": {"ready": True, "to": OLD, "seconds": 0.026, "why": None},
}  # fmt: skip


NO_ROLLOUT = {
    "code": "no_rollout_recorded", "message": "No rollout is recorded on this host.", "next": [["./invoke", "deploy"]],
}  # fmt: skip


def time(seconds: float) -> str:
    """Return a time so many seconds after the beginning, as journals have it."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entry(at: float, step: str, event: str, **more: Any) -> dict[str, Any]:
    return {"time": time(at), "run": "20260101T093000Z-201b", "host": "vm", "step": step, "event": event, **more}


def gate(at: float, name: str, verdict: str, seconds: float, reason: str, step: str = "prove") -> dict[str, Any]:
    event = "judged" if step == "shift" else {"pass": "passed", "fail": "failed"}.get(verdict, verdict)
    return entry(at, step, event, gate=name, verdict=verdict, seconds=seconds, reason=reason, mode="enforce")


def proven() -> list[dict[str, Any]]:
    """Return how every run begins."""
    imported = "670 modules of 35 packages can be imported on Python 3.11.2; async-timeout 5.0.1 is gone."
    return [
        entry(0, "begin", "begun", verb="upgrade", slot="green", release=NEW, origin=OLD, owner="ana@desk"),
        entry(4.5, "prove", "started", slot="green", release=NEW),
        entry(7.6, "prove", "ready", attempts=3, seconds=3.1),
        gate(8.1, "smoke", "pass", 0.54, "/health/ready, /health/live, /health, /plone/ answered 3 times in a row."),
        gate(16.9, "runtime", "pass", 8.7, imported),
        gate(17.2, "contract", "pass", 0.25, "12 requests are answered as by blue."),
    ]


def upgrade() -> list[dict[str, Any]]:
    """Return an upgrade that was confirmed."""
    took = "green takes 0.81 to 0.86 times blue's CPU a request; p50 0.93 to 0.99, p95 0.90 to 1.04 times blue's."
    run = [*proven(), gate(47.4, "performance", "pass", 30.1, took)]
    for number, percent in enumerate((5, 25, 50, 100)):
        at = 48 + 15 * number
        run.append(entry(at, "shift", "moved", slot="green", percent=percent, weight=percent, seconds=0.001))
        few = "nothing amiss in 40 answers beside 780 of the other slot, too few of them timed to compare latencies"
        enough = "nothing amiss in 210 answers beside 615 of the other slot."
        verdict = ("inconclusive", few) if percent == 5 else ("pass", enough)
        run.append(gate(at + 14.9, f"shift {percent}%", verdict[0], 14.9, verdict[1], "shift"))
    return [
        *run,
        entry(108.3, "shift", "public_check_passed", answers=200, slot="green"),
        entry(108.4, "rehearse", "rolled_back", slot="blue", seconds=0.026),
        entry(108.9, "shift", "shifted", slot="green", release=NEW),
        entry(113, "confirm", "confirmed", slot="green", release=NEW),
        entry(113.6, "confirm", "lock_released"),
    ]


def part(rate: float, middle: float, chance: random.Random, errors: int = 0) -> Part:
    """Return a second of so many requests, their latencies log-normal around `middle` seconds."""
    answers = max(0, round(chance.gauss(rate, rate**0.5)))
    counts: dict[float, int] = {}
    for _ in range(answers):
        took = middle * chance.lognormvariate(0, 0.5)
        bound = next((each for each in BUCKETS if took <= each), float("inf"))
        counts[bound] = counts.get(bound, 0) + 1
    return Part(answers, errors, requests=dict(sorted(counts.items())))


def lines(*, until: float = 113, errors_from: float = 1e9) -> list[str]:
    """Return the samples of a shift under load, some seconds of them missing."""
    chance, written = random.Random(4), []  # noqa: S311 - a picture, no secret
    for second in range(49, int(until)):
        share = next(share for start, share in ((93, 100), (78, 50), (63, 25), (48, 5)) if second > start)
        if 70 <= second < 75:
            continue
        slots = {
            "blue": part(56 * (100 - share) / 100, 0.03, chance),
            "green": part(56 * share / 100, 0.026, chance, errors=3 * (second > errors_from)),
        }  # fmt: skip
        written.append(samples.line(Moment(time(second), 1.0, share, slots)))  # type: ignore[arg-type]
    return [*written, '{"time":"2026']


def report(run: list[dict[str, Any]], points: list[str], status: dict[str, Any] | None) -> dict[str, Any]:
    """Return a host's report as its pilot tells it."""
    seen, told = series.series(points), named(timeline.events(run)[0])
    result, why = timeline.result(run, at_work=False)
    rollout = {
        "run": run[0]["run"], "verb": "upgrade", "owner": "ana@desk", "slot": "green", "began": time(0),
        "ended": run[-1]["time"], "result": result, "why": why,
        "from": {"release": OLD, "python": "3.9.2", "image": "eduhub/bridge:py3.9", "image_id": "sha256:1"},
        "to": {"release": NEW, "python": "3.11.2", "image": "eduhub/bridge:py3.11", "image_id": "sha256:2"},
        "changed": ["Python 3.9.2 → 3.11.2", "image eduhub/bridge:py3.9 → eduhub/bridge:py3.11",
                    "package async-timeout 5.0.1 is gone"],
        "rehearsed_seconds": 0.026, "verdicts": timeline.verdicts(run), "timeline": told,
        "steps": named(seen.steps), "points": named(seen.points),
    }  # fmt: skip
    return {"schema": 1, "host": "vm", "time": time(120), "now": status, "rollout": rollout, "notes": seen.notes}


def named(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the field names of docs/reference/report.md."""
    names = {"share": "weight", "says": "message"}
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def document() -> dict[str, Any]:
    """Return the report of four hosts."""
    why = f"green answered 12 5xx in a row to {HOSTILE}"
    failed = [
        *upgrade()[:-9], entry(70, "revert", "traffic_restored", slot="blue", why=why),
        entry(71, "revert", "reverted", slot="green", release=NEW, why=why),
    ]  # fmt: skip
    closed = {"ready": False, "to": None, "seconds": None, "why": "no other release is known to be good here"}
    back = {**STATUS, "live": "blue", "release": OLD, "python": "3.9.2", "rollback": closed}
    hosts = {
        "bridge-1.example.org": Host(report=report(upgrade(), lines(), STATUS)),
        "bridge-2.example.org": Host(report=report(failed, lines(until=70, errors_from=64), back)),
        "bridge-3.example.org": Host(
            unreachable=True, messages=[Message("host_unreachable", "Ask: Failed to connect via ssh: no route.")]
        ),
        HOSTILE: Host(report={
            "schema": 1, "host": "vm", "time": time(120), "now": None, "rollout": None,
            "notes": [NO_ROLLOUT],
        }),
    }  # fmt: skip
    return page.document(Request("report", "example"), time(120), hosts)
