"""One lab for all stories of a day, deployed once; it is removed in the end, and first what a killed run left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.fleet import BRIDGES, FRONTS, Fleet, at_rest, lab, pythons
from tests.rollout.operator import OLD

if TYPE_CHECKING:
    from collections.abc import Iterator


# Not for the session: other suites measure time.
@pytest.fixture(scope="package")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet, freshly deployed with the older Python."""
    lab("lab.down")
    try:
        lab("lab.up", "--hosts", str(len(BRIDGES)), "--fronts", str(len(FRONTS)))
        fleet = Fleet.of(tmp_path_factory.mktemp("fleet") / "inventory")
        done = fleet.operator.types("deploy", "--python", OLD, seconds=900)
        assert done.returncode == 0, done.stdout
        yield fleet
    finally:
        lab("lab.down")


@pytest.fixture
def fleet(deployed: Fleet) -> Fleet:
    """Every bridge host live on the older Python, confirmed and unlocked, whatever the story before it did."""
    moved = [name for name, python in zip(BRIDGES, pythons(deployed.status()), strict=True) if python != OLD]
    if moved:
        done = deployed.operator.types("rollback", "--limit", ",".join(moved))
        assert done.returncode == 0, done.stdout
    status = deployed.status()
    assert (pythons(status), at_rest(status)) == ([OLD] * len(BRIDGES), True)
    return deployed
