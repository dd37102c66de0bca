"""`restore`: restore a backup of Plone's data to scratch, which proves it, or in place of the data that Plone has."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Heart, Host
from eduhub_pilot.commands.plone import copies, work
from eduhub_pilot.model.copies import NO_MOUNT
from eduhub_pilot.model.errors import (
    EngineDownError,
    FailedError,
    PersonError,
    PilotError,
    ProxyDownError,
    RefusedError,
)
from eduhub_pilot.model.facts import PLONE
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout import claim
from eduhub_pilot.rollout.plone import AGAIN, SERVED

TARGETS = ("scratch", "live", "served")
WAIT_SECONDS = 1.0
LOG_LINES = 10
# A write that was on its way has ended by then, or the database's last transaction tells.
SETTLE_SECONDS = 2.0
UNCHANGED = "Nothing was changed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_arguments(parser)
    copies.add_arguments(parser)
    parser.add_argument("--from-copy", action="store_true", help="get the backup from the repository of copies first")
    parser.add_argument("--at", default="", help="the newest backup made then or before; without it the newest")
    parser.add_argument("--to", default="", help="scratch, live, or served; scratch without it")
    parser.add_argument("--agreed", action="store_true", help="also without a backup of what is replaced")
    parser.add_argument("--check", action="store_true", help="with --to live: say what it would do, and do nothing")
    parser.add_argument("--start-seconds", type=float, required=True, help="how long Plone may take to become healthy")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    if options.to and options.to not in TARGETS:
        message = f"--to is scratch, live or served, not {options.to[:40]!r}. Nothing was changed."
        raise RefusedError("restore_target_unknown", message, ["./invoke", "plone.restore", "--to", "scratch"])
    work.plone(host)
    if options.check:
        return _checked(host, options)
    restore = _live if options.to == "live" else _scratch
    with work.locked(host, options.run, options.owner, "plone.restore") as heart:
        if options.to == "served":
            return _kept_as_served(host, options, heart)
        if not options.from_copy:
            return restore(host, options, heart)
        if options.to == "live":
            if not options.agreed:
                message = (
                    "A copy replaces all that Plone has on this host, whatever site that is. Nothing was changed. "
                    "Agree with --yes; the replaced data stays in Plone's volume."
                )
                again = ["./invoke", "plone.restore", "--from-copy", *(["--at", options.at] if options.at else [])]
                raise RefusedError("backup_not_fresh", message, [*again, "--to", "live", "--yes"])
            _refuse_early(host)
            _end_interrupted(host, options, heart)  # what an earlier one left is not to wait until a copy is here
        with copies.fetched(host, options, heart) as folder:
            alone = argparse.Namespace(**{**vars(options), "directory": folder, "at": ""})
            if options.to == "live":
                _scratch(host, alone, heart)
            return restore(host, alone, heart)


def _scratch(host: Host, options: argparse.Namespace, heart: Heart) -> Outcome:
    answer = work.worked(host, options.directory, ["prove", *_at(options.at)], heart)
    backup = answer["backup"]
    host.note(options.run, "restore", "proven", backup=backup["id"], seconds=backup["proof_seconds"])
    return Outcome(answer["code"], answer["message"], True, {"backup": backup})


def _at(time: str) -> list[str]:
    return [f"--at={time}"] if time else []


def _live(host: Host, options: argparse.Namespace, heart: Heart) -> Outcome:
    """Replace Plone's data by that of a backup; on any failure Plone serves what it had, and takes writes."""
    _refuse_early(host)
    planned = _planned(host, options, _end_interrupted(host, options, heart), heart)
    backup = planned["backup"]
    host.note(options.run, "restore", "begun", backup=backup["id"], owner=options.owner)
    try:
        _refuse_writes(host, options.run)
        done = _exchanged(host, options, planned, heart)
    except PilotError as error:
        raise (_taken_again(host, options.run, error) or error) from None
    except OSError as error:
        _take_writes(host, options.run)
        raise error from None
    if stuck := _taken_again(host, options.run, None, done.message):
        raise stuck
    return done


def _planned(
    host: Host, options: argparse.Namespace, so_far: str, heart: Heart | None = None, part: str = "work"
) -> dict[str, Any]:
    """Return what the restore would do; RefusedError where it must not. `so_far`: what was done, for the operator."""
    words = ["plan", *_at(options.at), f"--stack={host.settings.stack}", *(["--any-site"] if options.from_copy else [])]
    planned = work.worked(host, options.directory, words, heart, part=part)
    if not planned["fresh"] and not options.agreed:
        raise RefusedError(
            "backup_not_fresh",
            f"No proven backup holds Plone's data as it is now (last change {planned['now']}), which the restore of "
            f"{planned['backup']['id']} would replace. {so_far} Make one first, or agree with --yes; the replaced "
            "data stays in Plone's volume either way.",
            ["./invoke", "plone.backup"], _agreed(options),
        )  # fmt: skip
    return planned


def _checked(host: Host, options: argparse.Namespace) -> Outcome:
    """Say what a restore in place of Plone's data would do; RefusedError for what it would be refused for."""
    with host.store.guard():
        claim.refuse_claimed(host, options.run)
    _refuse_early(host)
    try:
        planned = _planned(host, options, UNCHANGED, part="list")
    except EngineDownError as error:
        if NO_MOUNT not in error.message:
            raise
        message = f"There is no backup of this site: {options.directory} is not there, or not mounted. {UNCHANGED}"
        raise RefusedError("backup_unknown", message, work.LIST) from None
    backup = planned["backup"]
    message = (
        f"A restore would replace Plone's data by backup {backup['id']}, the site as of {backup['recovery_point']}. It "
        f"first writes {planned['bytes'] / 1e6:.1f} MB beside what Plone has, for which there is room; then it stops "
        f"Plone for the time of one start. {UNCHANGED}"
    )
    again = _agreed(options) if options.agreed else _agreed(options)[:-1]
    return Outcome("restore_planned", message, False, {"backup": backup, "bytes": planned["bytes"]}, [again])


def _exchanged(host: Host, options: argparse.Namespace, planned: dict[str, Any], heart: Heart) -> Outcome:
    """Write the backup's data beside that of Plone, exchange both, and start Plone with it."""
    name, begun, backup = host.settings.container(PLONE), host.clock.monotonic(), planned["backup"]
    # What was written before Plone's endpoint refused it, or past it, is in no backup.
    late = [] if options.agreed or "transaction" not in planned else [f"--transaction={planned['transaction']}"]
    host.clock.sleep(SETTLE_SECONDS)
    words = ["stage", f"--at={backup['id']}", f"--run={options.run}", *late]
    try:
        work.worked(host, options.directory, words, heart, writes=True)
    except RefusedError as error:
        raise _late(options, error, UNCHANGED) from None
    stopped, kept = host.clock.monotonic(), []
    try:
        host.engine.stop(name, work.STOP_SECONDS)
        work.worked(host, options.directory, ["swap", f"--run={options.run}", *late], heart, writes=True)
        _start(host, options.start_seconds, heart)
        before = work.worked(host, options.directory, ["settle"], heart, writes=True)["before"]
    except (PilotError, OSError) as error:
        reverted = work.undone(
            host, options.run, "restore", error, lambda: kept.append(_undo(host, options)),
            work.Ending(
                "restore_reverted",
                f"The restore of backup {backup['id']} failed, and Plone serves the data from before it:", [work.LIST],
                "restore_stuck", f"The restore of backup {backup['id']} failed:",
                "The data from before could not be brought back:",
            ),
            backup=backup["id"],
        )  # fmt: skip
        reverted.message += "".join(map(_kept, kept))
        if isinstance(error, RefusedError) and isinstance(reverted, FailedError):
            raise _late(options, error, "Plone was started again with what it had.", reverted) from None
        raise reverted from None
    ended = host.clock.monotonic()
    host.note(options.run, "restore", "restored", backup=backup["id"], seconds=round(ended - begun, 1),
              stopped_seconds=round(ended - stopped, 1))  # fmt: skip
    data = {"backup": backup, "seconds": round(ended - begun, 1), "stopped_seconds": round(ended - stopped, 1)}
    message = (
        f"Plone serves backup {backup['id']}, the site as of {backup['recovery_point']}. The restore took "
        f"{ended - begun:.1f} s; Plone was stopped or starting for {ended - stopped:.1f} s of them. The data it had "
        f"stays in its volume, in {before}, until the next restore. Pages that the bridge has stored change as they "
        "expire."
    )
    if options.from_copy:
        message += f" From now on this host adds to the copies in {copies.wanted(options).to}, and no other does."
    return Outcome("restored", message, True, data, [work.LIST])


def _agreed(options: argparse.Namespace) -> list[str]:
    """Return the same command with the consent."""
    return [*AGAIN, *(["--at", options.at] if options.at else []), "--yes"]


def _late(
    options: argparse.Namespace, error: RefusedError, ending: str, otherwise: PilotError | None = None
) -> PilotError:
    """Return that Plone's data was written after it was compared, where `error` is that; `otherwise`, or the error."""
    if error.code != "plone_written_meanwhile":
        return otherwise or error
    message = f"{error.message} {ending} Make a backup first, or agree with --yes."
    return RefusedError(error.code, message, ["./invoke", "plone.backup"], _agreed(options))


def _kept(where: str | None) -> str:
    return f" What was written meanwhile to the restored data stays in Plone's volume, in {where}." if where else ""


def _refuse_writes(host: Host, run: str) -> None:
    """Let Plone's endpoint refuse writes where it can, once it is noted who has to take them again.

    In its running HAProxy alone: one that starts again takes them, so that no end of this host leaves them refused.
    """
    can = False
    with suppress(ProxyDownError):  # then no write comes by it; and what comes otherwise is noticed
        can = host.endpoint.refuses_writes(TIMEOUT_SECONDS)
    writes = "refused" if can else "taken"
    host.store.save_plone_restore({"run": run, "since": stamp(host.clock.now()), "writes": writes})
    if can:
        host.endpoint.refuse_writes("Plone is restored.", TIMEOUT_SECONDS)


def _take_writes(host: Host, run: str = "", *, forget: bool = True) -> None:
    """Take the writes again that the restore of `run` has refused, or any; and `forget` that one is at work.

    An upgrade that took the lock over may refuse them by now, and another restore too: then it is theirs.
    """
    record = host.store.plone_restore()
    if record is None or (run and record.get("run") != run):
        return
    if record.get("writes") == "refused" and host.store.plone_upgrade() is None:
        host.endpoint.refuse_writes(None, TIMEOUT_SECONDS)
    host.store.save_plone_restore(None if forget else {**record, "writes": "taken"})


def _taken_again(host: Host, run: str, error: PilotError | None, said: str = "") -> PilotError | None:
    """Take writes again; return `error`, or that they are refused still after what `error` or `said` tells."""
    try:
        _take_writes(host, run, forget=error is None or error.code != "restore_stuck")  # which `status` shows then
    except (PilotError, OSError) as again:
        name = host.settings.container("plone-endpoint")
        message = f"{error.message if error else said} But writes are refused still: {work.reason(again)}"
        return PersonError("plone_writes_refused", message, ["docker", "restart", name])
    return error


def _refuse_early(host: Host) -> None:
    work.refuse_standby(host)
    work.refuse_unconfirmed(host)


def _end_interrupted(host: Host, options: argparse.Namespace, heart: Heart) -> str:
    """Bring back what a restore had replaced that was killed, and start Plone; return in words what was done.

    RefusedError where Plone's data was written since, unless that was agreed to.
    """
    name, done = host.settings.container(PLONE), UNCHANGED
    found = work.worked(host, options.directory, ["interrupted"], heart)
    if found["interrupted"]:
        _refuse_unagreed(found, options)
        try:
            host.engine.stop(name, work.STOP_SECONDS)
            where = work.worked(host, options.directory, ["undo"], heart, writes=True).get("kept")
            host.note(options.run, "restore", "undone", why="an earlier restore was interrupted", kept=where)
            _start(host, options.start_seconds, heart)
        except (PilotError, OSError) as error:
            message = f"The data from before an interrupted restore could not be brought back: {work.reason(error)}"
            stuck = PersonError("restore_stuck", message, ["docker", "logs", "--tail", "50", name])
            raise (_taken_again(host, "", stuck) or stuck) from None
        done = f"The data from before an interrupted restore was brought back.{_kept(where)}"
    elif host.store.plone_restore() and not work.plone(host).runs:  # it was killed between the stop and the exchange
        _start(host, options.start_seconds, heart)
    _take_writes(host)
    return done


def _refuse_unagreed(found: dict[str, Any], options: argparse.Namespace) -> None:
    run = found["interrupted"]
    if "written" not in found:
        message = (
            f"The restore of run {run} was interrupted, and Plone's image is of an earlier release, whose program "
            f"removes what was written since. {UNCHANGED} Deploy first."
        )
        raise RefusedError("restore_interrupted", message, ["./invoke", "deploy"])
    if found["written"] and not options.agreed:
        message = (
            f"The restore of run {run} was interrupted once Plone had the restored data, and that was written since. "
            f"Another restore first brings back what was there before. {UNCHANGED} Keep what Plone serves with --to "
            "served, or agree with --yes: what was written stays in Plone's volume then, and Plone has it no longer."
        )
        raise RefusedError("restore_interrupted", message, SERVED, _agreed(options))


def _kept_as_served(host: Host, options: argparse.Namespace, heart: Heart) -> Outcome:
    """End a restore that was interrupted with the data that Plone serves."""
    _refuse_early(host)
    run = work.worked(host, options.directory, ["interrupted"], heart)["interrupted"]
    if not run and host.store.plone_restore() is None:
        raise RefusedError("restore_not_interrupted", f"No restore in place was interrupted. {UNCHANGED}", work.LIST)
    if run and not work.plone(host).runs:
        raise RefusedError("restore_interrupted", f"Plone does not run: it serves nothing to keep. {UNCHANGED}", AGAIN)
    _start(host, options.start_seconds, heart)
    message = "Plone keeps the data that it serves."
    if run:
        try:
            before = work.worked(host, options.directory, ["settle"], heart, writes=True)["before"]
        except RefusedError as error:
            error.next = [AGAIN]
            raise
        message += f" What the interrupted restore replaced stays in its volume, in {before}, until the next restore."
    _take_writes(host)
    host.note(options.run, "restore", "kept", interrupted=run)
    return Outcome("restore_ended", message, True, {}, [["./invoke", "plone.backup"]])


def _start(host: Host, seconds: float, heart: Heart | None) -> None:
    """Start Plone, and return once it is healthy. FailedError where it ends, or has not become so within `seconds`.

    The engine may call it unhealthy before: its health check expects 210 s, and a large site may need more.
    """
    name = host.settings.container(PLONE)
    host.engine.start(name)
    begun, first = host.clock.monotonic(), host.engine.container(name)
    while True:
        found = host.engine.container(name)
        if found and found.runs and found.health == "healthy":
            return
        ended = found is None or not found.runs or (first is not None and found.restarts > first.restarts)
        if ended or host.clock.monotonic() - begun > seconds:
            state = found.health or found.state if found and found.runs else found.state if found else "absent"
            said = " | ".join(host.engine.log(name, LOG_LINES)) if found else ""
            how = "has ended, and was not healthy" if ended else "is not healthy"
            raise FailedError(
                "backup_failed",
                f"Plone {how} after {host.clock.monotonic() - begun:.0f} s ({state}). Its log: {said}",
            )
        if heart:
            heart.beat()
        host.clock.sleep(WAIT_SECONDS)


def _undo(host: Host, options: argparse.Namespace) -> str | None:
    """Bring back what the restore replaced, and start Plone; return where what was written meanwhile is kept.

    Without the heartbeat: a run that took the lock over meanwhile gets the data from before.
    """
    host.engine.stop(host.settings.container(PLONE), work.STOP_SECONDS)
    kept = work.worked(host, options.directory, ["undo"], writes=True).get("kept")
    _start(host, options.start_seconds, None)
    return kept
