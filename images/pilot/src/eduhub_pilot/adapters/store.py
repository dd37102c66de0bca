"""The host's state on disk. Every file is replaced whole: temporary file, fsync, rename, fsync of the directory.

One pilot at a time writes, holding `guard`; the kernel releases it when a pilot dies. lock.json outlives pilots: it is
a run's claim on the host over many commands, and appears with its whole content or not at all.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from eduhub_pilot.model import journal
from eduhub_pilot.model.document import RELEASE_ID, SCHEMA, Document, Source
from eduhub_pilot.model.errors import FailedError, RefusedError
from eduhub_pilot.model.facts import SLOTS, Slot, Transport, slot_of
from eduhub_pilot.model.release import Record, parse_record
from eduhub_pilot.model.state import HostState, Lock, Serving, moment, parse_lock, parse_state, stamp

EMPTY = "none"
# What maintenance.map has for `writes` while they are refused begins so; the reason follows, URL-encoded.
CLOSED = "closed:"
# Runs whose samples are kept; a run's name is its directory's.
RUNS = 10
# Reports on images that are kept.
MOST_EXAMINED = 20
NOW = "now.json"
SETTINGS = "settings.json"
BACKUP, COPY, FAILED, BEGUN = "plone-backup.json", "plone-copy.json", "failed", "begun"
COPIER = "plone-copier.json"
PLONE_UPGRADE, PLONE_RESTORE = "plone-upgrade.json", "plone-restore.json"
PLONE_ROLLBACK = "plone-rollback.json"
LIST = ["./invoke", "rollback", "--list"]
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
# The end of the journal that is searched for a truncated last line; lines are far shorter.
TAIL = 1 << 20
# The end of the journal that a report searches for the last rollout.
JOURNAL = 8 << 20


def kept_settings(root: Path, run: str) -> Mapping[str, Any]:
    """Return the inventory's values that were kept of `run`; RefusedError where they cannot be read."""
    source = Source(
        f"runs/{run}/{SETTINGS} in the host's state directory", "settings_unreadable",
        "It holds the settings that this run began with. Roll back the run, then repeat the command.",
        (["./invoke", "rollback"],),
    )  # fmt: skip
    if not RUN.fullmatch(run):
        raise source.refused("is not a valid path: the id of the run is invalid")
    try:
        text = (root / "runs" / run / SETTINGS).read_text()
    except UnicodeDecodeError:
        raise source.refused("is not UTF-8 text") from None
    except OSError as error:
        raise source.refused(f"cannot be read ({error.strerror})") from None
    settings = Document.parse(text, source).fields.get("settings")
    if not isinstance(settings, dict):
        raise source.refused("has no object in `settings`")
    return settings


def maintenance_value(reason: str | None) -> str:
    """Return what HAProxy's map has for `writes`: one word, without what its command line would split."""
    return "open" if reason is None else CLOSED + quote_plus(reason)


class Store:
    """The files under `root`; `shown` is where the host has them, for messages."""

    def __init__(self, root: Path, shown: str, guard_seconds: float = 60) -> None:
        self.root = root
        self.shown = shown
        self.guard_seconds = guard_seconds
        self._depth = 0

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Keep other pilots from changing this host; RefusedError when another one holds the guard for too long."""
        if self._depth:
            yield
            return
        descriptor = os.open(self.root / ".guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait(descriptor)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.guard_seconds
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RefusedError(
                        "host_busy",
                        f"Another pilot has been writing to {self.shown} for {self.guard_seconds:.0f} s. Repeat the "
                        "command when it has finished.",
                        ["./invoke", "status"],
                    ) from None
                time.sleep(0.02)

    # --- files

    def _write(self, path: Path, text: str) -> None:
        temporary = self._temporary(path, text)
        temporary.replace(path)
        self._sync(path.parent)

    def _overwritten(self, path: Path, text: str) -> bool:
        """Return whether a map could be replaced in its place, which needs no room: what was longer is a comment then.

        So short that a pilot which is killed has written it or not.
        """
        with suppress(OSError), path.open("r+b", buffering=0) as file:
            left = os.fstat(file.fileno()).st_size - len(text)
            if left >= 0:
                file.write(f"{text}{'#' * (left - 1)}{chr(10) * (left > 0)}".encode())
                os.fsync(file.fileno())
                return True
        return False

    def _temporary(self, path: Path, text: str) -> Path:
        # One name is enough with the guard held; a file that a crash left is overwritten.
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def _sync(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return "not text"  # its parser refuses it by name

    # --- release.json

    def state(self) -> HostState:
        """Return the host's state; where release.json is missing, rebuilt from the traffic maps and records."""
        text = self._read(self.root / "release.json")
        if text is None:
            return self._rebuilt()
        file = f"{self.shown}/release.json"
        remedy = "Move it away and repeat the command: the live release is then read from the traffic maps."
        return parse_state(text, Source(file, "state_unreadable", remedy, (["mv", file, f"{file}.bad"],)))

    def _rebuilt(self) -> HostState:
        slot, names = slot_of(self.weight()), self.names()
        release = names[slot]
        if release is None or not self._record_path(release).exists():
            return HostState()
        since = self.record(release).created
        return HostState(live=Serving(slot, release, since), good=(release,), slots=names)

    def save_state(self, state: HostState) -> None:
        self._write(self.root / "release.json", state.text())

    # --- lock.json

    def lock(self) -> Lock | None:
        """Return the lock of this host, or None."""
        text = self._read(self.root / "lock.json")
        if text is None:
            return None
        remedy = "If no other run is active, --take-over replaces it."
        return parse_lock(text, Source(f"{self.shown}/lock.json", "lock_unreadable", remedy))

    def take(self, lock: Lock) -> None:
        """Take the lock; RefusedError when another one appeared. The file appears with its content, or not at all."""
        path = self.root / "lock.json"
        temporary = self._temporary(path, lock.text())
        try:
            os.link(temporary, path)
        except FileExistsError:
            message = "Another run took the lock of this host at the same moment. Nothing was changed."
            raise RefusedError("lock_taken", message, ["./invoke", "status"]) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._sync(self.root)

    def renew(self, lock: Lock) -> None:
        """Replace the lock by `lock`, which this run holds."""
        self._write(self.root / "lock.json", lock.text())

    def free(self) -> None:
        """Remove the lock."""
        (self.root / "lock.json").unlink(missing_ok=True)
        self._sync(self.root)

    # --- the edge's maps, as committed

    def weight(self) -> int:
        """Return green's committed traffic weight, in percent; 0 before the first deployment."""
        return self.kept_weight() or 0

    def kept_weight(self) -> int | None:
        """Return the same; None where traffic.map is missing, as before the first deployment."""
        text = self._read(self.root / "edge/traffic.map")
        if text is None:
            return None
        words = text.split()
        if len(words) != 2 or words[0] != "green" or not words[1].isdigit() or int(words[1]) > 100:
            raise RefusedError(
                "traffic_map_unreadable",
                f"{self.shown}/edge/traffic.map holds {text!r}, not one line 'green WEIGHT' with a weight of 0 to "
                "100. Write the weight of the live slot into it: 0 for blue, 100 for green.",
            )
        return int(words[1])

    def save_weight(self, weight: int) -> None:
        self._write(self.root / "edge/traffic.map", f"green {weight}\n")

    def names(self) -> dict[Slot, str | None]:
        """Return the release in each slot as the edge names it in its answers."""
        pairs = dict(line.split() for line in (self._read(self.root / "edge/releases.map") or "").splitlines()
                     if len(line.split()) == 2)  # fmt: skip
        return {slot: name if RELEASE_ID.fullmatch(name := pairs.get(slot, EMPTY)) else None for slot in SLOTS}

    def save_names(self, names: dict[Slot, str | None]) -> None:
        text = "".join(f"{slot} {names[slot] or EMPTY}\n" for slot in SLOTS)
        self._write(self.root / "edge/releases.map", text)

    def transports(self) -> dict[Slot, Transport]:
        """Return how the edge reaches the bridge in each slot; by socket where nothing is said."""
        pairs = [line.split() for line in (self._read(self.root / "edge/transport.map") or "").splitlines()]
        tcp = {pair[0] for pair in pairs if pair[1:] == ["tcp"]}
        return {slot: "tcp" if slot in tcp else "socket" for slot in SLOTS}

    def save_transports(self, transports: Mapping[Slot, Transport]) -> None:
        self._write(self.root / "edge/transport.map", "".join(f"{slot} {transports[slot]}\n" for slot in SLOTS))

    def maintenance(self) -> str | None:
        """Return why writes are refused, "" without a reason; None where they are not."""
        words = (self._read(self.root / "edge/maintenance.map") or "").split()
        return unquote_plus(words[1][len(CLOSED) :]) if len(words) == 2 and words[1].startswith(CLOSED) else None

    def save_maintenance(self, reason: str | None) -> None:
        self._write(self.root / "edge/maintenance.map", f"writes {maintenance_value(reason)}\n")

    def draining(self) -> bool:
        """Return whether a balancer before this host is told to go elsewhere."""
        return (self._read(self.root / "edge/drain.map") or "").split() == ["draining", "1"]

    def save_draining(self, wanted: bool) -> None:
        self._write(self.root / "edge/drain.map", f"draining {int(wanted)}\n")

    # --- the last backup of Plone's data

    def backup(self) -> dict[str, Any] | None:
        """Return what `save_backup` kept; None where there is none, or none that can be read."""
        found = self._backup_file()
        return {name: value for name, value in found.items() if name not in (FAILED, BEGUN)} if "id" in found else None

    def backup_failure(self) -> dict[str, Any] | None:
        """Return what `save_backup_failure` kept of the last backup; None where that one did not fail."""
        failed = self._backup_file().get(FAILED)
        return failed if isinstance(failed, dict) else None

    def backup_begun(self) -> dict[str, Any] | None:
        """Return what `save_backup_begun` kept; None where the last backup has ended."""
        begun = self._backup_file().get(BEGUN)
        return begun if isinstance(begun, dict) else None

    def save_backup_begun(self, begun: Mapping[str, Any]) -> None:
        """Keep which run makes a backup, and since when, until it is proven or has failed."""
        with self.guard():
            self._write_backup({**self._backup_file(), BEGUN: begun})

    def save_backup(self, backup: Mapping[str, Any]) -> None:
        """Keep which backup of Plone's data was the last to be proven."""
        with self.guard():
            self._write_backup(backup)

    def save_backup_failure(self, failure: Mapping[str, Any]) -> None:
        """Keep when and why the last backup failed, until one is proven."""
        with self.guard():
            known = {name: value for name, value in self._backup_file().items() if name != BEGUN}
            self._write_backup({**known, FAILED: failure})

    def _write_backup(self, known: Mapping[str, Any]) -> None:
        self._write(self.root / BACKUP, json.dumps({"schema": SCHEMA, **known}, indent=1) + "\n")

    def copy(self) -> dict[str, Any]:
        """Return what `save_copy` kept of the repository of copies; empty where there is none, or none to be read.

        `to`, its `repository` id, and, once there is one, the `last` copy, how it was last `checked`, what `failed`
        since, which run has `begun` and not ended, and the other host whose copies this one goes on with (`accepted`).
        """
        return self._json_of(COPY)

    def save_copy(self, copy: Mapping[str, Any]) -> None:
        """Keep what is known of the repository of copies."""
        with self.guard():
            self._write(self.root / COPY, json.dumps({"schema": SCHEMA, **copy}, indent=1) + "\n")

    def copier(self) -> str:
        """Return what tells copies that this host makes from those of others; made at random at the first request.

        FailedError where it was made before and cannot be read: with another one, its own copies would be foreign.
        """
        if not self._json_of(COPIER).get("id"):
            if self._read(self.root / COPIER):
                message = (
                    f"{COPIER} in the state directory, which says what copies are of this host, cannot be read. Bring "
                    "it back; or remove it, and give this host another plone_backup_copy_name."
                )
                raise FailedError("copy_failed", message, ["./invoke", "deploy"])
            with self.guard():
                made = {"schema": SCHEMA, "id": secrets.token_hex(6), **self._json_of(COPIER)}
                self._write(self.root / COPIER, json.dumps(made, indent=1) + "\n")
        return str(self._json_of(COPIER)["id"])

    def _backup_file(self) -> dict[str, Any]:
        return self._json_of(BACKUP)

    def _json_of(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self._read(self.root / name) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    # --- an upgrade of Plone's version that is neither confirmed nor rolled back

    def plone_upgrade(self) -> dict[str, Any] | None:
        """Return what `save_plone_upgrade` kept; None where there is none.

        `run`, `from`, `to`, `since`, and, once the new version serves, `confirm_by`: when the host rolls it back; once
        its confirmation has begun, `confirming`: since when.
        """
        source = Source(f"{self.shown}/{PLONE_UPGRADE}", "state_unreadable", "Move it away.")
        text = self._read(self.root / PLONE_UPGRADE)
        if text is None:
            return None
        document = Document.parse(text, source)
        upgrade: dict[str, Any] = {name: document.text(name) for name in ("run", "from", "to", "since")}
        times = (name for name in ("confirm_by", "confirming") if name in document.fields)
        return upgrade | {name: moment(document, name) for name in times}

    def save_plone_upgrade(self, upgrade: Mapping[str, str | datetime] | None) -> None:
        """Keep from which version to which Plone is upgraded, or that no upgrade waits any more; times by `stamp`."""
        with self.guard():
            if upgrade is None:
                (self.root / PLONE_UPGRADE).unlink(missing_ok=True)
            else:
                kept = {name: stamp(each) if isinstance(each, datetime) else each for name, each in upgrade.items()}
                self._write(self.root / PLONE_UPGRADE, json.dumps({"schema": SCHEMA, **kept}, indent=1) + "\n")

    def plone_restore(self) -> dict[str, Any] | None:
        """Return what `save_plone_restore` kept; None where no restore is at work, or was interrupted."""
        return self._json_of(PLONE_RESTORE) or None

    def save_plone_restore(self, restore: Mapping[str, str] | None) -> None:
        """Keep that a restore in place of Plone's data is at work, or that none is any more.

        `run`, `since` by `stamp`, and as `writes` whether Plone's endpoint has them "refused" or "taken".
        """
        with self.guard():
            if restore is None:
                (self.root / PLONE_RESTORE).unlink(missing_ok=True)
            else:
                self._write(self.root / PLONE_RESTORE, json.dumps({"schema": SCHEMA, **restore}, indent=1) + "\n")

    def plone_rollback(self) -> str | None:
        """Return the id of the container to which a rollback of Plone returns that has not ended; None without one."""
        return self._json_of(PLONE_ROLLBACK).get("container")

    def save_plone_rollback(self, container: str | None) -> None:
        """Keep the id of the container to which Plone is rolled back, or that no rollback is at work any more."""
        with self.guard():
            if container is None:
                (self.root / PLONE_ROLLBACK).unlink(missing_ok=True)
            else:
                document = {"schema": SCHEMA, "container": container}
                self._write(self.root / PLONE_ROLLBACK, json.dumps(document, indent=1) + "\n")

    def save_plone_writes(self, reason: str | None) -> None:
        """Keep for Plone's endpoint, which reads it as it starts, why it refuses writes; None where it takes them."""
        path, text = self.root / "run/plone-endpoint/writes.map", f"writes {maintenance_value(reason)}\n"
        with self.guard():
            try:
                self._write(path, text)
            except OSError:  # a full disk must not keep writes refused
                if reason is not None or not self._overwritten(path, text):
                    raise

    # --- records

    def _record_path(self, release: str) -> Path:
        return self.root / "releases" / release / "release.json"

    def record(self, release: str) -> Record:
        """Return a release's record; RefusedError when it is missing or cannot be read."""
        file = f"{self.shown}/releases/{release}/release.json"
        text = self._read(self._record_path(release))
        if text is None:
            raise RefusedError("record_missing", f"{file} is missing.", LIST)
        return parse_record(text, Source(file, "record_unreadable", "Move its directory away.", (LIST,)))

    def records(self) -> dict[str, Record]:
        """Return all readable records by id: one broken file must not block a rollback to the others."""
        found = {}
        for release in self.releases():
            with suppress(RefusedError):
                found[release] = self.record(release)
        return found

    def releases(self) -> list[str]:
        """Return the ids of all releases on disk, readable or not, oldest first."""
        found = [path.parent.name for path in (self.root / "releases").glob("*/release.json")]
        return sorted(release for release in found if RELEASE_ID.fullmatch(release))

    def save_record(self, record: Record) -> None:
        path = self._record_path(record.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write(path, record.text())
        self._sync(path.parent.parent)

    def evidence(self, release: str, name: str) -> str | None:
        """Return what a gate kept of a release under `name`, or None."""
        return self._read(self._record_path(release).with_name(name))

    def save_evidence(self, release: str, name: str, text: str) -> None:
        """Keep what a gate found about a release, beside its record; it is removed with the record."""
        with self.guard():
            self._write(self._record_path(release).with_name(name), text)

    def examined(self, image: str, key: str) -> str | None:
        """Return what was found of an image, by its id and a `key` of what else that depends on; None for nothing."""
        return self._read(self._examined_path(image) / f"{key}.json")

    def save_examined(self, image: str, key: str, text: str) -> None:
        """Keep what was found of an image; the oldest go when there are more than MOST_EXAMINED."""
        path = self._examined_path(image) / f"{key}.json"
        with self.guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, text)
            kept = sorted(self.root.glob("examined/*/*.json"), key=lambda each: each.stat().st_mtime, reverse=True)
            for old in kept[MOST_EXAMINED:]:
                old.unlink(missing_ok=True)

    def _examined_path(self, image: str) -> Path:
        return self.root / "examined" / image.rpartition(":")[2]

    def drop_record(self, release: str) -> None:
        shutil.rmtree(self._record_path(release).parent, ignore_errors=True)

    # --- samples and progress of a shift: neither decides anything, so no fsync

    def append_sample(self, run: str, line: str, header: str) -> None:
        """Append one line to the run's samples, its newline included; the file begins with `header`.

        A truncated last line is ended first.
        """
        folder = self._room(run)
        if folder is None:
            return
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(folder / "samples.jsonl", flags, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            cut = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, f"{'' if size else header}{chr(10) if cut else ''}{line}".encode())
        finally:
            os.close(descriptor)

    def save_settings(self, run: str, given: Mapping[str, Any]) -> None:
        """Keep the inventory's values for what outlives the run's command, which sent them."""
        folder = self._room(run)
        if folder:
            self._write(folder / SETTINGS, json.dumps({"schema": SCHEMA, "settings": given}, indent=1) + "\n")

    def samples(self, run: str) -> list[str]:
        """Return the lines of the run's samples, its header first; none where there are none."""
        folder = self._run(run)
        return (self._read(folder / "samples.jsonl") or "").splitlines() if folder else []

    def save_now(self, run: str, text: str) -> None:
        """Replace the published progress of the run."""
        folder = self._room(run)
        if folder:
            temporary = folder / ".now.json.new"
            temporary.write_text(text)
            temporary.rename(folder / NOW)

    def shown_now(self, run: str) -> str | None:
        """Return the host's path of what `save_now` writes; None for a run that has none."""
        return f"{self.shown}/runs/{run}/{NOW}" if self._run(run) else None

    def _room(self, run: str) -> Path | None:
        """Return the run's directory, created if missing; the oldest runs' directories are then removed."""
        folder = self._run(run)
        if folder and not folder.is_dir():
            folder.mkdir(parents=True)
            for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-RUNS]:
                if old != folder:  # which is the oldest where the clock was set back
                    shutil.rmtree(old, ignore_errors=True)
        return folder

    def _run(self, run: str) -> Path | None:
        return self.root / "runs" / run if RUN.fullmatch(run) else None

    # --- the journal

    def journal(self, most: int = JOURNAL) -> tuple[list[str], bool]:
        """Return the journal's lines, a truncated one included, and whether older ones are left out."""
        path = self.root / "journal.jsonl"
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most))
                lines = file.read().decode(errors="replace").split("\n")
        except FileNotFoundError:
            return [], False
        return [line for line in lines[size > most :] if line], size > most

    def append(self, line: str, repair: Callable[[str], str]) -> None:
        """Append one line. A truncated last line is replaced by `repair` of it: nothing is lost.

        One write ends the old line and adds the new one, so a pilot killed here leaves the journal as it was.
        """
        path = self.root / "journal.jsonl"
        with self.guard():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)  # it holds log lines of failed releases, which may hold secrets
                size = os.fstat(descriptor).st_size
                fragment = journal.cut(os.pread(descriptor, TAIL, max(0, size - TAIL)))
                ended = line
                if fragment and journal.whole(fragment):
                    ended = fragment.decode() + "\n" + line
                elif fragment:
                    ended = repair(fragment.decode(errors="replace")) + line
                data = ended.encode()
                if os.pwrite(descriptor, data, size - len(fragment)) < len(data):  # as a disk that fills up does
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
