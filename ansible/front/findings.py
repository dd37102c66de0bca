"""What is wrong with an inventory's variables. Pure: names and values in, messages out, all at once."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped] # has no types
from ansible.module_utils.errors import (  # type: ignore[import-untyped] # the same
    ArgumentTypeError,
    ArgumentValueError,
)
from packaging.requirements import InvalidRequirement, Requirement

from front.documented import FIELDS, MEASURE, Documented, is_template
from module_utils.host_readiness.upstream import wrong_address
from settings.made import span

KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping",
    "str": "a text", "path": "a path",
}  # fmt: skip
# What of an option is for people, or has no place in Ansible's own specs.
NOT_ANSIBLES = {"required", "default", "description", FIELDS, *MEASURE}

# Stands for the place of a setting in a message until that is looked up; no text of an inventory has it.
WHERE = "\0"
REQUIREMENTS = {"plone_addons", "plone_addon_constraints"}
COUNT_OR_SHARE = re.compile(r"[1-9]\d{0,4}|([1-9]\d?|100)%")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SIZE = "size like 512m"  # the unit of those texts
# What a text, or each of a list, has to be like, and how that is said.
TEXTS = {
    "edge_hosts": (re.compile(r"(?=[^.])[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]"), "names such as hub.example.edu"),
    "rollout_waves": (COUNT_OR_SHARE, "counts of hosts such as 1, and percentages such as 25%"),
    "rollout_max_unavailable": (COUNT_OR_SHARE, "a count of hosts such as 1, or a share such as 10%"),
    "plone_addon_sdists": (re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"), "names such as sgmllib3k"),
    "eduhub_stack": (NAME, "a name such as eduhub, of letters, digits, _, . and -"),
    "edge_proxy_headers": (re.compile(r"[A-Za-z0-9_-]{1,100}"), "names of request headers such as X-Remote-User"),
}


@dataclass(frozen=True)
class Setting:
    """One variable as one host sees it. `ours`: the host has the toolkit's own bridge."""

    name: str
    value: Any
    host: str
    ours: bool = False


def findings(settings: Iterable[Setting], known: Documented, where: Callable[[str, str], str]) -> list[str]:
    """Return a message for each setting that is misspelt or has a value that its documentation does not allow.

    `where(name, host)` says which file and line sets a variable.
    """
    wrong = ((each, text) for each in settings for text in (about(each, known), *inside(each, known)) if text)
    return list(dict.fromkeys(text.replace(WHERE, where(each.name, each.host)) for each, text in wrong))


def inside(setting: Setting, known: Documented) -> Iterator[str]:
    """Yield what is wrong with the environment of our own bridge."""
    if setting.name == "bridge_environment" and setting.ours:
        yield from about_environment(setting.value, known)


def about(setting: Setting, known: Documented) -> str | None:
    """Return what is wrong with one setting, with `WHERE` in it; None when nothing is."""
    name = setting.name
    if name in known.wired:
        return f"{name} ({WHERE}) is no setting: ansible/playbooks/group_vars/all.yml computes it; remove it."
    if name in known.typed:
        return f"{name} ({WHERE}) is no setting of an inventory: the command line or a playbook sets it; remove it."
    if name in known.options:
        wrong = wrong_value(name, setting.value, known.options[name])
        return f"{name} ({WHERE}) {wrong}." if wrong else None
    near = known.nearest(name) if known.claims(name) else known.meant(name)
    if near:
        return f"There is no variable {name} ({WHERE}); did you mean {near}?"
    if known.claims(name):
        return f"There is no variable {name} ({WHERE}); the names stand in docs/reference/settings.md."
    return None


def wrong_value(name: str, value: Any, option: Mapping[str, Any]) -> str | None:
    """Return how `value` breaks the argument spec `option`, to be read after the name; None when it does not."""
    if value is None or is_template(value):
        return None
    kind = str(option.get("type", "str"))
    if kind in {"str", "path"} and isinstance(value, list | dict):  # Ansible would quietly turn it into text
        return f"is {shown(value)}, but must be {KINDS[kind]}"
    if (endless := next(endless_numbers(value), None)) is not None:  # Ansible's validator fails of .inf itself
        part = isinstance(value, list | dict)
        return f"holds {endless}, which is no number" if part else f"is {endless}, but must be {KINDS[kind]}"
    if option.get("elements", kind) in {"int", "float"}:  # Ansible would take true for 1
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                return f"{'holds' if isinstance(value, list) else 'is'} {each}, which is no number"
    spec = {key: part for key, part in option.items() if key not in NOT_ANSIBLES}
    result = ArgumentSpecValidator({name: spec}).validate({name: value})
    if result.errors.errors:
        return worded(result.errors.errors[0], value, kind, option)
    return out_of_range(name, result.validated_parameters[name], option) or wrong_field(value, option.get(FIELDS))


def wrong_field(value: Any, fields: Mapping[str, Mapping[str, Any]] | None) -> str | None:
    """Return how a mapping breaks the description of its `fields`; None when it does not, or they are not described."""
    for name, part in value.items() if fields and isinstance(value, Mapping) else ():
        if name not in (fields or {}):
            return f"holds {shown(name)}, but may hold {', '.join(fields or ())}"
        if wrong := wrong_value(name, part, (fields or {})[name]):
            return f"holds {name}, which {wrong}"
    return None


def about_environment(value: Any, known: Documented) -> Iterator[str]:
    """Yield what is wrong with what our bridge is told in `bridge_environment`; other programs' names are theirs."""
    for name, part in value.items() if isinstance(value, Mapping) else ():
        if not str(name).startswith("EDUHUB_") or str(name).removesuffix("_FILE") in known.environment:
            told = known.environment.get(str(name), {})
            wrong = wrong_value(name, part, told) if told.get("type") in {"int", "float"} and part != "" else None
            if wrong:
                yield f"{name} of bridge_environment ({WHERE}) {wrong}."
            continue
        near = get_close_matches(str(name), known.environment, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "the names stand in docs/reference/settings.md."
        yield f"Our bridge reads no {name} ({WHERE}); {hint}"


def worded(error: Exception, value: Any, kind: str, option: Mapping[str, Any]) -> str:
    """Return the validator's first error in the words of the person who wrote the inventory."""
    if isinstance(error, ArgumentTypeError) and kind in KINDS:
        return f"is {shown(value)}, but must be {KINDS[kind]}"
    if isinstance(error, ArgumentValueError) and not isinstance(value, list):
        quotes = "; put the value in quotes" if isinstance(value, float) else ""
        return f"is {shown(value)}, but must be one of {', '.join(map(str, option['choices']))}{quotes}"
    return f"is {shown(value)}, which does not fit: {error}"


def out_of_range(name: str, value: Any, option: Mapping[str, Any]) -> str | None:
    """Return how a value, or one of a list, breaks the range of its description; None when it does not."""
    if name == "plone_url" and value:
        return wrong_address(value)
    if name.endswith("_proxies"):
        bad = next((each for each in value if not is_network(each)), None)
        return f"holds {shown(bad)}, but must hold addresses and networks, such as 192.0.2.0/24" if bad else None
    if name in REQUIREMENTS:
        bad = next((each for each in value if not is_requirement(each)), None)
        return f"holds {shown(bad)}, but must hold requirements such as collective.easyform==4.5.1" if bad else None
    if name == "front_virtual_addresses":
        bad = next((each for each in value if not is_interface(each)), None)
        return f"holds {shown(bad)}, but must hold addresses such as 192.0.2.10/24" if bad else None
    if option.get("unit") == SIZE and not re.fullmatch(r"\d+(\.\d+)?[bkmg]?", str(value), re.IGNORECASE):
        return f"is {shown(value)}, but must be a size such as 512m or 2g"
    if name in TEXTS:
        form, example = TEXTS[name]
        several = isinstance(value, list)
        bad = next((each for each in (value if several else [value]) if not form.fullmatch(str(each))), None)
        verbs = ("holds", "hold") if several else ("is", "be")
        return f"{verbs[0]} {shown(bad)}, but must {verbs[1]} {example}" if bad is not None else None
    if name == "edge_address":
        bad = next((each for each in str(value).split(",") if not is_address(each)), None)
        return f"holds {shown(bad.strip())}, which is no IP address, such as 0.0.0.0 or ::" if bad is not None else None
    if name.endswith("_subnet") and value and not is_network(value):
        return f"is {shown(value)}, but must be a network, such as 172.30.8.0/24"
    numbers = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int | float)]
    least, most = option.get("least", option.get("above", -math.inf)), option.get("most", math.inf)
    bad = next((each for each in numbers if not least <= each <= most), None)
    if bad is None:
        return None
    return f"{'holds' if isinstance(value, list) else 'is'} {bad}, but must be {span(option)}"


def endless_numbers(value: Any) -> Iterator[float]:
    """Yield what of `value` YAML takes for infinite or for no number (.inf, .nan)."""
    if isinstance(value, float) and not math.isfinite(value):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from endless_numbers(part)


def is_requirement(text: str) -> bool:
    """Whether `text` is a requirement of pip without an address, which a lock would keep."""
    try:
        return not Requirement(text).url
    except InvalidRequirement:
        return False


def is_address(text: str) -> bool:
    """Whether `text` is an IP address; one of IPv6 may stand in brackets, as in a URL."""
    bare = text.strip()
    try:
        found = ipaddress.ip_address(bare[1:-1] if bare.startswith("[") and bare.endswith("]") else bare)
    except ValueError:
        return False
    return found.version == 6 or bare == str(found)


def is_network(text: str) -> bool:
    """Whether `text` is an IP address, or a network as HAProxy reads it."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_interface(text: str) -> bool:
    """Whether `text` is an IP address, which may have the length of its network's prefix."""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def shown(value: Any) -> str:
    """Return a value as it may stand in a message: quoted, and short."""
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
