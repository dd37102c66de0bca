"""A plain Debian machine as an image: systemd, Python for Ansible, apt, and nothing else. `machine.py TAG`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import docker

from builder import cache, debian, rootfs

SUITE = sys.argv[2] if len(sys.argv) > 2 else "bookworm"
PACKAGES = ["ca-certificates", "dbus", "iproute2", "python3", "systemd", "systemd-sysv"]


def make(into: Path) -> None:
    """Write the machine's root file system into the directory `into`."""
    rootfs.ensure_mmdebstrap()
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=apt", "--skip=output/dev", f"--include={','.join(PACKAGES)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, str(into / rootfs.ARCHIVE), "-",
        ],
        input="\n".join(debian.sources(SUITE)), text=True, check=True,
    )  # fmt: skip


if __name__ == "__main__":
    tag = sys.argv[1]
    client = docker.from_env(timeout=600)
    if not client.images.list(tag):
        entry, _ = cache.keep("machines", f"{SUITE}-1", make)
        repository, _, version = tag.rpartition(":")
        client.api.import_image_from_file(
            str(entry / rootfs.ARCHIVE), repository=repository, tag=version, changes=['ENTRYPOINT ["/sbin/init"]']
        )
