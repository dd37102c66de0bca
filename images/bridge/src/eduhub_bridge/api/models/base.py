"""What all models are made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

PATH = "Path below the site, decoded, beginning with `/`; `/` alone is the site itself."
# What a path looks like, for readers and generators; where.py checks it, in words. No part of it is `.` or `..`, none
# begins with `@` or `++`.
_PART = r"([^/@+.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*|\+[^/+\x00-\x1f\x7f]+|\.[^/.\x00-\x1f\x7f]+)"
SHAPE: dict[str, Any] = {"pattern": rf"^/({_PART}(/{_PART})*/?)?$"}
NAME: dict[str, Any] = {"pattern": r"^[^/\x00-\x1f\x7f]+$"}


class Taken(BaseModel):
    """What is taken: a misspelt name is refused rather than ignored, a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Given(BaseModel):
    """What is given."""

    model_config = ConfigDict(frozen=True)
