"""The file's password is given once; what is changed in Plone stays, and what is new in the file is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eduhub_plone.administrator import GIVEN, digest, ensure_admin, is_of


class Zope:
    """The user folder of a database without a site."""

    pluggable = False

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}

    def getUser(self, name: str) -> Any:  # noqa: N802 - a name of Zope's
        there = name in self.passwords
        return SimpleNamespace(getRoles=lambda: ["Manager"], getDomains=list) if there else None

    def _doAddUser(self, name: str, password: str, *_: list[str]) -> None:  # noqa: N802
        self.passwords[name] = password

    _doChangeUser = _doAddUser  # noqa: N815


class Pluggable:
    """That of one with a site: a plugin for users, and one for roles."""

    pluggable = True

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.users = SimpleNamespace(
            listUserIds=lambda: tuple(self.passwords),
            addUser=lambda name, _, password: self.passwords.update({name: password}),
            updateUserPassword=lambda name, password: self.passwords.update({name: password}),
        )
        self.roles = SimpleNamespace(assignRoleToPrincipal=lambda *_: None)


@pytest.fixture(params=[Zope, Pluggable])
def app(request: pytest.FixtureRequest) -> Any:
    return SimpleNamespace(acl_users=request.param())


def started(app: Any, password: str) -> bool:
    return ensure_admin(app, password, app.acl_users.pluggable)


def test_the_first_start_gives_the_password_and_the_next_one_writes_nothing(app):
    assert (started(app, "first"), app.acl_users.passwords) == (True, {"admin": "first"})
    assert not started(app, "first")
    assert "first" not in getattr(app, GIVEN)


def test_a_password_changed_in_plone_survives_a_start(app):
    """Else a password that leaked would be the right one again after a reboot."""
    started(app, "first")
    app.acl_users.passwords["admin"] = "changed in Plone"
    assert (started(app, "first"), app.acl_users.passwords) == (False, {"admin": "changed in Plone"})


def test_a_new_password_in_the_file_is_given_once(app):
    """So it is set when it was forgotten, and where the database came from another host."""
    started(app, "first")
    app.acl_users.passwords["admin"] = "forgotten"
    assert (started(app, "second"), started(app, "second")) == (True, False)
    assert app.acl_users.passwords == {"admin": "second"}


def test_an_administrator_who_was_removed_is_made_again(app):
    started(app, "first")
    app.acl_users.passwords.clear()
    assert (started(app, "first"), app.acl_users.passwords) == (True, {"admin": "first"})


def test_a_database_of_before_gets_the_password_once(app):
    app.acl_users.passwords["admin"] = "of an older image"
    assert (started(app, "first"), started(app, "first")) == (True, False)


def test_a_digest_is_of_one_password():
    given = digest("räuber", b"salt")
    assert [is_of(text, "räuber") for text in (given, "", digest("other", b"salt"))] == [True, False, False]
