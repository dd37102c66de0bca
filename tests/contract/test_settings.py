"""Every setting is described once, in ansible/settings: what is made from it is fresh, and nothing else repeats it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from eduhub_bridge import settings as bridge
from eduhub_pilot.gates.performance.paired import CRITERIA
from eduhub_pilot.model.described import SETTINGS
from eduhub_pilot.model.shift_plan import Limits
from front.inventory.documented import read
from settings.described import DescriptionError, Setting, described, every, groups
from settings.made import BLOCK, made

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE = CHECKOUT / "ansible"
TOLD = every(described())
LIMITS = set(SETTINGS["pilot_shift_limits"]["fields"])
DEFAULTED = re.compile(r"""\b(\w+) *\| *(?:default|d)\((?!omit|''|""|\[\]|\{\}|none)""")
PROGRAMS = ("images/pilot/src", "images/bridge/src", "ansible/front")


def test_whatever_is_made_from_the_description_is_fresh():
    texts = made(CHECKOUT, described(), groups())
    stale = [str(path.relative_to(CHECKOUT)) for path, text in texts.items() if path.read_text() != text]
    assert stale == [], "`./invoke settings` makes them anew"


def test_every_role_is_described():
    assert {each.role for each in described() if each.role} == {path.name for path in (ANSIBLE / "roles").iterdir()}


def test_a_setting_is_an_operators_or_somebody_sets_it():
    """One without a group is in no table of an operator's: the wiring, a task or the command line has to set it."""
    wired = set(read(ANSIBLE / "playbooks/group_vars/all.yml"))
    files = [*ANSIBLE.glob("playbooks/**/*.yml"), *ANSIBLE.glob("roles/*/tasks/*")]
    tasks = "".join(path.read_text() for path in files)
    orphans = [
        name for name, each in TOLD.items()
        if each.role and not each.group and name not in wired and f"{name}:" not in tasks
        and not name.startswith("eduhub_")
    ]  # fmt: skip
    assert orphans == ["release_suite"]  # which tests of ours set
    assert {each.group for each in TOLD.values()} - {None} == {group.name for group in groups()}


def test_programs_have_a_field_for_each_number_that_they_are_told():
    assert tuple(SETTINGS["pilot_performance_budget"]["fields"]) == CRITERIA
    assert set(SETTINGS["pilot_shift_limits"]["fields"]) == {each.name for each in fields(Limits)}
    assert set(bridge.NUMBERS) <= {each.name for each in fields(bridge.Settings)}
    assert bridge.DESCRIBED.keys() == {name for name, each in TOLD.items() if each.role is None}


INCOMPLETE = {
    "no help": ("a: {type: str}", "a has no help"),
    "no type": ("a: {help: x}", "a has no type"),
    "a number without a unit": ("a: {type: int, least: 1, help: x}", "a is a number without a unit"),
    "a number without a range": ("a: {type: float, unit: s, help: x}", "a is a number without a range"),
    "a default beyond its range": ("a: {type: int, unit: s, least: 1, default: 0, help: x}", "has the default 0, wh"),
    "a default that is required": ("a: {type: str, required: true, default: x, help: x}", "is required and has a def"),
    "half a field": ("a: {type: dict, help: x, fields: {b: {type: str}}}", "a has a field b that has no help"),
}


@pytest.mark.parametrize(("text", "words"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_description_that_is_incomplete_is_refused(text, words, tmp_path):
    (tmp_path / "edge.yml").write_text(f"since: '1'\nentry_points:\n  run:\n    settings:\n      {text}\n")
    with pytest.raises(DescriptionError, match=words):
        described(tmp_path)


# --- other copies


def number(node: ast.AST | None) -> bool:
    """Whether a piece of a program is a literal: a number, a text, or a list or mapping of such."""
    if isinstance(node, ast.Constant):
        return node.value is not None and not isinstance(node.value, bool) and node.value != ""
    return isinstance(node, ast.List | ast.Tuple | ast.Dict) and any(map(number, ast.iter_child_nodes(node)))


def copies_in_python(text: str) -> Iterator[str]:
    """Yield the settings whose default or range a program repeats.

    As a field with a literal default, or as a literal beside the setting's name in one call.
    """
    tails = {re.sub("^(pilot|eduhub)_", "", name.lower()) for name in TOLD if name.startswith(("pilot_", "EDUHUB_"))}
    tails |= {re.sub("^(shift|runtime|contract|performance)_", "", tail) for tail in tails}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Settings", "Criteria", "Plan", "Limits")):
            for each in node.body:
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    name = each.target.id
                    yield from [name] if number(each.value) and name in tails | LIMITS else []
        if isinstance(node, ast.Call):
            given = [each for each in (*node.args, *(each.value for each in node.keywords)) if number(each)]
            names = [each for each in given if isinstance(each, ast.Constant) and each.value in TOLD]
            others = [each for each in given if each not in names]
            yield from (str(name.value) for name in names if others and not field_of(str(name.value), others))


def field_of(name: str, others: list[ast.AST]) -> bool:
    """Whether what stands beside a setting's name are the names of its fields."""
    known = TOLD[name].told.get("fields") or {}
    return all(isinstance(each, ast.Constant) and each.value in known for each in others)


def copies_in_jinja(text: str) -> list[str]:
    """Return the settings to which a template gives a default of its own."""
    return [name for name in DEFAULTED.findall(text) if name in TOLD]


def copies_in_prose(text: str) -> list[str]:
    """Return the settings whose default a page says in brackets or in a table that is not made from the description."""
    own = BLOCK.sub("", text)
    return [
        name for name in re.findall(r"`(\w+)` (?:\(`?[\d\[{\"]|\| `?[\d\[{\"])", own)
        if name in TOLD or name in LIMITS
    ]  # fmt: skip


def test_no_program_repeats_a_default_or_a_range():
    found = {
        str(path.relative_to(CHECKOUT)): names
        for folder in PROGRAMS
        for path in (CHECKOUT / folder).rglob("*.py")
        if (names := list(copies_in_python(path.read_text())))
    }
    assert found == {}


def test_no_role_or_playbook_repeats_a_default():
    files = [*ANSIBLE.rglob("*.yml"), *ANSIBLE.rglob("*.j2")]
    found = {str(path): copies_in_jinja(path.read_text()) for path in files if "settings" not in path.parts}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_page_repeats_a_default():
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    found = {path.name: copies_in_prose(path.read_text()) for path in pages if path.name != "settings.md"}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class Settings:\n    drain_seconds: float = 30\n", ["drain_seconds"]),
        ("class PerformanceCriteria:\n    rate: float = 200\n", ["rate"]),
        ("class Settings:\n    drain_seconds: float = default('pilot_drain_seconds')\n", []),
        ("x = given.get('pilot_drain_seconds', 30)", ["pilot_drain_seconds"]),
        ("x = _number(environment, 'EDUHUB_PLONE_READS', int, 4, 1, 998)", ["EDUHUB_PLONE_READS"]),
        ("x = default('pilot_shift_limits', 'queue')", []),
        ("x = setting(given, 'pilot_drain_seconds')", []),
    ],
)
def test_a_copy_in_a_program_is_caught(text, names):
    assert list(copies_in_python(text)) == names


def test_a_copy_elsewhere_is_caught():
    assert copies_in_jinja("{{ pilot_drain_seconds | default(30) }} {{ bridge_port | default(omit) }}") == [
        "pilot_drain_seconds"
    ]
    page = "`pilot_drain_seconds` (30) | `pilot_shift_steps` | `[5, 100]` | `pilot_lock_seconds` is\n| `queue` | 50 |"
    assert copies_in_prose(page) == ["pilot_drain_seconds", "pilot_shift_steps", "queue"]


def test_one_change_of_the_description_reaches_everything_that_is_made_from_it():
    files = described()
    before = made(CHECKOUT, files, groups())
    pilot = next(each for each in files if each.role == "pilot")
    told = pilot.settings["pilot_drain_seconds"].told
    changed = Setting("pilot_drain_seconds", "pilot", {**told, "default": 31}, "0.1")
    files[files.index(pilot)] = replace(pilot, settings={**pilot.settings, changed.name: changed})
    after = made(CHECKOUT, files, groups())
    assert {path.relative_to(CHECKOUT).as_posix() for path in before if before[path] != after[path]} == {
        "ansible/roles/pilot/meta/argument_specs.yml", "ansible/roles/pilot/defaults/main.yml",
        "images/pilot/src/eduhub_pilot/model/settings.json", "docs/reference/settings.md", "docs/reference/shift.md",
        "inventories/example/group_vars/all.yml",
    }  # fmt: skip
