"""`self-test`: run every gate on candidates that it must stop."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.self_test.self_test import self_test
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--image", required=True, help="the pilot's own image")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return self_test(host, options.image)
