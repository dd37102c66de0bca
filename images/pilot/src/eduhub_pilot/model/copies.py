"""Copies of proven backups in a restic repository: what the inventory says of it, and what restic's answers mean.

restic's exit codes: https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from eduhub_pilot.model.errors import FailedError, RefusedError
from eduhub_pilot.model.facts import Look

# A snapshot has the first tag until restic has copied all of a backup, and then the second with what tells it.
UNFINISHED, TAG = "eduhub-plone-unfinished", "eduhub-plone"
SITE, HOST = "site:", "host:"
ID, ID_FORMAT = re.compile(r"\d{8}T\d{6}Z"), "%Y%m%dT%H%M%SZ"
# Each check of the repository reads the next of so many parts of it.
PARTS = 12
MOST_SAID = 300
LOCAL = "/"
PERIODS = ("daily", "weekly", "monthly")
DEPLOY, BACKUP = ["./invoke", "deploy"], ["./invoke", "plone.backup"]
NO_SPACE = ("no space left on device", "disk quota exceeded", "insufficientstorage", "507 insufficient")
NOT_THERE = (
    "connection refused", "no such host", "i/o timeout", "no route to host", "network is unreachable",
    "could not resolve hostname", "connection timed out", "unable to start the sftp session", "connection reset",
    "stale file handle", "temporary failure in name resolution",
)  # fmt: skip
# A named file that is not there ends no copy.
SKIPPED = "does not exist, skipping"
NO_MOUNT = "bind source path does not exist"


@dataclass(frozen=True)
class Told:
    """What the inventory says of copies. `name`: under which this host's are kept in a repository of several."""

    to: str
    image: str
    name: str
    keep: Mapping[str, int]
    check_days: float

    @property
    def is_local(self) -> bool:
        """Whether the repository is a directory of the host."""
        return self.to.startswith(LOCAL)


@dataclass(frozen=True)
class Copy:
    """A copy of the backup `id`, restic's `snapshot`.

    `sites` and `host`: what tells its sites, and the host that made it, from all others.
    """

    id: str
    snapshot: str
    sites: frozenset[str]
    host: str


def told(text: str) -> Told | None:
    """Return what the option --copy says; None where no copies are wanted."""
    given = json.loads(text) if text else {}
    return Told(**given) if given.get("to") else None


def copies_in(output: str) -> list[Copy]:
    """Return the copies in what `restic snapshots --json` printed, oldest first."""
    line = next((each for each in output.splitlines() if each.startswith("[")), "[]")
    found = []
    for each in json.loads(line):
        tags = each.get("tags") or []
        if name := next((tag for tag in tags if ID.fullmatch(tag)), None):
            sites = frozenset(tag.removeprefix(SITE) for tag in tags if tag.startswith(SITE))
            host = next((tag.removeprefix(HOST) for tag in tags if tag.startswith(HOST)), "")
            found.append(Copy(name, each["id"], sites, host))
    return sorted(found, key=lambda each: each.id)


def named(output: str, name: str) -> str:
    """Return the id that restic printed as `name`; empty where it is not there."""
    found = re.search(rf'"{name}": *"([0-9a-f]{{64}})"', output)
    return found[1] if found else ""


def number(output: str, name: str) -> int:
    """Return the number that restic's summary has for `name`, 0 where it has none."""
    found = re.findall(rf'"{name}": *(\d+)', output)
    return int(found[-1]) if found else 0


def tags(backup: Mapping[str, Any], host: str) -> str:
    """Return the tags of a backup's copy, as one word."""
    return ",".join([TAG, backup["id"], HOST + host, *(SITE + each for each in backup["sites"])])


def waiting(backups: Sequence[Mapping[str, Any]], there: Collection[str], last: str) -> list[Mapping[str, Any]]:
    """Return the proven backups that are not `there` and are newer than those which are, oldest first.

    `last` is the backup that was made last. An older one without a copy is one that is no longer kept there; a copy
    from a later time was made when the clock was wrong, and keeps none from being copied.
    """
    newest = max((each for each in there if each <= last), default="")
    return sorted((each for each in backups
                   if each["state"] == "proven" and each["id"] > newest and each["id"] not in there),
                  key=lambda each: str(each["id"]))  # fmt: skip


def refuse_foreign(
    left: Sequence[Mapping[str, Any]], copies: Sequence[Copy], hosts: Collection[str], where: Told
) -> None:
    """FailedError where the newest copy is of none of `hosts`, or not of the site of a backup in `left`.

    Retention would mix them.
    """
    newest = copies[-1] if copies else None
    if newest and newest.host not in hosts:
        raise _foreign("that another host made", newest, where)
    if newest and newest.sites and any(not newest.sites & set(each["sites"]) for each in left):
        raise _foreign("of another site", newest, where)


def _foreign(whose: str, newest: Copy, where: Told) -> FailedError:
    return FailedError(
        "copy_foreign",
        f"{where.to} has copies {whose} under the name {where.name}, the newest of {newest.id}. Nothing was written "
        "there. Give this host a name of its own in plone_backup_copy_name, and deploy. Only where it replaces the one "
        "that made them, and has no content of its own yet, restore the site from them: plone.restore --from-copy --to "
        "live.",
        ["./invoke", "plone.backups"], DEPLOY,
    )  # fmt: skip


def chosen(copies: Sequence[Copy], at: str, where: Told) -> Copy:
    """Return the newest copy of a backup made at `at` or before; without `at` the newest. Raises RefusedError.

    `at` is an id, or a time as ISO 8601 writes it, in UTC where it names no zone; a day means all of it.
    """
    following = ["./invoke", "plone.backups"]
    if not copies:
        message = f"{where.to} has no copy under the name {where.name}. Nothing was changed."
        raise RefusedError("copy_unknown", message, following)
    if not at:
        return copies[-1]
    moment = _moment(at)
    if moment is None:
        message = f"{at[:40]!r} is neither the id of a backup nor a time like 2026-11-29T03:40:12Z."
        raise RefusedError("copy_unknown", message, following)
    before = [each for each in copies if each.id <= moment.strftime(ID_FORMAT)]
    if not before:
        message = f"There is no copy of a backup from {at} or before: the oldest is {copies[0].id}."
        raise RefusedError("copy_unknown", message, following)
    return before[-1]


def _moment(at: str) -> datetime | None:
    at = at.strip()
    try:
        if ID.fullmatch(at):
            return datetime.strptime(at, ID_FORMAT).replace(tzinfo=UTC)
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    if len(at) == len("2026-11-29"):
        moment += timedelta(days=1, seconds=-1)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def kept(where: Told) -> list[str]:
    """Return restic's options for which copies are kept."""
    return [f"--keep-{period}={where.keep[period]}" for period in PERIODS if where.keep.get(period)]


def failure(look: Look, where: Told, files: str) -> FailedError:
    """Return what restic's end means; `files` is the directory of the host with its password and keys."""
    said = _said(look.output)
    small = look.output.lower()
    again = "Put the right one into backup-copy beside the inventory, and deploy."
    locked = f"Another run has {where.to} locked: {said}."
    wrong = f"The password of {files} does not open the repository {where.to}. {again}"
    by_code = {
        10: missing(where), 11: FailedError("copy_locked", locked, BACKUP),
        12: FailedError("copy_password_wrong", wrong, DEPLOY),
    }  # fmt: skip
    if look.code in by_code:
        return by_code[look.code]
    if any(words in small for words in NO_SPACE):
        why = f"{where.to} is full: {said}. Free some space there, or keep fewer copies (plone_backup_copy_keep)."
        return FailedError("copy_space_short", why, BACKUP)
    if "host key verification failed" in small:
        why = f"The host key of {where.to} is not the one in {files}/known_hosts. {again}"
        return FailedError("copy_unreachable", why, DEPLOY)
    if "permission denied (" in small:
        why = f"The ssh server of {where.to} refuses the key in {files}/key. {again}"
        return FailedError("copy_unreachable", why, DEPLOY)
    if NO_MOUNT in small and where.to not in look.output:
        return FailedError("copy_failed", f"A directory that restic needs is not on this host: {said}.", DEPLOY)
    if look.trouble == "seconds" or any(words in small for words in (*NOT_THERE, NO_MOUNT)):
        why = f"{where.to} does not answer: {said}. Mount or start it."
        return FailedError("copy_unreachable", why, BACKUP)
    if "permission denied" in small:
        why = f"User 500 of this host may not write into {where.to}: {said}."
        following = [["chown", "-R", "500:500", where.to]] if where.is_local else []
        return FailedError("copy_failed", why, *following, BACKUP)
    if look.trouble == "memory":
        return FailedError("copy_failed", "restic was killed, most likely for lack of memory.", ["free", "-h"])
    return FailedError("copy_failed", f"restic ended with {look.code}: {said}.", BACKUP)


def incomplete(backup: str, output: str) -> FailedError:
    """Return that restic could not read all of a backup, which is no copy of it then."""
    if absent := [line.split(SKIPPED)[0].strip() for line in output.splitlines() if SKIPPED in line]:
        message = f"{absent[0][:MOST_SAID]}, a part of backup {backup}, is not there, so there is no copy of it."
        return FailedError("copy_incomplete", message, [*BACKUP, "--full"])
    unread = re.search(r'"item": *"([^"]+)"', output)
    what = f"{unread[1]}, a part of backup {backup}," if unread else f"A part of backup {backup}"
    message = f"{what} could not be read, so there is no copy of it: {_said(output)}."
    return FailedError("copy_incomplete", message, [*BACKUP, "--full"])


def missing(where: Told) -> FailedError:
    """Return that there is no repository where one has to be."""
    first = "Mount it: it is most likely not mounted" if where.is_local else "Look whether it is the place of before"
    why = (
        f"There is no repository at {where.to}. {first}. Only where its copies are lost for good, begin a new one: "
        "deploy with plone_backup_copy_to empty, and then with it."
    )
    return FailedError("copy_repository_missing", why, *([["findmnt", "--target", where.to]] if where.is_local else []))


def _said(output: str) -> str:
    """Return restic's own reason, without its full stop."""
    lines = [line for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if '"exit_error"' in line:
            try:
                # What ssh printed stands before restic's own error, and says more.
                ssh = [each for each in lines if each.startswith("subprocess ssh: ")]
                lines = [*(each.removeprefix("subprocess ssh: ") for each in ssh[-1:]), json.loads(line)["message"]]
            except (ValueError, KeyError):
                continue
            break
    else:
        lines = lines[-2:]
    text = " | ".join(" ".join(each.removeprefix("Fatal: ").split()) for each in lines)
    return text[:MOST_SAID].rstrip(". ") or "it said nothing"
