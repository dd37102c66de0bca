"""An empty store, once in each database."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from eduhub_bridge.store.database import Database, Sqlite
from eduhub_bridge.store.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NUMBERS = count()


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Connects to the test's own store, once more with every call, as another slot would."""
    made: list[Database] = []
    dsn = ""
    if request.param == "postgres":
        dsn = request.getfixturevalue("postgres").database(f"store{next(NUMBERS)}")

    def _connect() -> Database:
        made.append(Postgres(dsn) if dsn else Sqlite(tmp_path, 64))
        made[-1].open()
        return made[-1]

    yield _connect
    for database in made:
        database.close()
