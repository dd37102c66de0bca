"""What is installed of a Docker Engine that does not answer. Reads only."""

from __future__ import annotations

import os
import shutil

from .model import ENGINES, PARTS, Installed
from .programs import run

# sudo and su may leave out those of the administrator.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# States in which dpkg has no file of a package but perhaps its configuration.
ABSENT = {"not-installed", "config-files"}


def installed(systemd: bool) -> Installed:
    """Return what dpkg, the search path and systemd know of an engine. `systemd`: whether it runs the host."""
    everywhere = f"{os.environ.get('PATH', '')}:{PATH}"
    client = shutil.which("docker", path=everywhere) or ""
    unit = run("systemctl", "show", "--property=LoadState", "--value", "docker.service") if systemd else ""
    return Installed(
        packages=packages(run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status} ${Version}\\n")),
        daemon=shutil.which("dockerd", path=everywhere) or "",
        client=client,
        imitated=bool(client) and not dockers(run(client, "--version")),
        unit=unit or "",
    )


def dockers(said: str | None) -> bool:
    """Return whether Docker's own client said this of its version: podman and nerdctl are called docker, too."""
    return (said or "").startswith("Docker version ")


def packages(listed: str | None) -> dict[str, str]:
    """Return the versions of an engine's packages in what dpkg-query listed, also of those that are half installed."""
    rows = [line.split(" ") for line in (listed or "").splitlines()]
    there = {row[0]: row[2] for row in rows if len(row) == 3 and row[1] not in ABSENT}
    return {name: there[name] for name in (*ENGINES, *PARTS) if name in there}
