"""What is made from the description of the settings, as texts: specs, defaults, tables, example, parsers' data."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from settings.described import RANGE, SPEC, Described, Group, Setting, every

WIDTH = 120
FROM = "Made by `./invoke settings` from ansible/settings/{name}: change it there."
ABOUT = """\
What an inventory may set; [the example inventory](../../inventories/example/group_vars/all.yml) shows all of it. A
misspelt name, a value of another type or out of its range, a variable that no operator sets, and a file of variables
for no group and no host are refused before anything happens.
"""
ABOUT_ENVIRONMENT = """\
By `bridge_environment`; a change makes a new release. Each may also be given as a file: `NAME_FILE` holds the path of a
file in the container whose content is the value of `NAME`. A secret is only taken so.
"""
ABOUT_WIRED = """\
No settings of an inventory: they come from the command line, from what another role calls by its own name
(`ansible/playbooks/group_vars/all.yml`), or from the task that imports the role.
"""
BLOCK = re.compile(r"(<!-- settings: ([\w ,]+) -->\n).*?(<!-- /settings -->)", re.DOTALL)


def made(checkout: Path, files: Sequence[Described], groups: Sequence[Group]) -> dict[Path, str]:
    """Return the text of every file of `checkout` that is made from the description `files`."""
    texts: dict[Path, str] = {}
    for each in files:
        if each.role:
            role = checkout / "ansible/roles" / each.role
            texts[role / "meta/argument_specs.yml"] = argument_specs(each)
            texts[role / "defaults/main.yml"] = defaults(each)
        if each.packaged:
            texts[checkout / each.packaged] = packaged(each)
    settings = every(list(files))
    texts[checkout / "docs/reference/settings.md"] = reference(files, groups)
    texts[checkout / "inventories/example/group_vars/all.yml"] = example(settings.values(), groups)
    for page in sorted((checkout / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if BLOCK.search(text) and page not in texts:
            texts[page] = BLOCK.sub(lambda found: f"{found[1]}{block(found[2], settings)}{found[3]}", text)
    return texts


# --- Ansible


def argument_specs(told: Described) -> str:
    """Return a role's meta/argument_specs.yml."""
    specs: dict[str, Any] = {}
    for entry, body in told.entry_points.items():
        names = [*(body.get("settings") or {}), *(body.get("also") or [])]
        spec = {key: body[key] for key in ("short_description", "description") if key in body}
        specs[entry] = spec | {"options": {name: _option(told.settings[name]) for name in names}}
    head = f"---\n# {FROM.format(name=f'{told.role}.yml')}\n"
    return head + _dump({"argument_specs": specs})


def _option(setting: Setting) -> dict[str, Any]:
    option = {key: setting.told[key] for key in SPEC if key in setting.told}
    words = span(setting.told) if any(key in setting.told for key in RANGE) else ""
    texts = [*setting.help, *([f"{words[0].upper()}{words[1:]}."] if words else [])]
    return option | {"description": texts[0] if len(texts) == 1 else texts}


def defaults(told: Described) -> str:
    """Return a role's defaults/main.yml: Ansible does not apply those of argument specs."""
    given = {name: each.told["default"] for name, each in told.settings.items() if "default" in each.told}
    lines = [f"{name}:{_inline(value)}" for name, value in given.items()]
    return "\n".join(["---", f"# {FROM.format(name=f'{told.role}.yml')}", *lines]) + "\n"


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> str:
        """Return the style of a text; where it needs quotes, double ones."""
        style = str(super().choose_scalar_style())
        return '"' if style == "'" else style


class _Flow(list[Any]):
    pass


class _FlowMap(dict[str, Any]):
    pass


_Dumper.add_representer(_Flow, lambda to, value: to.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True))
_Dumper.add_representer(
    _FlowMap, lambda to, value: to.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)
)
_Dumper.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", ""))


def _flow(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _FlowMap({key: _flow(part) for key, part in value.items()})
    return _Flow([_flow(part) for part in value]) if isinstance(value, list) else value


def _shaped(value: Any, name: str = "") -> Any:
    """Return values of settings on one line each, and everything around them in lines of their own."""
    if name in {"default", "choices"}:
        return _flow(value)
    if isinstance(value, Mapping):
        return {key: _shaped(part, key) for key, part in value.items()}
    return value


def _dump(value: Any) -> str:
    text = yaml.dump(_shaped(value), Dumper=_Dumper, sort_keys=False, width=WIDTH - 20, allow_unicode=True)
    return re.sub(r": $", ":", text, flags=re.MULTILINE)


def _inline(value: Any) -> str:
    """Return a value as it stands behind a name and a colon, on the same line; nothing for None."""
    if value is None:
        return ""
    text = yaml.dump({"x": _flow(value)}, Dumper=_Dumper, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removeprefix("x:").rstrip("\n")


# --- what programs read


def packaged(told: Described) -> str:
    """Return the description that a program reads: JSON, a line a setting, so that a change shows as one."""
    read = {name: each.packaged() for name, each in told.settings.items() if not each.told.get("role_only")}
    lines = [f"  {json.dumps(name)}: {json.dumps(each, ensure_ascii=False)}" for name, each in read.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


# --- for people


def span(told: Mapping[str, Any]) -> str:
    """Return range and unit in words, as "from 1 to 100 percent"; empty for a setting that has neither."""
    least, above, most, unit = (told.get(key) for key in ("least", "above", "most", "unit"))
    if least is not None and most is None:
        return f"not below {_number(least)} ({unit})"
    words = f"from {_number(least)}" if least is not None else f"above {_number(above)}" if above is not None else ""
    words += f"{' ' if words else ''}{'to' if words else 'up to'} {_number(most)}" if most is not None else ""
    if words and unit == "port":
        return words
    return f"{words} {unit or ''}".strip() if words else str(unit or "")


def _number(value: float) -> str:
    return f"{value:.12g}"


def _type(told: Mapping[str, Any]) -> str:
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "list": "list",
             "dict": "mapping", "path": "path"}  # fmt: skip
    kind = words[told["type"]]
    if told.get("choices"):
        several = "list of " if told["type"] == "list" else ""
        kind = several + ", ".join(f"`{_shown(each)}`" for each in told["choices"])
    elif told.get("elements"):
        plural = {"str": "texts", "int": "whole numbers", "dict": "mappings", "list": "lists"}
        kind = f"list of {plural[told['elements']]}"
    return ", ".join(filter(None, [kind, span(told)]))


def _shown(value: Any) -> str:
    return _inline(value).strip() or ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _row(*cells: str) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def table(settings: Sequence[Setting]) -> str:
    """Return the settings as a table of Markdown."""
    lines = [_row("setting", "type, range, unit", "default", "meaning", "since"), "|---|---|---|---|---|"]
    for each in settings:
        default = f"`{_shown(each.told['default'])}`" if each.told.get("default") is not None else ""
        lines.append(_row(f"`{each.name}`", _type(each.told), default, " ".join(each.help), each.since))
    return "\n".join(lines) + "\n"


def fields(setting: Setting) -> str:
    """Return what a mapping may hold as a table of Markdown."""
    default = setting.told.get("default") or {}
    lines = [_row("in it", "type, range, unit", "default", "meaning"), "|---|---|---|---|"]
    for name, each in setting.told["fields"].items():
        value = each.get("default", default.get(name))
        lines.append(_row(f"`{name}`", _type(each), "" if value is None else f"`{_shown(value)}`", each["help"]))
    return "\n".join(lines) + "\n"


def block(names: str, settings: Mapping[str, Setting]) -> str:
    """Return what stands between the marks `<!-- settings: NAMES -->` and `<!-- /settings -->` of a page.

    A table of the settings that are named; `fields of NAME` is the one of what that mapping may hold.
    """
    if names.startswith("fields of "):
        return fields(settings[names.removeprefix("fields of ")])
    return table([settings[name] for name in names.replace(",", " ").split()])


def reference(files: Sequence[Described], groups: Sequence[Group]) -> str:
    """Return docs/reference/settings.md."""
    settings = every(list(files))
    parts = [
        "# Settings\n",
        f"<!-- {FROM.format(name='*.yml')} -->\n",
        ABOUT,
    ]
    for group in groups:
        found = [each for each in settings.values() if each.group == group.name]
        parts += [f"## {group.title}\n", *([f"{textwrap.fill(group.text, WIDTH)}\n"] if group.text else [])]
        parts.append(table(found))
        for each in found:
            if "fields" in each.told:
                parts += [f"`{each.name}`:\n", fields(each)]
    (environment,) = (each for each in files if each.role is None)
    parts += [
        "## What our bridge is told in its environment\n",
        ABOUT_ENVIRONMENT,
        table(list(environment.settings.values())),
        "## What playbooks set\n",
        ABOUT_WIRED,
        table([each for each in settings.values() if each.role and not each.group]),
    ]
    return "\n".join(parts)


def example(settings: Iterable[Setting], groups: Sequence[Group]) -> str:
    """Return the annotated group_vars of the example inventory: an institution copies it and changes what it needs."""
    known = list(settings)
    lines = [
        f"# {FROM.format(name='*.yml')}",
        "# What can be set, each with its default where it stands as a comment; types, ranges and units:",
        "# docs/reference/settings.md. A misspelt name is refused before anything happens.",
    ]
    for group in groups:
        lines += ["", *_comment(f"---- {group.title}"), *_comment(group.text)]
        for each in (each for each in known if each.group == group.name):
            lines += ["#", *_comment(_annotation(each))]
            if "example" in each.told:
                lines.append(f"{each.name}:{_inline(each.told['example'])}")
            else:
                shown = each.told.get("suggest", each.told.get("default"))
                lines.append(f"# {each.name}:{_inline(shown)}")
    return "\n".join(lines) + "\n"


def _annotation(setting: Setting) -> str:
    words = [*setting.help, f"({span(setting.told)})" if span(setting.told) else ""]
    default = setting.told.get("default")
    if "example" in setting.told or "suggest" in setting.told:
        words.append("No default." if default is None else f"Default: {_shown(default)}")
    return " ".join(filter(None, words))


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]
