"""The description of the pilot's settings (settings.json, from `./invoke settings`), and the check of values by it.

Without a library: each command starts a container, and people wait for that start (docs/decisions/0009).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eduhub_pilot.model.errors import SettingError

SETTINGS: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_name("settings.json").read_bytes())
REMEDY = "correct it in the inventory"
KINDS = {"str": "a text", "path": "a path", "int": "a whole number", "float": "a number", "bool": "true or false",
         "list": "a list", "dict": "a mapping"}  # fmt: skip
DAY = 86400


def default(name: str, field: str | None = None) -> Any:
    """Return the default of a setting, or of a `field` of one that is a mapping; a list as a tuple."""
    value = SETTINGS[name]["fields"][field]["default"] if field else SETTINGS[name]["default"]
    return tuple(value) if isinstance(value, list) else value


def setting(given: Mapping[str, Any], name: str) -> Any:
    """Return the value of a setting in an inventory's values, checked, its default without one.

    SettingError names the setting, its value, and its type, range and unit.
    """
    described = SETTINGS[name]
    value = given.get(name)
    return described["default"] if value is None else checked(name, value, described)


def checked(name: str, value: Any, described: Mapping[str, Any]) -> Any:
    """Return `value` in the type of its description; SettingError for another type, or out of range."""
    kind = described["type"]
    if kind == "list":
        return _listed(name, value, described)
    if kind == "dict":
        return _mapped(name, value, described)
    parsed = _scalar(value, kind, described)
    if parsed is None:
        like = f", like {described['default']}" if described.get("default") not in {None, ""} else ""
        raise SettingError(f"{name} is {shown(value)}, not {wanted(described)}{like}: {REMEDY}.")
    return parsed


def span(described: Mapping[str, Any]) -> str:
    """Return range and unit in words, as "from 0 to 86400 seconds (a day)"; empty without either."""
    least, above, most, unit = (described.get(key) for key in ("least", "above", "most", "unit"))
    if least is not None and most is None:
        return f"not below {least:.12g} ({unit})"
    words = [f"from {least:.12g}"] if least is not None else [f"above {above:.12g}"] if above is not None else []
    words += [f"to {most:.12g}"] if most is not None else []
    words += [unit] if unit else []
    return " ".join(words) + (" (a day)" if (unit, most) == ("seconds", DAY) else "")


def wanted(described: Mapping[str, Any]) -> str:
    """Return in words what a value must be."""
    if choices := described.get("choices"):
        return f"one of {', '.join(choices)}"
    return f"{KINDS[described['type']]} {span(described)}".strip()


def unknown(given: Mapping[str, Any]) -> list[str]:
    """Return the names that this pilot does not know, sorted."""
    return sorted(set(given) - set(SETTINGS))


def shown(value: Any) -> str:
    """Return a value as it may stand in a message: as JSON, and short."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(name: str, value: Any, described: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        raise SettingError(f"{name} is {shown(value)}, not a list: {REMEDY}.")
    each = {**described, "type": described.get("elements", "str")}
    parsed = [_scalar(part, each["type"], each) if each["type"] != "dict" else part for part in value]
    if bad := [part for part, found in zip(value, parsed, strict=True) if found is None or found == ""]:
        raise SettingError(f"{name} holds {shown(bad[0])}, instead of {wanted(each)}: {REMEDY}.")
    return parsed


def _mapped(name: str, value: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingError(f"{name} is {shown(value)}, not a mapping: {REMEDY}.")
    fields = described.get("fields")
    if fields is None:
        return value
    for key in value:
        if key not in fields:
            import difflib  # noqa: PLC0415 - it takes longer to import than all the rest of this module

            near = difflib.get_close_matches(str(key), fields, n=1)
            guess = f"did you mean {near[0]}" if near else f"there are {', '.join(fields)}"
            raise SettingError(f"{name} has no {key!r}; {guess}? Correct it in the inventory.")
    return {key: checked(f"{name}.{key}", part, fields[key]) for key, part in value.items()}


def _scalar(value: Any, kind: str, described: Mapping[str, Any]) -> Any:
    """Return a value of a type without parts, None where it is none or out of range."""
    if choices := described.get("choices"):
        # YAML takes a bare `off` for false.
        return next((each for each in choices if value == each or (value is False and each == "off")), None)
    if kind in {"str", "path"}:
        return value if isinstance(value, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    return _number(value, kind, described)


def _number(value: Any, kind: str, described: Mapping[str, Any]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = (int if kind == "int" and not isinstance(value, float) else float)(value)
        if kind == "int" and number != int(number):
            return None
        finite = math.isfinite(number)
    except (ValueError, OverflowError):
        return None
    least, above, most = (described.get(key) for key in ("least", "above", "most"))
    within = (least is None or number >= least) and (above is None or number > above)
    return number if finite and within and (most is None or number <= most) else None
