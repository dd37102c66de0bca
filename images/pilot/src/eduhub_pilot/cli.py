"""The command line: `python3 -m eduhub_pilot COMMAND ...` prints one JSON object and exits with its `code`.

Standard input may hold one JSON document: `settings`, the inventory's values for what model/settings.json describes,
and `spec`, the release that the command is about. A shift, which has no input, reads what `begin` kept of its run.

0 done; 1 tried, failed and reverted (or about to be: `revert` follows); 2 refused, nothing touched; 3 needs a person.
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
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.outcome import Outcome

# What each command does, in the order of a rollout. Its module in `commands` has `add_arguments(parser)` and
# `run(host, options)`.
COMMANDS = {
    "init": "make the state files that are missing",
    "preflight": "list what would stop a rollout",
    "begin": "take the lock and decide what the run does",
    "prove": "wait until the candidate is ready, and run the gates",
    "shift": "move public traffic to the candidate, and monitor it until it is confirmed",
    "await": "wait until the shift has moved all traffic, and report how that went",
    "waiver": "report why a rollback may leave the host unready",
    "hold": "report until when the run waits for a person",
    "confirm": "commit the slot that has the traffic; without --run that of the run that waits",
    "end": "free the run's lock",
    "revert": "undo the run and report the live release",
    "status": "report the live release, the slots, the lock and the rollback",
    "releases": "list the releases that are kept",
    "report": "report the last rollout, with its samples",
    "self-test": "let every gate judge releases that it must stop",
}
MODULES = {"await": "await_shift", "self-test": "self_test"}

# The exit code for trouble that is nobody's decision (a full disk, an engine that is down), by what the command had
# done.
TROUBLE = {"prove": 1, "shift": 1, "await": 1, "hold": 3, "confirm": 1, "revert": 3, "end": 3}

# Where role pilot mounts the host's state and configuration.
ROOT = Path("/var/lib/eduhub")
CONFIG = Path("/etc/eduhub")

# As long as a pilot may keep others from the files of the host, but for draining a slot.
GUARD_SECONDS = 90.0


class StoppedError(FailedError):
    """SIGTERM or SIGINT came."""


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the command line's parser, with the arguments of the one command that `argv` names.

    A command is a container of its own, and its start is waited for: only its own module is imported.
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
    """Return the document on standard input, an empty one where there is none; RefusedError for what is none."""
    text = "" if file.isatty() else file.read().strip()
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"Standard input is no JSON ({error}).") from None
    if not isinstance(document, dict) or not isinstance(document.get("settings", {}), dict):
        raise RefusedError("Standard input is no JSON object with an object in `settings`.")
    return document


def make_host(given: Mapping[str, Any] | None, run: str | None) -> Host:
    """Return this host by the settings `given`, or those that `begin` kept of `run`; RefusedError where they are wrong.

    Without either the settings have their defaults.
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
    # Undoing a run drains and stops its slot behind the guard; who comes meanwhile waits for that.
    store = Store(settings.root, settings.shown, GUARD_SECONDS + settings.drain_seconds)
    return Host(settings, store, proxy, DockerEngine(), ask, Clock())


def main(argv: Sequence[str]) -> int:
    """Run one command, print its answer, and return its exit code."""
    options = parser(argv).parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    trouble = TROUBLE.get(options.command, 2)
    try:
        outcome: Outcome = options.run_command(_host(options), options)
    except PilotError as error:
        outcome = Outcome(trouble if error.code is None else error.code, error.say, error.code != 2, error.data)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        say = f"The pilot cannot use its files: {error.strerror or error}{where}. Repair that, then type it again."
        outcome = Outcome(trouble, say, trouble != 2)
    print(json.dumps(outcome.document()))
    return outcome.code


def _host(options: argparse.Namespace) -> Host:
    """Return the host by what standard input says, with the release that the command is about as `options.spec`."""
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
    # Once is enough: what follows, undoing, is not to be interrupted.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise StoppedError(f"The pilot was stopped by {signal.Signals(number).name}.")
