"""What all models are made of."""

from __future__ import annotations

from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import Annotated

from eduhub_bridge.plone.content_paths import content_path
from eduhub_bridge.upstream.addresses import RefusedError

PATH = "Path below the site, decoded, beginning with `/`; `/` alone is the site itself."
# What a path looks like, for readers and generators; plone/content_paths.py checks it, in words. No part of it is `.`
# or `..`, none begins with `@` or `++`.
_PART = r"([^/@+.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\+[^/+\x00-\x1f\x7f]+|\.[^/.\x00-\x1f\x7f]+)"
SHAPE: dict[str, Any] = {"pattern": rf"^/({_PART}(/{_PART})*/?)?$"}
NAME: dict[str, Any] = {"pattern": r"^[^/\x00-\x1f\x7f]+$"}


class Taken(BaseModel):
    """What is taken: a misspelt name is refused rather than ignored, a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Given(BaseModel):
    """What is given."""

    model_config = ConfigDict(frozen=True)


def is_path(text: str) -> str:
    """Return a path of content as it must be spelt in a body; raise ValueError for any other text."""
    try:
        path = content_path(text)
    except RefusedError as refusal:
        raise ValueError(str(refusal)) from None
    if path != text:
        raise ValueError("a path does not end with /")
    for name in path[1:].split("/") if path != "/" else ():
        # Zope gives no such name to an item, or it would be misread in a URL.
        if name[0] in "_+" or name[0].isspace() or "?" in name or "#" in name:
            raise ValueError(f"{name!r} is no name of an item")
    return path


Place = Annotated[str, Field(max_length=2000), AfterValidator(is_path)]
"""A path of content in a body."""
