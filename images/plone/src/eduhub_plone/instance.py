"""Lays the instance home out, on a tmpfs: the image itself is read-only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import render
from .settings import Refused, Settings

HOME = Path("/tmp/plone")  # noqa: S108 - a tmpfs of the container's own
DATA = Path("/data")


def lay_out(settings: Settings, data: Path = DATA) -> Path:
    """Make the directories and write the instance home for the site in `data`; return the path of its zope.conf."""
    cache = data / "cache" / str(sys.implementation.cache_tag)
    snippets = tuple(path.read_text("utf-8") for path in sorted(Path("/app/etc/zope.conf.d").glob("*.conf")))
    try:
        for directory in (data / "filestorage", data / "client", data / "tmp", cache, HOME / "etc"):
            directory.mkdir(parents=True, exist_ok=True)
        conf = HOME / "etc" / "zope.conf"
        conf.touch(mode=0o600)
        conf.write_text(render.zope_conf(settings, str(HOME), str(data), snippets), "utf-8")
        zcml = render.site_zcml(settings)
        if zcml:
            (HOME / "etc" / "site.zcml").write_text(zcml, "utf-8")
    except OSError as error:
        raise Refused(
            f"{error.filename} cannot be written ({error.strerror}): {data} must be a volume that user "
            f"{os.getuid()} may write, and /tmp a tmpfs."
        ) from None
    # Uploads wait on the volume, because /tmp is memory; compiled templates stay there for the next start.
    os.environ.update(TMPDIR=str(data / "tmp"), CHAMELEON_CACHE=str(cache))
    return conf
