"""The rooms of a package stand on each other in one order: no module imports one of a room above or beside its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class House:
    """A package in `source` and its tests.

    `floors`: its rooms from the top down. Each room may import what stands on a floor below, and itself. `most`: how
    many modules a room has at most.
    """

    source: Path
    tests: Path
    floors: tuple[tuple[str, ...], ...]
    most: int = 12

    def modules(self) -> list[Path]:
        return sorted(path for path in self.source.rglob("*.py") if path != self.source / "__init__.py")

    def room_of(self, path: Path) -> str:
        return path.relative_to(self.source).parts[0].removesuffix(".py")

    def floor_of(self, room: str) -> int:
        return next(number for number, rooms in enumerate(self.floors) if room in rooms)

    def rooms(self) -> set[str]:
        return {room for rooms in self.floors for room in rooms}

    def imported(self, path: Path) -> Iterator[str]:
        """Yield the rooms that a module imports, inside functions too."""
        package = self.source.name
        inside = path.parent != self.source  # there a dot is the room itself
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.ImportFrom) or node.level <= inside, "relative imports hide the room"
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if isinstance(node, ast.ImportFrom) and name == package:
                    yield from (each.name for each in node.names if each.name != "__version__")
                elif name.startswith(f"{package}."):
                    yield name.split(".")[1]


PILOT = House(
    Path("images/pilot/src/eduhub_pilot"),
    Path("tests/unit/pilot"),
    (("__main__",), ("cli",), ("commands",), ("rollout",), ("gates",), ("adapters",), ("analysis",), ("model",)),
    most=18,  # the commands that look at a host, roll it out and undo it
)
BRIDGE = House(
    Path("images/bridge/src/eduhub_bridge"),
    Path("tests/unit/bridge"),
    (
        ("__main__",), ("server",), ("api", "jobs", "live", "passthrough"), ("web",), ("plone",), ("cache",),
        ("upstream",), ("store",), ("telemetry",), ("patterns",), ("health",), ("settings",),
    ),
)  # fmt: skip
FRONT = House(
    Path("ansible/front"),
    Path("tests/unit/front"),
    (
        ("__main__",), ("verbs",), ("images",), ("plans",), ("fleet",), ("report",), ("output",), ("run",),
        ("inventory",), ("arguments",),
    ),
)  # fmt: skip
HOUSES = [pytest.param(house, id=house.source.name) for house in (PILOT, BRIDGE, FRONT)]
MODULES = [
    pytest.param(house, path, id=f"{house.source.name}/{path.relative_to(house.source)}")
    for house in (PILOT, BRIDGE, FRONT) for path in house.modules()
]  # fmt: skip


@pytest.mark.parametrize("house", HOUSES)
def test_every_module_is_in_a_room(house):
    assert {house.room_of(path) for path in house.modules()} == house.rooms()


@pytest.mark.parametrize(("house", "path"), MODULES)
def test_no_module_imports_from_a_room_above_or_beside(house, path):
    own = house.room_of(path)
    above = [room for room in house.imported(path) if room != own and house.floor_of(room) <= house.floor_of(own)]
    assert above == []


@pytest.mark.parametrize("house", HOUSES)
def test_the_rooms_are_small(house):
    folders = {path.parent for path in house.modules()} - {house.source}
    sizes = {str(folder): len([*folder.glob("*.py")]) - 1 for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > house.most} == {}


@pytest.mark.parametrize("house", HOUSES)
def test_the_tests_stand_in_the_same_rooms(house):
    folders = {path.name for path in house.tests.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders <= house.rooms()
