"""The plan of a shift: its canary steps, their duration, and the limits that end it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from eduhub_pilot.model.described import REMEDY, SETTINGS, default, setting, shown, wanted
from eduhub_pilot.model.errors import SettingError
from eduhub_pilot.model.facts import Slot


@dataclass(frozen=True)
class Limits:
    """How much worse the candidate may do than the baseline in the same window before traffic is moved back.

    `errors_percent`: 5xx beyond the other's, in percent of its answers; `alone_errors_percent`: 5xx in percent where
    the other answers nothing; `errors_in_a_row`: 5xx with no good answer between; `connection_errors`: connections that
    failed, beyond the other's; `queue`: requests waiting for it; `slower`: its p95 latency, as a multiple of the
    other's, and more than `slower_seconds` above it. With fewer than `answers` answers (errors) or `latencies` measured
    ones (p95), nothing is concluded.
    """

    errors_percent: float = default("pilot_shift_limits", "errors_percent")
    alone_errors_percent: float = default("pilot_shift_limits", "alone_errors_percent")
    errors_in_a_row: float = default("pilot_shift_limits", "errors_in_a_row")
    connection_errors: float = default("pilot_shift_limits", "connection_errors")
    queue: float = default("pilot_shift_limits", "queue")
    slower: float = default("pilot_shift_limits", "slower")
    slower_seconds: float = default("pilot_shift_limits", "slower_seconds")
    answers: float = default("pilot_shift_limits", "answers")
    latencies: float = default("pilot_shift_limits", "latencies")


@dataclass(frozen=True)
class Plan:
    """`steps` are the candidate's traffic weights, in percent; each is monitored for `seconds`."""

    steps: tuple[int, ...] = default("pilot_shift_steps")
    seconds: float = default("pilot_watch_seconds")
    limits: Limits = field(default_factory=Limits)
    cut: Literal["allow", "forbid"] = default("pilot_drain_cut")

    def ahead(self, reached: int) -> tuple[int, ...]:
        """Return the remaining steps where the candidate has `reached` percent: no step goes back."""
        return tuple(step for step in self.steps if step >= reached) or (100,)

    def at_once(self, seconds: float) -> Plan:
        """Return the plan in one step, monitored for at most `seconds`."""
        return Plan((100,), min(self.seconds, seconds), self.limits, self.cut)


def weight_at(slot: Slot, percent: int) -> int:
    """Return green's traffic weight when `slot` gets `percent` of the public requests, or the reverse."""
    return percent if slot == "green" else 100 - percent


def parse_plan(given: Mapping[str, Any]) -> Plan:
    """Return the plan in the inventory's values; SettingError says which variable to correct."""
    limits = Limits(**setting(given, "pilot_shift_limits"))
    return Plan(_steps(given), setting(given, "pilot_watch_seconds"), limits, setting(given, "pilot_drain_cut"))


def _steps(given: Mapping[str, Any]) -> tuple[int, ...]:
    name = "pilot_shift_steps"
    steps = setting(given, name)
    said = f"{name} is {shown(steps)}"
    if sorted(set(steps)) != steps:
        raise SettingError(f"{said}, but each step must be more than the one before: {REMEDY}.")
    if steps[-1:] != [100]:
        raise SettingError(f"{said}, but the last step must be 100, all traffic: {REMEDY}.")
    return tuple(steps)


def confirm_seconds(text: str, default: float) -> float:
    """Return the seconds of `--confirm-within`, `default` for none; SettingError for what is no sensible number."""
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    allowed = SETTINGS["pilot_confirm_seconds"]
    if not allowed["least"] <= seconds <= allowed["most"]:
        raise SettingError(f"--confirm-within is {text!r}, not {wanted(allowed)}. Nothing was changed.")
    return seconds
