"""The command line: `python3 -m eduhub_pilot COMMAND ...` prints one JSON object and exits with its `exit`.

Standard input may hold one JSON document: `settings`, the inventory's values for what model/settings.json describes,
and `spec`, the release of the command. A shift and `plone-await` have no input; they read the settings that were kept
of their run.

The codes of the answers and their exit codes are in `model.codes`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.outcome import Next, Outcome

# What each command does, in the order of a rollout. Its module in `commands` has `add_arguments(parser)` and
# `run(host, options)`.
COMMANDS = {
    "init": "create missing state files",
    "preflight": "list what would stop a rollout",
    "plan": "report what a deployment or an upgrade would roll out",
    "candidate": "report the image that a run would start",
    "begin": "take the lock and decide what the run does",
    "prove": "wait until the candidate is ready, and run the gates",
    "shift": "move public traffic to the candidate, and monitor it until it is confirmed",
    "await": "wait until the shift has moved all traffic, and report its result",
    "waiver": "report why a rollback need not reach readiness",
    "hold": "report the deadline of a run that awaits confirmation",
    "confirm": "commit the slot that has the traffic; without --run, of the run that awaits confirmation",
    "revert": "undo the run and report the live release",
    "certificates": "let HAProxy serve the TLS certificates that are on the disk now",
    "maintenance": "let the edge refuse writes, or take them again",
    "drain": "tell the balancer before this host to go elsewhere, and wait until it has",
    "undrain": "tell the balancer to come, once the host serves",
    "patch-begin": "keep rollouts from a host whose packages are to be updated",
    "patch-end": "wait until the host serves again, and note what changed",
    "status": "report the live release, the slots, the lock and the rollback",
    "metrics": "write what status finds as metrics, for Prometheus",
    "releases": "list the releases that are kept",
    "report": "report the last rollout, with its samples",
    "trace": "report what the logs say of one request",
    "self-test": "run every gate on candidates that it must stop",
    "backup": "back Plone's data up, and prove the backup",
    "backups": "list the backups of Plone's data",
    "copy": "make sure of the repository that backups are copied to",
    "copy-backups": "copy proven backups of Plone's data that have no copy yet",
    "restore": "restore a backup of Plone's data",
    "pack": "remove from Plone's database what is no longer its content",
    "hand-over": "let the standby beside our Plone take over from it",
    "plone-check": "report what an upgrade of our Plone would do",
    "plone-upgrade": "let another version of Plone take over, with a migrated copy of the database",
    "plone-await": "roll another version of Plone back that is not confirmed in time",
    "plone-confirm": "take writes again with another version of Plone",
    "plone-rollback": "let the previous container of our Plone take over again",
}
MODULES = {
    "plan": "planning.plan", "candidate": "planning.candidate",
    "await": "await_shift", "self-test": "self_test", "drain": "balancer.drain", "undrain": "balancer.undrain",
    "metrics": "monitoring.metrics", "patch-begin": "patching.begin", "patch-end": "patching.end",
    "backup": "plone.backup", "backups": "plone.backups", "restore": "plone.restore",
    "copy": "plone.copy", "copy-backups": "plone.copy_backups",
    "pack": "plone.pack",
    "hand-over": "plone.hand_over", "plone-rollback": "plone.rollback",
    "plone-check": "plone.check",
    "plone-upgrade": "plone.version", "plone-confirm": "plone.confirm",
    "plone-await": "plone.await_confirmation",
}  # fmt: skip

# Where role pilot mounts the host's state and configuration.
ROOT = Path("/var/lib/eduhub")
CONFIG = Path("/etc/eduhub")

REFUSED = 2
# The longest that a pilot keeps other pilots from the state of the host, draining and starting excluded.
GUARD_SECONDS = 90.0


class StoppedError(FailedError):
    """SIGTERM or SIGINT came."""


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the command line's parser, with the arguments of the one command that `argv` names.

    Each command runs in a container of its own, so only its own module is imported, to start fast.
    """
    top = argparse.ArgumentParser(prog="eduhub_pilot", description=__doc__, allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if argv and argv[0] == name:
            module = importlib.import_module(f"eduhub_pilot.commands.{MODULES.get(name, name)}")
            module.add_arguments(command)
            command.set_defaults(run_command=module.run, without_settings=getattr(module, "without_settings", None))
    return top


def read_input(file: TextIO) -> Mapping[str, Any]:
    """Return the document on standard input, an empty one without input; RefusedError for an invalid one."""
    text = "" if file.isatty() else file.read().strip()
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError("input_invalid", f"Standard input is not valid JSON ({error}).") from None
    if not isinstance(document, dict) or not isinstance(document.get("settings", {}), dict):
        raise RefusedError("input_invalid", "Standard input is not a JSON object with an object in `settings`.")
    return document


def make_host(given: Mapping[str, Any] | None, run: str | None) -> Host:
    """Return this host with the settings `given`, or with those that were kept of `run`.

    Without either the settings have their defaults. RefusedError for settings that are invalid or cannot be read.
    """
    from eduhub_pilot.adapters.clock import Clock  # noqa: PLC0415 - a wrong command line needs none of it
    from eduhub_pilot.adapters.docker import DockerEngine  # noqa: PLC0415
    from eduhub_pilot.adapters.haproxy import Proxy  # noqa: PLC0415
    from eduhub_pilot.adapters.http import ask  # noqa: PLC0415
    from eduhub_pilot.adapters.store import Store, kept_settings  # noqa: PLC0415
    from eduhub_pilot.model.settings import parse_settings  # noqa: PLC0415

    if given is None:
        given = kept_settings(ROOT, run) if run else {}
    settings = parse_settings(given, ROOT, CONFIG)
    proxy = Proxy(settings.root / "run/edge/admin.sock", f"{settings.root}/edge")
    # Undoing a run drains and stops its slot while it holds the guard, and may start the live one; other pilots wait.
    timeout = GUARD_SECONDS + settings.drain_seconds + settings.start_seconds
    store = Store(settings.root, settings.shown, timeout)
    return Host(settings, store, proxy, DockerEngine(), ask, Clock())


def main(argv: Sequence[str]) -> int:
    """Run one command, print its answer, and return its exit code."""
    options = parser(argv).parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    phase = options.command
    try:
        outcome: Outcome = options.run_command(_host(options), options)
    except PilotError as error:
        outcome = _ended(phase, error.code, error.message, error.data, error.next)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        message = f"The pilot could not read or write a file: {error.strerror or error}{where}."
        outcome = _ended(phase, "disk_error", message, {}, [["df", "-h"]])
    document = outcome.document(phase)
    print(json.dumps(document))
    return int(document["exit"])


def _ended(phase: str, code: str, message: str, data: dict[str, Any], following: Next) -> Outcome:
    """Return the answer of a command that ended early: unless it refused, something may have changed."""
    return Outcome(code, message, exit_of(code, phase) != REFUSED, data, following)


def _host(options: argparse.Namespace) -> Host:
    """Return the host with the settings on standard input, and set `options.spec` to the specification there."""
    document = read_input(sys.stdin)
    options.spec = document.get("spec") or None
    try:
        return make_host(document.get("settings"), options.run if options.without_settings else None)
    except RefusedError:
        if options.without_settings:
            with suppress(PilotError, OSError):
                options.without_settings(make_host({}, None), options.run)
        raise


def _stop(number: int, _: FrameType | None) -> None:
    # The undo that follows must not be interrupted.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise StoppedError("stopped", f"The pilot was stopped by {signal.Signals(number).name}.")
