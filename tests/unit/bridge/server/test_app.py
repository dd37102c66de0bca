"""Whatever fails inside, the client is told so as a problem, and the server what it was."""

from __future__ import annotations

import json

import pytest

from eduhub_bridge.server.app import Bridge
from eduhub_bridge.telemetry.metrics import Metrics

SCOPE = {"type": "http", "method": "GET", "raw_path": b"/plone/x", "path": "/plone/x", "headers": []}
HEAD = {"type": "http.response.start", "status": 200, "headers": []}


async def asked(pass_through):
    said = []

    async def send(message):
        said.append(message)

    with pytest.raises(ZeroDivisionError):
        await Bridge(None, pass_through, Metrics(), None)(dict(SCOPE), None, send)
    return said


async def test_a_bug_is_a_problem():
    async def fails(*_):
        raise ZeroDivisionError

    head, body = await asked(fails)
    assert (head["status"], json.loads(body["body"])["detail"]) == (500, "The bridge failed; its log says more.")


async def test_a_bug_after_the_head_is_no_second_answer():
    async def fails(_, __, send):
        await send(dict(HEAD))
        raise ZeroDivisionError

    assert [message["type"] for message in await asked(fails)] == ["http.response.start"]
