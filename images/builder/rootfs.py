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
        env={**os.environ, **proxies(), "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
        check=False,
    )
    if done.returncode:
        raise Refusal(_sentence(root.suite, lines, done.stderr))


def proxies() -> dict[str, str]:
    """Return the variables that name the proxies of this machine's apt, of those that the environment does not name.

    mmdebstrap lets apt read none of this machine's configuration. In the environment none of it stays in an image.
    """
    if not shutil.which("apt-config"):
        return {}
    dump = ["apt-config", "dump", "--format", "%f\t%v%n"]
    known = subprocess.run(dump, capture_output=True, text=True, check=False).stdout
    found, direct = {}, []
    for scheme in ("http", "https"):
        prefix = f"Acquire::{scheme}::Proxy"
        for name, _, value in (line.partition("\t") for line in known.splitlines()):
            if name.startswith(f"{prefix}::") and value == "DIRECT":
                direct.append(name.removeprefix(f"{prefix}::"))
            elif name == prefix and value not in {"", "DIRECT", "false"} and f"{scheme}_proxy" not in os.environ:
                found[f"{scheme}_proxy"] = value
    if found and direct:
        found["no_proxy"] = ",".join(dict.fromkeys([*filter(None, [os.environ.get("no_proxy")]), *direct]))
    return found


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
    if "chroot mode" in output or "unshare" in output:
        return (
            "Root file systems are made by root, or by an account that may have others below it: build as root, or "
            "install uidmap and give this account a range in /etc/subuid and /etc/subgid (one of the system's own gets "
            "none)."
        )
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
