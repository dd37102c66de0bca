"""Tests import helpers: a test module that others import cannot be changed by who reads only it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODULES = sorted(path for path in TESTS.rglob("*.py") if "__pycache__" not in path.parts)

# Files that still do it; the list only gets shorter.
LEFT = {"unit/bridge/cache/test_pages.py"}


def imported_tests(source: str) -> list[str]:
    """Return the test modules that `source` imports, or imports something from."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            continue
        found += [name for name in names if is_test_module(name)]
    return found


def is_test_module(name: str) -> bool:
    """Return whether a dotted name is that of a file tests/.../test_*.py."""
    path = TESTS.joinpath(*name.split(".")[1:]).with_suffix(".py")
    return name.startswith("tests.") and path.name.startswith("test_") and path.is_file()


@pytest.mark.parametrize(
    "source",
    [
        "from tests.contract.test_tree import BAD", "from tests.contract import test_tree",
        "import tests.contract.test_tree", "def f():\n    from tests.contract.test_tree import BAD",
    ],
)  # fmt: skip
def test_every_way_to_import_a_test_module_is_found(source):
    assert imported_tests(source) == ["tests.contract.test_tree"]


def test_no_module_imports_a_test_module():
    wrong = {str(path.relative_to(TESTS)): imported_tests(path.read_text()) for path in MODULES}
    assert {path: names for path, names in wrong.items() if names and path not in LEFT} == {}
