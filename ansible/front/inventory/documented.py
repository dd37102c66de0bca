"""Which variables an inventory may set: those that ansible/settings describes, but for what playbooks wire together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from settings.described import RANGE, SPEC, described, every, parsed

STACK = "eduhub_"
FLEET = "rollout_"  # of what ansible/front decides for several hosts, and no role
# Range and unit, which Ansible's specs have no place for.
MEASURE = (*RANGE, "unit")
ENCRYPTED = "encrypted"  # stands, as a template of it, for a text that is neither read nor judged
FIELDS = "fields"  # what a mapping may hold, in words of our own too


@dataclass(frozen=True)
class Documented:
    """`options`: each name with its argument spec, range and unit. `prefixes`: what a name of ours begins with.
    `wired`: names that playbooks/group_vars/all.yml computes, where Ansible would quietly ignore an inventory's value.
    `typed`: names that the command line and playbooks set, and no inventory. `environment`: what our bridge reads in
    its own.
    """

    options: Mapping[str, Mapping[str, Any]]
    prefixes: tuple[str, ...]
    wired: frozenset[str] = frozenset()
    typed: frozenset[str] = frozenset()
    environment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def claims(self, name: str) -> bool:
        """Whether `name` stands where only documented names may."""
        return name.startswith(self.prefixes)

    def nearest(self, name: str) -> str | None:
        """Return the documented name most like `name`, None when none is at all like it."""
        return next(iter(get_close_matches(name, self.options, n=1, cutoff=0.75)), None)

    def meant(self, name: str) -> str | None:
        """Return the name that one without a known prefix was surely meant to be, None when it is someone else's.

        One slip of the finger, or two behind a right first letter: `egde_port` is none of an institution's own names,
        `ledger_port` may be one.
        """
        slipped = ((slips(name, other, most=2), other) for other in self.options)
        near, meant = min(slipped, default=(3, ""))
        return meant if near <= 1 + (name[:1] == meant[:1]) else None


def slips(typed: str, meant: str, *, most: int) -> int:
    """Return how many letters were left out, added, replaced or swapped with their neighbour; `most` + 1 for more.

    The optimal string alignment distance.
    """
    if abs(len(typed) - len(meant)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(typed, start=1):
        before, last, row = row, before, [i]
        for j, other in enumerate(meant, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == meant[j - 2] and typed[i - 2] == other:
                row[j] = min(row[j], last[j - 2] + 1)
    return min(row[-1], most + 1)


def documented(ansible: Path) -> Documented:
    """Read the description of all settings under `ansible`/settings, and what playbooks/group_vars/all.yml wires."""
    roles = sorted(path for path in (ansible / "roles").glob("*") if path.is_dir())
    settings = every(described(ansible / "settings"))
    told = {name: each.told for name, each in settings.items() if each.role}
    environment = {name: each.told for name, each in settings.items() if not each.role}
    known = {
        name: {key: each[key] for key in (*SPEC, *MEASURE, FIELDS) if key in each}
        for name, each in told.items() if each.get("group")
    }  # fmt: skip
    wired = frozenset(read(ansible / "playbooks/group_vars/all.yml"))
    free = {name: option for name, option in known.items() if name not in wired}
    prefixes = (STACK, FLEET, *(f"{role.name}_" for role in roles))
    return Documented(free, prefixes, wired, frozenset(told) - frozenset(known) - wired, environment)


def read(path: Path) -> dict[str, Any]:
    """Return a YAML mapping of our own; an empty one for a file that is not there."""
    return dict(parsed(path) or {}) if path.exists() else {}


def is_template(value: Any) -> bool:
    """Whether `value`, or anything in it, is only known when Ansible renders it."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(is_template(part) for part in value.values())
    return isinstance(value, list | tuple) and any(is_template(part) for part in value)
