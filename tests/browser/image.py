"""Debian's chromium as an image, for tests that look at what a browser makes of a page. `image.py TAG`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import docker

from builder import cache, debian, rootfs

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "bookworm"
# Not the image builder's business: nothing that is deployed needs a browser.
PACKAGES = ["chromium", "fonts-dejavu-core"]


def make(into: Path) -> None:
    """Write the browser's root file system into the directory `into`."""
    rootfs.ensure_mmdebstrap()
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=essential", "--skip=output/dev", f"--include={','.join(PACKAGES)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, str(into / rootfs.ARCHIVE), "-",
        ],
        input="\n".join(debian.sources(SUITE)), text=True, check=True,
    )  # fmt: skip


def ensure(tag: str) -> None:
    """Make the image `tag`, unless it is there; its root file system is kept in the builder's cache."""
    client = docker.from_env(timeout=600)
    if not client.images.list(tag):
        entry, _ = cache.keep("browsers", f"{SUITE}-1", make)
        repository, _, version = tag.rpartition(":")
        archive, changes = str(entry / rootfs.ARCHIVE), ['ENTRYPOINT ["/usr/bin/chromium"]']
        client.api.import_image_from_file(archive, repository=repository, tag=version, changes=changes)


if __name__ == "__main__":
    ensure(sys.argv[1])
