"""The bridge's rooms stand on each other in one order, and no module imports one of a room above or beside its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path("images/bridge/src/eduhub_bridge")
# From the top down: each room may import what stands on a line below it, and itself, but no other on its line.
ROOMS = (
    ("__main__",),
    ("server",),
    ("api", "jobs", "live", "passthrough"),
    ("web",),
    ("plone",),
    ("cache",),
    ("upstream",),
    ("store",),
    ("telemetry",),
    ("patterns",),
    ("health",),
    ("settings",),
)
FLOOR = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
MOST_MODULES = 12


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), "relative imports hide the room"
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if isinstance(node, ast.ImportFrom) and name == "eduhub_bridge":
                yield from (each.name for each in node.names if each.name != "__version__")
            elif name.startswith("eduhub_bridge."):
                yield name.split(".")[1]


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in modules()} == set(FLOOR)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_imports_from_a_room_above_or_beside(path):
    own = room_of(path)
    assert [room for room in imported(path) if room != own and FLOOR[room] <= FLOOR[own]] == []


def test_the_rooms_are_small():
    sizes = {folder: len([*folder.glob("*.py")]) - 1 for folder in {path.parent for path in modules()}}
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_the_tests_of_the_bridge_stand_in_the_same_rooms():
    tests = Path("tests/unit/bridge")
    folders = {path.name for path in tests.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders <= {path.name for path in SOURCE.iterdir() if path.is_dir()}
