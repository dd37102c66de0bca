"""What is held against the Ansible tree. Each gate returns sentences about what breaks it, none when nothing does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from front.arguments.refusal import RefusalError
from front.inventory import loader
from front.inventory.documented import FLEET, STACK, documented

LONGEST_TASKS = 120  # lines; a file of 30 to 60 is one that can be read at a glance
IMPORTS = ("import_tasks", "include_tasks")
ROLES = ("import_role", "include_role")
BLOCKS = ("block", "rescue", "always")
# Where a name of the stack is documented: the role that takes the command line's options.
STACK_ROLE = "release"


class Tolerant(yaml.SafeLoader):
    """Reads Ansible's own tags (`!vault`, `!unsafe`) as texts."""


Tolerant.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def read(path: Path) -> Any:
    """Return what a YAML file holds; None for one that is not there."""
    return yaml.load(path.read_text(), Loader=Tolerant) if path.exists() else None  # noqa: S506 - a SafeLoader


def roles(ansible: Path) -> list[Path]:
    return sorted(path for path in (ansible / "roles").iterdir() if path.is_dir())


def doors(role: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each entry point that a role documents."""
    specs = (read(role / "meta/argument_specs.yml") or {}).get("argument_specs", {})
    return {door: spec.get("options") or {} for door, spec in specs.items()}


def options(role: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield door, name and spec of every option of a role."""
    for door, given in doors(role).items():
        for name, option in given.items():
            yield door, name, option


def defaults_that_differ(ansible: Path) -> list[str]:
    """Ansible does not apply the defaults of argument_specs, so they stand in defaults/ too: names and values."""
    return [sentence for role in roles(ansible) for sentence in differing(role)]


def differing(role: Path) -> Iterator[str]:
    defaults = read(role / "defaults/main.yml") or {}
    specified = [(door, name, option) for door, name, option in options(role) if "default" in option]
    for door, name, option in specified:
        if name not in defaults:
            yield f"{role.name}: {name} has a default in the spec of {door} and none in defaults/main.yml"
        elif (type(defaults[name]), defaults[name]) != (type(option["default"]), option["default"]):
            yield f"{role.name}: {name} is {option['default']!r} in the spec of {door}, {defaults[name]!r} in defaults"
    for name in defaults.keys() - {name for _, name, _ in specified}:
        yield f"{role.name}: {name} has a default in defaults/main.yml and none in argument_specs.yml"


def options_half_documented(ansible: Path) -> list[str]:
    """A reader needs each option's type and meaning; its prefix says whose it is; a required one has no default."""
    return [
        f"{role.name}: {name} of {door} {what}"
        for role in roles(ansible)
        for door, name, option in options(role)
        for what, wrong in {
            "has no type": "type" not in option,
            "has no description": not option.get("description"),
            "is required and has a default": bool(option.get("required")) and "default" in option,
            "has another role's prefix": not name.startswith(own_prefixes(role)),
        }.items()
        if wrong
    ]


def own_prefixes(role: Path) -> tuple[str, ...]:
    return (f"{role.name}_", STACK, FLEET) if role.name == STACK_ROLE else (f"{role.name}_",)


def doors_without_spec(ansible: Path) -> list[str]:
    """Each file of tasks is a door with a spec, or a part that the role itself imports; each spec has its file."""
    found = []
    for role in roles(ansible):
        specs, files = set(doors(role)), {path.stem for path in (role / "tasks").glob("*.yml")}
        parts = {Path(name).stem for path in (role / "tasks").glob("*.yml") for name in imported(read(path))}
        found += [f"{role.name}: tasks/{name}.yml is a door without a spec" for name in files - parts - specs]
        found += [f"{role.name}: the door {name} has a spec and no tasks/{name}.yml" for name in specs - files]
    return found


def doors_that_are_missing(ansible: Path) -> list[str]:
    """Every role that a playbook or role imports has the door that is named."""
    found = []
    for path in task_files(ansible):
        for task in every_task(read(path)):
            wanted = next((task[key] for key in named(task) if key.rpartition(".")[2] in ROLES), None)
            if wanted and not (ansible / f"roles/{wanted['name']}/tasks/{wanted['tasks_from']}.yml").exists():
                found.append(
                    f"{shown(path, ansible)}: there is no door {wanted['tasks_from']} in role {wanted['name']}"
                )
    return found


def handlers_under_conditions(ansible: Path) -> list[str]:
    """A play imports a role that notifies a handler under one condition: its handlers take over the last one's."""
    found = []
    for path in sorted((ansible / "playbooks").glob("*.yml")):
        for play in read(path) or []:
            whens: dict[str, set[str]] = {}
            told = set()
            for task in every_task([play]):
                for door in (task[key] for key in named(task) if key.endswith("import_role")):
                    whens.setdefault(door["name"], set()).add(str(task.get("when")))
                    if notifies(ansible / f"roles/{door['name']}/tasks", door["tasks_from"]):
                        told.add(door["name"])
            found += [
                f"{shown(path, ansible)}: {role} notifies a handler, and is imported under {sorted(whens[role])}"
                for role in sorted(told) if len(whens[role]) > 1
            ]  # fmt: skip
    return found


def notifies(folder: Path, door: str) -> bool:
    """Return whether a door's file of tasks, or one that it imports, notifies a handler."""
    names, left = set[str](), [door]
    while left:
        name = left.pop().removesuffix(".yml")
        if name not in names:
            names.add(name)
            tasks = read(folder / f"{name}.yml")
            if any("notify" in task for task in every_task(tasks)):
                return True
            left += imported(tasks)
    return False


def imported(tasks: Any) -> Iterator[str]:
    """Yield the files that a list of tasks imports."""
    for task in every_task(tasks):
        for key in named(task):
            if key.rpartition(".")[2] in IMPORTS:
                yield task[key]["file"] if isinstance(task[key], Mapping) else task[key]


def named(task: Mapping[str, Any]) -> list[str]:
    return [key for key in task if isinstance(key, str)]


def every_task(tasks: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the plays, blocks, tasks and handlers of a file, at any depth."""
    for task in tasks or []:
        yield task
        for key in (*BLOCKS, "tasks", "pre_tasks", "post_tasks", "handlers"):
            yield from every_task(task.get(key))


def task_files(ansible: Path) -> list[Path]:
    """Return every file of plays, tasks or handlers."""
    patterns = ("playbooks/*.yml", "playbooks/tasks/*.yml", "roles/*/tasks/*.yml", "roles/*/handlers/*.yml")
    return sorted(path for pattern in patterns for path in ansible.glob(pattern))


def names_that_are_none(ansible: Path) -> list[str]:
    """Everything has a name that begins with a capital and tells the effect; what varies may only end it."""
    found = []
    for path in task_files(ansible):
        for task in every_task(read(path)):
            name = str(task.get("name", ""))
            if not name:
                found.append(f"{shown(path, ansible)}: no name on {', '.join(named(task))}")
            elif "{{" in re.sub(r"\{\{[^{}]*\}\}$", "", name) or not name[0].isupper():
                found.append(f"{shown(path, ansible)}: {name!r} is no name")
    return found


def files_too_long(ansible: Path) -> list[str]:
    """A file of tasks that cannot be read at a glance is two."""
    lengths = {path: len(path.read_text().splitlines()) for path in task_files(ansible)}
    return [f"{shown(path, ansible)} has {lines} lines" for path, lines in lengths.items() if lines > LONGEST_TASKS]


def wires_to_nowhere(ansible: Path) -> list[str]:
    """What group_vars/all.yml sets is an option of some role, or the stack's own."""
    known = {name for role in roles(ansible) for _, name, _ in options(role)}
    wiring = read(ansible / "playbooks/group_vars/all.yml") or {}
    ours = (STACK, f"_{STACK}")
    return [f"{name} is wired to nowhere" for name in wiring if name not in known and not name.startswith(ours)]


def lines_without_phase(ansible: Path) -> list[str]:
    """Whatever a playbook does belongs to a phase, literally: the operator reads it, and exit codes depend on it."""
    return [
        f"{shown(path, ansible)}: {task.get('name')!r} has no phase"
        for path in sorted(ansible.glob("playbooks/*.yml"))
        for play in read(path)
        for task in phaseless(play.get("tasks"), play.get("vars") or {})
    ]


def phaseless(tasks: Any, inherited: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tasks, at any depth, that neither are in a phase nor announce anything."""
    for task in tasks or []:
        variables = {**inherited, **(task.get("vars") or {})}
        inside = [part for key in BLOCKS for part in task.get(key) or []]
        yield from phaseless(inside, variables)
        literal = "{{" not in str(variables.get("phase", "{{")) or variables.get("announce") is True
        if not inside and not literal and not any(key.rpartition(".")[2] == "meta" for key in named(task)):
            yield task


def hides_ansible(ansible: Path) -> list[str]:
    """An `__init__.py` there would hide the real package from every import in this checkout."""
    return ["ansible/__init__.py hides the package ansible"] if (ansible / "__init__.py").exists() else []


def undocumented_in(kept: Path, ansible: Path) -> list[str]:
    """Ansible accepts any name; an inventory of ours shows only those that mean something, with values that fit."""
    try:
        loader.check(kept, loader.load(kept, ""), documented(ansible))
    except RefusalError as refusal:
        return list(refusal.messages)
    return []


def examples_of_nothing(text: str, ansible: Path) -> list[str]:
    """A setting that stands as a comment (`# name: value`) in an inventory is documented too."""
    known = documented(ansible)
    names = re.findall(r"^\s*#\s*([a-z][a-z0-9_]*): ", text, flags=re.MULTILINE)
    return [f"{name} is no variable" for name in names if known.claims(name) and name not in known.options]


def shown(path: Path, ansible: Path) -> str:
    return str(path.relative_to(ansible))
