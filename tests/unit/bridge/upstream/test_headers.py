"""Which header fields travel on, and whose page a browser shows while it sends them."""

from __future__ import annotations

import pytest

from eduhub_bridge.upstream.headers import foreign


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False), ({"origin": "http://hub.example"}, False), ({"origin": "https://hub.example"}, False),
        ({"origin": "https://HUB.example:443"}, False), ({"origin": "http://hub.example:8080"}, True),
        ({"origin": "http://evil.example"}, True), ({"origin": "http://evil.hub.example"}, True),
        ({"origin": "null"}, True), ({"origin": ""}, True), ({"origin": "hub.example"}, True),
        ({"origin": "http://evil.example", "x-forwarded-host": "evil.example"}, False),
        ({"origin": "http://hub.example", "x-forwarded-host": "other.example"}, True),
    ],
)  # fmt: skip
def test_a_page_of_another_site_is_told_by_its_origin(fields, expected):
    sent = {"host": "hub.example", **fields}
    assert foreign([(name.encode(), value.encode()) for name, value in sent.items()]) == expected
