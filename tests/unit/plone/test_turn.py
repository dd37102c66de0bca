"""A Plone that is to take a database over waits for its lock, and says so."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import pytest

from eduhub_plone import turn


def test_a_database_that_is_free_is_opened_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause, and nothing is said of waiting."""
    monkeypatch.setattr("eduhub_plone.turn.time.sleep", lambda _: pytest.fail("waited"))
    turn.wait_for_turn(tmp_path / "Data.fs", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Data.fs.lock"]


def test_it_waits_until_the_lock_is_free_and_a_file_says_so_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has the container's name, and is gone afterwards."""
    marker = tmp_path / f"waiting-{socket.gethostname()}"
    held = (tmp_path / "Data.fs.lock").open("a")
    fcntl.flock(held, fcntl.LOCK_EX)
    seen: list[bool] = []

    def sleep(_: float) -> None:
        seen.append(marker.exists())
        if len(seen) == 3:
            held.close()

    monkeypatch.setattr("eduhub_plone.turn.time.sleep", sleep)
    turn.wait_for_turn(tmp_path / "Data.fs", tmp_path)
    assert (seen, marker.exists()) == ([True] * 3, False)


def test_one_that_is_stopped_while_it_waits_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends the program by SystemExit."""

    def stopped(_: float) -> None:
        raise SystemExit(143)

    monkeypatch.setattr("eduhub_plone.turn.time.sleep", stopped)
    with (tmp_path / "Data.fs.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            turn.wait_for_turn(tmp_path / "Data.fs", tmp_path)
    assert list(tmp_path.glob("waiting-*")) == []
