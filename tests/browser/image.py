"""Debian's chromium as an image, for tests that look at what a browser makes of a page. `image.py TAG`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import docker

from builder import rootfs
from builder.catalogue import Root

# No business of the image builder's: nothing that is deployed needs a browser. The shell has no windows and no GTK.
ROOT = Root(
    suite="bookworm",
    include=("chromium-headless-shell", "fonts-dejavu-core", "usr-is-merged"),
    exclude=("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*", "/usr/share/icons/*"),
    keep=(),
    remove=("perl-base",),
)


def ensure(tag: str) -> None:
    """Make the image `tag`, unless it is there; from the mirror that the other images come from."""
    client = docker.from_env(timeout=600)
    if client.images.list(tag):
        return
    repository, _, version = tag.rpartition(":")
    with tempfile.TemporaryDirectory(prefix="eduhub-") as folder:
        rootfs.make(ROOT, Path(folder), int(time.time()))
        changes = ['ENTRYPOINT ["/usr/bin/chromium-headless-shell"]']
        archive = str(Path(folder, rootfs.ARCHIVE))
        client.api.import_image_from_file(archive, repository=repository, tag=version, changes=changes)


if __name__ == "__main__":
    ensure(sys.argv[1])
