"""A report's document with known numbers."""

from __future__ import annotations

from typing import Any

import pytest

GAIN = {
    "ratio": {"value": 1.25, "low": 1.2, "high": 1.3},
    "control": {"value": 1.0, "low": 0.97, "high": 1.02},
    "finding": "faster",
}
CPU = {"base": 500.0, "other": 400.0, "control": 505.0}


def row(name: str) -> dict[str, Any]:
    return {"operation": name, "path": f"/{name}", "cpu_us": CPU, "wall_us": CPU, "cpu": GAIN, "wall": GAIN}


def loaded(**more: Any) -> dict[str, Any]:
    return {"cpu_us": {**CPU, "haproxy": 40.0}, "cpu": GAIN, **more}


def saturated_rows(plone: float) -> list[dict[str, Any]]:
    """Return what Plone alone and two bridges answered, 1,600 requests a second each but Plone."""
    row = {"requests": 9000, "cpu_us": 350.0, "plone": 90, "plone_rate": 40.0}
    return [{"arm": arm, **row, "rate": plone if arm == "plone" else 1600.0} for arm in ("plone", "base", "other")]


@pytest.fixture
def document() -> dict[str, Any]:
    """A full report in which every goal is met."""
    times = {arm: {"value": 10.0, "low": 9.0, "high": 11.0} for arm in ("base", "other", "control")}
    rate = {"base": 2000.0, "other": 2500.0, "control": 2000.0}
    ms = {"p50": 0.5, "p95": 0.9, "p99": 1.5, "max": 3.0}
    added = {"p50": {"value": 0.6, "low": 0.5, "high": 0.7}, "p99": {"value": 1.2, "low": 1.0, "high": 1.4}}
    names = ("health", "pass-through", "content list", "content read")
    saturated = loaded(times_haproxy=times, rate=rate)
    seen = {"requests": 100, "failures": {}, "example": "", "ms": {**ms, "p99": 800.0}}
    return {
        "schema": 1,
        "time": "2026-11-25T03:00:00Z",
        "quick": False,
        "busy": "",
        "seconds": 600.0,
        "load_before": [0.1, 0.1, 0.1],
        "load_after": [1.9, 1.0, 0.5],
        "conditions": {
            "commit": "c" * 40, "cores": 2, "cpu": "a <fast> one", "kernel": "6.1", "engine": "Docker Engine 20",
            "images": {"eduhub/bridge:py3.9": {"id": "sha256:" + "a" * 64, "commit": "b" * 40, "python": "3.9.2"}},
        },
        "pythons": {"base": "3.9.2", "other": "3.11.2", "control": "3.9.2"},
        "goals": [],
        "parts": {
            "in-process": {"rounds": 11, "values_a_round": 5, "rows": [row(name) for name in (*names, "multi-user")]},
            "http": {
                "rounds": 11, "rate": 200.0, "window_seconds": 2.0,
                "saturation": {"requests": 3000, "connections": 8},
                "rows": [
                    {
                        "operation": name, "path": f"/{name}", "open": loaded(),
                        **({"saturated": saturated} if name == "pass-through" else {}),
                    }
                    for name in names
                ],
            },
            "latency": {
                "rounds": 11, "rate": 200.0, "window_seconds": 5.0,
                "rows": [
                    {"arm": arm, "requests": 11000, "ms": ms, "lag_ms": ms, **({"added_ms": added} if more else {})}
                    for arm, more in (("direct", False), ("base", True), ("other", True), ("direct again", True))
                ],
            },
            "plone": {
                "pages": 50, "users": 200, "think_seconds": 5.0, "mixed_seconds": 60.0, "mixed_rounds": 2,
                "hot": saturated_rows(plone=200.0), "browsers": saturated_rows(plone=40.0),
                "mixed": [
                    {"arm": arm, **seen, "rate": 39.5, "plone_rate": 12.0, "actions": {"submit": seen}}
                    for arm in ("plone", "other")
                ],
            },
        },
    }  # fmt: skip
