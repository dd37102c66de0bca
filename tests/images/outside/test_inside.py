"""What is in an image, and what is not."""

from __future__ import annotations

import json

import pytest

from builder import HERE

from .conftest import Subject

WITH_PYTHON = ("base", "bridge", "pilot", "plone")
TOOLS = "pip pip3 gcc g++ cc c++ ld as make apt apt-get dpkg curl wget perl su sudo mount"
# What programs of ours and Plone lean on, and what slimming could have broken.
STANDARD_LIBRARY = (
    "asyncio bz2 ctypes curses dbm distutils hashlib lzma multiprocessing readline sqlite3 ssl unittest uuid "
    "venv xml.etree.ElementTree zlib"
)
# What a later Python no longer has, as the runtime gate knows it: (name, the version as a tuple or None).
GONE = json.loads((HERE / "pilot/src/eduhub_pilot/gates/runtime/removed.json").read_text(encoding="utf-8"))["names"]
MODULES = [
    (name, tuple(map(int, GONE[name]["gone"].split("."))) if name in GONE else None)
    for name in STANDARD_LIBRARY.split()
]


@pytest.mark.images(*WITH_PYTHON)
def test_its_python_is_the_one_its_label_and_its_tag_name(subject: Subject) -> None:
    """Asked of the interpreter itself."""
    version = subject.inside.check_output("python3 -c 'import platform; print(platform.python_version())'")
    assert subject.labels["org.eduhub.python"] == version
    assert ".".join(version.split(".")[:2]) == subject.image.python


@pytest.mark.images("edge", "copy")
def test_an_image_that_needs_no_python_has_none(subject: Subject) -> None:
    """And claims none."""
    assert subject.inside.run("command -v python3").rc != 0
    assert "org.eduhub.python" not in subject.labels


def test_it_has_no_tool_to_build_or_fetch_with(subject: Subject) -> None:
    """No pip, compiler, package manager or downloader: who breaks in finds nothing to work with."""
    assert subject.inside.run(f"command -v {TOOLS}").stdout == ""
    assert subject.inside.run("find / -xdev -name '*.whl' -o -xdev -type d -name pip").stdout == ""


@pytest.mark.images(*WITH_PYTHON)
def test_its_python_has_no_installer(subject: Subject) -> None:
    """Neither pip nor the means to bring it back."""
    assert "No module named pip" in subject.inside.run("python3 -m pip").stderr
    assert "No module named ensurepip" in subject.inside.run("python3 -m ensurepip").stderr


def test_no_file_gives_rights_to_who_runs_it(subject: Subject) -> None:
    """No setuid or setgid bit anywhere."""
    assert subject.inside.run("find / -xdev -type f -perm /6000").stdout == ""


def test_its_files_cannot_be_changed(subject: Subject) -> None:
    """Only /tmp can be written, besides what a host mounts."""
    assert subject.inside.run("touch /changed").rc != 0
    assert subject.inside.run("touch /tmp/scratch").rc == 0


def test_every_library_finds_what_it_needs(subject: Subject) -> None:
    """Nothing that was slimmed away is missed by a program or an extension module."""
    missing = subject.inside.check_output(
        "for file in $(find / -xdev -name '*.so*' -type f 2>/dev/null) /usr/bin/* /usr/sbin/*; do "
        "$(ls /lib*/ld-linux*.so.* | head -n 1) --list $file 2>/dev/null | grep 'not found'; done; true"
    )
    assert missing == ""


@pytest.mark.images(*WITH_PYTHON)
def test_the_standard_library_is_whole(subject: Subject) -> None:
    """Each Python offers all modules that its version has, time zones and certificate authorities."""
    program = (
        "import importlib, json, os, ssl, sys, zoneinfo; "
        f"[importlib.import_module(name) for name, gone in {MODULES} if not gone or sys.version_info < gone]; "
        "print(json.dumps([str(zoneinfo.ZoneInfo('Europe/Berlin')), "
        "len(os.listdir(ssl.get_default_verify_paths().capath or '/root')) > 50]))"
    )
    assert json.loads(subject.inside.check_output("python3 -W ignore -c %s", program)) == ["Europe/Berlin", True]


@pytest.mark.images(*WITH_PYTHON)
def test_bytecode_is_there_and_is_trusted(subject: Subject) -> None:
    """Every start on a read-only root would compile again what has none; unchecked hashes need no file times."""
    program = (
        "import sys, pathlib; "
        "roots = [p for p in map(pathlib.Path, sys.path) if p.is_dir() and p != pathlib.Path.cwd()]; "
        "found = [p for r in roots for p in r.rglob('*.pyc')]; "
        "print(len(found) > 100, all(p.read_bytes()[4] == 1 for p in found))"
    )
    assert subject.inside.check_output("python3 -c %s", program) == "True True"
