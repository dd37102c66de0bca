"""Directories and files are made as described, in one run; a file that exists keeps its content."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from library import host_files

OWNER = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": str(os.getgid())}
GROUP = grp.getgrgid(os.getgid()).gr_name


def directory(path: Path, mode: str = "0750") -> dict[str, str]:
    return {"path": str(path), **OWNER, "mode": mode}


def secret(path: Path, content: str = "first") -> dict[str, str]:
    return {"path": str(path), **OWNER, "mode": "0440", "content": content}


@pytest.fixture
def play(capsys):
    """Return a function that runs the module in this process with arguments, and returns its result."""

    def run(**arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            host_files.main()
        return dict(json.loads(capsys.readouterr().out))

    return run


def made(play, tmp_path: Path, check: bool = False, content: str = "first") -> dict[str, Any]:
    """Play the module for a directory in a directory, and a file in it."""
    outer = tmp_path / "outer"
    return play(
        _ansible_check_mode=check, directories=[directory(outer), directory(outer / "inner", "2750")],
        files=[secret(outer / "key", content)],
    )  # fmt: skip


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_what_is_missing_is_made_once(play, tmp_path):
    paths = [str(tmp_path / name) for name in ("outer", "outer/inner", "outer/key")]
    first, second = made(play, tmp_path), made(play, tmp_path, content="second")
    assert (first["changed"], first["paths"]) == (True, paths)
    assert (second["changed"], second["paths"]) == (False, [])
    assert (tmp_path / "outer/key").read_text() == "first"
    assert [mode(Path(path)) for path in paths] == ["0o750", "0o2750", "0o440"]
    assert (tmp_path / "outer/key").group() == GROUP


def test_a_mode_changed_by_hand_is_corrected_and_named(play, tmp_path):
    made(play, tmp_path)
    (tmp_path / "outer/key").chmod(0o644)
    assert made(play, tmp_path)["paths"] == [str(tmp_path / "outer/key")]
    assert mode(tmp_path / "outer/key") == "0o440"


def test_a_check_says_what_would_change_and_makes_nothing(play, tmp_path):
    paths = made(play, tmp_path, check=True)["paths"]
    assert paths == [str(tmp_path / name) for name in ("outer", "outer/inner", "outer/key")]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_may_be_a_link_to_another_disk(play, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "outer").symlink_to(tmp_path / "disk")
    made(play, tmp_path)
    assert (tmp_path / "outer").is_symlink()
    assert (mode(tmp_path / "disk"), (tmp_path / "disk/key").read_text()) == ("0o750", "first")


@pytest.mark.parametrize(("kind", "name"), [("directory", "outer"), ("file", "outer/key")])
def test_something_else_in_the_place_is_named_and_kept(play, tmp_path, kind, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if kind == "file":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("mine")
    outer = tmp_path / "outer"
    answer = play(directories=[directory(outer)], files=[secret(outer / "key")])
    assert answer["msg"] == f"{tmp_path / name} exists and is no {kind}: move it away."
    assert (tmp_path / name).exists()


def configuration(path: Path, content: str, *validate: str) -> dict[str, Any]:
    return {"path": str(path), **OWNER, "mode": "0644", "content": content, "replace": True, "validate": [*validate]}


def test_a_file_that_is_to_be_replaced_is_and_the_difference_shown(play, tmp_path):
    path = tmp_path / "haproxy.cfg"
    first, second, third = (play(files=[configuration(path, content)]) for content in ("a\n", "b\n", "b\n"))
    assert [first["paths"], second["paths"], third["paths"]] == [[str(path)], [str(path)], []]
    assert [(each["before"], each["after"]) for each in second["diff"]] == [("a\n", "b\n")]
    assert (first["diff"], third["diff"], path.read_text()) == ([], [], "b\n")


def test_a_check_replaces_nothing(play, tmp_path):
    path = tmp_path / "haproxy.cfg"
    play(files=[configuration(path, "a\n")])
    told = play(_ansible_check_mode=True, files=[configuration(path, "b\n", "false")])
    assert (told["paths"], path.read_text()) == ([str(path)], "a\n")


def test_content_that_is_found_invalid_is_not_taken(play, tmp_path):
    path = tmp_path / "haproxy.cfg"
    play(files=[configuration(path, "good\n", "grep", "good", "%s")])
    refused = play(files=[configuration(path, "bad\n", "sh", "-c", "echo line 1 is wrong >&2; exit 1", "%s")])
    assert (refused["failed"], "line 1 is wrong" in refused["msg"]) == (True, True)
    assert (path.read_text(), [each.name for each in tmp_path.iterdir()]) == ("good\n", ["haproxy.cfg"])


def test_what_may_be_a_secret_is_in_no_diff(play, tmp_path):
    made(play, tmp_path)
    assert made(play, tmp_path, content="second")["diff"] == []
