"""What the typed endpoints take and give. `fields` holds what Plone names itself, under its names, unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Optional, Union

from pydantic import BaseModel, ConfigDict, Field

PATH = "Path below the site, decoded, beginning with `/`; `/` alone is the site itself."
# What a path looks like, for readers and generators; where.py checks it, in words. No part of it is `.` or `..`, none
# begins with `@` or `++`.
_PART = r"([^/@+.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\+[^/+\x00-\x1f\x7f]+|\.[^/.\x00-\x1f\x7f]+)"
SHAPE: dict[str, Any] = {"pattern": rf"^/({_PART}(/{_PART})*/?)?$"}
NAME: dict[str, Any] = {"pattern": r"^[^/\x00-\x1f\x7f]+$"}
_COURSE = "/courses/statistics-for-biologists"
_URL = f"https://hub.example.org/plone{_COURSE}"
_UID = "3bb5f79449bf4a2893169d000f516d76"
_JOB = "18916e7b1c4a4f5b9a0b7d2e5f6a7b8c"


class Taken(BaseModel):
    """What is taken: a misspelt name is refused rather than ignored, a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Given(BaseModel):
    """What is given."""

    model_config = ConfigDict(frozen=True)


class Summary(Given):
    """An item in a list, as Plone's catalogue knows it."""

    path: str = Field(description=PATH, examples=[_COURSE])
    url: str = Field(description="The same item below `/plone`, in Plone's own form.", examples=[_URL])
    id: Optional[str] = Field(description="Last part of the path.", examples=["statistics-for-biologists"])
    uid: Optional[str] = Field(description="Stays the same when the item moves.", examples=[_UID])
    type: str = Field(description="Plone's content type.", examples=["Document"])
    title: Optional[str] = Field(examples=["Statistics for biologists"])
    description: Optional[str] = Field(examples=["From the first histogram to a mixed model."])
    state: Optional[str] = Field(description="Workflow state; null where no workflow is.", examples=["published"])
    is_folderish: Optional[bool] = Field(description="Whether it can hold other items.", examples=[True])
    subjects: list[str] = Field(description="Tags.", examples=[["statistics", "biology"]])
    created: Optional[datetime] = Field(examples=["2026-03-01T09:30:00Z"])
    modified: Optional[datetime] = Field(examples=["2026-03-02T10:00:00Z"])


class Content(Summary):
    """One item with all its fields."""

    parent: Optional[str] = Field(description="Path of what holds it; null for the site.", examples=["/courses"])
    fields: dict[str, Any] = Field(
        description="Everything else that Plone says of the item, under Plone's names: `blocks`, `text`, `file`, "
        "`start`, … Links in it lead below `/plone`, where Plone's own services (`@components`) are.",
        examples=[{"language": "en", "blocks": {}, "blocks_layout": {"items": []}}],
    )


class Page(Given):
    """A part of a list."""

    total: int = Field(description="Length of the whole list.", examples=[41], ge=0)
    offset: int = Field(description="How many items stand before this page.", examples=[0], ge=0)
    limit: int = Field(description="Items on a page at most.", examples=[25], ge=1)
    next: Optional[str] = Field(description="URL of the next page; null on the last one.", examples=[None])
    previous: Optional[str] = Field(description="URL of the page before; null on the first one.", examples=[None])


class SummaryPage(Page):
    """A page of items."""

    items: list[Summary]


class Create(Taken):
    """A new item."""

    parent: str = Field(
        description=f"Where to put it. {PATH}", examples=["/submissions"], max_length=1000, json_schema_extra=SHAPE
    )
    type: str = Field(description="Plone's content type.", examples=["Document"], min_length=1, max_length=100)
    title: str = Field(examples=["An essay on ponds"], max_length=1000)
    id: Optional[str] = Field(
        None, description="Last part of its path; Plone makes one of the title without it.", examples=[None],
        min_length=1, max_length=200,
    )  # fmt: skip
    description: Optional[str] = Field(None, examples=["What 212 reed warblers say."], max_length=10_000)
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Further fields, by Plone's names.", examples=[{"subjects": ["biology"]}]
    )


class Change(Taken):
    """What to change of an item; what is left out stays."""

    id: Optional[str] = Field(
        None, description="A new last part of its path; Plone then leads from the old path to the new one.",
        examples=[None], min_length=1, max_length=200,
    )  # fmt: skip
    title: Optional[str] = Field(None, examples=["An essay on ponds and lakes"], max_length=1000)
    description: Optional[str] = Field(None, examples=["Revised."], max_length=10_000)
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Further fields, by Plone's names.", examples=[{"subjects": ["biology"]}]
    )


class Transfer(Taken):
    """What goes where."""

    path: str = Field(
        description=f"What. {PATH}",
        examples=["/submissions/an-essay-on-ponds"],
        max_length=1000,
        json_schema_extra=SHAPE,
    )
    to: str = Field(
        description=f"What shall hold it. {PATH}", examples=["/courses"], max_length=1000, json_schema_extra=SHAPE
    )


class Transferred(Given):
    """Where something went; Plone changes its id where another item has it already."""

    source: str = Field(description=PATH, examples=["/submissions/an-essay-on-ponds"])
    path: str = Field(description=PATH, examples=["/courses/an-essay-on-ponds"])


class State(Given):
    """A workflow state."""

    id: str = Field(examples=["private"])
    title: str = Field(examples=["Private"])


class Transition(Given):
    """What a caller can do next."""

    id: str = Field(examples=["publish"])
    title: str = Field(examples=["Publish"])


class Event(Given):
    """What happened to an item in its workflow."""

    action: Optional[str] = Field(description="Transition; null for the creation.", examples=["publish"])
    actor: Optional[str] = Field(description="User id.", examples=["ada"])
    comments: Optional[str] = Field(examples=[""])
    state: str = Field(description="State after it.", examples=["published"])
    title: Optional[str] = Field(description="That state's title.", examples=["Published"])
    time: datetime = Field(examples=["2026-03-02T10:00:00Z"])


class Workflow(Given):
    """Where an item stands, what can be done, what was done."""

    state: Optional[State] = Field(description="null where no workflow is.")
    transitions: list[Transition] = Field(description="What this caller may do now.")
    history: list[Event] = Field(description="Oldest first; empty for those who may not see it.")


class Step(Taken):
    """A transition to make."""

    transition: str = Field(examples=["publish"], min_length=1, max_length=100, json_schema_extra=NAME)
    comment: str = Field("", examples=["Well done."], max_length=10_000)
    include_children: bool = Field(False, description="Whether to do the same with everything below.", examples=[False])


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


class Export(Taken):
    """What to export: parameters of Plone's @search, but for those that page and sort."""

    query: dict[str, Union[str, int, bool, list[str]]] = Field(
        default_factory=dict, description="For example all documents below a path.",
        examples=[{"portal_type": ["Document"], "path.query": "/courses"}],
    )  # fmt: skip


class JobLinks(Given):
    """Where the rest of it is."""

    self: str = Field(examples=[f"/api/v1/jobs/{_JOB}"])
    results: str = Field(examples=[f"/api/v1/jobs/{_JOB}/results"])


class Job(Given):
    """Operations or an export on their way, or what became of them; kept for a day after their end."""

    job: str = Field(description="Its id.", examples=[_JOB])
    kind: Literal["bulk", "export"] = Field(examples=["bulk"])
    state: Literal["receiving", "queued", "running", "waiting", "done", "cancelled", "failed"] = Field(
        description="`waiting` needs its user: see `why`, and `resume`.", examples=["done"]
    )
    why: Optional[str] = Field(None, description="Why it waits or failed; left out otherwise.", examples=[None])
    total: Optional[int] = Field(description="How many results there will be; null while unknown.", examples=[2])
    done: int = Field(description="How many there are.", examples=[2], ge=0)
    failed: int = Field(description="How many of them are failures.", examples=[0], ge=0)
    created: datetime = Field(examples=["2026-03-01T09:30:00.000Z"])
    changed: datetime = Field(examples=["2026-03-01T09:30:02.500Z"])
    options: dict[str, Any] = Field(
        description="What was asked for.", examples=[{"dry_run": False, "stop_on_error": False, "concurrency": 1}]
    )
    links: JobLinks


class Jobs(Given):
    """The newest hundred jobs of a user."""

    items: list[Job]


class OperationResult(Given):
    """A line of a bulk answer: what came of one operation. More members are Plone's, or of a problem."""

    seq: int = Field(description="Number of the operation's line in the request, from 0.", examples=[0], ge=0)
    op: Optional[str] = Field(None, description="Left out for a line that is no operation.", examples=["create"])
    key: Optional[str] = Field(None, description="The operation's own.", examples=["import-17"])
    ok: bool = Field(examples=[True])
    status: int = Field(description="What a request of its own would have been answered.", examples=[201])
    path: Optional[str] = Field(None, description=PATH, examples=["/courses/algebra-6o5gi236l5"])
    found: Optional[bool] = Field(None, description="It had been written by an attempt whose answer was lost.")
    replayed: Optional[bool] = Field(None, description="It is the result of an earlier request with this key.")
    uncertain: Optional[bool] = Field(None, description="It failed, and may have been written: send it with its key.")
    detail: Optional[str] = Field(None, description="What is wrong, in one sentence.", examples=[None])


class LiveMessage(Given):
    """The `data` of a server-sent event, and a message of the WebSocket."""

    type: Literal["created", "changed", "deleted", "moved", "published", "reset", "bye"] = Field(
        description="`reset`: changes were missed, load again. `bye`: the stream ends, `why` says why.",
        examples=["changed"],
    )
    id: Optional[int] = Field(None, description="For `Last-Event-ID`.", examples=[122])
    path: Optional[str] = Field(None, description=PATH, examples=["/courses/algebra"])
    old_path: Optional[str] = Field(None, description="Where it was before.", examples=["/submissions/algebra"])
    uid: Optional[str] = Field(None, examples=[_UID])
    modified: Optional[datetime] = Field(None, examples=["2026-03-02T10:00:00Z"])
    time: Optional[datetime] = Field(None, description="When it was noticed.", examples=["2026-03-02T10:00:01Z"])
    by: Optional[str] = Field(None, description="User id; told to users only.", examples=["ada"])
    why: Optional[str] = Field(None, examples=[None])
    detail: Optional[str] = Field(None, examples=[None])


class PloneSaid(Given):
    """What Plone itself answered."""

    status: int = Field(examples=[404])
    type: Optional[str] = Field(description="Name of Plone's exception.", examples=["NotFound"])
    message: Optional[str] = Field(
        examples=["Resource not found: https://hub.example.org/plone/courses/no-such-course"]
    )


class Wrong(Given):
    """A part of the request that does not fit."""

    where: str = Field(examples=["query.limit"])
    what: str = Field(examples=["Input should be less than or equal to 100"])


class Problem(Given):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What is wrong, in one sentence; Plone's own where it said one.",
        examples=["Resource not found: https://hub.example.org/plone/courses/no-such-course"],
    )
    plone: Optional[PloneSaid] = Field(None, description="There when it was Plone who objected.")
    errors: Optional[list[Wrong]] = Field(None, description="There when the request does not fit the endpoint.")
    moved_to: Optional[str] = Field(None, description="Path or URL of content that has moved.", examples=[None])
