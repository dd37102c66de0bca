"""A plain Debian machine as an image: systemd, Python for Ansible, apt, and nothing else. `machine.py [SUITE]`.

Without SUITE it is that of EDUHUB_SUITE, else that of the day. Prints the image's tag.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker

from builder import cache, debian, rootfs

SUITES = ["bookworm", "trixie"]
PACKAGES = ["ca-certificates", "dbus", "iproute2", "python3", "systemd", "systemd-sysv"]
# /proc/sys cannot be written in a container, and engine 26 starts no container where it cannot switch IPv6 off in it.
NESTED = "[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n"


def make(suite: str, into: Path) -> None:
    """Write the root file system of a machine with Debian's release `suite` into the directory `into`."""
    rootfs.ensure_mmdebstrap()
    drop_in = into / "nested.conf"
    drop_in.write_text(NESTED)
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=apt", "--skip=output/dev", f"--include={','.join(PACKAGES)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            '--customize-hook=mkdir -p "$1/etc/systemd/system/docker.service.d"',
            f"--customize-hook=upload {drop_in} /etc/systemd/system/docker.service.d/nested.conf",
            suite, str(into / rootfs.ARCHIVE), "-",
        ],
        input="\n".join(debian.sources(suite)), text=True, check=True,
    )  # fmt: skip


def suite_of_the_day() -> str:
    """Return the suite that a run plays where none is named."""
    from tests.rotation import of_the_day  # noqa: PLC0415 - the fault matrix names one, without our tests in its path

    return of_the_day(SUITES, 1)[0]


if __name__ == "__main__":
    suite = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("EDUHUB_SUITE") or suite_of_the_day()
    repository = "eduhub-test/machine"
    client = docker.from_env(timeout=600)
    if not client.images.list(f"{repository}:{suite}"):
        entry, _ = cache.keep("machines", f"{suite}-2", lambda into: make(suite, into))
        client.api.import_image_from_file(
            str(entry / rootfs.ARCHIVE), repository=repository, tag=suite, changes=['ENTRYPOINT ["/sbin/init"]']
        )
    print(f"{repository}:{suite}")
