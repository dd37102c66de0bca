"""The container's door: secrets, and mistakes that end with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from eduhub_plone.__main__ import main, secret, with_dsn
from eduhub_plone.settings import Refused, read


def test_a_secret_is_its_files_line_without_the_line_end(tmp_path: Path) -> None:
    """Spaces belong to a password, the line end does not."""
    path = tmp_path / "password"
    path.write_text(" with spaces \n", "utf-8")
    assert secret(str(path), "ADMIN_PASSWORD_FILE", "the password") == " with spaces "


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n"])
def test_a_secret_that_is_not_one_line_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty password would be no password; two lines are some other file."""
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(Refused, match=f"{path} must hold the password in one line"):
        secret(str(path), "ADMIN_PASSWORD_FILE", "the password")


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "it is not UTF-8 text")])
def test_a_secret_that_cannot_be_read_says_why_and_what_to_do(tmp_path: Path, content: bytes, reason: str) -> None:
    """The sentence has the path, the reason and the variable."""
    path = tmp_path / "password"
    if content:
        path.write_bytes(content)
    with pytest.raises(Refused) as refusal:
        secret(str(path), "ADMIN_PASSWORD_FILE", "the password")
    assert str(refusal.value).startswith(f"the password cannot be read from {path} ({reason}")
    assert "or name another in ADMIN_PASSWORD_FILE." in str(refusal.value)


def test_a_dsn_may_come_from_a_file(tmp_path: Path) -> None:
    """A database password need not stand in the environment."""
    path = tmp_path / "dsn"
    path.write_text("host=db password=x\n", "utf-8")
    settings = with_dsn(read({"RELSTORAGE_DSN_FILE": str(path)}))
    assert settings.relstorage["RELSTORAGE_DSN"] == "host=db password=x"


def test_an_unusable_environment_ends_with_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for an operator's mistake."""
    monkeypatch.setenv("ADDONS", "collective.easyform")
    assert main(["start"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("plone: ADDONS=collective.easyform cannot be installed")
    assert said.count("\n") == 1


def test_an_unknown_program_ends_with_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no shell to fall back on in the image."""
    assert main(["no-such-program"]) == 2
    assert (
        capsys.readouterr().err == "plone: there is no program no-such-program in this image: type start or console.\n"
    )
