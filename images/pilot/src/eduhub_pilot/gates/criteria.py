"""The criteria of each gate, from the inventory's values. Pure; an invalid value is refused by name.

A gate that is on and has no criterion would pass everything, so it is refused too: at preflight, and again when a run
begins, before anything is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from eduhub_pilot.gates.contract.allow_list import Allowance, parse_allowed
from eduhub_pilot.gates.contract.requests import ContractCriteria, contract_criteria
from eduhub_pilot.model.described import SETTINGS, default, setting, unknown
from eduhub_pilot.model.errors import RefusedError, SettingError
from eduhub_pilot.model.release import Spec

Mode = Literal["off", "observe", "enforce"]
# In the order in which they are asked.
NAMES = ("smoke", "runtime", "contract", "performance")
KINDS: tuple[str, ...] = tuple(SETTINGS["pilot_runtime_findings"]["choices"])
STOPPING: tuple[str, ...] = default("pilot_runtime_findings")
PATH = re.compile(r"/[!-~]*")


@dataclass(frozen=True)
class RuntimeCriteria:
    """`kinds` of findings that stop, interpreters to try, budgets: `seconds` for an image, memory as Docker has it."""

    kinds: tuple[str, ...] = STOPPING
    interpreters: tuple[str, ...] = default("pilot_runtime_interpreters")
    seconds: float = default("pilot_runtime_seconds")
    memory: str = default("pilot_runtime_memory")
    allowed: tuple[Allowance, ...] = ()


# The largest ratio of candidate to baseline. Median latency and CPU are precise; a tail, and whatever Plone takes part
# in, vary by a quarter between two measurements of the same bridge.
BUDGET: Mapping[str, float] = default("pilot_performance_budget")
# A request of our bridge that reaches Plone: `{number}` differs each time, so no cache answers.
READS = ("/plone/@search?sort_on=path&b_size=10&gate={number}",)


@dataclass(frozen=True)
class PerformanceCriteria:
    """`budget`: the largest ratio of candidate to baseline for each; `rate`, `read_rate`: requests a second in all.

    `seconds` is the most that measuring may take, `rest` how long the slots are left alone, in multiples of the work.
    """

    paths: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=lambda: dict(BUDGET))
    rate: float = default("pilot_performance_rate")
    read_rate: float = default("pilot_performance_read_rate")
    seconds: float = default("pilot_performance_seconds")
    rest: float = 1.0


@dataclass(frozen=True)
class Criteria:
    """The mode of each gate, and its criteria."""

    modes: Mapping[str, Mode]
    runtime: RuntimeCriteria = field(default_factory=RuntimeCriteria)
    contract: ContractCriteria = field(default_factory=ContractCriteria)
    performance: PerformanceCriteria = field(default_factory=PerformanceCriteria)


def criteria(given: Mapping[str, Any], spec: Spec | None = None) -> Criteria:
    """Return the criteria in the inventory's values; SettingError names what to correct.

    Whether every gate has a criterion is only known with the `spec` of the release; without it that is not judged.
    """
    if strange := unknown(given):
        raise SettingError(
            f"This pilot has no setting {strange[0]}: its image is older than the checkout. Build the pilot's image.",
            ["./invoke", "images.build", "--names", "pilot"],
        )
    found = Criteria(
        {name: _mode(given, name) for name in NAMES}, _runtime(given), _contract(given, spec), _performance(given, spec)
    )
    if missing := [] if spec is None else without_criterion(found, spec):
        raise SettingError(" ".join(missing))
    return found


def for_verb(given: Mapping[str, Any], verb: str, spec: Spec) -> Criteria:
    """Return the criteria of a run. A rollback runs the smoke gate alone, whatever other settings are invalid."""
    if verb != "rollback":
        return criteria(given, spec)
    try:
        return Criteria({"smoke": _mode(given, "smoke")})
    except RefusedError:
        return Criteria({"smoke": "enforce"})


def without_criterion(found: Criteria, spec: Spec) -> list[str]:
    """Return a sentence for each gate that is on and has no criterion."""
    empty = {
        "smoke": (not spec.paths, "bridge_health_path and bridge_smoke_paths name no page"),
        "runtime": (not found.runtime.kinds, "pilot_runtime_findings is empty"),
        "contract": (
            not (found.contract.requests or found.contract.sampled),
            "bridge_smoke_paths and pilot_contract_requests are empty and pilot_contract_sampled is 0",
        ),
        "performance": (not found.performance.budget, "pilot_performance_budget is empty"),
    }
    return [
        f"Gate {name} has no criterion, since {why}: it would pass everything. Give it one, or set "
        f"pilot_gate_{name}: \"off\"."
        for name, (bare, why) in empty.items()
        if bare and found.modes[name] != "off"
    ]


def _mode(given: Mapping[str, Any], name: str) -> Mode:
    return cast("Mode", setting(given, f"pilot_gate_{name}"))


def _runtime(given: Mapping[str, Any]) -> RuntimeCriteria:
    return RuntimeCriteria(
        tuple(setting(given, "pilot_runtime_findings")), tuple(setting(given, "pilot_runtime_interpreters")),
        setting(given, "pilot_runtime_seconds"), _memory(given),
        parse_allowed(setting(given, "pilot_runtime_allowed"), "pilot_runtime_allowed"),
    )  # fmt: skip


def _contract(given: Mapping[str, Any], spec: Spec | None) -> ContractCriteria:
    told = {name: setting(given, f"pilot_contract_{name}")
            for name in ("requests", "headers", "ignored", "allowed", "seconds", "sampled")}  # fmt: skip
    return contract_criteria(spec, **told)


def _performance(given: Mapping[str, Any], spec: Spec | None) -> PerformanceCriteria:
    own = setting(given, "pilot_performance_paths")
    if bad := [path for path in own if not PATH.fullmatch(path)]:
        raise SettingError(
            f"pilot_performance_paths has {bad[0]!r:.80}, which is not a path: it starts with /, and non-ASCII "
            "characters are percent-encoded."
        )
    shipped = [*spec.paths, *(READS if spec.python else ())] if spec else []
    return PerformanceCriteria(
        tuple(dict.fromkeys([*shipped, *own])),
        *(setting(given, f"pilot_performance_{name}") for name in ("budget", "rate", "read_rate", "seconds")),
    )


def _memory(given: Mapping[str, Any]) -> str:
    value = str(setting(given, "pilot_runtime_memory"))
    if not re.fullmatch(r"[1-9]\d*[bkmg]?", value):
        raise SettingError(f"pilot_runtime_memory is {value!r}, not a size like {default('pilot_runtime_memory')}.")
    return value
