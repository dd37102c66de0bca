"""Stored pages take no more memory than they are given, whatever is asked for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.bridge.cache.test_anonymous import FRESH, said
from tests.unit.bridge.helpers import metric

pytestmark = pytest.mark.slow


def test_an_address_or_field_as_long_as_the_memory_is_answered_and_not_stored(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_MB="1", **FRESH)
    assert [bridge.get("/plone/count", f"X-Long: {'x' * 50_000}").status for _ in range(6)] == [200] * 6
    assert len(plone.seen) == 1
    assert bridge.get("/plone/status?200").status == 200
    many = [f"X-{number}: {'x' * 50_000}" for number in range(6)]
    assert {bridge.get("/plone/status?200", *many).status for _ in range(2)} == {200}
    assert metric(bridge, "eduhub_bridge_cache_pages") == 2


def memory(bridge):
    with open(f"/proc/{bridge.popen.pid}/statm") as statm:  # noqa: PTH123 - not a path of ours
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_the_memory_for_pages_is_bounded(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_MB="4", **FRESH)
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda n: bridge.get(f"/plone/block?{n}"), range(40)))
        before = memory(bridge)
        list(clients.map(lambda n: bridge.get(f"/plone/block?{n}"), range(40, 400)))  # 22 MiB more
    assert metric(bridge, "eduhub_bridge_cache_bytes") <= 4 * 2**20
    assert metric(bridge, "eduhub_bridge_cache_pages") >= 50
    assert memory(bridge) - before < 8


def test_the_number_of_pages_is_bounded(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_PAGES="3", **FRESH)
    for number in range(5):
        bridge.get(f"/plone/count?{number}")
    assert metric(bridge, "eduhub_bridge_cache_pages") == 3
    assert said(bridge.get("/plone/count?4")).startswith("hit")
