"""The door: `python3 -m eduhub_pilot COMMAND ...` prints one JSON object and exits with its `code`.

0 done; 1 tried, failed and reverted (or about to be: `revert` follows); 2 refused, nothing touched; 3 needs a person.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from eduhub_pilot.errors import FailedError, PilotError
from eduhub_pilot.host import Host, Outcome

# The code for trouble that is nobody's decision (a full disk, an engine that is down), by what the command had done.
TROUBLE = {"prove": 1, "shift": 1, "await": 1, "waits": 3, "confirm": 1, "revert": 3, "end": 3}

# As long as a pilot may keep others from the files of the host, but for draining a slot.
GUARD_SECONDS = 90.0


class StoppedError(FailedError):
    """SIGTERM or SIGINT came."""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="eduhub_pilot", description=__doc__, allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words.help, allow_abbrev=False)
        if words.run:
            command.add_argument("--run", required=words.run == "needed", help="id of the run")
    begin = commands.choices["begin"]
    begin.add_argument("--owner", required=True, help="who types, as user@host")
    begin.add_argument("--verb", required=True, choices=["deploy", "upgrade", "rollback"])
    begin.add_argument("--python", help="Python to move to, as 3.11; without it the live one stays")
    begin.add_argument("--to", metavar="ID", help="release to roll back to; without it the last known-good one")
    begin.add_argument("--take-over", action="store_true", help="take the lock, undoing what its run left")
    begin.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    begin.add_argument("--hold", action="store_true", help="wait for a person to confirm")
    begin.add_argument("--confirm-within", metavar="SECONDS", default="", help="go back by itself after that")
    commands.choices["confirm"].add_argument("--owner", help="the person who types, as user@host, for the journal")
    ahead = commands.choices["preflight"]
    ahead.add_argument("--verb", help="what the run does; deploy starts by itself what is stopped")
    ahead.add_argument("--take-over", action="store_true", help="the run takes or goes on with whatever lock there is")
    commands.choices["shift"].add_argument("--rehearse", action="store_true", help="an upgrade shows the way back too")
    commands.choices["self-test"].add_argument("--image", required=True, help="the pilot's own image")
    commands.choices["revert"].add_argument("--why", default="asked for", help="for the journal and the operator")
    commands.add_parser("witness", help="the load that watches a rollout", add_help=False)
    return top


class Command:
    """One command: its help, whether it takes --run, and what it does."""

    def __init__(self, words: str, run: str | None, do: Callable[[Host, argparse.Namespace], Outcome]) -> None:
        self.help = words
        self.run = run
        self.do = do


# Each imports what it needs when it runs: a command is a container of its own, and its start is waited for.
def _init(host: Host, _: argparse.Namespace) -> Outcome:
    from eduhub_pilot.init import init  # noqa: PLC0415

    return init(host)


def _begin(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.begin import begin  # noqa: PLC0415
    from eduhub_pilot.plan import Wish  # noqa: PLC0415
    from eduhub_pilot.record import parse_spec  # noqa: PLC0415

    wish = Wish(words.run, words.owner, words.verb, words.python, words.to, words.take_over, words.resume,
                words.hold, words.confirm_within)  # fmt: skip
    return begin(host, wish, None if words.verb == "rollback" else parse_spec(sys.stdin.read()))


def _prove(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.prove import prove  # noqa: PLC0415

    return prove(host, words.run)


def _shift(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.shift import shift  # noqa: PLC0415

    return shift(host, words.run, words.rehearse)


def _await(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.follow import follow  # noqa: PLC0415

    return follow(host, words.run)


def _excuse(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.excuse import excused  # noqa: PLC0415

    return excused(host, words.run)


def _confirm(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.confirm import confirm, pending  # noqa: PLC0415
    from eduhub_pilot.report import summed  # noqa: PLC0415

    if words.run:
        return confirm(host, words.run, words.owner)
    outcome = pending(host, words.owner)
    return summed(host, outcome.data["run"], outcome)


def _end(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.confirm import end  # noqa: PLC0415
    from eduhub_pilot.report import summed  # noqa: PLC0415

    return summed(host, words.run, end(host, words.run))


def _revert(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.report import summed  # noqa: PLC0415
    from eduhub_pilot.revert import revert  # noqa: PLC0415

    return summed(host, words.run, revert(host, words.run, words.why))


def _status(host: Host, _: argparse.Namespace) -> Outcome:
    from eduhub_pilot.report import summed  # noqa: PLC0415
    from eduhub_pilot.status import status  # noqa: PLC0415

    outcome = status(host)
    rollout = outcome.data["status"]["rollout"]
    return summed(host, rollout["run"], outcome) if rollout else outcome


def _waits(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.report import summed  # noqa: PLC0415
    from eduhub_pilot.status import waits  # noqa: PLC0415

    return summed(host, words.run, waits(host, words.run))


def _releases(host: Host, _: argparse.Namespace) -> Outcome:
    from eduhub_pilot.status import releases  # noqa: PLC0415

    return releases(host)


def _report(host: Host, _: argparse.Namespace) -> Outcome:
    from eduhub_pilot.report import report  # noqa: PLC0415

    return report(host)


def _preflight(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.preflight import preflight  # noqa: PLC0415
    from eduhub_pilot.record import parse_spec  # noqa: PLC0415

    given = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    spec = parse_spec(given) if given not in {"", "{}"} else None
    return preflight(host, words.run, words.verb, words.take_over, spec)


def _self_test(host: Host, words: argparse.Namespace) -> Outcome:
    from eduhub_pilot.selftest.run import self_test  # noqa: PLC0415

    return self_test(host, words.image)


COMMANDS: Mapping[str, Command] = {
    "init": Command("make the state files that are missing", None, _init),
    "begin": Command("take the lock and decide what the run does", "needed", _begin),
    "prove": Command("wait until the new slot is ready, and run the gates", "needed", _prove),
    "shift": Command("move public traffic to the new slot, and keep watch until it is confirmed", "needed", _shift),
    "await": Command("wait until the shift has moved all traffic, and say how that went", "needed", _await),
    "excuse": Command("say why a way back may find the host as it is", "needed", _excuse),
    "waits": Command("say until when the run waits for a person", "needed", _waits),
    "confirm": Command("commit the slot that traffic is on; without --run whichever run waits", "maybe", _confirm),
    "end": Command("free the run's lock", "needed", _end),
    "revert": Command("undo the run and say what serves", "needed", _revert),
    "status": Command("say what serves", None, _status),
    "report": Command("tell the last rollout, with its samples", None, _report),
    "releases": Command("list the releases that are kept", None, _releases),
    "self-test": Command("let every gate judge releases that it must stop", None, _self_test),
    "preflight": Command("say what would stop a rollout", "maybe", _preflight),
}


def make_host(environment: Mapping[str, str]) -> Host:
    """Return this host as the environment describes it."""
    from eduhub_pilot.clock import Clock  # noqa: PLC0415
    from eduhub_pilot.engine import DockerEngine  # noqa: PLC0415
    from eduhub_pilot.haproxy import Proxy  # noqa: PLC0415
    from eduhub_pilot.probe import ask  # noqa: PLC0415
    from eduhub_pilot.settings import from_environment  # noqa: PLC0415
    from eduhub_pilot.store import Store  # noqa: PLC0415

    settings = from_environment(environment)
    proxy = Proxy(settings.root / "run/edge/admin.sock", f"{settings.root}/edge")
    # Undoing a run drains and stops its slot behind the guard; who comes meanwhile waits for that.
    store = Store(settings.root, settings.shown, GUARD_SECONDS + settings.drain_seconds)
    return Host(settings, store, proxy, DockerEngine(), ask, Clock())


def main(argv: Sequence[str]) -> int:
    """Run one command, print its answer, and return its exit code."""
    if argv and argv[0] == "witness":
        from eduhub_pilot.witness import run  # noqa: PLC0415

        return run(list(argv[1:]))
    words = parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    trouble = TROUBLE.get(words.command, 2)
    try:
        outcome = COMMANDS[words.command].do(make_host(os.environ), words)
    except PilotError as error:
        outcome = Outcome(trouble if error.code is None else error.code, error.say, error.code != 2, error.data)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        say = f"The pilot cannot use its files: {error.strerror or error}{where}. Repair that, then type it again."
        outcome = Outcome(trouble, say, trouble != 2)
    print(json.dumps(outcome.document()))
    return outcome.code


def _stop(number: int, _: FrameType | None) -> None:
    # Once is enough: what follows, undoing, is not to be interrupted.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise StoppedError(f"The pilot was stopped by {signal.Signals(number).name}.")
