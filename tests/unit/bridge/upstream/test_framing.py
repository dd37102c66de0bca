"""Answers that their server has framed wrongly: taken where that is safe, and no failure of Plone's in any case."""

from __future__ import annotations

import pytest

BARE = {
    "text": ("204 No Content", b"hello", ()),
    "text with its length": ("204 No Content", b"hello", ("Content-Length: 5",)),
    "empty chunk": ("204 No Content", b"0\r\n\r\n", ("Transfer-Encoding: chunked",)),
    "empty chunk of 304": ("304 Not Modified", b"0\r\n\r\n", ("Transfer-Encoding: chunked", 'ETag: "1"')),
}


@pytest.fixture
def frames(plone, monkeypatch):
    """Let the next requests be answered with these bytes."""

    def say(status, body, fields):
        async def answer(_, writer):
            head = "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""])
            writer.write(head.encode() + body)

        monkeypatch.setattr(plone, "_odd", answer, raising=False)

    return say


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("name", BARE)
def test_what_has_no_body_ends_at_its_head(bridge, frames, method, name):
    """Plone has written: to tell the client 502 would be wrong."""
    frames(*BARE[name])
    answer = bridge.get("/plone/odd", method=method)
    assert (answer.status, answer.body, answer.complete) == (int(BARE[name][0][:3]), b"", True)


def test_views_that_answer_with_nonsense_close_no_others(start, plone, frames):
    bridge = start(plone.url, EDUHUB_PLONE_FAILURES="5")
    frames("200 OK", b"hi", ("X-F : a", "Content-Length: 2"))
    assert [bridge.get("/plone/odd").status for _ in range(7)] == [502] * 7
    assert bridge.get("/plone/whoami").status == 200
