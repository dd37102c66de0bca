"""The goals of the project beside what was measured. A goal that is missed is news, not a failed test. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.bench.compare import OTHER, TOO_FEW
from tests.bench.operations import HEALTH, PASS_THROUGH

GAIN, PROXIES, ADDED_P50_MS, ADDED_P99_MS = 1.20, 12.0, 1.0, 2.0
HOT_RATE, PLONE_RATE, BROWSERS, MIXED_P99_MS = 1500.0, 50.0, 20.0, 1000.0

Part = Mapping[str, Any]


def judged(parts: Mapping[str, Part]) -> list[dict[str, Any]]:
    """Return {"goal", "measured", "met"} for each goal whose part was measured; met is None where noise forbids it."""
    by_part: dict[str, Callable[[Part], list[dict[str, Any]]]] = {
        "in-process": _gains, "http": _proxies, "latency": _added, "plone": _plone,
    }  # fmt: skip
    return [goal for name, part in parts.items() if "void" not in part for goal in by_part[name](part)]


def _goal(goal: str, measured: str, met: bool | None) -> dict[str, Any]:
    return {"goal": goal, "measured": measured, "met": met}


def _row(part: Part, name: str, key: str = "operation", rows: str = "rows") -> Any:
    return next(row for row in part[rows] if row[key] == name)


def _gains(part: Part) -> list[dict[str, Any]]:
    found = []
    for name in (PASS_THROUGH.name, HEALTH.name):
        gain = _row(part, name)["cpu"]
        ratio, resolved = gain["ratio"], gain["finding"] in ("faster", "slower")
        goal = f"newer Python, {name} in process: at least {GAIN:.2f} times"
        said = f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
        found.append(_goal(goal, said, ratio["value"] >= GAIN if resolved else None))
    if any(row["cpu"]["finding"] == TOO_FEW for row in part["rows"]):
        return found
    slower = [row["operation"] for row in part["rows"] if row["cpu"]["finding"] == "slower"]
    found.append(_goal("newer Python: nothing slower beyond the control", ", ".join(slower) or "nothing", not slower))
    return found


def _proxies(part: Part) -> list[dict[str, Any]]:
    times = _row(part, PASS_THROUGH.name)["saturated"]["times_haproxy"][OTHER]
    goal = f"CPU of a pass-through at saturation: at most {PROXIES:g} times HAProxy's"
    said = f"{times['value']:.1f} [{times['low']:.1f}, {times['high']:.1f}]"
    return [_goal(goal, said, times["value"] <= PROXIES)]


def _added(part: Part) -> list[dict[str, Any]]:
    row = _row(part, OTHER, "arm")["added_ms"]
    return [
        _goal(f"added latency, {name}: below {limit:g} ms", f"{row[name]['value']:.2f} ms", row[name]["value"] < limit)
        for name, limit in (("p50", ADDED_P50_MS), ("p99", ADDED_P99_MS))
    ]


def _plone(part: Part) -> list[dict[str, Any]]:
    hot, browsers, mixed = (_row(part, OTHER, "arm", rows) for rows in ("hot", "browsers", "mixed"))
    times = browsers["rate"] / _row(part, "plone", "arm", "browsers")["rate"]
    p99 = mixed["ms"]["p99"] if mixed["ms"] else None
    failed = sum(mixed["failures"].values())
    return [
        _goal(
            f"hot pages: at least {HOT_RATE:,.0f} reads/s a worker while Plone sees at most {PLONE_RATE:g}/s",
            f"{hot['rate']:,.0f}/s, Plone {hot['plone_rate']:.0f}/s",
            hot["rate"] >= HOT_RATE and hot["plone_rate"] <= PLONE_RATE,
        ),
        _goal(
            f"browsers: at least {BROWSERS:g} times Plone alone while Plone sees at most {PLONE_RATE:g}/s",
            f"{times:.0f} times, Plone {browsers['plone_rate']:.0f}/s",
            times >= BROWSERS and browsers["plone_rate"] <= PLONE_RATE,
        ),
        _goal(
            f"{part['users']} users: no error, p99 below {MIXED_P99_MS / 1000:g} s",
            f"{failed} failed, p99 " + ("none" if p99 is None else f"{p99 / 1000:.2f} s"),
            not failed and p99 is not None and p99 < MIXED_P99_MS,
        ),
    ]
