"""Users and groups, and who logs in."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from eduhub_bridge.web.models import Given, Taken


class Credentials(Taken):
    """Who logs in."""

    login: str = Field(examples=["ada"], min_length=1, max_length=200)
    password: str = Field(examples=["correct horse battery staple"], min_length=1, max_length=1000)


class Token(Given):
    """To be sent as `Authorization: Bearer <token>`."""

    token: str = Field(description="JSON Web Token, made and checked by Plone.", examples=["eyJhbGciOi…"])


class GroupName(Given):
    """A group that somebody belongs to."""

    id: str = Field(examples=["tutors"])
    title: Optional[str] = Field(examples=["Tutors"])


class User(Given):
    """A user, as Plone shows it to this caller."""

    id: str = Field(examples=["ada"])
    username: str = Field(description="The name to log in with.", examples=["ada"])
    fullname: Optional[str] = Field(examples=["Ada Lovelace"])
    email: Optional[str] = Field(examples=["ada@example.org"])
    description: Optional[str] = Field(examples=[None])
    home_page: Optional[str] = Field(examples=[None])
    location: Optional[str] = Field(examples=["London"])
    portrait: Optional[str] = Field(description="URL of a picture.", examples=[None])
    roles: list[str] = Field(examples=[["Member"]])
    groups: list[GroupName] = Field(description="At most 500 of them.")


class Users(Given):
    """Users, by full name. Plone counts neither users nor groups, so there is no total."""

    items: list[User]
    more: bool = Field(description="Whether there are more after these.", examples=[False])
    next: Optional[str] = Field(
        description="URL of the next ones; null after the last, and with `search`: search more narrowly.",
        examples=[None],
    )


class NewUser(Taken):
    """A new user. Plone wants a password or `send_password_reset`, not both, and may want neither of members."""

    username: Optional[str] = Field(
        None, description="Required unless the site takes the e-mail address instead.", examples=["ada"],
        min_length=1, max_length=200,
    )  # fmt: skip
    email: str = Field(examples=["ada@example.org"], min_length=3, max_length=200)
    fullname: Optional[str] = Field(None, examples=["Ada Lovelace"], max_length=200)
    password: Optional[str] = Field(None, examples=["correct horse battery staple"], max_length=1000)
    send_password_reset: Optional[bool] = Field(None, examples=[None])
    roles: Optional[list[str]] = Field(None, examples=[["Member"]], max_length=50)
    description: Optional[str] = Field(None, examples=[None], max_length=10_000)
    home_page: Optional[str] = Field(None, examples=[None], max_length=1000)
    location: Optional[str] = Field(None, examples=["London"], max_length=200)


class UserChange(Taken):
    """What to change of a user; what is left out stays."""

    username: Optional[str] = Field(None, description="The name to log in with.", min_length=1, max_length=200)
    email: Optional[str] = Field(None, examples=["ada@example.org"], min_length=3, max_length=200)
    fullname: Optional[str] = Field(None, examples=["Ada King"], max_length=200)
    password: Optional[str] = Field(None, min_length=1, max_length=1000)
    description: Optional[str] = Field(None, max_length=10_000)
    home_page: Optional[str] = Field(None, max_length=1000)
    location: Optional[str] = Field(None, examples=["London"], max_length=200)
    roles: Optional[dict[str, bool]] = Field(
        None, description="Roles to give (true) and to take away (false).", examples=[{"Contributor": True}]
    )


class GroupSummary(Given):
    """A group in a list."""

    id: str = Field(examples=["tutors"])
    title: Optional[str] = Field(examples=["Tutors"])
    description: Optional[str] = Field(examples=["Who answers questions."])
    email: Optional[str] = Field(examples=["tutors@example.org"])
    roles: list[str] = Field(examples=[["Reader", "Authenticated"]])


class Group(GroupSummary):
    """A group with those who belong to it."""

    members: list[str] = Field(description="User ids; at most 500 of them.", examples=[["ada"]])
    members_total: int = Field(examples=[1], ge=0)


class Groups(Given):
    """Groups, as Plone lists them; it does not count them."""

    items: list[GroupSummary]
    more: bool = Field(description="Whether there are more after these.", examples=[False])
    next: Optional[str] = Field(description="URL of the next ones; null after the last.", examples=[None])


class NewGroup(Taken):
    """A new group."""

    id: str = Field(description="Letters, digits, - and _.", examples=["tutors"], min_length=1, max_length=200)
    title: Optional[str] = Field(None, examples=["Tutors"], max_length=200)
    description: Optional[str] = Field(None, examples=["Who answers questions."], max_length=10_000)
    email: Optional[str] = Field(None, examples=["tutors@example.org"], max_length=200)
    roles: list[str] = Field(default_factory=list, examples=[["Reader"]], max_length=50)
    members: list[str] = Field(default_factory=list, description="User ids.", examples=[["ada"]], max_length=1000)


class GroupChange(Taken):
    """What to change of a group; what is left out stays."""

    title: Optional[str] = Field(None, examples=["Tutors and helpers"], max_length=200)
    description: Optional[str] = Field(None, max_length=10_000)
    email: Optional[str] = Field(None, max_length=200)
    roles: Optional[list[str]] = Field(None, examples=[["Reader"]], max_length=50)
    members: dict[str, bool] = Field(
        default_factory=dict, description="User ids to take in (true) and to put out (false).", examples=[{"ada": True}]
    )
