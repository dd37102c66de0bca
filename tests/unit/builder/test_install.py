"""install.py leaves the same bytes wherever it runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from builder import HERE

SOURCE = "NAMES = {'a', 'b', 'c', 'd'}\n\n\ndef chosen(name):\n    return name in {'x', 'y', 'z'}\n"


def compiled(directory: Path, seed: str) -> dict[str, bytes]:
    """Return every file under `directory`/app after install.py compiled it, hashing seeded by the machine's `seed`."""
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "names.py").write_text(SOURCE)
    shutil.copy(HERE / "base" / "install.py", directory / "install.py")
    subprocess.run(
        [sys.executable, directory / "install.py", "compile", directory / "app"],
        check=True,
        env={"PYTHONHASHSEED": seed},
    )
    files = (path for path in (directory / "app").rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_bytecode_is_the_same_whatever_the_machine_and_the_moment(tmp_path: Path) -> None:
    """Neither hash seeds nor file times reach it. (The path does, so both are compiled under one.)"""
    first = compiled(tmp_path / "same", "1")
    shutil.rmtree(tmp_path / "same")
    second = compiled(tmp_path / "same", "2")
    assert first == second
    assert sorted(first) == [
        f"app/__pycache__/names.{sys.implementation.cache_tag}.pyc",
        "app/names.py",
    ]


def test_bytecode_is_never_compared_with_its_source(tmp_path: Path) -> None:
    """Bits 01 of the flags: hash-based, unchecked; so a layer's file times cannot make Python compile again."""
    files = compiled(tmp_path, "1")
    (bytecode,) = [content for name, content in files.items() if name.endswith(".pyc")]
    assert int.from_bytes(bytecode[4:8], "little") == 0b01
