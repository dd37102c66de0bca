"""`python3 -m eduhub_plone.backup COMMAND ...` prints one JSON object, and exits with its `exit`.

The site's data is at /data, read-only but for `restore`; the directory of backups at /backups.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..place import place, plone_version
from . import restore, upgrade
from .errors import BackupError
from .files import ZEO_SOCKET, need_space, shown
from .make import Site, Timer, make, usable
from .pack import pack, told
from .pages import rendered
from .prove import prove, restored
from .repository import FETCHED, SCRATCH, Backup, backups, chosen, of_version, paused, remove, superfluous

VOLUME = Path("/data")
DATA = place(VOLUME, plone_version())
DIRECTORY = Path("/backups")
# The steps of an upgrade to another version of Plone, taken by its image.
UPGRADE = {
    "upgrade-stage": "write a backup's data beside that of the site",
    "upgrade-migrate": "bring it to this image's version of Plone",
    "upgrade-enter": "make it the database of this version",
    "upgrade-check": "say whether the database of before was written since",
    "upgrade-leave": "remove it, or put it aside where it was written",
    "upgrade-confirm": "let no Plone open the database of before",
}
# The steps of a restore in place of the site's data.
STEPS = {
    "plan": "say whether a backup can be restored in place of the site's data",
    "stage": "write its data beside that of the site",
    "swap": "exchange both, with the site stopped",
    "undo": "exchange them back",
    "interrupted": "say whether a restore was neither undone nor ended",
    "settle": "end the restore",
}


def main(words: Sequence[str]) -> int:
    """Run one command, print its answer, return its exit code."""
    parser = argparse.ArgumentParser(prog="backup", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="make a backup, prove it, remove those that are no longer kept")
    making.add_argument("--full", action="store_true", help="copy everything, share nothing with older backups")
    making.add_argument("--stack", required=True, help="name of the stack")
    making.add_argument("--image", required=True, help="id of the site's image")
    making.add_argument("--full-days", type=float, required=True, help="days after which a backup is a full one")
    making.add_argument("--keep", type=int, required=True, help="proven backups that are kept in any case")
    making.add_argument("--days", type=float, required=True, help="days for which every backup is kept")
    commands.add_parser("list", help="list the backups")
    proving = commands.add_parser("prove", help="restore a backup to scratch, and compare it with its manifest")
    proving.add_argument("--at", default="", help="the newest made then or before; without it the newest")
    proving.add_argument("--pages", action="store_true", help="render a sample of its pages too")
    proving.add_argument("--migrate", action="store_true", help="bring it to this image's version of Plone before")
    rendering = commands.add_parser("pages", help="restore a backup to scratch, and render a sample of its pages")
    rendering.add_argument("--at", default="", help="the newest made then or before; without it the newest")
    packing = commands.add_parser("pack", help="remove from the database what is no longer the content")
    packing.add_argument("--days", type=float, required=True, help="days for which changes can still be undone")
    room = commands.add_parser("room", help="make the directory that a copy of a backup is fetched to")
    room.add_argument("--bytes", type=int, required=True, help="how large it is")
    commands.add_parser("clear", help="remove what was fetched")
    for name, summary in UPGRADE.items():
        step = commands.add_parser(name, help=summary)
        step.add_argument("--at", default="", help="id of the backup")
        step.add_argument("--run", default="", help="id of the run")
        step.add_argument("--serves", default="", help="version of the Plone that serves")
        step.add_argument("--transaction", default="", help="the last one of the backup")
        step.add_argument("--version", default=plone_version() or "", help="of the database that is left")
    for name, summary in STEPS.items():
        step = commands.add_parser(name, help=summary)
        step.add_argument("--at", default="", help="the newest made then or before; without it the newest")
        step.add_argument("--run", default="", help="id of the run")
        step.add_argument("--stack", default="", help="name of the stack")
        step.add_argument("--transaction", default="", help="the last one that may be replaced; without it any")
        step.add_argument("--any-site", action="store_true", help="also where the backup is of another site")
    options = parser.parse_args(words)
    os.umask(0o027)  # as Plone has it, whose files a restore writes
    try:
        known = {"make": made, "list": listed, "prove": proved, "plan": planned, "pages": paged,
                 "room": roomed, "clear": cleared, "pack": packed, **dict.fromkeys(UPGRADE, upgraded)}  # fmt: skip
        answer = known.get(options.command, stepped)(options)
        code = 0
    except BackupError as error:
        answer, code = {"code": error.code, "message": error.message, **error.data}, error.exit
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        message = f"A file could not be read or written: {error.strerror or error}{where}. The site is untouched."
        answer, code = {"code": "backup_failed", "message": message}, 1
    print(json.dumps({**answer, "exit": code}))
    return code


def made(options: argparse.Namespace) -> dict[str, Any]:
    """Make a backup, prove it, and remove those that are no longer kept."""
    site = Site(DATA)
    site.check(os.environ)
    restore.refuse_interrupted(site)
    about = {"stack": options.stack, "image": options.image}
    about |= {"python": platform.python_version(), "plone": plone_version()}
    gone: list[Backup] = []

    def thin() -> list[Backup]:
        found = superfluous(backups(DIRECTORY), options.keep, options.days, datetime.now(timezone.utc))
        remove(DIRECTORY, found)
        gone.extend(found)
        return found

    made_now = make(site, DIRECTORY, about, options.full, options.full_days, thin)
    backup = prove(made_now, DIRECTORY, by_maker=True)
    raise_damaged(backup)
    thin()
    found = backups(DIRECTORY)
    document = backup.document()
    seconds = sum(document["seconds"].values())
    kind = "everything" if document["full"] else "what was new"
    message = (
        f"Backup {backup.id} was made in {seconds:.1f} s ({kind}, {shown(document['added'])}) and proven in "
        f"{document['proof_seconds']:.1f} s: {counted(document['counts'])}. It restores the site as of "
        f"{document['recovery_point']}."
    )
    message += f" {document['note']}" if document["note"] else ""
    message += f" {len(gone)} older ones were removed." if gone else ""
    if (pause := paused(found, options.days)) and len(found) > max(options.keep, 1):
        message += f" {pause}"
    return {"code": "backup_proven", "message": message, "backup": document, "removed": [each.id for each in gone]}


def roomed(options: argparse.Namespace) -> dict[str, Any]:
    """Make an empty directory for a copy of a backup that is fetched."""
    usable(DIRECTORY)
    shutil.rmtree(DIRECTORY / FETCHED, ignore_errors=True)
    need_space(DIRECTORY, options.bytes, "The copy of the backup")
    (DIRECTORY / FETCHED).mkdir()
    return {"code": "copy_fetched", "message": "There is room for the copy."}


def cleared(_: argparse.Namespace) -> dict[str, Any]:
    """Remove what was fetched."""
    shutil.rmtree(DIRECTORY / FETCHED, ignore_errors=True)
    return {"code": "copy_fetched", "message": "What was fetched is removed."}


def packed(options: argparse.Namespace) -> dict[str, Any]:
    """Pack the database of the running site."""
    site, begun = Site(DATA), time.monotonic()
    site.check(os.environ)
    restore.refuse_interrupted(site)
    before, after = pack(site, options.days, DATA / ZEO_SOCKET)
    seconds = round(time.monotonic() - begun, 1)
    message = told(before, after, options.days, seconds)
    return {"code": "plone_packed", "message": message, "before": before, "after": after, "seconds": seconds}


def planned(options: argparse.Namespace) -> dict[str, Any]:
    """Say whether a backup can be restored in place of the site's data."""
    site, found = Site(DATA), backups(DIRECTORY)
    site.check(os.environ)
    backup = chosen(found, options.at)
    plan = restore.plan(site, backup, found, options.stack, plone_version(), options.any_site)
    return {"code": "restore_planned", "message": f"Backup {backup.id} can be restored.", "backup": backup.document(),
            **plan}  # fmt: skip


def stepped(options: argparse.Namespace) -> dict[str, Any]:
    """Take one step of a restore."""
    site, before, kept, run = Site(DATA), None, None, restore.interrupted(Site(DATA))
    # Answered to this question alone: it may read the whole database, and Plone is stopped for some steps.
    written = restore.written(site) if options.command == "interrupted" else None
    if options.command == "stage":
        restore.stage(site, chosen(backups(DIRECTORY), options.at), DIRECTORY, options.run, options.transaction)
    elif options.command == "swap":
        restore.swap(site, options.run, options.transaction)
    elif options.command == "undo":
        kept = in_volume(restore.undo(site))
    elif options.command == "settle":
        before = in_volume(restore.settle(site))
    message = f"The step {options.command} of the restore was taken."
    return {"code": "restore_stepped", "message": message, "before": before, "interrupted": run, "written": written,
            "kept": kept}  # fmt: skip


def in_volume(name: str | None) -> str | None:
    """Return the path below the volume of what is in the database's directory, which may be that of a version."""
    return name and str((DATA / name).relative_to(VOLUME))


def upgraded(options: argparse.Namespace) -> dict[str, Any]:
    """Take one step of an upgrade to this image's version of Plone."""
    version, migration, kept = plone_version() or "", None, None
    if options.command == "upgrade-stage":
        backup = chosen(backups(DIRECTORY), options.at)
        upgrade.stage(VOLUME, options.serves, backup, DIRECTORY, options.run)
    elif options.command == "upgrade-migrate":
        migration = upgrade.upgrade(VOLUME, options.run, os.environ, version)
    elif options.command == "upgrade-enter":
        upgrade.enter(VOLUME, options.serves, version, options.run, options.transaction)
    elif options.command == "upgrade-check":
        upgrade.unwritten(VOLUME, options.serves, options.transaction)
    elif options.command == "upgrade-confirm":
        upgrade.confirm(VOLUME, options.serves, version)
    else:
        kept = upgrade.leave(VOLUME, options.version, options.run)
    message = f"The step {options.command} was taken."
    return {"code": "plone_upgrade_stepped", "message": message, "migration": migration, "kept": kept}


def raise_damaged(backup: Backup) -> None:
    """Raise BackupError for a backup that failed its proof."""
    if backup.state != "proven":
        why = backup.document()["why"]
        message = f"{why} The site is untouched. --full makes a backup that shares nothing with older ones."
        raise BackupError("backup_damaged", message, backup=backup.document())


def counted(counts: dict[str, Any]) -> str:
    """Return the counts in words."""
    items = sum(counts["items"].values())
    return f"{counts['objects']} objects, {counts['blobs']} blobs, {items} items of content"


def listed(_: argparse.Namespace) -> dict[str, Any]:
    """List the backups, newest first."""
    found = [each.document() for each in reversed(backups(DIRECTORY))]
    rows = [row(each) for each in found]
    lines = ["Backups of this site, newest first, by times in UTC:", *rows]
    message = "\n".join(lines) if rows else "There is no backup of this site."
    return {"code": "backups_listed", "message": message, "backups": found}


def row(document: dict[str, Any]) -> str:
    """Return one backup as an indented line, which is shown unfolded."""
    if document["size"] is None:
        return f"  {document['id']}  damaged  {document['why']}"
    kind = "full" if document["full"] else "incremental"
    why = f"  {document['why']}" if document["why"] else ""
    return (
        f"  {document['id']}  {document['state']}  {kind}, {shown(document['added'])}  "
        f"{counted(document['counts'])}, as of {document['recovery_point']}{why}"
    )


def proved(options: argparse.Namespace) -> dict[str, Any]:
    """Restore a backup to scratch."""
    found: dict[str, Any] = {"pages": {}, "migration": None}

    def then(scratch: Path) -> None:
        if options.pages or options.migrate:
            found.update(rendered(scratch, os.environ, migrates=options.migrate))

    # Without `at` what this image can read, or may migrate: an upgrade that was rolled back may have left others.
    found_here = backups(DIRECTORY)
    fitting = found_here if options.at else of_version(found_here, plone_version(), other=options.migrate)
    backup = prove(chosen(fitting, options.at), DIRECTORY, then, migrates=options.migrate)
    raise_damaged(backup)
    document = backup.document()
    message = (
        f"Backup {backup.id} restores: {counted(document['counts'])}, as of {document['recovery_point']}. "
        f"The restore to scratch took {document['restore_seconds']:.1f} s, with reading all of it "
        f"{document['proof_seconds']:.1f} s."
    )
    message += f" {document['note']}" if document["note"] else ""
    return {"code": "backup_proven", "message": message, "backup": document, **found}


def paged(options: argparse.Namespace) -> dict[str, Any]:
    """Render a sample of a backup's pages."""
    here = backups(DIRECTORY)
    backup, timer = chosen(here if options.at else of_version(here, plone_version()), options.at), Timer()
    try:
        pages = rendered(restored(backup, DIRECTORY, timer), os.environ)["pages"]
    finally:
        shutil.rmtree(DIRECTORY / SCRATCH, ignore_errors=True)
    message = f"{len(pages)} requests for pages of backup {backup.id} were answered."
    return {"code": "pages_rendered", "message": message, "backup": backup.document(), "pages": pages}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
