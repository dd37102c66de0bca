"""The code table holds exactly the codes that the source uses, each with the exit code of its error class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import eduhub_pilot
from eduhub_pilot.model.codes import BY_PHASE, CODES, exit_of

SOURCE = Path(eduhub_pilot.__file__).parent
BACKUP = SOURCE.parents[2] / "plone/src/eduhub_plone/backup"
# The constructors whose first argument is a code.
FIRST = {"Outcome", "Finding", "PilotError", "RefusedError", "FailedError", "PersonError", "StoppedError"}
EXITS = {"RefusedError": 2, "FailedError": 1, "PersonError": 3, "StoppedError": 1}
NOT_THIS = {"witness", "host_check.py"}


def trees() -> Iterator[ast.AST]:
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] not in NOT_THIS and path.name != "codes.py":
            yield ast.parse(path.read_text())


def constructed() -> Iterator[tuple[str, str]]:
    """Yield each constructor with each code that it is given as a literal."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FIRST and node.args:
                first = node.args[0]
                choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                yield from ((node.func.id, each.value) for each in choices if isinstance(each, ast.Constant))


def texts() -> set[str]:
    """Return all string literals of the source, and of the program whose answers the pilot hands on."""
    others = (ast.parse(path.read_text()) for path in BACKUP.glob("*.py"))
    return {node.value for tree in (*trees(), *others) for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip


def test_every_code_that_is_used_is_in_the_table():
    assert {code for _, code in constructed()} - set(CODES) == set()


def test_every_code_in_the_table_is_used():
    assert set(CODES) - texts() == set()


@pytest.mark.parametrize("name", EXITS)
def test_an_error_class_has_codes_of_its_exit_code_alone(name):
    codes = {code for each, code in constructed() if each == name}
    assert {code: exit_of(code, "shift") for code in codes} == dict.fromkeys(codes, EXITS[name])


def test_a_failure_of_the_host_depends_on_the_phase():
    assert {phase: exit_of("engine_down", phase) for phase in BY_PHASE} == dict(BY_PHASE)
    assert exit_of("engine_down", "begin") == 2


@pytest.mark.parametrize("code", ["no_such_code", "memory_short"])
def test_no_answer_has_an_unknown_code_or_one_of_a_finding(code):
    with pytest.raises(KeyError):
        exit_of(code, "status")
