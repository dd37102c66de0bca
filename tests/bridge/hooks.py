"""For schemathesis, which loads this beside the document: see test_openapi.py."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001 - how schemathesis calls it
    """Ask for no letter: there is no mail server here, and Plone fails without one."""
    if isinstance(body, dict):
        body.pop("send_password_reset", None)
    return body


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> Any:  # noqa: ARG001 - how schemathesis calls it
    """Send text as it is, and anything else as a line of JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value, default=str).encode()
