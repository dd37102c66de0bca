"""Runs inside the first stage of an image's build, on the image's own Python, without a network.

    install.py wheels TARGET    install every wheel of ./wheels into TARGET, with the pip beside this file
    install.py compile TARGET   byte-compile TARGET

Both leave the same bytes wherever and whenever they run: bytecode is marked as unchecked, so it does not depend on
file times, and hashing is seeded by the caller's PYTHONHASHSEED=0, which this script insists on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def install(target: Path) -> None:
    """Install the wheels beside this file into `target`; their console scripts are left out."""
    wheels = sorted((HERE / "wheels").glob("*.whl"))
    named = ["{}=={}".format(*wheel.name.split("-")[:2]) for wheel in wheels]
    options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--find-links", str(HERE / "wheels")]
    python("-I", str(HERE / "pip.whl" / "pip"), "install", "--quiet", "--root-user-action=ignore",
           "--disable-pip-version-check", *options, "--target", str(target), *named)  # fmt: skip
    shutil.rmtree(target / "bin", ignore_errors=True)


def compile_all(target: Path) -> None:
    """Byte-compile `target` in place, and give every file the time this file has."""
    # Some packages carry templates or tests in another Python's syntax: those are no reason to stop.
    how = ["-qq", "-f", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    python("-m", "compileall", *how, str(target), check=False)
    moment = HERE.joinpath("install.py").stat().st_mtime
    for path in [target, *target.rglob("*")]:
        os.utime(path, (moment, moment), follow_symlinks=False)


def python(*words: str, check: bool = True) -> None:
    """Run this Python with `words`, hashing seeded; end with its exit code where it fails and `check` is set."""
    done = subprocess.run([sys.executable, *words], check=False, env={**os.environ, "PYTHONHASHSEED": "0"})
    if check and done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    action, directory = sys.argv[1], Path(sys.argv[2])
    if action == "wheels":
        install(directory)
    compile_all(directory)
