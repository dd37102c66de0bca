"""The pilot's settings: the inventory's values, as role pilot sends them, checked against their description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eduhub_pilot.model.described import REMEDY, default, setting, shown, unknown
from eduhub_pilot.model.errors import SettingError
from eduhub_pilot.model.facts import SLOTS, Slot
from eduhub_pilot.model.shift_plan import Plan, parse_plan

# A setting that begins so is one of the gates'.
GATES = ("pilot_gate_", "pilot_runtime_", "pilot_contract_", "pilot_performance_")

# A shift drains after its last step; with a rehearsal also when traffic returns, and after it.
DRAINS = 3
# Beyond what start, steps and drains take: asking the public address, waiting for a HAProxy.
SLACK_SECONDS = 120.0


@dataclass(frozen=True)
class Settings:
    """Names, addresses and budgets; all budgets in seconds.

    `given` holds the inventory's values as received, `gates` those of the gates and those that this pilot does not
    know: an invalid one of these refuses a rollout, but neither `status` nor a rollback.
    """

    stack: str
    root: Path
    private_endpoints: Mapping[Slot, str]
    edge: str
    start_seconds: float = default("pilot_start_seconds")
    probe_seconds: float = default("pilot_probe_seconds")
    drain_seconds: float = default("pilot_drain_seconds")
    drain_stream_seconds: float = default("pilot_drain_stream_seconds")
    watch_seconds: float = default("pilot_watch_seconds")
    lock_seconds: float = default("pilot_lock_seconds")
    confirm_seconds: float = default("pilot_confirm_seconds")
    plan: Plan = field(default_factory=Plan)
    gates: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    config: Path = Path("/etc/eduhub")
    published: Mapping[Slot, int] = field(
        default_factory=lambda: {slot: default(f"pilot_{slot}_published_port") for slot in SLOTS}
    )

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

    def on_host(self, file: str) -> str:
        """Return where the host has a file that HAProxy and pilots have below /etc/eduhub."""
        return file.replace("/etc/eduhub", self.shown_config, 1)

    def container(self, part: str) -> str:
        """Return the name of the container that plays `part`: edge, blue, green or plone."""
        return f"{self.stack}-{part}"


def parse_settings(given: Mapping[str, Any], root: Path, config: Path) -> Settings:
    """Return the settings in the inventory's values; SettingError names an invalid one.

    `root` and `config` are where this container has the host's state and configuration.
    """
    named = [name for name in Settings.__dataclass_fields__ if name.endswith("_seconds")]
    others = unknown(given)
    return Settings(
        stack=setting(given, "pilot_stack"),
        root=root,
        private_endpoints={slot: _url(given, f"pilot_{slot}_url") for slot in SLOTS},
        edge=_url(given, "pilot_edge_url"),
        plan=parse_plan(given),
        gates={name: value for name, value in given.items() if name.startswith(GATES) or name in others},
        given=given,
        config=config,
        published={slot: setting(given, f"pilot_{slot}_published_port") for slot in SLOTS},
        **{name: setting(given, f"pilot_{name}") for name in named},
    )


def _url(given: Mapping[str, Any], name: str) -> str:
    value = str(setting(given, name))
    try:
        url = urlsplit(value)
        sound = url.scheme == "http" and url.hostname and (url.port or 80)
    except ValueError:
        sound = False
    if not sound:
        raise SettingError(f"{name} is {shown(value)}, which is no address like {default(name)}: {REMEDY}.")
    return value.rstrip("/")
