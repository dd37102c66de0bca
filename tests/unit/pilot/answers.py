"""Assertions on the pilot's answers: codes and fields, not wording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eduhub_pilot.model.errors import PilotError


@contextmanager
def ends(code: str) -> Iterator[pytest.ExceptionInfo[PilotError]]:
    """Expect a command to end early with `code`."""
    with pytest.raises(PilotError) as error:
        yield error
    assert error.value.code == code
