"""Copies proven backups into a restic repository, and gets them back, through containers of the image of copies."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model import copies as known
from eduhub_pilot.model.copies import DEPLOY, Copy, Told
from eduhub_pilot.model.errors import EngineDownError, FailedError, PilotError, RefusedError
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
LOCK_WAIT = "10m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where copies are kept."""
    parser.add_argument("--copy", default="", help="where copies are kept, and which, as JSON; none without it")


class Repository:
    """A repository, in containers called `part`. Each method raises FailedError for what restic cannot do."""

    def __init__(self, host: Host, where: Told, part: str = "copy") -> None:
        self.host, self.where, self._name = host, where, host.settings.container(part)
        self._files = f"{host.settings.shown_config}/copy"

    def identity(self, *, first: bool) -> str:
        """Return the repository's id. An empty place becomes a repository where it is the `first` use of it."""
        answer = self._ran(["cat", "config", "--no-lock"], seconds=ANSWER_SECONDS, fine=(0, 10))
        if answer.code == 10:
            if not first:
                raise known.missing(self.where)
            self._ran(["init"], seconds=ANSWER_SECONDS)
            answer = self._ran(["cat", "config", "--no-lock"], seconds=ANSWER_SECONDS)
        return known.identity(answer.output)

    def copies(self) -> list[Copy]:
        """Return this host's copies, oldest first."""
        words = ["snapshots", "--no-lock", *self._ours()]
        return known.copies_in(self._ran(words, seconds=ANSWER_SECONDS).output)

    def unlock(self) -> None:
        """Remove locks of runs that are gone."""
        self._ran(["unlock"], seconds=ANSWER_SECONDS)

    def save(self, directory: str, backup: Mapping[str, Any]) -> int:
        """Copy a backup; return how many bytes were new there."""
        time = datetime.fromisoformat(backup["time"])
        words = [
            "backup", "--retry-lock", LOCK_WAIT, "--group-by", "host", "--host", self.where.name,
            "--tag", known.tags(backup), "--time", f"{time:%Y-%m-%d %H:%M:%S}",
            # Another backup's link to a blob changes its ctime, and not the blob.
            "--ignore-ctime", COPIED,
        ]  # fmt: skip
        folders = {f"{directory}/{backup['id']}": f"{COPIED}/files", f"{directory}/database": f"{COPIED}/database"}
        mounts = [Mount(outside, inside, read_only=True) for outside, inside in folders.items()]
        return known.number(self._ran(words, mounts).output, "data_added_packed")

    def forget(self) -> None:
        """Remove this host's copies that are no longer kept, and what no copy needs."""
        words = ["forget", "--prune", "--retry-lock", LOCK_WAIT, "--group-by", "host", *self._ours()]
        self._ran([*words, *known.kept(self.where)])

    def check(self, part: int) -> None:
        """Check the repository, and read one part of it; parts count from 1."""
        words = ["check", "--retry-lock", LOCK_WAIT, f"--read-data-subset={part}/{known.PARTS}"]
        answer = self._ran(words, fine=(0, 1))
        if answer.code:
            error = known.failure(answer, self.where, self._files)
            if error.code != "copy_failed":
                raise error
            raise FailedError(
                "copy_damaged",
                f"The repository {self.where.to} is damaged: {error.message} A new one, at another place, gets all "
                "backups that this host has.",
                DEPLOY,
            )

    def size(self, copy: Copy) -> int:
        """Return how many bytes a copy has once it is restored."""
        answer = self._ran(["stats", copy.snapshot, "--mode", "restore-size", "--no-lock"])
        return known.number(answer.output, "total_size")

    def fetch(self, copy: Copy, directory: str, between: Callable[[], None]) -> None:
        """Write a copy into a directory of backups that is empty."""
        mounts = [Mount(directory, RESTORED)]
        for source, target in (("files", copy.id), ("database", "database")):
            words = ["restore", f"{copy.snapshot}:{COPIED}/{source}", "--target", f"{RESTORED}/{target}"]
            self._ran([*words, "--retry-lock", LOCK_WAIT], mounts, between=between)

    def _ours(self) -> list[str]:
        return ["--host", self.where.name, "--tag", known.TAG]

    def _ran(
        self, words: Sequence[str], mounts: Sequence[Mount] = (), seconds: float | None = None,
        between: Callable[[], None] = lambda: None, fine: Sequence[int] = (0,),
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
            # A lock names the host that has it, and no other host may have the same.
            hostname=f"eduhub-{hashlib.sha256(where.name.encode()).hexdigest()[:12]}", memory=MEMORY,
            labels={"org.eduhub.stack": stack, "org.eduhub.role": "copy"},
            environment={"GOMEMLIMIT": MEMORY_GOAL, "TZ": "UTC"},
        )  # fmt: skip
        try:
            look = host.engine.program(program, seconds, between)
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


def usable(host: Host, where: Told) -> bool:
    """Return whether a deployment has brought what the repository is asked with."""
    return has_files(host) and host.engine.image(where.image) is not None


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


def opened(host: Host, repository: Repository) -> None:
    """Make sure of the repository, make it on its first use, and keep which it is."""
    where, last = repository.where, host.store.copy()
    is_known = last.get("to") == where.to and last.get("repository")
    found = repository.identity(first=not is_known)
    if not is_known or last["repository"] != found:
        host.store.save_copy({"to": where.to, "repository": found})


def save(host: Host, where: Told, directory: str, run: str) -> str:
    """Copy all proven backups that have no copy yet; return what was done, in a sentence. Raises PilotError."""
    with alone(host) as free:
        if not free:
            return f"An earlier copy to {where.to} still runs, and takes this backup too."
        repository, begun, saved, added = Repository(host, where), host.clock.monotonic(), [], 0
        opened(host, repository)
        repository.unlock()
        while True:
            backups, found = work.worked(host, directory, ["list"], part="copy-list")["backups"], repository.copies()
            known.refuse_foreign(backups, found, where)
            left = known.waiting(backups, found)
            if not left or left[0]["id"] in saved:
                break
            added += repository.save(directory, left[0])
            saved.append(left[0]["id"])
            host.note(run, "copy", "copied", backup=saved[-1], to=where.to)
        if saved:
            host.store.save_copy({**host.store.copy(), "last": {"id": saved[-1], "time": stamp(host.clock.now())}})
            repository.forget()
        part = _checked(host, repository)
        host.store.save_copy({name: value for name, value in host.store.copy().items() if name != "failed"})
    seconds = host.clock.monotonic() - begun
    checked = f" Part {part} of {known.PARTS} of the repository was read and is whole." if part else ""
    if not saved:
        return f"{where.to} has a copy of it already.{checked}"
    several = f", with {len(saved) - 1} before it" if len(saved) > 1 else ""
    return f"It was copied to {where.to}{several}, in {seconds:.1f} s ({added / 1e6:.1f} MB were new there).{checked}"


def _checked(host: Host, repository: Repository) -> int | None:
    """Check a part of the repository where that is due; return which."""
    last, now, days = host.store.copy(), host.clock.now(), repository.where.check_days
    before = last.get("checked") or {}
    if not days or (before and now - datetime.fromisoformat(before["time"]) < timedelta(days=days)):
        return None
    part = int(before.get("part", 0)) % known.PARTS + 1
    repository.check(part)
    host.store.save_copy({**last, "checked": {"time": stamp(now), "part": part}})
    return part


@contextmanager
def fetched(host: Host, options: argparse.Namespace, heart: Heart) -> Iterator[str]:
    """Fetch the copy that `options.at` names; yield the directory of backups that it is in, for as long."""
    where = wanted(options)
    with alone(host) as free:
        if not free:
            message = f"A copy to {where.to} is being made. Nothing was changed. Repeat the command when it has ended."
            raise RefusedError("copy_running", message, ["./invoke", "status"])
        repository = Repository(host, where)
        repository.identity(first=False)
        repository.unlock()
        copy = known.chosen(repository.copies(), options.at, where)
        folder = f"{options.directory}/{FETCHED}"
        work.worked(host, options.directory, ["room", f"--bytes={repository.size(copy)}"], heart)
        try:
            begun = host.clock.monotonic()
            repository.fetch(copy, folder, heart.beat)
            host.note(options.run, "copy", "fetched", backup=copy.id, seconds=round(host.clock.monotonic() - begun, 1))
            yield folder
        finally:
            with suppress(PilotError):  # the next backup removes it too
                work.worked(host, options.directory, ["clear"])
