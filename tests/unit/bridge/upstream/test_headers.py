"""Which header fields travel on, and whose page a browser shows while it sends them."""

from __future__ import annotations

import pytest

from eduhub_bridge.upstream import headers
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


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ([], ""),
        ([b"192.0.2.7"], "192.0.2.7"),
        ([b"198.51.100.1, 192.0.2.7", b"10.0.0.1"], "192.0.2.7"),  # the proxy at 10.0.0.1 speaks for it
        # A customer has a whole network of IPv6, and an address is written in many ways.
        ([b"2001:db8::1", b"10.0.0.1"], "2001:db8::/64"),
        ([b"2001:DB8:0:0:ffff::9"], "2001:db8::/64"),
        ([b"2001:db8:0:1::1"], "2001:db8:0:1::/64"),
        ([b"::ffff:192.0.2.7"], "192.0.2.7"),
        ([b"::1"], "::1"),
        ([b"192.0.2.7:5678, 10.0.0.1"], "192.0.2.7"),
        ([b"[2001:db8::1]:5678, 10.0.0.1"], "2001:db8::/64"),
        ([b"fe80::1%eth0"], "fe80::/64"),
        ([b"a:b:c"], "a:b:c"),
    ],
)
def test_the_client_is_whom_the_edge_or_its_proxy_names(told, client):
    assert headers.client([(b"x-forwarded-for", value) for value in told]) == client


@pytest.mark.parametrize(
    ("told", "scheme", "expected"),
    [
        (None, "http", "http"), (None, "ws", "http"), (None, "wss", "https"), (b"https", "http", "https"),
        # As Traefik tells it of a WebSocket.
        (b"wss", "ws", "https"), (b"ws", "ws", "http"), (b"WSS", "http", "https"), (b"ftp", "http", "ftp"),
    ],
)  # fmt: skip
def test_a_websocket_comes_by_the_scheme_of_http_however_a_proxy_names_it(told, scheme, expected):
    fields = [(b"host", b"hub.example"), *([(b"x-forwarded-proto", told)] if told else [])]
    assert headers.request(fields, scheme).scheme == expected
