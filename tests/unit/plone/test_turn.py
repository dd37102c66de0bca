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


@pytest.mark.parametrize(
    ("names", "keeps_old", "expected"),
    [
        (["Data.fs.old", "Data.fs.pack"], True, "old"),
        (["Data.fs.old", "Data.fs.pack"], False, "old"),
        (["Data.fs.old"], False, "old"),
        (["Data.fs.old"], True, None),
        (["Data.fs", "Data.fs.old", "Data.fs.pack"], False, "now"),
        ([], False, None),
    ],
)
def test_what_an_interrupted_pack_moved_away_is_back(
    tmp_path: Path, names: list[str], keeps_old: bool, expected: str | None
) -> None:
    """Where packs leave the old file, one without the new one beside it is from a pack that ended."""
    for name in names:
        (tmp_path / name).write_text("old" if name.endswith(".old") else "now")
    turn.end_pack(tmp_path / "Data.fs", keeps_old=keeps_old)
    assert ((tmp_path / "Data.fs").read_text() if (tmp_path / "Data.fs").exists() else None) == expected


def test_a_socket_that_another_plone_has_put_in_its_place_is_left(tmp_path: Path) -> None:
    """One that ends would else leave the one that serves without its socket."""
    path, own = tmp_path / "plone.sock", turn.identity(tmp_path)
    path.touch()
    turn.unlink_own(path, own)
    assert path.exists()
    turn.unlink_own(path, turn.identity(path))
    assert not path.exists()
    turn.unlink_own(path, own)


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
