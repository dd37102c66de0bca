"""What is wrong with an inventory's variables. Pure: names and values in, messages out, all at once."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped] # has no types
from ansible.module_utils.errors import (  # type: ignore[import-untyped] # the same
    ArgumentTypeError,
    ArgumentValueError,
)
from jinja2 import Environment, TemplateError, meta
from packaging.requirements import InvalidRequirement, Requirement

from front.inventory.documented import ENCRYPTED, FIELDS, MEASURE, Documented, is_template
from module_utils.host_readiness.upstream import wrong_address
from settings.made import span

KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping",
    "str": "a text", "path": "a path",
}  # fmt: skip
# What of an option is for people, or has no place in Ansible's own specs.
NOT_ANSIBLES = {"required", "default", "description", FIELDS, *MEASURE}

EMPTY = "empty: give it a value, or remove the line"
# Reads the templates of an inventory as Ansible does, and renders none.
JINJA = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True)


class AnyName(dict[str, Any]):
    """Filters or tests of every name: Ansible and its collections have more than Jinja, and none is called here."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return str

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - as a mapping has it
        """Return what stands for the filter or test."""
        return str


JINJA.filters, JINJA.tests = AnyName(), AnyName()
# What Ansible itself has for any template, beside names that begin with ansible_.
ANSIBLES = frozenset(
    {"groups", "group_names", "hostvars", "inventory_dir", "inventory_file", "inventory_hostname",
     "inventory_hostname_short", "playbook_dir", "play_hosts", "omit", "environment", "vars", "role_name", "role_path",
     "lookup", "query", "q", "now", "undef"}
)  # fmt: skip
# In a template that may not need each of its variables on each host.
MAY_LACK = re.compile(r"\|\s*(default|d)\b|\b(un)?defined\b|\bif\b")

# Stands for the place of a setting in a message until that is looked up; no text of an inventory has it.
WHERE = "\0"
REQUIREMENTS = {"plone_addons", "plone_addon_constraints"}
COUNT_OR_SHARE = re.compile(r"[1-9]\d{0,4}|([1-9]\d?|100)%")
SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|DSN|CREDENTIALS?)$", re.IGNORECASE)
KEY_CHARACTERS = 12
PUBLIC = re.compile(r"PUBLIC|SITE_KEY$", re.IGNORECASE)
SECRET_ADDRESS = re.compile(r"\w://[^/@\s:]*:[^/@\s]+@")  # of a user with a password
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
    """One variable as one host sees it.

    `ours`: the host has the toolkit's own bridge. `beside`: the names of all variables that hosts have.
    """

    name: str
    value: Any
    host: str
    ours: bool = False
    beside: Collection[str] = ()


def findings(settings: Iterable[Setting], known: Documented, where: Callable[[str, str], str]) -> list[str]:
    """Return a message for each setting that is misspelt or has a value that its documentation does not allow.

    `where(name, host)` says which file and line sets a variable.
    """
    wrong = ((each, text) for each in settings for text in (about(each, known), *inside(each, known)) if text)
    return list(dict.fromkeys(text.replace(WHERE, where(each.name, each.host)) for each, text in wrong))


def notes(settings: Iterable[Setting], where: Callable[[str, str], str]) -> list[str]:
    """Return a message for each value in the environment of a bridge that looks like a secret, without the value.

    It stops nothing: the names that an institution's own bridge reads are its own.
    """
    told = (
        f"{name} of bridge_environment ({where(each.name, each.host)}) looks like a secret, and `docker inspect` shows "
        "an environment, and each release keeps it. Write it to a file on the host, name that in bridge_secrets, and "
        f"its path in the container in {name}_FILE, where the bridge reads such a name."
        for each in settings if each.name == "bridge_environment" and isinstance(each.value, Mapping)
        for name, value in each.value.items() if is_like_a_secret(str(name), str(value or ""))
    )  # fmt: skip
    return list(dict.fromkeys(told))


def is_like_a_secret(name: str, value: str) -> bool:
    """Whether a variable of an environment holds a secret, by its name, or by a password in an address.

    The path of a file is none, nor is what is public.
    """
    if value.startswith("/") or not value:
        return False
    if SECRET_ADDRESS.search(value):
        return True
    named = SECRET_NAME.search(name)
    address = named and named[1].upper() == "DSN" and not is_template(value) and "password=" not in value
    short = named and named[1].upper() == "KEY" and len(value) < KEY_CHARACTERS  # a name of something, as to sort by
    switch = value.lower() in {"true", "false"}
    return bool(named and not address and not short and not switch and not PUBLIC.search(name))


def inside(setting: Setting, known: Documented) -> Iterator[str]:
    """Yield what is wrong with the templates of a setting, and with the environment of our own bridge."""
    if setting.name in known.options:
        names = {*known.options, *known.wired, *known.typed, *setting.beside}
        yield from (f"{setting.name} ({WHERE}) {wrong}" for wrong in wrong_templates(setting.value, names))
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
    if value is None:
        return f"is {EMPTY}" if option.get("default", value) is not None or "default" not in option else None
    if (hole := empty_part(value)) is not None:
        return f"holds {hole}{EMPTY}"
    if is_template(value):
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


def empty_part(value: Any) -> str | None:
    """Return how a part of a list or a mapping is named that has no value, None where each has one."""
    for name, part in value.items() if isinstance(value, Mapping) else ():
        if part is None or empty_part(part) is not None:
            return f"{name}, which is " if part is None else empty_part(part)
    for part in value if isinstance(value, list) else ():
        if part is None or empty_part(part) is not None:
            return "a part that is " if part is None else empty_part(part)
    return None


def wrong_templates(value: Any, names: Collection[str]) -> Iterator[str]:
    """Yield how each template in `value` cannot be rendered, to be read after the name of the setting.

    `names`: the variables that there are. One that is missing is no fault where a template may not need it.
    """
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from wrong_templates(part, names)
    if not isinstance(value, str) or not is_template(value):
        return
    try:
        asked = meta.find_undeclared_variables(JINJA.parse(value))
    except TemplateError as error:
        yield f"is the template {shown(value)}, which cannot be read: {str(error).rstrip('.')}."
        return
    for name in sorted(asked - {*names, *ANSIBLES, ENCRYPTED}) if not MAY_LACK.search(value) else ():
        if not name.startswith("ansible_"):
            near = get_close_matches(name, names, n=1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else "set it, or correct its name."
            yield f"is a template of {name}, which is set nowhere; {hint}"


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
