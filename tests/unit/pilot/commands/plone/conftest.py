"""Our Plone with a standby beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.model.facts import Container
from tests.unit.pilot.plone_host import NEW, OLD, PLONE, PYTHONS, STANDBY, FakeEndpoint, Images


@pytest.fixture
def plone(live) -> FakeEndpoint:
    live.engine._made(Container(PLONE, "running", OLD, PYTHONS[OLD], health="healthy"))
    live.engine._made(Container(STANDBY, "created", NEW, PYTHONS[NEW]))
    # One that waits for the database is not healthy yet.
    serves = lambda: PLONE in live.engine.containers and live.engine.containers[PLONE].runs  # noqa: E731
    live.engine.health = lambda: "starting" if serves() else "healthy"
    (live.store.root / "run/plone-endpoint").mkdir(parents=True)
    endpoint = FakeEndpoint(live.store.root / "run", live.clock, live, live.clock.passed + 9)
    live.host = replace(live.host, before_plone=endpoint)
    return endpoint


@pytest.fixture
def images(plone: FakeEndpoint) -> Images:
    """The programs in the image that serves, and in that of another version, whose standby is there."""
    return Images.of_both(plone)
