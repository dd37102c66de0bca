"""What is sent to the engine depends on names and bytes alone."""

from __future__ import annotations

import io
import os
from pathlib import Path

from builder import context


def sent(directory: Path, epoch: int = 1_000) -> bytes:
    """Return the context made of every file of `directory`."""
    buffer = io.BytesIO()
    context.write(buffer, [(path.name, path) for path in directory.iterdir()], epoch)
    return buffer.getvalue()


def test_two_checkouts_send_the_same_bytes(tmp_path: Path) -> None:
    """File times, umask and the order of a directory belong to a machine, not to the product."""
    for name, mode, time in (("one", 0o600, 1), ("two", 0o664, 2)):
        directory = tmp_path / name
        directory.mkdir()
        for file in sorted(["a.py", "b.py"], reverse=name == "two"):
            (directory / file).write_text(file)
            (directory / file).chmod(mode)
            os.utime(directory / file, (time, time))
    assert sent(tmp_path / "one") == sent(tmp_path / "two")


def test_a_program_stays_executable(tmp_path: Path) -> None:
    """The executable bit is the part of a mode that counts."""
    (tmp_path / "health").write_text("")
    before = sent(tmp_path)
    (tmp_path / "health").chmod(0o755)
    assert sent(tmp_path) != before
