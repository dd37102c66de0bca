"""A Debian root file system as a tar archive, made by mmdebstrap; the same packages give the same bytes."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from builder import HERE, Refusal, debian
from builder.catalogue import Root

ARCHIVE = "rootfs.tar"


def make(root: Root, into: Path, epoch: int) -> None:
    """Write `into`/rootfs.tar with no file younger than `epoch` (seconds since 1970). Raise Refusal where it fails."""
    ensure_mmdebstrap()
    lines = debian.sources(root.suite)
    done = subprocess.run(
        command(root, HERE / "base" / "slim", into / ARCHIVE),
        input="\n".join(lines),
        text=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
        check=False,
    )
    if done.returncode:
        raise Refusal(_sentence(root.suite, lines, done.stderr))


def command(root: Root, slim: Path, archive: Path) -> list[str]:
    """Return the mmdebstrap command that reads apt sources on stdin and writes `root` to `archive`, through `slim`."""
    return [
        "mmdebstrap",
        "--variant=essential",
        "--skip=output/dev",
        f"--include={','.join(root.include)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in root.exclude),
        *(f"--dpkgopt=path-include={pattern}" for pattern in root.keep),
        f'--customize-hook={shlex.quote(str(slim))} "$1" {shlex.join(root.remove)}',
        root.suite,
        str(archive),
        "-",
    ]


def _sentence(suite: str, lines: list[str], output: str) -> str:
    """Return what went wrong, from mmdebstrap's `output`, and what to type next."""
    if "No space left on device" in output:
        return "The disk is full: free some space (a root file system needs 1 GB while it is made) and try again."
    errors = [line.removeprefix("E:").strip() for line in output.splitlines() if line.startswith("E:")]
    why = (errors or output.splitlines() or ["no reason given"])[0].rstrip(".")
    mirrors = ", ".join(line.split()[-3] for line in lines)
    return (
        f"mmdebstrap could not make a root file system of {suite} from {mirrors} ({why}); "
        "check the network, or name a mirror that has it with EDUHUB_DEBIAN_MIRROR=http://..."
    )


def ensure_mmdebstrap() -> None:
    """Install mmdebstrap where it is missing and this is root; raise Refusal where it cannot be."""
    if shutil.which("mmdebstrap"):
        return
    advice = "install it with: apt-get install mmdebstrap (or give an image to build on with --base)"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Refusal(f"Root file systems are made with mmdebstrap, which is not installed; {advice}.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "mmdebstrap"]):
        if subprocess.run(["apt-get", "--quiet", *words], env=environment, check=False, capture_output=True).returncode:
            raise Refusal(f"apt-get could not install mmdebstrap, which makes root file systems; {advice}.")
