"""docs/reference/preflight.md lists every code of a host's findings, with its meaning."""

from __future__ import annotations

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs/reference/preflight.md"
SOURCE = CHECKOUT / "ansible/module_utils/host_readiness/findings.py"


def codes() -> dict[str, str]:
    """Return CODES of the source, which is not imported: its package is Ansible's on a host."""
    values = (node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.Assign))
    (found,) = (node.value for node in values if ast.unparse(node.targets[0]) == "CODES")
    return dict(ast.literal_eval(found))


def given() -> set[str]:
    """Return the codes that the source gives findings."""
    calls = (node for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Call))
    return {ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "Finding"}


def test_the_reference_lists_every_code():
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE) == [*codes().items()]


def test_every_code_is_given_and_no_other():
    assert given() == set(codes())
