"""Images carry the commit's time, not the machine's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder import revision


@pytest.fixture(autouse=True)
def no_given_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the machine's own SOURCE_DATE_EPOCH out."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of a.txt at 1,000 s and one of b.txt at 2,000 s."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for name, time in (("a.txt", "1000"), ("b.txt", "2000")):
        (tmp_path / name).write_text(name)
        for kind in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{kind}_DATE", f"@{time} +0000")
            monkeypatch.setenv(f"GIT_{kind}_NAME", "somebody")
            monkeypatch.setenv(f"GIT_{kind}_EMAIL", "somebody@example.org")
        subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
        subprocess.run(["git", "commit", "-q", "-m", name], cwd=tmp_path, check=True)
    return tmp_path


def test_the_time_is_that_of_the_last_change_of_these_files(repository: Path) -> None:
    """A commit elsewhere does not make an image younger."""
    assert revision.epoch(Path("a.txt"), directory=repository) == 1000
    assert revision.epoch(Path("a.txt"), Path("b.txt"), directory=repository) == 2000


def test_files_that_were_never_committed_have_the_time_of_the_checkout(repository: Path) -> None:
    """New files, too, have one time for a tree."""
    assert revision.epoch(Path("new.txt"), directory=repository) == 2000


def test_a_given_time_wins(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH is how reproducible builds are told the time everywhere."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert revision.epoch(Path("a.txt"), directory=repository) == 5


def test_a_tree_without_history_has_one_time_too(tmp_path: Path) -> None:
    """An unpacked archive builds, and builds the same twice."""
    assert revision.epoch(Path("a.txt"), directory=tmp_path) == revision.NO_HISTORY
    assert revision.commit(tmp_path) == "unknown"


def test_a_changed_checkout_does_not_claim_a_commit(repository: Path) -> None:
    """The revision says so when the files are not the commit's."""
    clean = revision.commit(repository)
    (repository / "a.txt").write_text("changed")
    assert revision.commit(repository) == f"{clean}-changed"


def test_the_checkout_of_another_user_has_its_commit_too(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git refuses it to root; signed statements and the times of files would lose the commit without a word."""
    commit = revision.commit(repository)
    (repository / "images").mkdir()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = subprocess.run(["git", "status"], cwd=repository, capture_output=True, text=True, check=False)
    assert "dubious ownership" in refused.stderr
    assert revision.commit(repository / "images") == commit
    assert revision.epoch(repository / "a.txt", directory=repository / "images") == 1000
