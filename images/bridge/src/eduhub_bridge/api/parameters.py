"""Parameters that several endpoints take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from eduhub_bridge.web.models import PATH, SHAPE

LONGEST = 1000
# What a parameter `path` is, for the signatures of endpoints.
At = Annotated[
    str, Query(alias="path", description=PATH, max_length=LONGEST, json_schema_extra=SHAPE, openapi_examples={
        "nested": {"value": "/courses/statistics-for-biologists"}, "the site": {"value": "/"},
    })
]  # fmt: skip
