"""What the container starts: secrets, and mistakes that end with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import eduhub_plone.__main__ as program
from eduhub_plone.__main__ import main, secret, with_dsn
from eduhub_plone.place import claim
from eduhub_plone.settings import Refused, Settings, read


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


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume as `lay_out` leaves it."""
    monkeypatch.setattr(program, "DATA", tmp_path)
    monkeypatch.setattr(program, "plone_version", lambda: "6.0.13")
    (tmp_path / "filestorage").mkdir()
    return tmp_path


def started(volume: Path, processes: str) -> Settings:
    """What a container is started with."""
    return read({"PROCESSES": processes, "LISTEN_SOCKET": str(volume / "plone.sock")})


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_database_that_was_there_and_is_gone_is_not_begun_anew(volume: Path, processes: str) -> None:
    """An empty site would take writes where a restore was interrupted, or the file is on another disk."""
    claim(volume, "6.0.13")
    with pytest.raises(Refused, match=r"no database filestorage/Data\.fs in .*, and Plone 6\.0\.13 has had one there"):
        program.turn(started(volume, processes), volume)
    assert sorted(each.name for each in (volume / "filestorage").iterdir()) == ["Data.fs.lock"]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_pack_that_was_interrupted_is_ended_before_that(volume: Path, processes: str) -> None:
    """The file from before the pack is the database."""
    claim(volume, "6.0.13")
    for name in ("Data.fs.old", "Data.fs.pack"):
        (volume / "filestorage" / name).write_text(name)
    program.turn(started(volume, processes), volume)
    assert (volume / "filestorage/Data.fs").read_text() == "Data.fs.old"


def test_a_new_volume_gets_its_mark_once_its_database_is_there(volume: Path) -> None:
    """A first start that ended before that is repeated as if there had been none."""
    program.turn(read({}), volume)
    assert not (volume / "plone-version").exists()
    (volume / "filestorage/Data.fs").touch()
    program.turn(read({}), volume)
    assert (volume / "plone-version").read_text() == "6.0.13\n"
    program.turn(read({}), volume)


@pytest.mark.parametrize("environ", [{"ZEO_ADDRESS": "zeo:8100"}, {"RELSTORAGE_DSN": "host=db"}])
def test_a_database_elsewhere_needs_none_in_the_volume(volume: Path, environ: dict[str, str]) -> None:
    """What is left in the volume from before is not looked at."""
    claim(volume, "6.0.13")
    program.turn(read(environ), volume)


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
