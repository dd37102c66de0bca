"""What is kept is whole, and does not grow for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder import Refusal, cache


def fill(draft: Path) -> None:
    """Put one file into an entry."""
    (draft / "file").write_text("content")


def test_an_entry_is_made_once() -> None:
    """The second time it is there already, unless it is to be made anew."""
    assert cache.keep("wheels", "key", fill)[1] is False
    assert cache.keep("wheels", "key", fill)[1] is True
    assert cache.keep("wheels", "key", fill, renew=True)[1] is False


def test_a_failure_leaves_nothing_behind(own_cache: Path) -> None:
    """Half a download is never taken for a whole one."""

    def fail(draft: Path) -> None:
        fill(draft)
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        cache.keep("wheels", "key", fail)
    assert list((own_cache / "wheels").iterdir()) == []


def test_a_user_without_a_home_reads_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids without an account have none, as in the containers of a CI."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(Refusal, match=r"name a directory with XDG_CACHE_HOME="):
        cache.home()


def test_the_longest_unused_go_first(own_cache: Path) -> None:
    """Root file systems are large: only so many are kept."""
    for number in range(cache.KEPT + 2):
        entry, _ = cache.keep("rootfs", f"{number}", fill)
        os.utime(entry, (number, number))
    cache.keep("rootfs", "last", fill)
    left = sorted(path.name for path in (own_cache / "rootfs").iterdir())
    assert len(left) == cache.KEPT
    assert "last" in left
    assert "0" not in left
