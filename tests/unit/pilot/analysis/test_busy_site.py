"""A new slot's store of pages is empty: a sound release is not called slow for that, and a slow one still is.

Each verdict is one-sided 99%: at most one sound upgrade in a hundred may be reverted.
"""

from __future__ import annotations

import pytest

from tests.unit.pilot.analysis.busy_site import Site, reverted

SITES = {
    "some hot pages": Site(100, 50),
    "many pages": Site(200, 200),
    "a very busy site": Site(400, 200),
    "pages that differ": Site(200, 200, uneven=0.8),
    "quick calls beside pages": Site(100, 200, users=0.1, calls=0.4),
    "users who have logged in": Site(200, 50, users=0.3, uneven=0.5),
}


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_a_sound_release_is_not_reverted_for_its_empty_store(site):
    assert [reverted(site, seed) for seed in range(16)] == [None] * 16


@pytest.mark.parametrize("name", ["many pages", "a very busy site", "users who have logged in"])
def test_a_release_that_is_twice_as_slow_at_what_it_asks_plone_is_reverted(name):
    assert all(reverted(SITES[name], seed, times=2) for seed in range(5))


@pytest.mark.parametrize("name", ["some hot pages", "pages that differ", "quick calls beside pages"])
def test_where_little_can_be_compared_one_that_is_four_times_as_slow_mostly_is(name):
    assert sum(bool(reverted(SITES[name], seed, times=4)) for seed in range(10)) >= 5


def test_compared_as_a_whole_an_empty_store_would_be_slowness():
    """What the two tests above are about is met by these sites."""
    assert all(reverted(SITES["some hot pages"], seed, labelled=False) for seed in range(5))
