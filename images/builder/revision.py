"""What git says about this checkout: the commit it is, and when a part of it last changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from builder import HERE

# For a tree without history (an unpacked archive): 2025-01-01, so that such a tree, too, has one time.
NO_HISTORY = 1735689600


def commit(directory: Path = HERE) -> str:
    """Return the full id of the commit checked out, with "-changed" where a file here differs from it; or "unknown"."""
    head = _git(directory, "rev-parse", "HEAD")
    changed = _git(directory, "status", "--porcelain", "--", ".")
    return f"{head}-changed" if head and changed else head or "unknown"


def epoch(*paths: Path, directory: Path = HERE) -> int:
    """Return when any of `paths` was last committed, in seconds since 1970; SOURCE_DATE_EPOCH, where set, wins."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdigit():
        return int(given)
    time = _git(directory, "log", "-1", "--format=%ct", "--", *map(str, paths)) or _git(
        directory, "log", "-1", "--format=%ct"
    )
    return int(time) if time else NO_HISTORY


def _git(directory: Path, *words: str) -> str:
    """Return what git printed, or "" where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=directory, env=environment(directory), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment(directory: Path = HERE) -> dict[str, str]:
    """Return the environment in which git reads the checkout that has `directory`, of any owner.

    git refuses the checkout of another user to root, and a statement would be signed without its commit. Root runs what
    is in it already.
    """
    top = next((path for path in (directory.resolve(), *directory.resolve().parents) if (path / ".git").exists()), None)
    if top is None:
        return dict(os.environ)
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    return {
        **os.environ, "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": "safe.directory", f"GIT_CONFIG_VALUE_{count}": str(top),
    }  # fmt: skip
