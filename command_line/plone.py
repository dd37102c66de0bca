"""The verbs plone.*, of our Plone and its content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from invoke.context import Context

from command_line import Hosts, ask_for_consent, on_hosts, play
from command_line.images import upgraded
from command_line.typed import refusal


@on_hosts(full="copy everything, share nothing with older backups")
def backup(c: Context, hosts: Hosts, full: bool = False) -> None:
    """Back Plone's data up beside the running site, and prove the backup by a restore to scratch."""
    play(c, "plone.backup", hosts, full=full)


@on_hosts()
def backups(c: Context, hosts: Hosts) -> None:
    """List the backups of Plone's data: time, size, made or proven, and why not."""
    play(c, "plone.backups", hosts)


@on_hosts(
    at="id, or a time in UTC: the newest backup made then or before; default: the newest",
    from_copy="get it from the repository of copies first, as on a host that replaces a lost one",
    to="scratch: prove it, the default; live: replace what Plone has; served: end an interrupted one with what it has",
    check="with --to live: change nothing, say what would be done, or for what it would be refused",
    yes="do not ask, nor want a fresh backup",
)  # fmt: skip
def restore(
    c: Context, hosts: Hosts, at: str = "", from_copy: bool = False, to: str = "", check: bool = False,
    yes: bool = False,
) -> None:  # fmt: skip
    """Restore a backup of Plone's data to scratch, which proves it, or in place of what Plone has."""
    if check and (to != "live" or from_copy):
        message = (
            "plone.restore --check looks at a restore in place of Plone's data, from a backup that the host has. What "
            "backups and copies there are, plone.backups lists."
        )
        raise refusal(message, "./invoke plone.restore --to live --check", "./invoke plone.backups")
    if to == "live" and not yes and not check:
        which = f"newest backup that was made until {told(at)}" if at else "newest backup"
        ask_for_consent(f"This stops Plone and replaces its content on {hosts.meant} by that of the {which}.")
    play(c, "plone.restore", hosts, *(["--check"] if check else []), at=at, from_copy=from_copy, to=to, yes=yes)


def told(at: str) -> str:
    """Return the time that `at` names in UTC, as hosts take it, and here; `at` itself where they will refuse it."""
    try:
        moment = datetime.fromisoformat(at.strip())  # an id of a backup too
    except ValueError:
        return at
    if len(at.strip()) == len("2026-11-29"):  # a day means all of it
        moment += timedelta(days=1, seconds=-1)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {moment.astimezone():%Y-%m-%d %H:%M:%S %Z} here"


@on_hosts(days="days for which changes can still be undone")
def pack(c: Context, hosts: Hosts, days: str = "7") -> None:
    """Remove from Plone's database what is no longer its content, while Plone serves."""
    play(c, "plone.pack", hosts, days=days)


@on_hosts(
    "lock", version="version of Plone; default: that of the inventory",
    python="oldest Python to lock for; default: the oldest that the version is built for",
    upgrade_package="packages of the lock to take the newest fitting release of, as h11,urllib3",
)  # fmt: skip
def lock_plone(
    c: Context, hosts: Hosts, version: str = "", python: str = "", upgrade_package: str = ""
) -> None:  # fmt: skip
    """Lock Plone with the add-ons of the inventory, beside the packages that our Plone has."""
    options = {"--version": version, "--python": python}
    words = [word for pair in options.items() if pair[1] for word in pair] + upgraded(upgrade_package)
    play(c, "plone.lock", hosts, "--", *words, "--", *c.config["lock_options"])


@on_hosts(
    "upgrade", python="target Python; with --version the newest by default",
    version="target version of Plone, one way once it is confirmed; default: the one that runs",
    check="change nothing, say what would be done, or for what it would be refused",
    rehearse="with --version: migrate and compare a restored backup, and change nothing",
)  # fmt: skip
def upgrade_plone(
    c: Context, hosts: Hosts, python: str = "", version: str = "", check: bool = False, rehearse: bool = False
) -> None:
    """Upgrade our Plone to another Python, or to another version, without a failed read."""
    if check and rehearse:
        message = (
            "plone.upgrade --check says what would be done, within seconds; --rehearse tries it on a restored backup. "
            "Neither changes anything: type one of them."
        )
        rest = f"./invoke plone.upgrade --version {version or 'VERSION'}"
        raise refusal(message, f"{rest} --check", f"{rest} --rehearse")
    play(c, "plone.upgrade", hosts, *(["--check"] if check else []), python=python, version=version, rehearse=rehearse)


@on_hosts("confirm")
def confirm_plone(c: Context, hosts: Hosts) -> None:
    """Confirm another version of Plone: it takes writes from then on, and no rollback returns from it."""
    play(c, "plone.confirm", hosts)


@on_hosts("rollback")
def rollback_plone(c: Context, hosts: Hosts) -> None:
    """Roll our Plone back to the container from before its last takeover."""
    play(c, "plone.rollback", hosts)
