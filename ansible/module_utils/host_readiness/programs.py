"""Files and programs of the host, read without raising."""

from __future__ import annotations

import subprocess
from pathlib import Path

TIMEOUT_SECONDS = 10


def run(*words: str, seconds: float = TIMEOUT_SECONDS) -> str | None:
    """Return what a program printed; None when it is missing, fails or does not answer within `seconds`."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read(path: str | Path) -> str:
    """Return a file's text, nothing for one that cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
