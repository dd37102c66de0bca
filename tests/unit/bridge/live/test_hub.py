"""What goes wrong for an audience is written down and tried again: no listener is left with heartbeats alone."""

from __future__ import annotations

import json

import pytest

from eduhub_bridge.live.audience import Audience
from eduhub_bridge.live.hub import Hub
from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.upstream.limits import UpstreamError


@pytest.mark.parametrize(
    ("failure", "level"), [(UpstreamError("refused", 502, "Plone is away."), "warning"), (KeyError("@id"), "error")]
)
async def test_a_failure_is_said_and_survived(monkeypatch, capsys, failure, level):
    failures = [failure]

    async def deliver(self):
        if failures:
            raise failures.pop()
        for listener in self.listeners:
            listener.put(message("changed"))
        return False

    async def poll(*_):
        return

    class Site:
        authorization = None

    monkeypatch.setattr(Audience, "deliver", deliver)
    monkeypatch.setattr(Audience, "poll", poll)
    hub, listener = Hub(None, None, 60.0, lambda: None), Listener("/", None)
    await hub.join(Site(), "", listener)
    assert (await listener.get(5.0)).kind == "changed"
    hub.leave(listener)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("live_waits", level)
