"""The criteria of each gate, from the variables that role pilot sets. Pure; an invalid value is refused by name.

A gate that is on and has no criterion would pass everything, so it is refused too: at preflight, and again when a run
begins, before anything is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from eduhub_pilot.gates.contract.allow_list import Allowance, parse_allowed
from eduhub_pilot.gates.contract.requests import ContractCriteria, contract_criteria
from eduhub_pilot.gates.performance.paired import CRITERIA
from eduhub_pilot.model.errors import SettingError
from eduhub_pilot.model.release import Spec

Mode = Literal["off", "observe", "enforce"]
# In the order in which they are asked.
NAMES = ("smoke", "runtime", "contract", "performance")
KINDS = ("compile", "import", "abi", "removed", "deprecated", "boot")
STOPPING = KINDS[:4]
# More than that is no budget but a gate that is off.
MOST_TIMES = 10
PATH = re.compile(r"/[!-~]*")
# YAML takes a bare `off` for false.
OFF = ("off", "False", "false")


@dataclass(frozen=True)
class RuntimeCriteria:
    """`kinds` of findings that stop, interpreters to try, budgets: `seconds` for an image, memory as Docker has it."""

    kinds: tuple[str, ...] = STOPPING
    interpreters: tuple[str, ...] = ("python3", "python")
    seconds: float = 120
    memory: str = "512m"
    allowed: tuple[Allowance, ...] = ()


# The largest ratio of candidate to baseline. Median latency and CPU are precise; a tail, and whatever Plone takes part
# in, vary by a quarter between two measurements of the same bridge.
BUDGET = {"p50": 1.1, "p95": 1.5, "cpu": 1.15, "read": 1.5, "plone": 1.5}
# A request of our bridge that reaches Plone: `{number}` differs each time, so no cache answers.
READS = ("/plone/@search?sort_on=path&b_size=10&gate={number}",)


@dataclass(frozen=True)
class PerformanceCriteria:
    """`budget`: the largest ratio of candidate to baseline for each; `rate`, `read_rate`: requests a second in all.

    `seconds` is the most that measuring may take, `rest` how long the slots are left alone, in multiples of the work.
    """

    paths: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=lambda: dict(BUDGET))
    rate: float = 200
    read_rate: float = 5
    seconds: float = 60
    rest: float = 1.0


@dataclass(frozen=True)
class Criteria:
    """The mode of each gate, and its criteria."""

    modes: Mapping[str, Mode]
    runtime: RuntimeCriteria = field(default_factory=RuntimeCriteria)
    contract: ContractCriteria = field(default_factory=ContractCriteria)
    performance: PerformanceCriteria = field(default_factory=PerformanceCriteria)


def criteria(given: Mapping[str, str], spec: Spec | None = None) -> Criteria:
    """Return the criteria in the environment `given`; SettingError names what to correct.

    Whether every gate has a criterion is only known with the `spec` of the release; without it that is not judged.
    """
    found = Criteria(
        {name: _mode(given, name) for name in NAMES}, _runtime(given), _contract(given, spec), _performance(given, spec)
    )
    if missing := [] if spec is None else without_criterion(found, spec):
        raise SettingError(" ".join(missing))
    return found


def for_verb(given: Mapping[str, str], verb: str, spec: Spec) -> Criteria:
    """Return the criteria of a run. A rollback runs the smoke gate alone, whatever other settings are invalid."""
    if verb != "rollback":
        return criteria(given, spec)
    mode = given.get("EDUHUB_GATE_SMOKE", "")
    return Criteria({"smoke": "off" if mode in OFF else "observe" if mode == "observe" else "enforce"})


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


def _mode(given: Mapping[str, str], name: str) -> Mode:
    value = given.get(f"EDUHUB_GATE_{name.upper()}", "enforce")
    value = "off" if value in OFF else value
    if value not in get_args(Mode):
        raise SettingError(f"pilot_gate_{name} is {value!r}, not one of {', '.join(get_args(Mode))}.")
    return cast("Mode", value)


def _runtime(given: Mapping[str, str]) -> RuntimeCriteria:
    kinds = texts(given, "RUNTIME_FINDINGS", list(STOPPING))
    if strange := [kind for kind in kinds if kind not in KINDS]:
        raise SettingError(f"pilot_runtime_findings has {strange[0]!r}, which is not one of {', '.join(KINDS)}.")
    interpreters = texts(given, "RUNTIME_INTERPRETERS", ["python3", "python"])
    return RuntimeCriteria(
        tuple(kinds), tuple(interpreters), number(given, "RUNTIME_SECONDS", 120),
        _memory(given),
        parse_allowed(listed(given, "RUNTIME_ALLOWED", []), "pilot_runtime_allowed"),
    )  # fmt: skip


def _contract(given: Mapping[str, str], spec: Spec | None) -> ContractCriteria:
    return contract_criteria(
        spec, listed(given, "CONTRACT_REQUESTS", []), texts(given, "CONTRACT_HEADERS", []),
        listed(given, "CONTRACT_IGNORED", []), listed(given, "CONTRACT_ALLOWED", []),
        number(given, "CONTRACT_SECONDS", 120), _sampled(given),
    )  # fmt: skip


def _sampled(given: Mapping[str, str]) -> int:
    value = given.get("EDUHUB_CONTRACT_SAMPLED") or "0"
    if not re.fullmatch(r"\d{1,3}", value):
        raise SettingError(f"pilot_contract_sampled is {value!r}, not a number of requests from 0 to 999.")
    return int(value)


def _performance(given: Mapping[str, str], spec: Spec | None) -> PerformanceCriteria:
    own = texts(given, "PERFORMANCE_PATHS", [])
    if bad := [path for path in own if not PATH.fullmatch(path)]:
        raise SettingError(
            f"pilot_performance_paths has {bad[0]!r:.80}, which is not a path: it starts with /, and non-ASCII "
            "characters are percent-encoded."
        )
    shipped = [*spec.paths, *(READS if spec.python else ())] if spec else []
    return PerformanceCriteria(
        tuple(dict.fromkeys([*shipped, *own])), _budget(given),
        number(given, "PERFORMANCE_RATE", 200, "requests a second"),
        number(given, "PERFORMANCE_READ_RATE", 5, "requests a second"), number(given, "PERFORMANCE_SECONDS", 60),
    )  # fmt: skip


def _budget(given: Mapping[str, str]) -> Mapping[str, float]:
    text = given.get("EDUHUB_PERFORMANCE_BUDGET") or json.dumps(BUDGET)
    form = "pilot_performance_budget looks like {p50: 1.1, cpu: 1.1}"
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, dict):
        raise SettingError(f"{form}, not {value!r:.60}.")
    for name, limit in value.items():
        if name not in CRITERIA:
            raise SettingError(f"{form}; it has {name!r}, which is not one of {', '.join(CRITERIA)}.")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 1 < limit <= MOST_TIMES:
            raise SettingError(f"{form}; {name} is {limit!r:.40}, not a ratio above 1.")
    return value


def _memory(given: Mapping[str, str]) -> str:
    value = given.get("EDUHUB_RUNTIME_MEMORY") or "512m"
    if not re.fullmatch(r"[1-9]\d*[bkmg]?", value):
        raise SettingError(f"pilot_runtime_memory is {value!r}, not a size like 512m.")
    return value


def listed(given: Mapping[str, str], name: str, default: list[Any]) -> list[Any]:
    """Return the list that a variable holds as JSON."""
    try:
        value = json.loads(given.get(f"EDUHUB_{name}") or json.dumps(default))
    except ValueError:
        value = given[f"EDUHUB_{name}"]
    if not isinstance(value, list):
        raise SettingError(f"pilot_{name.lower()} is {value!r:.60}, not a list.")
    return value


def texts(given: Mapping[str, str], name: str, default: list[str]) -> list[str]:
    """Return the list of texts that a variable holds as JSON."""
    value = listed(given, name, default)
    if bad := [each for each in value if not isinstance(each, str) or not each]:
        raise SettingError(f"pilot_{name.lower()} holds {bad[0]!r:.60}, instead of a text.")
    return value


def number(given: Mapping[str, str], name: str, default: float, unit: str = "seconds") -> float:
    """Return the positive number that a variable holds."""
    text = given.get(f"EDUHUB_{name}") or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise SettingError(f"pilot_{name.lower()} is {text!r}, not a number of {unit} like {default:g}.")
    return value
