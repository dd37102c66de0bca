"""The pilot's rooms stand on each other in one order, and no module imports one of a room above its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path("images/pilot/src/eduhub_pilot")
# From the top down: each room may import what stands after it, and itself.
ROOMS = ("cli", "commands", "rollout", "gates", "adapters", "analysis", "model")
MOST_MODULES = 18  # the commands that look at a host, roll it out and undo it


def modules() -> list[Path]:
    """Return the pilot's modules; what the gate `runtime` runs inside other images imports nothing of the pilot."""
    return sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name == "cli.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name == "eduhub_pilot" and isinstance(node, ast.ImportFrom):
                yield from (each.name for each in node.names)
            elif name.startswith("eduhub_pilot."):
                yield name.split(".")[1]


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in modules()} <= set(ROOMS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_imports_from_a_room_above(path):
    above = ROOMS[: ROOMS.index(room_of(path))]
    assert [room for room in imported(path) if room in above] == []


def test_the_rooms_are_small():
    """`commands` has a module for each command."""
    sizes = {folder: len([*folder.glob("*.py")]) - 1 for folder in {path.parent for path in modules()} - {SOURCE}}
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}
