"""Copies proven backups into a restic repository, and gets them back, through containers of the image of copies."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model import copies as known
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.copies import BACKUP, DEPLOY, Copy, Told
from eduhub_pilot.model.errors import EngineDownError, FailedError, PilotError, RefusedError, SupersededError
from eduhub_pilot.model.facts import Look
from eduhub_pilot.model.program import Program
from eduhub_pilot.model.slot_container import Mount
from eduhub_pilot.model.state import stamp

# Where the container has things. The paths of what is copied are the same each time: restic then reads what is new.
REPOSITORY, CACHE, FILES, COPIED, RESTORED = "/repository", "/cache", "/etc/eduhub/copy", "/backup", "/restored"
# A backup that is fetched is alone in a directory of backups of its own, below that of the host.
FETCHED = ".copy"
# Of what this much holds, restic is asked to give back before it is killed for it.
MEMORY, MEMORY_GOAL = "1g", "900MiB"
# restic itself tries an S3 server again for a quarter of an hour.
ANSWER_SECONDS = 60.0
# How long others may have the repository locked: a first copy of another host, or a check, takes hours. What tidies up
# waits less, and is done after the next backup.
LOCK_WAIT, SHORT_WAIT = "6h", "10m"
# Where a file cannot be read, restic copies the others and ends with this.
PARTLY = 3
# Other ends of a check do not say what the repository is like.
DAMAGED = "repository contains errors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where copies are kept."""
    parser.add_argument("--copy", default="", help="where copies are kept, and which, as JSON; none without it")


class Repository:
    """A repository, in containers called `part`. Each method raises FailedError for what restic cannot do.

    `between` is called several times a second while restic works.
    """

    def __init__(
        self, host: Host, where: Told, part: str = "copy", between: Callable[[], None] = lambda: None
    ) -> None:
        self.host, self.where, self._name, self._between = host, where, host.settings.container(part), between
        self._files = f"{host.settings.shown_config}/copy"

    def identity(self, *, first: bool = False) -> str:
        """Return the repository's id. An empty place becomes a repository where it is the `first` use of it."""
        answer = self._ran(["cat", "config", "--no-lock"], seconds=ANSWER_SECONDS, fine=(0, 10))
        if answer.code == 10:
            if not first:
                raise known.missing(self.where)
            self._ran(["init"], seconds=ANSWER_SECONDS)
            answer = self._ran(["cat", "config", "--no-lock"], seconds=ANSWER_SECONDS)
        return known.named(answer.output, "id")

    def copies(self) -> list[Copy]:
        """Return this host's copies, oldest first."""
        words = ["snapshots", "--no-lock", *self._tagged(known.TAG)]
        return known.copies_in(self._ran(words, seconds=ANSWER_SECONDS).output)

    def unlock(self) -> None:
        """Remove locks of runs that are gone."""
        self._ran(["unlock"], seconds=ANSWER_SECONDS)

    def save(self, directory: str, backup: Mapping[str, Any]) -> tuple[str, int]:
        """Copy a backup; return its snapshot, which is no copy until it is `finished`, and how many bytes were new."""
        time = datetime.fromisoformat(backup["time"])
        words = [
            "backup", "--retry-lock", LOCK_WAIT, "--group-by", "host", *self._tagged(known.UNFINISHED),
            "--time", f"{time:%Y-%m-%d %H:%M:%S}",
            # Another backup's link to a blob changes its ctime, and not the blob.
            "--ignore-ctime", f"{COPIED}/files", *(f"{COPIED}/database/{name}" for name in backup["parts"]),
        ]  # fmt: skip
        folders = {f"{directory}/{backup['id']}": f"{COPIED}/files", f"{directory}/database": f"{COPIED}/database"}
        mounts = [Mount(outside, inside, read_only=True) for outside, inside in folders.items()]
        look = self._ran(words, mounts, fine=(0, PARTLY))
        if look.code == PARTLY or known.SKIPPED in look.output:
            raise known.incomplete(backup["id"], look.output)
        return known.named(look.output, "snapshot_id"), known.number(look.output, "data_added_packed")

    def finish(self, snapshot: str, backup: Mapping[str, Any]) -> None:
        """Let a snapshot be the copy of a backup. restic leaves one too where it could not read all."""
        words = ["tag", "--retry-lock", LOCK_WAIT, "--set", known.tags(backup, self.host.store.copier()), snapshot]
        if known.number(self._ran(words).output, "changed_snapshots") != 1:
            message = (
                f"The copy of backup {backup['id']} is gone from {self.where.to} again, or its account may not delete "
                "there, which restic needs."
            )
            raise FailedError("copy_failed", message, BACKUP)

    def forget(self) -> None:
        """Remove this host's copies that are no longer kept, and what no copy needs."""
        words = ["forget", "--retry-lock", SHORT_WAIT]
        self._ran([*words, *self._tagged(known.UNFINISHED), "--unsafe-allow-remove-all"])
        self._ran([*words, "--prune", "--group-by", "host", *self._tagged(known.TAG), *known.kept(self.where)])

    def check(self, part: int) -> None:
        """Check the repository, and read one part of it; parts count from 1."""
        words = ["check", "--retry-lock", SHORT_WAIT, f"--read-data-subset={part}/{known.PARTS}"]
        answer = self._ran(words, fine=(0, 1))
        if answer.code:
            error = known.failure(answer, self.where, self._files)
            if error.code != "copy_failed" or DAMAGED not in answer.output:
                raise error
            raise FailedError(
                "copy_damaged",
                f"The repository {self.where.to} is damaged: {error.message} A new one, at another place, gets all "
                "backups that this host has.",
                DEPLOY,
            )

    def size(self, copy: Copy) -> int:
        """Return how many bytes a copy, and the database that it restores to, take."""
        files = self._ran(["stats", copy.snapshot, "--mode", "restore-size", "--no-lock"])
        manifest = self._ran(["dump", "--no-lock", copy.snapshot, f"{COPIED}/files/manifest.json"])
        text = manifest.output
        try:
            database = int(json.loads(text[text.index("{") : text.rindex("}") + 1])["size"])
        except (ValueError, KeyError):
            message = f"The copy of backup {copy.id} has no manifest that can be read."
            raise FailedError("copy_failed", message, ["./invoke", "plone.backups"]) from None
        return known.number(files.output, "total_size") + database

    def fetch(self, copy: Copy, directory: str) -> None:
        """Write a copy into a directory of backups that is empty."""
        mounts = [Mount(directory, RESTORED)]
        for source, target in (("files", copy.id), ("database", "database")):
            words = ["restore", f"{copy.snapshot}:{COPIED}/{source}", "--target", f"{RESTORED}/{target}"]
            self._ran([*words, "--retry-lock", SHORT_WAIT], mounts)

    def _tagged(self, tag: str) -> list[str]:
        return ["--host", self.where.name, "--tag", tag]

    def _ran(
        self, words: Sequence[str], mounts: Sequence[Mount] = (), seconds: float | None = None,
        fine: Sequence[int] = (0,),
    ) -> Look:  # fmt: skip
        """Run restic; return its end where its exit code is `fine`."""
        host, where, stack = self.host, self.where, self.host.settings.stack
        files = host.settings.config / "copy"
        if not has_files(host):
            message = f"The files for the repository {where.to} are not on this host ({self._files}/password)."
            raise FailedError("copy_failed", message, DEPLOY)
        if host.engine.image(where.image) is None:
            message = f"The image {where.image}, which has restic, is not on this host."
            raise RefusedError("image_missing", message, DEPLOY)
        options = ["--repo", REPOSITORY if where.is_local else where.to, "--password-file", f"{FILES}/password",
                   "--cache-dir", CACHE, "--cleanup-cache", "--quiet", "--json"]  # fmt: skip
        options += ["--cacert", f"{FILES}/ca.pem"] if (files / "ca.pem").exists() else []
        options += ["-o", f"sftp.args={_ssh((files / 'key').exists())}"] if where.to.startswith("sftp:") else []
        more = [Mount(self._files, FILES, read_only=True), Mount(f"{host.settings.shown}/copy", CACHE)]
        more += [Mount(where.to, REPOSITORY)] if where.is_local else []
        program = Program(
            self._name, where.image, [words[0], *options, *words[1:]], [*more, *mounts],
            # A lock names the host that has it: one that replaces this host must not take its locks for stale.
            hostname=f"eduhub-{host.store.copier()}", memory=MEMORY,
            labels={"org.eduhub.stack": stack, "org.eduhub.role": "copy"},
            environment={"GOMEMLIMIT": MEMORY_GOAL, "TZ": "UTC"},
        )  # fmt: skip
        try:
            look = host.engine.program(program, seconds, self._between)
        except EngineDownError as error:
            raise known.failure(Look(125, error.message), where, self._files) from None
        if look.trouble or look.code not in fine:
            raise known.failure(look, where, self._files)
        return look


def _ssh(key: bool) -> str:
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={FILES}/known_hosts",
               "ConnectTimeout=30", "ServerAliveInterval=60", *(["IdentitiesOnly=yes"] if key else [])]  # fmt: skip
    return " ".join([*(f"-o {each}" for each in options), *([f"-i {FILES}/key"] if key else [])])


def has_files(host: Host) -> bool:
    """Return whether the files that a repository needs are on this host."""
    return (host.settings.config / "copy/password").exists()


@contextmanager
def alone(host: Host) -> Iterator[bool]:
    """Keep other pilots of this host from the repository; yield whether none of them is at work there."""
    descriptor = os.open(host.store.root / ".copying", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def wanted(options: argparse.Namespace) -> Told:
    """Return where copies are kept. RefusedError where none are."""
    where = known.told(options.copy)
    if where is None:
        message = "There are no copies: plone_backup_copy_to is empty in the inventory. Nothing was changed."
        raise RefusedError("copy_unknown", message, ["./invoke", "plone.backups"])
    return where


def opened(host: Host, repository: Repository, *, first: bool = False) -> None:
    """Make sure of the repository, and keep which it is. On the `first` use an empty place becomes one."""
    where, last = repository.where, host.store.copy()
    if not first and not is_known(host, where):
        message = f"No deployment has made sure of the repository {where.to} yet."
        raise FailedError("copy_repository_missing", message, DEPLOY)
    found = repository.identity(first=first)
    if last.get("to") != where.to or last.get("repository") != found:
        host.store.save_copy({"to": where.to, "repository": found})


def is_known(host: Host, where: Told) -> bool:
    """Return whether the repository was there before."""
    last = host.store.copy()
    return last.get("to") == where.to and bool(last.get("repository"))


def made(host: Host, where: Told, directory: str, run: str, backup: Mapping[str, Any]) -> str:
    """Copy all proven backups that have no copy yet; return that in a sentence.

    FailedError where that failed, or where `backup`, the last proven one, has no copy afterwards.
    """
    try:
        with alone(host) as free:
            if not free:
                return f"An earlier copy to {where.to} still runs: it takes this backup too, or the next copy does."
            return _made(host, where, directory, run, backup["id"])
    except (PilotError, OSError) as error:
        code, why = getattr(error, "code", "copy_failed"), work.reason(error)
        with suppress(OSError):
            host.note(run, "copy", "failed", code=code, why=why, backup=backup["id"])
            failure = {"time": stamp(host.clock.now()), "run": run, "code": code, "why": why}
            now = _without(host, "begun")
            if now.get("to", where.to) == where.to:  # else a deployment has named another repository meanwhile
                host.store.save_copy({"to": where.to, **now, "failed": failure})
        message = f"Backup {backup['id']} is proven, and {_how_far(host, backup)}. {why}"
        raise FailedError(code if exit_of(code, "backup") == 1 else "copy_failed", message,
                          *getattr(error, "next", ()), backup=backup) from None  # fmt: skip


def _how_far(host: Host, backup: Mapping[str, Any]) -> str:
    if host.store.copy().get("last", {}).get("id") == backup["id"]:
        return "was copied, but not all was done"
    return "was not copied"


def _made(host: Host, where: Told, directory: str, run: str, last: str) -> str:
    repository, begun = Repository(host, where), host.clock.monotonic()
    opened(host, repository)
    _keep(host, where, "begun", {"time": stamp(host.clock.now()), "run": run})
    repository.unlock()
    saved: dict[str, int] = {}
    said: list[str] | None = None
    # What is proven while copies are made, removed or checked is copied too.
    while _save(host, repository, directory, run, last, saved) or said is None:
        said = [*(said or []), *_tidied(host, repository, removes=bool(saved))]
    host.store.save_copy(_without(host, "begun", "failed"))
    seconds = host.clock.monotonic() - begun
    if not saved:
        return " ".join([f"{where.to} has a copy of it already.", *said])
    several = f", with {len(saved) - 1} before it" if len(saved) > 1 else ""
    new_there = f"{sum(saved.values()) / 1e6:.1f} MB were new there"
    return " ".join([f"It was copied to {where.to}{several}, in {seconds:.1f} s ({new_there}).", *said])


def _without(host: Host, *names: str) -> dict[str, Any]:
    return {name: value for name, value in host.store.copy().items() if name not in names}


def _save(host: Host, repository: Repository, directory: str, run: str, last: str, saved: dict[str, int]) -> bool:
    """Copy the backups that have no copy, and add to `saved` how many bytes were new; return whether there were any.

    What is in `saved` before may be removed from the repository already, by its retention. A backup that cannot be read
    keeps newer ones from nothing: FailedError once these have been copied.
    """
    any_left = False
    unread: dict[str, FailedError] = {}
    while True:
        backups, found = _listed(host, directory), repository.copies()
        there = {*saved, *unread, *(each.id for each in found)}
        left, own = known.waiting(backups, there, last), host.store.copier()
        known.refuse_foreign(left, found, {own, host.store.copy().get("accepted", own)}, repository.where)
        if not left:
            if unread:
                raise unread[max(unread)]
            if last not in there:
                message = f"{repository.where.to} has no copy of backup {last}, and it is not in {directory}."
                raise FailedError("copy_failed", message, BACKUP)
            return any_left
        backup, partly = left[0], None
        try:
            snapshot, added = repository.save(directory, backup)
        except FailedError as error:
            if error.code != "copy_incomplete":
                raise
            partly = error
        # A later backup may remove an older one at any time: what is gone by now was not copied as a whole.
        if backup["id"] not in {each["id"] for each in _listed(host, directory)}:
            continue
        if partly:
            unread[backup["id"]] = partly
            continue
        repository.finish(snapshot, backup)
        saved[backup["id"]], any_left = added, True
        host.note(run, "copy", "copied", backup=backup["id"], to=repository.where.to)
        _keep(host, repository.where, "last", {"id": backup["id"], "time": stamp(host.clock.now())})


def _keep(host: Host, where: Told, name: str, value: Any) -> None:
    """Keep what is known of the repository, unless a deployment has named another one or none meanwhile."""
    now = host.store.copy()
    if now.get("to") == where.to:
        host.store.save_copy({**now, name: value})


def _listed(host: Host, directory: str) -> list[dict[str, Any]]:
    """Return the backups that this host has."""
    backups: list[dict[str, Any]] = work.worked(host, directory, ["list"], part="copy-list")["backups"]
    if any("parts" not in each for each in backups):
        message = "Plone's image on this host is older than copies of backups. Deploy a newer one, with --yes."
        raise FailedError("copy_failed", message, [*DEPLOY, "--yes"])
    return backups


def _tidied(host: Host, repository: Repository, *, removes: bool) -> list[str]:
    """Remove what is no longer kept, and check the repository where that is due; return what there is to say of it."""
    said: list[str] = []
    try:
        if removes:
            repository.forget()
        if part := _checked(host, repository):
            said.append(f"Part {part} of {known.PARTS} of the repository was read and is whole.")
    except FailedError as error:
        if error.code != "copy_locked":
            raise
        said.append("Another run has it locked, so it is tidied up and checked after another backup.")
    return said


def _checked(host: Host, repository: Repository) -> int | None:
    """Check a part of the repository where that is due; return which."""
    now, days = host.clock.now(), repository.where.check_days
    before = host.store.copy().get("checked") or {}
    if not days or (before and now - datetime.fromisoformat(before["time"]) < timedelta(days=days)):
        return None
    part = int(before.get("part", 0)) % known.PARTS + 1
    repository.check(part)
    _keep(host, repository.where, "checked", {"time": stamp(now), "part": part})
    return part


@contextmanager
def fetched(host: Host, options: argparse.Namespace, heart: Heart) -> Iterator[str]:
    """Fetch the copy that `options.at` names; yield the directory of backups that it is in, for as long."""
    where = wanted(options)
    with alone(host) as free:
        if not free:
            message = f"A copy to {where.to} is being made. Nothing was changed. Repeat the command when it has ended."
            raise RefusedError("copy_running", message, ["./invoke", "status"])
        repository, folder = Repository(host, where, between=heart.beat), f"{options.directory}/{FETCHED}"
        with _repeated(options):
            repository.identity()
            repository.unlock()
            found = repository.copies()
            copy = known.chosen(found, options.at, where)
            size = repository.size(copy)
        work.worked(host, options.directory, ["room", f"--bytes={size}"], heart)
        try:
            begun = host.clock.monotonic()
            with _repeated(options):
                repository.fetch(copy, folder)
            host.note(options.run, "copy", "fetched", backup=copy.id, seconds=round(host.clock.monotonic() - begun, 1))
            yield folder
            if options.to == "live":  # this host replaces the one that made them, and adds to its copies
                host.store.save_copy({**host.store.copy(), "accepted": found[-1].host})
        finally:
            # The next backup removes it too. By now the lock, with the container of its holder, may be another run's.
            with suppress(PilotError):
                work.worked(host, options.directory, ["clear"], part="copy-clear")


@contextmanager
def _repeated(options: argparse.Namespace) -> Iterator[None]:
    """Let a failure name the restore to repeat: a backup of a site that waits for its content would be in its way."""
    try:
        yield
    except SupersededError:
        raise
    except FailedError as error:
        again = ["./invoke", "plone.restore", "--from-copy", *(["--at", options.at] if options.at else []),
                 *(["--to", "live", "--yes"] if options.to == "live" else [])]  # fmt: skip
        raise FailedError(error.code, error.message, *(each for each in error.next if each != BACKUP), again) from None
