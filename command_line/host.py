"""The verb host.patch, of the operating system below the stack."""

from __future__ import annotations

from invoke.context import Context

from command_line import Hosts, on_hosts, play


@on_hosts(
    reboot="auto, the default: where the updates ask for it or a newer kernel is installed; always; or never",
    check="change nothing, list the packages", yes="agree to a reboot of the last host that takes traffic",
    take_over="take the lock of an earlier host.patch that died",
)  # fmt: skip
def patch(
    c: Context, hosts: Hosts, reboot: str = "", check: bool = False, yes: bool = False, take_over: bool = False,
) -> None:  # fmt: skip
    """Update the packages of the hosts, one host after the other, drained and rebooted where that is due."""
    play(c, "host.patch", hosts, *(["--check"] if check else []), reboot=reboot, yes=yes, take_over=take_over)
