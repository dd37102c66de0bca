"""The plan of a shift: its canary steps, their duration, and the limits that end it. Pure."""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from eduhub_pilot.model.errors import SettingError
from eduhub_pilot.model.facts import Slot

STEPS = (5, 25, 50, 100)
REMEDY = "in the inventory"
# A shorter deadline could not be met, a longer one would leave a host unconfirmed.
LEAST_CONFIRM, DAY = 10.0, 86400.0


@dataclass(frozen=True)
class Limits:
    """How much worse the candidate may do than the baseline in the same window before traffic is moved back.

    `errors_percent`: 5xx beyond the other's, in percent of its answers; `alone_errors_percent`: 5xx in percent where
    the other answers nothing; `errors_in_a_row`: 5xx with no good answer between; `connection_errors`: connections that
    failed, beyond the other's; `queue`: requests waiting for it; `slower`: its p95 latency, as a multiple of the
    other's, and more than `slower_seconds` above it. With fewer than `answers` answers (errors) or `latencies` measured
    ones (p95), nothing is concluded.
    """

    errors_percent: float = 2
    alone_errors_percent: float = 50
    errors_in_a_row: float = 10
    connection_errors: float = 5
    queue: float = 50
    slower: float = 1.5
    slower_seconds: float = 0.05
    answers: float = 20
    latencies: float = 100


@dataclass(frozen=True)
class Plan:
    """`steps` are the candidate's traffic weights, in percent; each is monitored for `seconds`."""

    steps: tuple[int, ...] = STEPS
    seconds: float = 5
    limits: Limits = field(default_factory=Limits)
    cut: Literal["allow", "forbid"] = "allow"

    def ahead(self, reached: int) -> tuple[int, ...]:
        """Return the remaining steps where the candidate has `reached` percent: no step goes back."""
        return tuple(step for step in self.steps if step >= reached) or (100,)

    def at_once(self, seconds: float) -> Plan:
        """Return the plan in one step, monitored for at most `seconds`."""
        return Plan((100,), min(self.seconds, seconds), self.limits, self.cut)


def weight_at(slot: Slot, percent: int) -> int:
    """Return green's traffic weight when `slot` gets `percent` of the public requests, or the reverse."""
    return percent if slot == "green" else 100 - percent


def parse_plan(steps: str, seconds: float, limits: str, cut: str) -> Plan:
    """Return the plan in the settings' JSON texts; SettingError says which variable to correct."""
    if cut not in {"allow", "forbid"}:
        raise SettingError(f"pilot_drain_cut is {cut!r}, neither allow nor forbid: correct it {REMEDY}.")
    return Plan(
        _steps(_json("pilot_shift_steps", steps)), seconds, _limits(_json("pilot_shift_limits", limits)),
        "forbid" if cut == "forbid" else "allow",
    )  # fmt: skip


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise SettingError(f"{name} is {text[:60]!r}, which is not valid JSON: correct it {REMEDY}.") from None


def _steps(given: Any) -> tuple[int, ...]:
    said = f"pilot_shift_steps is {json.dumps(given)[:60]}"
    if not isinstance(given, list) or not given or not all(_whole(step) for step in given):
        raise SettingError(f"{said}, not a list of whole numbers like {list(STEPS)}: correct it {REMEDY}.")
    if any(not 1 <= step <= 100 for step in given):
        raise SettingError(f"{said}, but a step is a percentage from 1 to 100: correct it {REMEDY}.")
    if sorted(set(given)) != given:
        raise SettingError(f"{said}, but each step must be more than the one before: correct it {REMEDY}.")
    if given[-1] != 100:
        raise SettingError(f"{said}, but the last step must be 100, all traffic: correct it {REMEDY}.")
    return tuple(given)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _limits(given: Any) -> Limits:
    if not isinstance(given, dict):
        raise SettingError(f"pilot_shift_limits is {json.dumps(given)[:60]}, not a mapping: correct it {REMEDY}.")
    known = [each.name for each in fields(Limits)]
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]}" if near else f"there are {', '.join(known)}"
            raise SettingError(f"pilot_shift_limits has no limit {name!r}; {guess}? Correct it {REMEDY}.")
        if wrong := _wrong(name, value):
            raise SettingError(f"pilot_shift_limits: {name} is {json.dumps(value)}, {wrong}: correct it {REMEDY}.")
    return Limits(**given)


def _wrong(name: str, value: Any) -> str | None:
    """Return what is wrong with a limit: one that can never be met, or always, is no limit."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
        return "not a number"
    if name.endswith("_percent") and not 0 <= value <= 100:
        return "not a percentage from 0 to 100"
    if name == "slower" and value < 1:
        return "but a limit below 1 would fail a slot that is as fast as the other"
    if name in {"errors_in_a_row", "connection_errors", "queue", "answers", "latencies"} and value < 1:
        return "but must be at least 1"
    return "but must not be negative" if value < 0 else None


def confirm_seconds(text: str, default: float) -> float:
    """Return the seconds of `--confirm-within`, `default` for none; SettingError for what is no sensible number."""
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not LEAST_CONFIRM <= seconds <= DAY:
        raise SettingError(
            f"--confirm-within is {text!r}, not a number of seconds from {LEAST_CONFIRM:g} to {DAY:g} (a day). "
            "Nothing was changed."
        )
    return seconds
