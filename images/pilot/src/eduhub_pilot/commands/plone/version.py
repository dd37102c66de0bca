"""`plone-upgrade`: let another version of Plone take over, with a migrated copy of the database.

Versions do not share a database, so the served one stays as it is: until the upgrade is confirmed writes are refused,
and a rollback loses nothing but what reads write. First all is rehearsed on a restored backup, while people write.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Heart, Host
from eduhub_pilot.analysis.canary import Sample, Side, side
from eduhub_pilot.commands.plone import backup, work
from eduhub_pilot.commands.plone.hand_over import CONTRACT, compared
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.model.errors import (
    FailedError,
    PersonError,
    PilotError,
    ProxyDownError,
    RefusedError,
    SupersededError,
)
from eduhub_pilot.model.facts import PLONE_AWAIT, STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout.plone import CONFIRM, ROLLBACK, VERSION, python_of

DEPLOY = ["./invoke", "deploy"]
# A write that was on its way has ended by then, or the database's last transaction tells, and all is repeated.
SETTLE_SECONDS, PAUSE_SECONDS = 2.0, 0.5
# An upload may take longer: so long it is waited for. With one process reads are waited for too, which never end.
ENDING_SECONDS = 60.0
ATTEMPTS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    work.add_directory(parser)
    backup.add_kept(parser)
    parser.add_argument("--confirm-seconds", type=float, required=True,
                        help="how long it may wait for its confirmation, before the host rolls it back")  # fmt: skip
    parser.add_argument("--contract", choices=CONTRACT, default="off",
                        help="whether other content from it stops that, is only told, or not looked for")  # fmt: skip
    parser.add_argument("--watch-seconds", type=float, default=0, help="how long to watch, and go back if need be")
    parser.add_argument("--rehearse", action="store_true", help="only rehearse it")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    serves, standby = work.plone(host), host.engine.container(host.settings.container(STANDBY_PLONE))
    if standby is None:
        return Outcome("plone_unchanged", "Plone runs as it should: there was nothing to take over.")
    if not host.endpoint.refuses_writes(TIMEOUT_SECONDS):
        host.engine.remove(standby.name, work.STOP_SECONDS)
        message = "Plone's endpoint is of an earlier release, and cannot refuse writes. Deploy first."
        raise RefusedError("plone_endpoint_old", message, DEPLOY)
    upgrade = Upgrade(host, options, serves, standby)
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        rehearsal = upgrade.rehearse(heart)
        return upgrade.rehearsed(rehearsal) if options.rehearse else upgrade.upgrade(heart, rehearsal)


class Upgrade:
    """One upgrade from the Plone that `serves` to that of a `standby`, which does not run yet."""

    def __init__(self, host: Host, options: argparse.Namespace, serves: Container, standby: Container) -> None:
        self.host, self.options, self.standby = host, options, standby
        self.old, self.new = (each.labels.get(VERSION, "") for each in (serves, standby))
        self.record: dict[str, str] = {}

    def rehearse(self, heart: Heart) -> dict[str, Any]:
        """Migrate the newest backup in scratch with the new image, and compare the content that both answer.

        Returns what the migration did, and as `pages` the comparison in words. FailedError where it cannot be done.
        """
        host, options = self.host, self.options
        host.note(options.run, "plone", "begun", owner=options.owner, image=self.standby.image, version=self.new)
        try:
            compares = options.contract != "off"
            words = ["prove", "--migrate", *(["--pages"] if compares else [])]
            done = work.worked(host, options.directory, words, heart, container=self.standby.name)
            refuse_other_label(self.new, done["migration"].get("version"))
            made, pages = done["backup"], ""
            if compares:
                was = work.worked(host, options.directory, ["pages", "--at", made["id"]], heart)["pages"]
                refuse_older_program(was)
                enforced = options.contract == "enforce"
                pages = compared(content(was), content(done["pages"]), "requests for content of the backup", enforced)
        except (PilotError, OSError) as error:
            raise self._given_up(error, "The rehearsal of the upgrade failed") from None
        migration: dict[str, Any] = done["migration"]
        host.note(options.run, "plone", "rehearsed", backup=made["id"], **migration)
        return {**migration, "pages": pages}

    def rehearsed(self, rehearsal: Mapping[str, Any]) -> Outcome:
        """Return the answer of a rehearsal alone. The standby is removed."""
        self.host.engine.remove(self.standby.name, work.STOP_SECONDS)
        message = (
            f"Plone {self.new} takes the content over from {self.old}: a backup was migrated in "
            f"{rehearsal['seconds']:.1f} s{sites(rehearsal)}.{rehearsal['pages']}{add_ons(rehearsal)} Nothing was "
            "changed."
        )
        upgrade = ["./invoke", "plone.upgrade", "--version", self.new]
        return Outcome("plone_rehearsed", message, True, {"migration": dict(rehearsal)}, [upgrade])

    def upgrade(self, heart: Heart, rehearsal: Mapping[str, Any]) -> Outcome:
        """Refuse writes, migrate a copy of the database, and let the new version take over with it."""
        host, options = self.host, self.options
        over = TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart)
        begun, first, old = host.clock.monotonic(), over.counts(), Side()
        try:
            self._close()
            made = self._prepare(heart)
        except SupersededError:
            raise
        except (PilotError, OSError) as error:
            raise self._given_up(error, f"The upgrade to Plone {self.new} was given up") from None
        now = over.counts()
        old = side(Sample(first), Sample(now)) if first and now else old
        try:
            seconds = over.take_over()
            host.note(options.run, "plone", "handed_over", image=self.standby.image, seconds=seconds, version=self.new)
            # The old one has ended what it had begun by now: a write among that would be missing in the copy.
            check = partial(self._step, "check", heart, f"--transaction={made['last_transaction']}")
            over.watch(options.watch_seconds, old, check)
        except (PersonError, SupersededError):
            raise
        except FailedError as error:
            _, said = leave(host, options.directory, self.new, options.run)
            error.message += said
            raise opened_again(host, error) from None
        over.settle()
        confirm_by = self._waits()
        closed = host.clock.monotonic() - begun
        message = (
            f"Plone {self.new} serves, with the content of {self.old} as of backup {made['id']}{sites(rehearsal)}; "
            f"requests for it waited for up to {seconds:.1f} s. Writes are refused, for {closed:.0f} s by now, until "
            f"you confirm it. A rollback to Plone {self.old} loses nothing until then but what reads write, as links "
            f"that confirm a subscription. Unconfirmed, the host rolls back by itself at {confirm_by}."
            f"{rehearsal['pages']}{add_ons(rehearsal)}"
        )
        data = {"seconds": seconds, "closed_seconds": round(closed, 1), "plone_python": python_of(self.standby),
                "plone_version": self.new, "backup": made["id"], "confirm_by": confirm_by}  # fmt: skip
        return Outcome("plone_upgraded", message, True, data, [CONFIRM, ROLLBACK])

    def _close(self) -> None:
        """Refuse writes, once it is noted why, and something is there that ends it without an operator."""
        host = self.host
        host.store.save_settings(self.options.run, host.settings.given)
        self.record = {"run": self.options.run, "from": self.old, "to": self.new, "since": stamp(host.clock.now())}
        host.store.save_plone_upgrade(self.record)
        host.engine.start(host.settings.container(PLONE_AWAIT))
        reason = f"Plone is upgraded to {self.new}."
        host.store.save_plone_writes(reason)  # first, so that a HAProxy that restarts comes back with it
        host.endpoint.refuse_writes(reason, TIMEOUT_SECONDS)

    def _waits(self) -> str:
        """Let the new version wait for its confirmation; return until when, in RFC 3339."""
        host = self.host
        confirm_by = stamp(host.clock.now() + timedelta(seconds=self.options.confirm_seconds))
        host.store.save_plone_upgrade({**self.record, "confirm_by": confirm_by})
        return confirm_by

    def _prepare(self, heart: Heart) -> dict[str, Any]:
        """Make the database of the new version from a backup, and return that. Raises PilotError."""

        def copied() -> dict[str, Any]:
            made = self._backup(heart)
            self._step("stage", heart, f"--at={made['id']}")
            self._step("migrate", heart)
            return made

        return self._unwritten("enter", heart, copied)

    def _backup(self, heart: Heart) -> dict[str, Any]:
        """Make a backup after which nothing was written, and return it: a copy would cost more than another one."""

        def backed_up() -> dict[str, Any]:
            self._written_out(heart)
            made: dict[str, Any] = backup.made(self.host, self.options, heart)["backup"]
            return made

        return self._unwritten("check", heart, backed_up)

    def _unwritten(self, step: str, heart: Heart, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the backup from `make`, made anew while `step` finds that Plone was written after it. PilotError."""
        for attempt in range(1, ATTEMPTS + 1):
            made = make()
            try:
                self._step(step, heart, f"--transaction={made['last_transaction']}")
            except PilotError as error:
                if error.code != "plone_written_meanwhile" or attempt == ATTEMPTS:
                    raise
                continue
            break
        return made

    def _written_out(self, heart: Heart) -> None:
        """Return once Plone has ended what was on its way when writes were refused, or it had the time for that."""
        host, begun = self.host, self.host.clock.monotonic()
        host.clock.sleep(SETTLE_SECONDS)
        with suppress(ProxyDownError):
            while host.endpoint.busy(TIMEOUT_SECONDS) and host.clock.monotonic() - begun < ENDING_SECONDS:
                heart.beat()
                host.clock.sleep(PAUSE_SECONDS)

    def _step(self, name: str, heart: Heart | None, *words: str) -> None:
        found = self.host.engine.container(self.standby.name) or work.plone(self.host)  # once it has taken over
        step(self.host, self.options.directory, found.name, name, heart, f"--run={self.options.run}",
             f"--serves={self.old}", *words)  # fmt: skip

    def _given_up(self, error: Exception, what: str) -> PilotError:
        """Undo what was prepared, take writes again, and return why."""
        host, why = self.host, work.reason(error)
        closed = host.store.plone_upgrade() is not None  # before that, nothing was written into the volume
        said = leave(host, self.options.directory, self.new, self.options.run)[1] if closed else ""
        with suppress(PilotError):
            host.engine.remove(self.standby.name, work.STOP_SECONDS)
        with suppress(PilotError, OSError):
            host.note(self.options.run, "plone", "failed", why=why)
        message = f"{what}: {why.rstrip('.')}. Plone {self.old} serves as before, and takes writes.{said}"
        following = getattr(error, "next", None) or [["./invoke", "status"]]
        failed = FailedError("plone_upgrade_failed", message, *following)
        return opened_again(host, failed) if closed else failed


def step(host: Host, directory: str, container: str, name: str, heart: Heart | None, *words: str) -> dict[str, Any]:
    """Let the image of `container` take one step of an upgrade, and return its answer. Raises PilotError."""
    return work.worked(host, directory, [f"upgrade-{name}", *words], heart, writes=True, container=container)


def leave(host: Host, directory: str, version: str, run: str, container: str = "") -> tuple[str | None, str]:
    """Remove the database of a version that does not serve, by the image of `container` or that which serves.

    Where it was written it is put aside: return where that is, and what is to be said of it. What cannot be removed
    stays until the next upgrade.
    """
    words = [f"--version={version}", f"--run={run}"]
    try:
        answer = step(host, directory, container or work.plone(host).name, "leave", None, *words)
    except (PilotError, OSError) as error:
        why = work.reason(error).rstrip(".")
        return None, f" The database of Plone {version} could not be removed, and the next upgrade does it: {why}."
    if "kept" not in answer:
        said = f" Whether reads had written to Plone {version} was not looked at: the image is of an earlier release."
        return None, said
    kept = answer["kept"]
    said = f" What was written to Plone {version} meanwhile, by reads that write, stays in Plone's volume, in {kept}."
    return kept, said if kept else ""


def reopen(host: Host) -> None:
    """Take writes again, and forget that an upgrade was to be confirmed. ProxyDownError without the endpoint."""
    host.endpoint.hold(False, TIMEOUT_SECONDS)
    host.endpoint.refuse_writes(None, TIMEOUT_SECONDS)  # first: a full disk must not keep it
    host.store.save_plone_writes(None)
    host.store.save_plone_upgrade(None)


def opened_again(host: Host, error: FailedError) -> PilotError:
    """Take writes again after an upgrade that failed with `error`; return it, or that writes are refused still.

    Or will be after the next restart: on a full disk Plone's endpoint takes them, and what it reads as it starts stays.
    """
    try:
        reopen(host)
    except PilotError as again:
        message = f"{error.message} But writes are refused still: {work.reason(again)}"
        return PersonError("plone_writes_refused", message, ROLLBACK)
    except OSError as again:
        message = (
            f"{error.message} But that could not be written to the disk ({again.strerror or again}), and a restart of "
            "the host refuses them again. Make room, then roll back."
        )
        return PersonError("plone_writes_refused", message, ["df", "-h"], ROLLBACK)
    return error


def refuse_other_label(label: str, version: str | None) -> None:
    """FailedError where an image's label has another version than its Plone, if that is known."""
    if version and version != label:
        message = (
            f"The new image says that it has Plone {label} (label org.opencontainers.image.version), and has "
            f"{version}: which database is whose would be mistaken. Build it with the label {version}."
        )
        raise FailedError("plone_upgrade_failed", message)


def refuse_older_program(pages: Mapping[str, str]) -> None:
    """FailedError where the image that serves cannot tell an item's content from the rest."""
    if any(answer.startswith("200 application/json ") and " content " not in answer for answer in pages.values()):
        message = "The image that serves is of an earlier release, and cannot be compared. Deploy first."
        raise FailedError("plone_upgrade_failed", message, DEPLOY)


def content(pages: Mapping[str, str]) -> dict[str, str]:
    """Return answers by their content alone: what else an item has as JSON differs between versions of Plone."""
    return {request: " ".join(_without_digest(answer.split(" "))) for request, answer in pages.items()}


def _without_digest(words: list[str]) -> list[str]:
    # "200 application/json DIGEST content DIGEST"
    return [*words[:2], *words[3:]] if words[3:4] == ["content"] else words


def sites(migration: Mapping[str, Any]) -> str:
    """Return which sites were migrated, in words after those that say so; nothing where none was."""
    found = migration.get("sites") or {}
    return f" (sites: {', '.join(found)})" if found else ""


def add_ons(migration: Mapping[str, Any]) -> str:
    """Return which add-ons offer an upgrade of their own, as a sentence; nothing where none does."""
    offered = migration["add_ons"]
    return f" Add-ons that offer an upgrade in the site's control panel: {', '.join(offered)}." if offered else ""
