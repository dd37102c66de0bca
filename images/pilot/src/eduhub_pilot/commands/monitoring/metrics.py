"""`metrics`: write what `status` finds as metrics, for the textfile collector of Prometheus' node exporter.

The collector reads a file whenever it is asked, so it is replaced whole, under a name that is not read before.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.monitoring.gauges import rendered
from eduhub_pilot.model.errors import PilotError, ProxyDownError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.status import status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--directory", type=Path, required=True, help="where the collector reads files")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return metrics(host, options.directory)


def metrics(host: Host, directory: Path) -> Outcome:
    """Write the metrics of the host to `directory`; OSError where it takes none.

    Where the state of the host cannot be read, they say so, and its PilotError is raised.
    """
    certificates = {}
    with suppress(ProxyDownError):  # the metrics have a gauge for it
        certificates = {host.settings.on_host(each.file): each.ends for each in host.proxy.certificates(0.0)}
    document, failure = None, None
    try:
        document = status(host).data["status"]
    except PilotError as error:
        failure = error
    stack = host.settings.stack
    temporary = directory / f"{stack}.prom.new"
    temporary.write_text(rendered(document, certificates, stack, host.clock.now()))
    temporary.chmod(0o644)  # the collector is another user's
    temporary.replace(directory / f"{stack}.prom")
    if failure:
        raise failure
    return Outcome("metrics_written", "The metrics of the host are written.")
