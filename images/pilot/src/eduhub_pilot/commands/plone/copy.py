"""`copy`: make sure of the repository of copies, as the next backup will use it, and make an empty place one."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import copies
from eduhub_pilot.model.copies import BACKUP, DEPLOY
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    copies.add_arguments(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command. A repository that was there before stops no deployment: `status` tells that copies fail."""
    where = copies.wanted(options)
    before, was_known = host.store.copy(), copies.is_known(host, where)
    try:
        copies.opened(host, copies.Repository(host, where, "copy-look"), first=not was_known)
    except FailedError as error:
        # The password is what this deployment has brought.
        if not was_known or error.code == "copy_password_wrong":
            following = [each for each in error.next if each not in (BACKUP, DEPLOY)]
            raise FailedError(error.code, error.message, *following, DEPLOY) from None
        return Outcome("copy_later", f"Backups cannot be copied now. {error.message}", False, {}, error.next)
    changed = host.store.copy() != before
    how = "is ready" if changed else "is there"
    return Outcome("copy_ready", f"The repository of copies at {where.to} {how}.", changed)
