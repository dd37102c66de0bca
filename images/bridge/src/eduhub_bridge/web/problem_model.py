"""Errors, as RFC 9457 has them."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from eduhub_bridge.web.models import Given


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
