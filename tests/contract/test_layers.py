"""The rooms of a package stand on each other in one order, and no module imports one of a room above its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class House:
    """A package in `source`: its `rooms` from the top down, each of which may import what stands after it, and itself.

    `most`: of the modules in one room. `outside`: modules beside the rooms that import nothing of the package.
    """

    source: Path
    rooms: tuple[str, ...]
    most: int
    outside: tuple[str, ...] = ()

    def modules(self) -> list[Path]:
        """Return every module but the packages' own and those outside."""
        beside = {self.source / f"{name}.py" for name in ("__init__", *self.outside)}
        return sorted(set(self.source.rglob("*.py")) - beside)

    def room_of(self, path: Path) -> str:
        return path.relative_to(self.source).parts[0].removesuffix(".py")

    def imported(self, path: Path) -> Iterator[str]:
        """Yield the rooms that a module imports, inside functions too."""
        package = self.source.name
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name == package and isinstance(node, ast.ImportFrom):
                    yield from (each.name for each in node.names)
                elif name.startswith(f"{package}."):
                    yield name.split(".")[1]


HOUSES = (
    House(
        Path("images/pilot/src/eduhub_pilot"),
        ("cli", "commands", "rollout", "gates", "adapters", "analysis", "model"),
        18,  # the commands that look at a host, roll it out and undo it
        outside=("__main__",),
    ),
    House(
        Path("ansible/front"),
        ("__main__", "verbs", "images", "plans", "fleet", "report", "output", "run", "inventory", "arguments"),
        12,
    ),
)
MODULES = [(house, path) for house in HOUSES for path in house.modules()]


@pytest.mark.parametrize(("house", "path"), MODULES, ids=[str(path) for _, path in MODULES])
def test_no_module_imports_from_a_room_above(house, path):
    room = house.room_of(path)
    assert room in house.rooms
    above = house.rooms[: house.rooms.index(room)]
    assert [each for each in house.imported(path) if each in above] == []


@pytest.mark.parametrize("house", HOUSES, ids=lambda house: house.source.name)
def test_the_rooms_are_small(house):
    folders = {path.parent for path in house.modules()} - {house.source}
    sizes = {str(folder): len([*folder.glob("*.py")]) - 1 for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > house.most} == {}
