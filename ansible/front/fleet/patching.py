"""What the control machine decides of an update of the hosts' packages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.inventory.loader import Target
from front.run.outcome import Host
from front.run.play import Played


def check_local(hosts: Sequence[Target], request: Request) -> None:
    """Raise RefusalError where the machine that the run is played on might be rebooted under it."""
    local = [host.name for host in hosts if host.variables.get("ansible_connection") == "local"]
    if local and request.values.get("eduhub_reboot") != "never":
        later = replace(request, values={**request.values, "eduhub_reboot": "never"})
        raise RefusalError(
            f"{', '.join(local)} is the machine that you type on (ansible_connection: local): a reboot would end the "
            "run. Update it with --reboot never and reboot it yourself, or play from another machine.",
            next_commands=[later.command],
        )


def with_waiting(done: Played) -> Played:
    """Return the same, with each host as waiting that had something to update and whose turn did not come."""
    if done.outcome is None:
        return done
    hosts = {name: replace(host, waiting=waits(host)) for name, host in done.outcome.hosts.items()}
    return replace(done, outcome=replace(done.outcome, hosts=hosts))


def waits(host: Host) -> bool:
    """Return whether a host has something to update that was not begun; one that failed or was refused did not wait."""
    begun = {"lock", "drain", "patch"} & {host.phase, *host.phases}  # a front host has no lock
    return bool((host.patch or {}).get("work")) and not (begun or host.failed or host.unreachable)
