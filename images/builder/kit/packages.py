"""`python -m builder.kit.packages --archive SUITE | --install NAME...`: the kit's Debian packages, each checked.

The first prints the path of an archive with those for a suite, for a host; its reader removes the directory. The second
installs packages on this machine, those of the names that its suite has. Only the standard library: it brings venv.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder import HERE, Refusal
from builder.kit.unpacked import DEBIAN, INDEX, Kit, ended

DISK = "/var/tmp"  # noqa: S108 - mkdtemp makes a directory there that no other user can open


def gather(kit: Kit, suite: str, into: Path) -> None:
    """Put the packages for `suite` and their index into `into`. Raise Refusal where the kit has none."""
    names = list(kit.below(f"{DEBIAN}/{suite}"))
    if not names:
        there = " and ".join(kit.manifest.suites)
        raise Refusal(
            f"The kit {kit.manifest.name} has packages for {there}, and the host has {suite}: make a kit with "
            f"--suite {suite}, or install Docker Engine 20.10 or newer and python3-requests there by hand."
        )
    for name in names:
        (into / Path(name).name).write_bytes(kit.checked(name))


def archive(kit: Kit, suite: str) -> str:
    """Return the path of a new archive of the packages for `suite`, in a directory of its own."""
    # Not in /tmp, which is memory on Debian 13.
    folder = Path(tempfile.mkdtemp(prefix="eduhub-kit-", dir=DISK))
    try:
        with tempfile.TemporaryDirectory(dir=folder) as packages, tarfile.open(folder / "packages.tar", "w") as tar:
            gather(kit, suite, Path(packages))
            for path in sorted(Path(packages).iterdir()):
                tar.add(path, path.name)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return str(folder / "packages.tar")


def install(kit: Kit, names: Sequence[str]) -> str:
    """Install those of `names` that this machine's suite has; return a sentence. Raise Refusal where apt cannot."""
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "another system")
    with tempfile.TemporaryDirectory(prefix="eduhub-kit-") as folder:
        gather(kit, suite, Path(folder))
        Path(folder).chmod(0o755)  # apt reads as a user of its own
        index = Path(folder, INDEX).read_text(encoding="utf-8").splitlines()
        there = [name for name in names if f"Package: {name}" in index]
        lists = Path(folder, "lists")
        lists.mkdir()
        Path(folder, "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n", encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": f"{folder}/sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": str(lists), "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        }  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *there]):
            done = subprocess.run(
                ["apt-get", "--quiet=2", *options, *words], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("E: ").rstrip(".")
                raise Refusal(f"apt-get could not install {', '.join(there)} from the kit ({why}): install it by hand.")
    return f"{', '.join(there)} is installed from the kit."


def main(words: Sequence[str]) -> str:
    """Return what is said at the end: a path, or a sentence. Raise Refusal."""
    parser = argparse.ArgumentParser(prog="kit.packages", description=__doc__, allow_abbrev=False)
    parser.add_argument("--archive", metavar="SUITE")
    parser.add_argument("--install", nargs="+", metavar="NAME")
    wanted = parser.parse_args(words)
    kit = Kit.at(HERE.parent)
    if kit is None:
        raise Refusal("This checkout is no kit that was unpacked.")
    return archive(kit, wanted.archive) if wanted.archive else install(kit, wanted.install)


if __name__ == "__main__":
    sys.exit(ended("kit", main, sys.argv[1:]))
