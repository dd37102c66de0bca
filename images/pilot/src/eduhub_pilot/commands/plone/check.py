"""`plone-check`: say what an upgrade of our Plone would do, or for what it would be refused. Changes nothing.

What only the new image can tell, whether the content goes through, a rehearsal tells.
"""

from __future__ import annotations

import argparse
import re
from datetime import datetime

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.commands.plone import backup, work
from eduhub_pilot.commands.plone.version import DEPLOY
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout import claim
from eduhub_pilot.rollout.plone import PYTHON, VERSION, interrupted

UNCHANGED = "Nothing was changed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_run(parser)
    work.add_directory(parser)
    parser.add_argument("--version", default="", help="of Plone that was asked for; without it the one that serves")
    parser.add_argument("--python", default="", help="that was asked for; without it not looked at")
    parser.add_argument("--within-days", type=float, default=0, help="a backup as new is used, and else one is made")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    serves = work.plone(host)
    if not serves.runs:
        message = f"Our Plone does not run on this host, so there is nothing to upgrade. {UNCHANGED}"
        raise RefusedError("plone_absent", message, DEPLOY)
    with host.store.guard():
        claim.refuse_claimed(host, options.run)
    work.refuse_standby(host)
    work.refuse_unconfirmed(host)
    if found := interrupted(host):
        raise RefusedError("restore_interrupted", f"{found.message} {UNCHANGED}", *found.next)
    now, python = serves.labels.get(VERSION, ""), serves.labels.get(PYTHON, "")
    wanted = options.version or now
    same_python = not options.python or python == options.python or python.startswith(f"{options.python}.")
    if wanted == now and same_python:
        return Outcome("plone_unchanged", f"Plone {now} runs on Python {python}: there is nothing to upgrade.")
    if not serves.in_files:
        message = (
            "Plone's database is not in files (ZEO_ADDRESS or RELSTORAGE_DSN), so no standby can take it over. "
            f"{UNCHANGED} A deployment makes its container again, and cuts requests."
        )
        raise RefusedError("plone_database_unsupported", message, ["./invoke", "deploy", "--yes"])
    told = _of_version(host, options, now, wanted) if wanted != now else " Requests wait while it takes over."
    to = " on ".join(
        [*([f"Plone {wanted}"] if wanted != now else []), *([f"Python {options.python}"] if options.python else [])]
    )
    message = f"Plone {now} on Python {python} can be upgraded to {to}. {_backup(host, options)}{told} {UNCHANGED}"
    again = ["./invoke", "plone.upgrade", *(["--python", options.python] if options.python else []),
             *(["--version", options.version] if options.version else [])]  # fmt: skip
    return Outcome("plone_checked", message, False, {"plone_version": now, "backup": host.store.backup()}, [again])


def _backup(host: Host, options: argparse.Namespace) -> str:
    last = host.store.backup()
    if last and options.within_days and backup.recent(host, last, options.within_days):
        return f"Backup {last['id']} is used, made {stamp(datetime.fromisoformat(last['time']))}."
    return "A backup is made first, and proven."


def _of_version(host: Host, options: argparse.Namespace, now: str, wanted: str) -> str:
    """Return in words what another version takes. RefusedError where it would be refused."""
    if _numbers(wanted) < _numbers(now):
        message = (
            f"Plone {now} runs, and {wanted} is older: content of a newer version cannot be taken back. {UNCHANGED}"
        )
        raise RefusedError("plone_version_older", message, work.LIST)
    if not host.endpoint.refuses_writes(TIMEOUT_SECONDS):
        message = f"Plone's endpoint is of an earlier release, and cannot refuse writes. {UNCHANGED} Deploy first."
        raise RefusedError("plone_endpoint_old", message, DEPLOY)
    return f" Then writes are refused until you confirm it{_space(host, options)}."


def _space(host: Host, options: argparse.Namespace) -> str:
    """Return in words the space of the copy that is upgraded; RefusedError where there is too little."""
    last = host.store.backup()
    if last is None or last.get("directory") != options.directory:
        return ", and a copy of all content is written beside it: how much that is, the backup tells"
    words = ["plan", f"--at={last['id']}", f"--stack={host.settings.stack}"]
    try:
        planned = work.worked(host, options.directory, words, part="list")
    except RefusedError as error:
        if error.code == "backup_space_short":
            raise
        return f", and a copy of all content is written beside it: how much that is, is not known ({error.message})"
    return f", and a copy of {planned['bytes'] / 1e6:.1f} MB is written beside its data, for which there is room"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
