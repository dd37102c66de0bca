"""The thin loader: finds an inventory, reads it as Ansible will, and refuses what cannot work."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from front.arguments.refusal import RefusalError, shown
from front.inventory.documented import Documented
from front.inventory.findings import KINDS, Setting, findings, notes

YAML = {".yml", ".yaml"}
PARTS = ("hosts", "children", "vars")  # of a group
# Ansible reads these too, or leaves them alone; none of them is a file of variables.
NOT_VARIABLES = {".orig", ".bak", ".retry", ".pyc", ".swp", ".md", ".txt", ".pem", ".crt", ".whl"}


@dataclass(frozen=True)
class Target:
    """One host that the run is about, with the variables the inventory gives it."""

    name: str
    variables: Mapping[str, Any]


def find(name: str, checkout: Path) -> Path:
    """Return the path of inventory `name`: a folder in inventories/, or a path. Raises RefusalError."""
    kept = (checkout / "inventories").resolve()
    for path in (kept / name, Path(name).absolute()):
        if name and path.exists() and path.resolve() not in {kept, checkout}:
            return path
    names = sorted(path.name for path in kept.glob("*") if path.is_dir()) if kept.is_dir() else []
    near = get_close_matches(Path(name).name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names) or 'none in inventories/'}."
    raise RefusalError(f"There is no inventory {name!r}, neither in inventories/ nor as a path; {hint}")


def files(inventory: Path) -> list[Path]:
    """Return the files that may set variables for an inventory, in the order Ansible reads them."""
    if inventory.is_file():
        beside = [inventory.parent / folder for folder in ("group_vars", "host_vars")]
        return [inventory, *(path for folder in beside if folder.is_dir() for path in files(folder))]
    return [
        path
        for path in sorted(inventory.rglob("*"))
        if path.is_file() and path.suffix not in NOT_VARIABLES and not path.name.startswith(".")
    ]


class Strict(yaml.SafeLoader):
    """Reads YAML as Ansible does (`!vault` and `!unsafe` are its own), but minds a name that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a mapping or a list is no name, and a value that begins with {{ stands in quotes",
                    problem_mark=key.start_mark,
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} is given a second time", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Strict.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def unreadable(path: Path) -> str | None:
    """Return why a YAML file cannot be read, with the line and what to do; None for one that can."""
    try:
        with path.open(encoding="utf-8") as stream:
            yaml.load(stream, Loader=Strict)  # noqa: S506 - Strict is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        return f"{shown(path)}{line} cannot be read: {error.problem}; correct that line."
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"{shown(path)} cannot be read: {str(error).splitlines()[0]}; save it as YAML in UTF-8."
    except OSError as error:
        return f"{shown(path)} cannot be read: {error.strerror}; make it readable for you."
    return None


def kind(value: Any) -> str:
    """Return of which kind a value is. It is not shown: a file that is no inventory may hold secrets."""
    return KINDS.get(type(value).__name__, "a value")


def misshapen(inventory: Path) -> list[str]:
    """Return what Ansible would not take of the YAML files of an inventory, or would leave out of its groups."""
    found = []
    for path in files(inventory):
        if path.suffix in YAML:
            with path.open(encoding="utf-8") as stream:
                document = yaml.load(stream, Loader=Strict)  # noqa: S506 - Strict is a SafeLoader
            if {"group_vars", "host_vars"} & set(path.relative_to(inventory.parent).parts):
                encrypted = isinstance(document, str) and document.startswith("$ANSIBLE_VAULT;")
                if not (document is None or encrypted or isinstance(document, Mapping)):
                    lines = "write each variable as a name with a colon and its value"
                    found.append(f"{shown(path)} is {kind(document)}, and no mapping of variables; {lines}.")
            elif not (isinstance(document, Mapping) and "plugin" in document):
                found += [f"{shown(path)}: {why}" for why in wrong_groups(document)]
    return found


def wrong_groups(groups: Any) -> Iterator[str]:
    """Yield what is wrong with a mapping of groups, and with the groups inside them."""
    if groups is not None and not isinstance(groups, Mapping):
        yield f"{kind(groups)} stands where groups are named; write each as a name with a colon, on a line of its own."
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        if group is not None and not isinstance(group, Mapping):
            yield f"the group {name} is {kind(group)}, but must hold hosts, children or vars."
            continue
        for part, value in (group or {}).items():
            near = [] if part in PARTS else get_close_matches(str(part), PARTS, n=1)
            if near:
                yield f"the group {name} holds {part!r}; did you mean {near[0]}?"
            elif part in PARTS and value is not None and not isinstance(value, Mapping | str):
                lines = "write each name with a colon, on a line of its own"
                yield f"{part} of the group {name} is {kind(value)}, which is no mapping; {lines}."
            elif part == "children":
                yield from wrong_groups(value if isinstance(value, Mapping) else None)


def load(inventory: Path, limit: str, ours: tuple[str, ...] = ()) -> list[Target]:
    """Return the hosts of an inventory that `limit` leaves (all without one). Raises RefusalError.

    `ours`: what the names of settings begin with; those, and Ansible's own, have to be readable if encrypted.
    """
    broken = [why for path in files(inventory) if path.suffix in YAML for why in (unreadable(path),) if why]
    if broken := broken or misshapen(inventory):
        raise RefusalError(*broken)
    os.environ["LC_ALL"] = "C.UTF-8"  # Ansible ends the process in any other
    from front.inventory import hosts  # noqa: PLC0415 - Ansible reads its settings when it is imported

    with contextlib.redirect_stderr(io.StringIO()):  # Ansible warns there about what is a refusal here
        return [Target(name, variables) for name, variables in hosts.read(inventory, limit, ("ansible_", *ours))]


def check(inventory: Path, hosts: list[Target], known: Documented) -> list[str]:
    """Return a note for each value that ought not to stand where it does, in any of `hosts`.

    Raises RefusalError with a message for each misspelt name and each value that cannot be.
    """
    sources = [(path, path.read_text(encoding="utf-8", errors="replace")) for path in files(inventory)]
    names = frozenset(name for host in hosts for name in host.variables)
    settings = [
        Setting(name, value, host.name, "bridge_image" not in host.variables, names)
        for host in hosts for name, value in host.variables.items()
    ]  # fmt: skip

    def place(name: str, host: str) -> str:
        return where(name, host, sources)

    if found := findings(settings, known, place):
        raise RefusalError(*found)
    return notes(settings, place)


def where(name: str, host: str, sources: list[tuple[Path, str]]) -> str:
    """Return the files and lines that set `name`; the host's name where an inventory plugin made it up."""
    sets = re.compile(rf"(?<![\w.-]){re.escape(name)}[\"']?\s*[:=]")
    found = [
        f"{shown(path)}:{number}"
        for path, lines in sources
        for number, line in enumerate(lines.splitlines(), start=1)
        if sets.search(line.split("#", maxsplit=1)[0])
    ]
    return ", ".join(found[:3]) or f"host {host}"
