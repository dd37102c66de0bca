"""How long an answer may be used: what Plone says only ever shortens what the operator allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_bridge.cache.freshness import Life, Limits, asked, for_everybody, life, seconds

LIMITS = Limits(fresh=1.0, stale=10.0, error=100.0)
DATE = (b"date", b"Sat, 01 Jan 2000 00:00:00 GMT")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], Life(1, 11, 101)),
        ([(b"cache-control", b"public, max-age=3600")], Life(1, 11, 101)),
        ([(b"cache-control", b"max-age=5")], Life(1, 5, 101)),
        ([(b"cache-control", b"Max-Age=5"), (b"age", b"4")], Life(1, 1, 101)),
        ([(b"cache-control", b"max-age=0")], Life(0, 0, 101)),
        ([(b"cache-control", b"max-age=nonsense")], Life(0, 0, 101)),
        ([(b"cache-control", b"max-age=\xb2")], Life(0, 0, 101)),
        ([(b"cache-control", b"max-age=" + b"9" * 5000)], Life(1, 11, 101)),
        ([(b"cache-control", b"max-age=5"), (b"age", b"9" * 5000)], Life(0, 0, 101)),
        ([(b"expires", b"Mon, 01 Jan 99999999999999 00:00:00 GMT"), DATE], Life(0, 0, 101)),
        ([(b"cache-control", b"max-age=0, s-maxage=20, must-revalidate")], Life(1, 11, 20)),
        ([(b"cache-control", b"max-age=0"), (b"cache-control", b"proxy-revalidate")], Life(0, 0, 0)),
        ([(b"expires", b"Sat, 01 Jan 2000 00:00:03 GMT"), DATE], Life(1, 3, 101)),
        ([(b"expires", b"Sat, 1 Jan 2000 00:00:00 GMT"), (b"date", b"Wed, 25 Nov 2026 02:30:47 GMT")], Life(0, 0, 101)),
        ([(b"expires", b"0"), DATE], Life(0, 0, 101)),
        ([(b"expires", b"Sat, 01 Jan 2000 00:00:03 GMT")], Life(0, 0, 101)),  # since when, nobody knows
        ([(b"vary", b"Accept, Cookie, Authorization")], Life(1, 11, 101)),
        ([(b"cache-control", b'private="x-secret"')], None),
        ([(b"cache-control", b"no-store")], None),
        ([(b"vary", b"Accept"), (b"vary", b"User-Agent")], None),
        ([(b"set-cookie", b"")], None),
    ],
)
def test_lifetimes_of_a_page(fields, expected):
    assert life(200, fields, LIMITS) == expected


@pytest.mark.parametrize(("status", "expected"), [(404, Life(1, 1, 1)), (206, None), (302, None), (500, None)])
def test_lifetimes_of_other_answers(status, expected):
    assert life(status, [], LIMITS) == expected


AGES = b's-maxage=%b, max-age="%b"'
NUMBERS = st.one_of(st.integers().map(b"%d".__mod__), st.binary(max_size=30), st.just(b"9" * 400))
DATES = st.builds(b"Mon, %b Jan %b %b:00:00 %b".__mod__, st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)) | st.binary()
NONSENSE = st.lists(
    st.one_of(
        st.tuples(st.just(b"cache-control"), st.builds(AGES.__mod__, st.tuples(NUMBERS, NUMBERS))),
        st.tuples(st.just(b"age"), NUMBERS),
        st.tuples(st.sampled_from([b"expires", b"date", b"vary", b"content-type", b"cache-control"]), DATES),
    )
)  # fmt: skip


@given(NONSENSE)
def test_nonsense_in_an_answer_only_ever_shortens_its_life(fields):
    found = life(200, fields, LIMITS)
    assert found is None or 0 <= found.fresh <= 1 <= 1 + found.stale <= 12
    assert 0 <= seconds(dict(fields).get(b"age", b"")) <= 2**31


def scope(*fields, path=b"/plone/x", query=b""):
    return {"raw_path": path, "query_string": query, "scheme": "http", "headers": list(fields)}


def test_the_order_of_different_fields_means_nothing_and_that_of_equal_ones_something():
    a, b, c = (b"accept", b"a/a"), (b"accept", b"b/b"), (b"host", b"h")
    assert asked(scope(a, b, c)).key == asked(scope(c, a, b)).key != asked(scope(b, a, c)).key


def test_a_connection_that_names_fields_is_for_plone_to_understand():
    assert asked(scope((b"connection", b"Keep-Alive"))) is not None
    assert asked(scope((b"connection", b"close, x-private"))) is None


@pytest.mark.parametrize(
    ("query", "stored"),
    [
        (b"__ac_name=ada&__ac_password=x", False), (b"a=1&__ac=x", False), (b"a=1&_authenticator=x", False),
        (b"", True), (b"x__ac=1", True), (b"q=__ac", True),
    ],
)  # fmt: skip
def test_a_query_that_says_who_asks_is_for_plone_alone(query, stored):
    assert (asked(scope(query=query)) is not None) == stored


def test_a_referer_is_part_of_a_page_and_no_part_of_json():
    page, json, referer = (b"accept", b"text/html"), (b"accept", b"application/json"), (b"referer", b"/x")
    sent = [("referer", "/x"), ("if-none-match", "*"), ("accept", "a")]
    with_it, without = asked(scope(page, referer)).key, asked(scope(page)).key
    assert with_it != without
    assert for_everybody(with_it, sent) == [("referer", "/x"), ("accept", "a")]
    assert asked(scope(referer, json)).key == asked(scope(json)).key
    assert for_everybody(asked(scope(referer, json)).key, sent) == [("accept", "a")]
