"""Runs the backup program of Plone's image in a container of its own, under the lock that rollouts take."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.model.codes import CODES
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.facts import Container
from eduhub_pilot.model.state import Lock, stamp

PLONE = "plone"
# A container that is to take over from it.
STANDBY = f"{PLONE}-standby"
PROGRAM = ("python3", "-m", "eduhub_plone.backup")
DIRECTORY = "/backups"
MOST_OUTPUT = 500
LIST = ["./invoke", "plone.backups"]
# What to type after an answer of the program.
NEXT: Mapping[str, Sequence[Sequence[str]]] = {
    "backup_damaged": [["./invoke", "plone.backup", "--full"]],
    "backup_failed": [["./invoke", "plone.backup"]],
    "backup_proven": [LIST],
    "backup_space_short": [["df", "-h"]],
    "backup_unknown": [LIST],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that works on Plone's data."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--owner", required=True, help="the operator, as user@host")
    add_directory(parser)


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add where the backups are."""
    parser.add_argument("--directory", required=True, help="the host's directory of backups")


def plone(host: Host) -> Container:
    """Return Plone's container. Raises RefusedError where there is none."""
    container = host.engine.container(host.settings.container(PLONE))
    if container is None:
        message = "There is no Plone of ours on this host, so there is nothing to back up. Nothing was changed."
        raise RefusedError("plone_absent", message, ["./invoke", "deploy"])
    return container


@contextmanager
def locked(host: Host, run: str, owner: str, verb: str) -> Iterator[Heart]:
    """Hold the lock of this host for `run`, so that neither a rollout nor a second backup starts. RefusedError without.

    A rollout that is not over has a claim on the host without a lock too.
    """
    now = host.clock.now()
    with host.store.guard():
        lock, rollout = host.store.lock(), host.store.state().rollout
        if lock and lock.run != run and not lock.expired(now):
            raise RefusedError(
                "lock_held",
                f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb "
                f"{lock.verb}, step {lock.step}. Nothing was changed. Repeat the command when that run has ended.",
                ["./invoke", "status"],
            )
        if rollout:
            raise RefusedError(
                "lock_held",
                f"The rollout of run {rollout.run} is not over: it is at step {rollout.step}. Nothing was changed. "
                "Confirm it or roll it back first.",
                ["./invoke", "status"],
            )
        taken = Lock(owner, run, verb, "begin", now, now, host.settings.lock_seconds)
        if lock:
            host.store.renew(taken)
        else:
            host.store.take(taken)
    try:
        yield host.heart(run)
    finally:
        with host.store.guard():
            held = host.store.lock()
            if held and held.run == run:
                host.store.free()


def worked(
    host: Host, directory: str, words: Sequence[str], heart: Heart | None = None, *, writes: bool = False
) -> dict[str, Any]:
    """Return what Plone's backup program answers. PilotError where it refuses, fails or does not answer.

    `writes`: whether it may write Plone's data.
    """
    name = host.settings.container(PLONE)
    between = heart.beat if heart else lambda: None
    done = host.engine.work(name, [*PROGRAM, *words], {directory: DIRECTORY}, writes, between)
    answer = _answer(done.output)
    if answer is None or answer.get("code") not in CODES:
        said = " ".join(done.output.split())[-MOST_OUTPUT:]
        why = (
            "it was killed, most likely because it took more memory than plone_memory allows"
            if done.trouble == "memory"
            else f"it said: {said}" if said else "it said nothing"
        )
        raise FailedError(
            "backup_failed",
            f"The backup program in Plone's image ended without an answer (exit code {done.code}): {why}.",
            ["./invoke", "deploy", "--check"],
        )
    following = NEXT.get(answer["code"], ())
    if done.code:
        kind = RefusedError if answer["exit"] == 2 else FailedError
        data = {name: answer[name] for name in answer if name not in {"code", "exit", "message"}}
        error: PilotError = kind(answer["code"], answer["message"], *following)
        error.data = data
        raise error
    return answer


def _answer(output: str) -> dict[str, Any] | None:
    """Return the last JSON object among the lines of `output`."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            return found if isinstance(found, dict) else None
    return None
