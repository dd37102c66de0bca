"""Reads the description of all settings: one YAML file a role, and one for what our bridge reads in its environment.

A role's file has `entry_points`; each names its settings in the order in which they are shown, and `also` those of
another entry point that it takes too. A setting has

- `type`, `elements`, `choices`, `required`, `default`, `options`: as in Ansible's argument specs;
- `unit`, and `least` and `most` (both allowed) or `above` (not allowed): for a list those of each element;
- `fields`: what a mapping may hold, each with `type`, `unit`, its range, `default` and `help`;
- `help`: one text or several, for people; `since`: the first version that had it, if that is not the file's;
- `group`: where it stands in the table and in the example inventory (groups.yml); those without are not an operator's;
- `example`: what the example inventory sets it to; `suggest`: what it shows as a comment instead of the default;
- `role_only`: the role alone reads it, not the program whose `packaged` description the file names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
# What Ansible's argument specs have of a setting too.
SPEC = ("type", "elements", "required", "choices", "default", "options")
RANGE = ("least", "above", "most")
# A description that the programs read: what they need to parse a value and to say what is wrong with it.
PACKAGED = ("type", "elements", "choices", "unit", *RANGE, "default", "secret")


class DescriptionError(Exception):
    """A description is incomplete; the text says which and how."""


@dataclass(frozen=True)
class Setting:
    """One setting; `told` is its description as the YAML file has it, `role` None for the bridge's environment."""

    name: str
    role: str | None
    told: Mapping[str, Any]
    since: str

    @property
    def group(self) -> str | None:
        """The group of operator's settings that it belongs to; None for one that playbooks or callers set."""
        return self.told.get("group")

    @property
    def help(self) -> list[str]:
        """What it means, a text a paragraph."""
        text = self.told["help"]
        return [text] if isinstance(text, str) else list(text)

    def packaged(self) -> dict[str, Any]:
        """Return what the program that reads it needs of its description."""
        found = {key: self.told[key] for key in PACKAGED if key in self.told}
        if fields := self.told.get("fields"):
            found["fields"] = {name: {key: each[key] for key in PACKAGED if key in each}
                               for name, each in fields.items()}  # fmt: skip
        return found


@dataclass(frozen=True)
class Described:
    """One file: its settings by name, for a role also its entry points, and where its description is packaged."""

    role: str | None
    settings: Mapping[str, Setting]
    entry_points: Mapping[str, Mapping[str, Any]]
    packaged: str | None


@dataclass(frozen=True)
class Group:
    """A section of the table and of the example inventory."""

    name: str
    title: str
    text: str


def described(folder: Path = HERE) -> list[Described]:
    """Return the files of `folder`, sorted by name; DescriptionError for one that is incomplete."""
    return [_file(path) for path in sorted(folder.glob("*.yml")) if path.stem != "groups"]


def groups(folder: Path = HERE) -> list[Group]:
    """Return the groups in the order in which they are shown."""
    return [Group(each["name"], each["title"], each.get("text", "")) for each in parsed(folder / "groups.yml")]


def every(files: list[Described]) -> dict[str, Setting]:
    """Return the settings of all files by name."""
    return {name: setting for each in files for name, setting in each.settings.items()}


def parsed(path: Path) -> Any:
    """Return what a YAML file of ours holds; every verb reads these, so by libyaml where that is there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a SafeLoader either way


def _file(path: Path) -> Described:
    text = parsed(path)
    entries = text.get("entry_points") or {}
    role = path.stem if entries else None
    told = {name: each for entry in entries.values() for name, each in (entry.get("settings") or {}).items()}
    told |= text.get("environment") or {}
    settings = {name: Setting(name, role, each, str(each.get("since", text["since"]))) for name, each in told.items()}
    wrong = [f"{path.name}: {name} {what}" for name, each in settings.items() for what in _incomplete(each.told)]
    wrong += [f"{path.name}: {name} of {entry} is described nowhere" for entry, body in entries.items()
              for name in body.get("also") or [] if name not in settings]  # fmt: skip
    if wrong:
        raise DescriptionError("\n".join(wrong))
    return Described(role, settings, entries, text.get("packaged"))


def _incomplete(told: Mapping[str, Any]) -> Iterator[str]:
    if "type" not in told:
        yield "has no type"
    if not told.get("help"):
        yield "has no help"
    if told.get("required") and "default" in told:
        yield "is required and has a default"
    if {told.get("type"), told.get("elements")} & {"int", "float"} and not told.get("choices"):
        yield from _unmeasured(told)
    for name, field in (told.get("fields") or {}).items():
        for what in _incomplete(field):
            yield f"has a field {name} that {what}"


def _unmeasured(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a number lacks."""
    if "unit" not in told:
        yield "is a number without a unit"
    if not any(key in told for key in RANGE[:2]):
        yield "is a number without a range"
    default = told.get("default")
    if isinstance(default, int | float):
        least, most = told.get("least", told.get("above", default)), told.get("most", default)
        if not least <= default <= most:
            yield f"has the default {default}, which is not from {least} to {most}"
