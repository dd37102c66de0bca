"""What all tests share: no verdict of a property test depends on how fast the machine is, and long suites rotate."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.rotation import MARKER, everything, left_out

settings.register_profile("eduhub", deadline=None, print_blob=True)
settings.load_profile("eduhub")


def pytest_configure(config: pytest.Config) -> None:
    """Document the marker for what runs on some days only."""
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(trylast=True)  # after -k, so that what is asked for by name is not left out for another case
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what another day runs."""
    if not everything() and (out := left_out(items)):
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
