"""The administrator of the database, whose first password comes from a file."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any

ADMIN = "admin"
# An attribute of the database's root: a digest of the password that was given from the file. Not reachable by URL.
GIVEN = "_eduhub_admin_password"
ROUNDS = 200_000


def ensure_admin(app: Any, password: str, pluggable: bool) -> bool:
    """Give the administrator the file's password, unless it was given already; return whether it was given.

    A password that was changed in Plone since then stays. One that is new in the file is given once more, and so is
    that of another host's file in a database that was restored from there. `pluggable`: `app.acl_users` is that of
    PluggableAuthService, which comes with the first site.
    """
    there = ADMIN in app.acl_users.users.listUserIds() if pluggable else app.acl_users.getUser(ADMIN) is not None
    if there and is_of(getattr(app, GIVEN, ""), password):
        return False
    give(app.acl_users, password, there, pluggable)
    setattr(app, GIVEN, digest(password, os.urandom(16)))
    return True


def give(folder: Any, password: str, there: bool, pluggable: bool) -> None:
    """Make the administrator with this password, or set it."""
    if pluggable:
        if there:
            folder.users.updateUserPassword(ADMIN, password)
        else:
            folder.users.addUser(ADMIN, ADMIN, password)
            folder.roles.assignRoleToPrincipal("Manager", ADMIN)
    elif there:
        user = folder.getUser(ADMIN)
        folder._doChangeUser(ADMIN, password, user.getRoles(), user.getDomains())
    else:
        folder._doAddUser(ADMIN, password, ["Manager"], [])


def digest(password: str, salt: bytes) -> str:
    """Return the salt and PBKDF2 of a password, as text."""
    return f"{salt.hex()}:{hashlib.pbkdf2_hmac('sha256', password.encode(), salt, ROUNDS).hex()}"


def is_of(given: str, password: str) -> bool:
    """Return whether a digest is that of this password; a text that is none is not."""
    salt, colon, _ = given.partition(":")
    return bool(colon) and hmac.compare_digest(given, digest(password, bytes.fromhex(salt)))
