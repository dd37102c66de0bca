"""What is wrong with an inventory's variables. Pure: names and values in, messages out, all at once."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped] # has no types
from ansible.module_utils.errors import (  # type: ignore[import-untyped] # the same
    ArgumentTypeError,
    ArgumentValueError,
)
from packaging.requirements import InvalidRequirement, Requirement

from front.documented import MEASURE, Documented, is_template
from module_utils.host_readiness.upstream import wrong_address
from settings.made import span

KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping",
    "str": "a text", "path": "a path",
}  # fmt: skip
# What of an option is for people, or has no place in Ansible's own specs.
NOT_ANSIBLES = {"required", "default", "description", *MEASURE}

# Stands for the place of a setting in a message until that is looked up; no text of an inventory has it.
WHERE = "\0"
REQUIREMENTS = {"plone_addons", "plone_addon_constraints"}
COUNT_OR_SHARE = re.compile(r"[1-9]\d{0,4}|([1-9]\d?|100)%")
# What a text, or each of a list, has to be like, and how that is said.
TEXTS = {
    "edge_hosts": (re.compile(r"(?=[^.])[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]"), "names such as hub.example.edu"),
    "rollout_waves": (COUNT_OR_SHARE, "counts of hosts such as 1, and percentages such as 25%"),
    "rollout_max_unavailable": (COUNT_OR_SHARE, "a count of hosts such as 1, or a share such as 10%"),
    "plone_addon_sdists": (re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"), "names such as sgmllib3k"),
    "edge_proxy_headers": (re.compile(r"[A-Za-z0-9_-]{1,100}"), "names of request headers such as X-Remote-User"),
}


@dataclass(frozen=True)
class Setting:
    """One variable as one host sees it."""

    name: str
    value: Any
    host: str


def findings(settings: Iterable[Setting], known: Documented, where: Callable[[str, str], str]) -> list[str]:
    """Return a message for each setting that is misspelt or has a value that its documentation does not allow.

    `where(name, host)` says which file and line sets a variable.
    """
    wrong = ((each, about(each, known)) for each in settings)
    return list(dict.fromkeys(text.replace(WHERE, where(each.name, each.host)) for each, text in wrong if text))


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
        inside = isinstance(value, list | dict)
        return f"holds {endless}, which is no number" if inside else f"is {endless}, but must be {KINDS[kind]}"
    spec = {key: part for key, part in option.items() if key not in NOT_ANSIBLES}
    result = ArgumentSpecValidator({name: spec}).validate({name: value})
    if result.errors.errors:
        return worded(result.errors.errors[0], value, kind, option)
    return out_of_range(name, result.validated_parameters[name], option)


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


def shown(value: Any) -> str:
    """Return a value as it may stand in a message: quoted, and short."""
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
