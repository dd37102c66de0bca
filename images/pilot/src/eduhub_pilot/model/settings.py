"""The pilot's settings, from EDUHUB_* variables that role pilot sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import SLOTS, Slot
from eduhub_pilot.model.shift_plan import DAY, LEAST_CONFIRM, STEPS, Plan, parse_plan

DOORS = {"EDGE": 8080, "BLUE": 8101, "GREEN": 8102, "STATISTICS": 8404}
# The loopback port of each slot's container, for a bridge that only speaks TCP.
PUBLISHED: tuple[tuple[Slot, int], ...] = (("blue", 18101), ("green", 18102))
GATES = ("EDUHUB_GATE_", "EDUHUB_RUNTIME_", "EDUHUB_CONTRACT_", "EDUHUB_PERFORMANCE_")
SECONDS = {"START": 60.0, "PROBE": 5.0, "DRAIN": 30.0, "DRAIN_STREAM": 60.0, "WATCH": 5.0, "LOCK": 900.0,
           "CONFIRM": 600.0}  # fmt: skip
# Less would be nothing; a lock is refreshed every five seconds, and not while a container starts.
LEAST = {"DRAIN": 0.0, "DRAIN_STREAM": 0.0, "WATCH": 0.0, "LOCK": 30.0, "CONFIRM": LEAST_CONFIRM}

# A shift drains after its last step; with a rehearsal also on the way back and after it.
DRAINS = 3
# Beyond what start, steps and drains take: asking the public address, waiting for a HAProxy.
SLACK_SECONDS = 120.0


@dataclass(frozen=True)
class Settings:
    """Names, addresses and budgets; all budgets in seconds.

    `gates` holds the variables of the gates as they came: what is wrong with one keeps a rollout from beginning, but
    nobody from asking what serves or from going back.
    """

    stack: str
    root: Path
    private_endpoints: Mapping[Slot, str]
    edge: str
    start_seconds: float = 60
    probe_seconds: float = 5
    drain_seconds: float = 30
    drain_stream_seconds: float = 60
    watch_seconds: float = 5
    lock_seconds: float = 900
    confirm_seconds: float = 600
    plan: Plan = field(default_factory=Plan)
    plone: str | None = None
    gates: Mapping[str, str] = field(default_factory=dict)
    config: Path = Path("/etc/eduhub")
    published: Mapping[Slot, int] = field(default_factory=lambda: {"blue": 18101, "green": 18102})

    @property
    def shown(self) -> str:
        """Where the host has the state, for messages."""
        return f"/var/lib/{self.stack}"

    @property
    def longest_shift_seconds(self) -> float:
        """How many seconds all traffic may take to move before something is wrong with that."""
        drains = DRAINS * self.drain_seconds + self.drain_stream_seconds
        return self.start_seconds + len(self.plan.steps) * self.plan.seconds + drains + SLACK_SECONDS

    @property
    def shown_config(self) -> str:
        """Where the host has the configuration."""
        return f"/etc/{self.stack}"

    def container(self, part: str) -> str:
        """Return the name of the container that plays `part`: edge, blue, green or plone."""
        return f"{self.stack}-{part}"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings; RefusedError names a variable that makes no sense."""
    seconds = {f"{name.lower()}_seconds": _seconds(environment, name, default) for name, default in SECONDS.items()}
    urls = {name: _url(environment, name, port) for name, port in DOORS.items()}
    return Settings(
        stack=environment.get("EDUHUB_STACK", "eduhub"),
        root=Path(environment.get("EDUHUB_STATE", "/var/lib/eduhub")),
        private_endpoints={slot: urls[slot.upper()] for slot in SLOTS},
        edge=urls["EDGE"],
        plone=environment.get("EDUHUB_PLONE") or None,
        plan=parse_plan(
            environment.get("EDUHUB_SHIFT_STEPS", json.dumps(STEPS)), seconds["watch_seconds"],
            environment.get("EDUHUB_SHIFT_LIMITS", "{}"), environment.get("EDUHUB_DRAIN_CUT", "allow"),
        ),
        gates={name: value for name, value in environment.items() if name.startswith(GATES)},
        config=Path(environment.get("EDUHUB_CONFIG", "/etc/eduhub")),
        published={slot: int(environment.get(f"EDUHUB_PUBLISHED_{slot.upper()}", port)) for slot, port in PUBLISHED},
        **seconds,
    )  # fmt: skip


def _url(environment: Mapping[str, str], name: str, port: int) -> str:
    value = environment.get(f"EDUHUB_{name}", f"http://127.0.0.1:{port}")
    try:
        url = urlsplit(value)
        sound = url.scheme == "http" and url.hostname and (url.port or 80)
    except ValueError:
        sound = False
    if not sound:
        raise RefusedError(f"EDUHUB_{name} is {value!r}, which is no address like http://127.0.0.1:{port}.")
    return value.rstrip("/")


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    value = environment.get(f"EDUHUB_{name}_SECONDS", str(default))
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1
    least = LEAST.get(name, 0.1)
    if not least <= seconds <= DAY:
        raise RefusedError(
            f"EDUHUB_{name}_SECONDS is {value!r}, not a number of seconds from {least:g} to {DAY:g} (a day), like "
            f"{default:g}: correct pilot_{name.lower()}_seconds in the inventory."
        )
    return seconds
