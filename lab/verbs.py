"""The verbs lab.up and lab.down."""

from __future__ import annotations

import sys

from invoke.context import Context

from command_line import run
from command_line.typed import task


@task(name="up", help={
    "hosts": "how many hosts; default: 3", "fronts": "how many front hosts before them, 0 to 2; default: 0",
    "suite": "bookworm for Debian 12, the default, or trixie for 13",
})  # fmt: skip
def lab_up(c: Context, hosts: str = "", fronts: str = "", suite: str = "") -> None:
    """Start hosts on this machine to practise on, a Plone for them, and write the inventory `lab`."""
    options = {"--hosts": hosts, "--fronts": fronts, "--suite": suite}
    lab(c, "up", *(word for pair in options.items() if pair[1] for word in pair))


@task(name="down")
def lab_down(c: Context) -> None:
    """Remove the hosts of `lab.up`, with all that is on them, and their inventory."""
    lab(c, "down")


def lab(c: Context, *words: str) -> None:
    """Run the lab's program with `words`."""
    run(c, sys.executable, "-m", "lab", *words, PYTHONPATH="images")
