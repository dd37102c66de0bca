"""Content: items, lists of them, and their way through a workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Optional

from pydantic import Field

from eduhub_bridge.web.models import NAME, PATH, SHAPE, Given, Taken

_COURSE = "/courses/statistics-for-biologists"
_URL = f"https://hub.example.org/plone{_COURSE}"
_UID = "3bb5f79449bf4a2893169d000f516d76"


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
