"""Runs the backup program of Plone's image in a container of its own, under the lock that rollouts take."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from eduhub_pilot.adapters.host import GuardedHeart, Heart, Host
from eduhub_pilot.model.codes import CODES
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE, STANDBY_PLONE, Container
from eduhub_pilot.rollout import claim
from eduhub_pilot.rollout.plone import AGAIN, ROLLBACK, SERVED, unconfirmed

# Plone finishes what it has begun for 8 seconds.
STOP_SECONDS = 30
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
    "backup_time_ahead": [["timedatectl"], LIST],
    "backup_unknown": [LIST],
    "backup_unreadable": [LIST],
    "backup_version_differs": [["./invoke", "plone.backup"], LIST],
    "pack_failed": [["df", "-h"]],
    "pack_unsupported": [["./invoke", "deploy"]],
    "restore_interrupted": [AGAIN, SERVED],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that works on Plone's data."""
    add_run(parser)
    add_directory(parser)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add whose run it is."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--owner", required=True, help="the operator, as user@host")


def add_take_over(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that lets another container take Plone over."""
    add_run(parser)
    parser.add_argument("--verb", default="plone.hand-over", help="what the operator asked for")
    parser.add_argument("--site", required=True, help="id of the site, whose page has to be answered")
    parser.add_argument("--start-seconds", type=float, required=True, help="how long a container may take to load")
    parser.add_argument("--wait-seconds", type=float, required=True, help="how long requests wait at the endpoint")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add where the backups are."""
    parser.add_argument("--directory", required=True, help="the host's directory of backups")


def plone(host: Host) -> Container:
    """Return Plone's container. Raises RefusedError where there is none."""
    container = host.engine.container(host.settings.container(PLONE))
    if container is None:
        message = "There is no Plone of ours on this host. Nothing was changed."
        raise RefusedError("plone_absent", message, ["./invoke", "deploy"])
    return container


def refuse_standby(host: Host) -> None:
    """RefusedError where a standby waits: it would open the data as soon as Plone is stopped."""
    standby = host.engine.container(host.settings.container(STANDBY_PLONE))
    if standby and standby.runs:
        if host.store.plone_rollback() == standby.id:
            message = "A rollback of Plone was interrupted. Nothing was changed. The same command ends it."
            raise RefusedError("hand_over_interrupted", message, ROLLBACK)
        message = (
            "A new container of Plone was to take over, and that was interrupted. Nothing was changed. A deployment "
            "ends it."
        )
        raise RefusedError("hand_over_interrupted", message, ["./invoke", "deploy"])


def refuse_unconfirmed(host: Host) -> None:
    """RefusedError where an upgrade of Plone's version is neither confirmed nor rolled back."""
    if found := unconfirmed(host):
        message = f"{found.message} Nothing was changed."
        raise RefusedError("plone_upgrade_unconfirmed", message, *found.next)


@dataclass(frozen=True)
class Ending:
    """How a run ends that failed with Plone stopped: once undone by the code and words `reverted` and `said`.

    Where undoing failed too, by `stuck`, `failed` before what failed first, and `neither` before what failed then.
    """

    reverted: str
    said: str
    following: Sequence[Sequence[str]]
    stuck: str
    failed: str
    neither: str


def reason(error: Exception) -> str:
    """Return in words why something failed."""
    return getattr(error, "message", None) or str(error)


def undone(
    host: Host, run: str, step: str, error: Exception, undo: Callable[[], object], ending: Ending, **more: Any
) -> PilotError:
    """Undo what failed with `error`, note how that went, with `more` fields, and return it as an error."""
    why, name = reason(error), host.settings.container(PLONE)
    try:
        undo()
    except (PilotError, OSError) as again:
        with suppress(PilotError, OSError):
            host.note(run, step, "stuck", why=why, **more)
        message = f"{ending.failed} {why} {ending.neither} {reason(again)}"
        return PersonError(ending.stuck, message, ["docker", "logs", "--tail", "50", name])
    with suppress(PilotError, OSError):
        host.note(run, step, "reverted", why=why, **more)
    return FailedError(ending.reverted, f"{ending.said} {why}", *ending.following)


@contextmanager
def locked(host: Host, run: str, owner: str, verb: str) -> Iterator[Heart]:
    """Hold the lock of this host for `run`, so that neither a rollout nor a second backup starts. RefusedError without.

    A rollout that is not over has a claim on the host without a lock too.
    """
    claim.take(host, run, owner, verb, host.settings.lock_seconds)
    try:
        yield host.heart(run)
    finally:
        claim.free(host, run)


@contextmanager
def locked_or_guarded(host: Host, run: str, owner: str, verb: str) -> Iterator[Heart]:
    """Hold the lock as `locked`; on a full disk the guard, which needs no room, and lets no other run take the lock."""
    with ExitStack() as held:
        try:
            heart = held.enter_context(locked(host, run, owner, verb))
        except OSError:
            held.enter_context(host.store.guard())
            claim.refuse_claimed(host, run)
            heart = GuardedHeart(host, run)
        yield heart


def noted(host: Host, run: str, event: str, **more: Any) -> None:
    """Note what became of Plone, if the disk has room for it: a return must not wait for that."""
    with suppress(OSError):
        host.note(run, "plone", event, **more)


def worked(
    host: Host, directory: str, words: Sequence[str], heart: Heart | None = None, *, writes: bool = False,
    container: str = "", part: str = "work",
) -> dict[str, Any]:  # fmt: skip
    """Return what Plone's backup program answers. PilotError where it refuses, fails or does not answer.

    `writes`: whether it may write Plone's data. `container`: that of which image; Plone's own without it. `part`: name
    of its own container, one for those who hold the host's lock and others for those who do not: it replaces one of
    that name, whatever that one is at.
    """
    name = container or host.settings.container(PLONE)
    between = heart.beat if heart else lambda: None
    between()  # its container takes the place of one of that name, which may be another run's by now
    done = host.engine.work(name, [*PROGRAM, *words], {directory: DIRECTORY}, writes, between, part)
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
