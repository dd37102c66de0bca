"""`backup`: back Plone's data up beside the running site, and prove the backup by a restore to scratch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import copies, work
from eduhub_pilot.model.copies import NO_MOUNT, told
from eduhub_pilot.model.errors import EngineDownError, PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout.plone import VERSION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_arguments(parser)
    add_kept(parser)
    copies.add_arguments(parser)
    parser.add_argument("--within-days", type=float, default=0, help="make none where the last proven one is as new")
    parser.add_argument("--full", action="store_true", help="copy everything, share nothing with older backups")


def add_kept(parser: argparse.ArgumentParser) -> None:
    """Add which backups are kept, and when one copies everything."""
    parser.add_argument("--keep", required=True, help="proven backups that are kept in any case")
    parser.add_argument("--days", required=True, help="days for which every backup is kept")
    parser.add_argument("--full-days", required=True, help="days after which a backup is a full one")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    last = host.store.backup()
    if options.within_days and last and recent(host, last, options.within_days):
        message = f"The last proven backup of Plone, {last['id']}, is not older than {options.within_days:g} days."
        return Outcome("backup_recent", message, False, {"backup": last})
    with work.locked(host, options.run, options.owner, "plone.backup") as heart:
        work.refuse_unconfirmed(host)  # one of the new version is of no use to the old one, once that is back
        answer = made(host, options, heart, full=options.full)
    message, where = answer["message"], told(options.copy)
    if where:  # without the lock: a first copy may take hours, and a rollout goes on meanwhile
        message += f" {copies.made(host, where, options.directory, options.run, answer['backup'])}"
    return Outcome(answer["code"], message, True, {"backup": answer["backup"]}, work.NEXT[answer["code"]])


def made(host: Host, options: argparse.Namespace, heart: Heart, *, full: bool = False) -> dict[str, Any]:
    """Make a backup and prove it, under the lock of this run, and return the program's answer. Raises PilotError."""
    words = ["make", "--stack", host.settings.stack, "--image", work.plone(host).image, "--keep", options.keep,
             "--days", options.days, "--full-days", options.full_days]  # fmt: skip
    host.note(options.run, "backup", "begun", owner=options.owner)
    host.store.save_backup_begun({"time": stamp(host.clock.now()), "run": options.run})
    try:
        if not full:
            refuse_empty(host, options.directory, heart)
        answer = work.worked(host, options.directory, words + (["--full"] if full else []), heart)
    except PilotError as error:
        with suppress(OSError):
            host.note(options.run, "backup", "failed", code=error.code, why=error.message)
            failure = {"time": stamp(host.clock.now()), "run": options.run, "why": error.message}
            host.store.save_backup_failure(failure)
        raise
    backup = answer["backup"]
    kept = {name: backup[name] for name in ("id", "time", "state", "recovery_point")}
    kept["directory"] = options.directory
    host.store.save_backup({**kept, "plone": work.plone(host).labels.get(VERSION)})
    host.note(
        options.run, "backup", "proven", backup=backup["id"], seconds=backup["seconds"],
        proof_seconds=backup["proof_seconds"], removed=answer["removed"],
    )  # fmt: skip
    return answer


def refuse_empty(host: Host, directory: str, heart: Heart) -> None:
    """RefusedError where the directory of the last proven backup has none: most likely nothing is mounted there."""
    last = host.store.backup() or {}
    if last.get("directory") != directory:
        return
    try:
        found = work.worked(host, directory, ["list"], heart)["backups"]
    except EngineDownError as error:
        if NO_MOUNT not in error.message:
            raise
        found = []
    if found:
        return
    message = (
        f"{directory} has no backup, and the last proven one, {last['id']}, was made there: most likely nothing is "
        "mounted there. Nothing was changed. Mount it; only where its backups are gone, begin anew with --full."
    )
    full = ["./invoke", "plone.backup", "--full"]
    raise RefusedError("backup_directory_empty", message, ["findmnt", "--target", directory], full)


def recent(host: Host, backup: Mapping[str, Any], days: float) -> bool:
    """Return whether a backup was made at most `days` ago, of the version of Plone that serves.

    One whose time is yet to come has a time that is wrong.
    """
    age = host.clock.now() - datetime.fromisoformat(backup["time"])
    return timedelta(0) <= age <= timedelta(days=days) and not foreign(host, backup)


def foreign(host: Host, backup: Mapping[str, Any]) -> str | None:
    """Return in words that a backup is of another version of Plone than the one that serves; None where it is not.

    Nor where either is not known, as of a backup that was noted by an earlier release.
    """
    serves = host.engine.container(host.settings.container(PLONE))
    was, now = backup.get("plone"), serves.labels.get(VERSION) if serves else None
    return f"is of Plone {was}, and {now} serves" if was and now and was != now else None
