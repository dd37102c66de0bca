"""Consent and passwords are asked for at a terminal, and refused in one sentence without one."""

from __future__ import annotations

import io
import shlex
import sys
import time
from pathlib import Path

import pytest
from invoke import Context, Exit, MockContext, Result

import command_line
import tasks
from tests.unit.tasks.lines import lines_of


@pytest.mark.parametrize(("task", "options"), [(tasks.destroy, {"data": True}), (tasks.restore, {"to": "live"})])
def test_removing_data_without_anybody_to_ask_is_refused(monkeypatch, task, options):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Exit) as refused:
        task(MockContext(run=Result()), **options)
    assert (refused.value.code, "--yes" in str(refused.value)) == (2, True)


BERLIN = "the newest backup that was made until 2026-11-29 {} UTC, 2026-11-{} CET here."


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("", "by that of the newest backup."),
        ("2026-11-29 09:00", BERLIN.format("09:00:00", "29 10:00:00")),
        ("2026-11-29T09:00+01:00", BERLIN.format("08:00:00", "29 09:00:00")),
        ("20261129T034012Z", BERLIN.format("03:40:12", "29 04:40:12")),
        ("2026-11-29", BERLIN.format("23:59:59", "30 00:59:59")),
        ("yesterday", "the newest backup that was made until yesterday."),
    ],
)
def test_the_question_before_a_restore_names_the_time_in_utc_and_here(monkeypatch, at, expected):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")  # Berlin
    time.tzset()
    asked = []
    monkeypatch.setattr("command_line.plone.ask_for_consent", asked.append)
    monkeypatch.setattr("command_line.plone.play", lambda *_, **__: None)
    try:
        tasks.restore(Context(), at=at, to="live")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert asked[0].endswith(expected)


@pytest.mark.parametrize("answer", [EOFError, KeyboardInterrupt])
def test_no_answer_is_no_consent(monkeypatch, answer):
    def give(_: str) -> str:
        raise answer

    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", give)
    with pytest.raises(Exit) as refused:
        tasks.ask_for_consent("Gone for good.")
    assert refused.value.code == 2


@pytest.fixture
def typing(monkeypatch):
    """Somebody at a terminal who types `secret` whenever a password is asked for; the prompts."""
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: (asked.append(prompt), "secret")[1])
    command_line.typed_password.cache_clear()
    yield asked
    command_line.typed_password.cache_clear()


def test_a_password_is_asked_for_once_and_goes_on_in_a_file_of_this_user_alone(typing):
    lines = lines_of(tasks.deploy, ask_become_pass=True)
    assert typing == ["Become password: "]
    words = shlex.split(lines[0])
    file = Path(words[words.index("--become-password-file") + 1])
    assert (file.read_text(), file.parent.stat().st_mode & 0o777) == ("secret\n", 0o700)
    assert all("secret" not in line for line in lines)
    assert lines[1].split("--values")[0] == lines[0].replace("front engine", "front deploy").split("--values")[0]


def test_a_vault_password_file_is_named_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (line,) = lines_of(tasks.status, vault_password_file="vault.txt")  # noqa: S106 - a path
    assert line == f"front status --inventory local --vault-password-file {tmp_path}/vault.txt"
