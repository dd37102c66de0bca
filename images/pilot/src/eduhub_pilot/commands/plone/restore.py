"""`restore`: restore a backup of Plone's data to scratch, which proves it, or in place of the data that Plone has."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import copies, work
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE
from eduhub_pilot.model.outcome import Outcome

WAIT_SECONDS = 1.0
LOG_LINES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_arguments(parser)
    copies.add_arguments(parser)
    parser.add_argument("--from-copy", action="store_true", help="get the backup from the repository of copies first")
    parser.add_argument("--at", default="", help="the newest backup made then or before; without it the newest")
    parser.add_argument("--to", default="", help="scratch, or live; scratch without it")
    parser.add_argument("--agreed", action="store_true", help="also without a backup of what is replaced")
    parser.add_argument("--start-seconds", type=float, required=True, help="how long Plone may take to become healthy")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    if options.to not in {"", "scratch", "live"}:
        message = f"A backup is restored to scratch or live, not to {options.to[:40]!r}. Nothing was changed."
        raise RefusedError("restore_target_unknown", message, ["./invoke", "plone.restore", "--to", "scratch"])
    work.plone(host)
    restore = _live if options.to == "live" else _scratch
    with work.locked(host, options.run, options.owner, "plone.restore") as heart:
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
    """Replace Plone's data by that of a backup; on any failure Plone serves what it had."""
    name, begun = host.settings.container(PLONE), host.clock.monotonic()
    _refuse_early(host)
    _end_interrupted(host, options, heart)
    words = ["plan", *_at(options.at), f"--stack={host.settings.stack}", *(["--any-site"] if options.from_copy else [])]
    planned = work.worked(host, options.directory, words, heart)
    backup = planned["backup"]
    if not planned["fresh"] and not options.agreed:
        raise RefusedError(
            "backup_not_fresh",
            f"No proven backup holds Plone's data as it is now (last change {planned['now']}), which the restore of "
            f"{backup['id']} would replace. Nothing was changed. Make one first, or agree with --yes; the replaced "
            "data stays in Plone's volume either way.",
            ["./invoke", "plone.backup"],
            ["./invoke", "plone.restore", "--to", "live", "--yes"],
        )
    host.note(options.run, "restore", "begun", backup=backup["id"], owner=options.owner)
    work.worked(host, options.directory, ["stage", f"--at={backup['id']}", f"--run={options.run}"], heart, writes=True)
    stopped = host.clock.monotonic()
    try:
        host.engine.stop(name, work.STOP_SECONDS)
        work.worked(host, options.directory, ["swap", f"--run={options.run}"], heart, writes=True)
        _start(host, options.start_seconds, heart)
        before = work.worked(host, options.directory, ["settle"], heart, writes=True)["before"]
    except (PilotError, OSError) as error:
        raise work.undone(
            host, options.run, "restore", error, lambda: _undo(host, options),
            work.Ending(
                "restore_reverted",
                f"The restore of backup {backup['id']} failed, and Plone serves the data from before it:", [work.LIST],
                "restore_stuck", f"The restore of backup {backup['id']} failed:",
                "The data from before could not be brought back:",
            ),
            backup=backup["id"],
        ) from None  # fmt: skip
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


def _refuse_early(host: Host) -> None:
    work.refuse_standby(host)
    work.refuse_unconfirmed(host)


def _end_interrupted(host: Host, options: argparse.Namespace, heart: Heart) -> None:
    """Bring back what a restore had replaced that was killed, and start Plone."""
    name = host.settings.container(PLONE)
    if not work.worked(host, options.directory, ["interrupted"], heart)["interrupted"]:
        return
    host.engine.stop(name, work.STOP_SECONDS)
    work.worked(host, options.directory, ["undo"], heart, writes=True)
    host.note(options.run, "restore", "undone", why="an earlier restore was interrupted")
    _start(host, options.start_seconds, heart)


def _start(host: Host, seconds: float, heart: Heart | None) -> None:
    """Start Plone, and return once it is healthy. Raises FailedError."""
    name = host.settings.container(PLONE)
    host.engine.start(name)
    deadline = host.clock.monotonic() + seconds
    while True:
        found = host.engine.container(name)
        if found and found.runs and found.health == "healthy":
            return
        if found is None or found.health == "unhealthy" or host.clock.monotonic() > deadline:
            state = found.health or found.state if found else "absent"
            said = " | ".join(host.engine.log(name, LOG_LINES)) if found else ""
            raise FailedError(
                "backup_failed", f"Plone did not become healthy within {seconds:g} s ({state}). Its log: {said}"
            )
        if heart:
            heart.beat()
        host.clock.sleep(WAIT_SECONDS)


def _undo(host: Host, options: argparse.Namespace) -> None:
    """Bring back what the restore replaced, and start Plone.

    Without the heartbeat: a run that took the lock over meanwhile gets the data from before.
    """
    host.engine.stop(host.settings.container(PLONE), work.STOP_SECONDS)
    work.worked(host, options.directory, ["undo"], writes=True)
    _start(host, options.start_seconds, None)
