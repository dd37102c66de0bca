"""How long an answer may be used: what Plone says only ever shortens what the operator allows."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_bridge.cache import freshness
from eduhub_bridge.cache.freshness import Life, Limits, for_everybody, life, seconds
from eduhub_bridge.cache.negotiation import Rules
from eduhub_bridge.settings import TELLING_FIELDS

LIMITS = Limits(fresh=1.0, stale=10.0, error=100.0)
# As plone.app.layout writes it.
BLANKET = (b"expires", b"Sat, 1 Jan 2000 00:00:00 GMT")
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
        ([(b"expires", b"0"), DATE], Life(0, 0, 101)),
        ([(b"expires", b"Sat, 01 Jan 2000 00:00:03 GMT")], Life(0, 0, 101)),  # since when, nobody knows
        ([(b"cache-control", b"must-revalidate")], Life(1, 1, 1)),
        ([(b"cache-control", b"max-age=5, must-revalidate")], Life(1, 5, 5)),
        ([BLANKET, (b"date", b"Wed, 25 Nov 2026 02:30:47 GMT")], Life(1, 11, 101)),
        ([BLANKET, (b"cache-control", b"must-revalidate"), DATE], Life(0, 0, 0)),
        ([BLANKET, (b"cache-control", b"max-age=0, must-revalidate, private"), DATE], None),
        ([(b"expires", b"Sun, 2 Jan 2000 00:00:00 GMT"), (b"date", b"Wed, 25 Nov 2026 02:30:47 GMT")], Life(0, 0, 101)),
        ([(b"vary", b"Accept, Cookie, Authorization")], Life(1, 11, 101)),
        ([(b"cache-control", b'private="x-secret"')], None),
        ([(b"cache-control", b"no-store")], None),
        ([(b"vary", b"Accept"), (b"vary", b"User-Agent")], None),
        ([(b"vary", b"Sec-CH-UA")], None),
        ([(b"vary", b"Referer")], None),
        ([(b"set-cookie", b"")], None),
    ],
)
def test_lifetimes_of_a_page(fields, expected):
    assert life(200, fields, LIMITS) == expected


def test_an_operator_may_take_plones_blanket_expires_at_its_word():
    assert life(200, [BLANKET], Limits(1.0, 10.0, 100.0, blanket=True)) == Life(0, 0, 101)


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


def asked(scope, rules=Rules()):  # noqa: B008 - it does not change
    """Return what a GET asks for where no operator has said anything."""
    return freshness.asked(scope, rules)


def test_the_order_of_different_fields_means_nothing_and_that_of_equal_ones_something():
    a, b, c = (b"accept", b"a/a"), (b"accept", b"b/b"), (b"host", b"h")
    assert asked(scope(a, b, c)).key == asked(scope(c, a, b)).key != asked(scope(b, a, c)).key


def test_a_connection_that_names_fields_is_for_plone_to_understand():
    assert asked(scope((b"connection", b"Keep-Alive"))) is not None
    assert asked(scope((b"connection", b"close, x-private"))) is None
    assert asked(scope((b"connection", b"upgrade, http2-settings"))) is None


@pytest.mark.parametrize("connection", [b"TE, close", b"TE", b"keep-alive,te", b"Keep-Alive, Close", b""])
def test_a_connection_that_names_no_field_that_counts_shares_a_page(connection):
    assert asked(scope((b"connection", connection), (b"te", b"deflate,gzip;q=0.3"))).key == asked(scope()).key


def test_a_password_in_the_field_that_zope_takes_for_authorization_is_for_plone_alone():
    assert asked(scope((b"cgi-authorization", b"Basic eA=="))) is None


@pytest.mark.parametrize(
    ("query", "stored"),
    [
        (b"__ac_name=ada&__ac_password=x", False), (b"a=1&__ac=x", False), (b"a=1&_authenticator=x", False),
        (b"%5f%5fac_name=ada", False), (b"a=1&%5Fauthenticator:string=x", False), (b"x:m%65thod=1", False),
        (b"", True), (b"x__ac=1", True), (b"q=__ac", True),
    ],
)  # fmt: skip
def test_a_query_that_says_who_asks_is_for_plone_alone(query, stored):
    assert (asked(scope(query=query)) is not None) == stored


@pytest.mark.parametrize(
    ("path", "query", "counts"),
    [
        (b"/plone/x", b"", False), (b"/plone/login", b"", True), (b"/plone/a/@@login", b"", True),
        (b"/plone/require_login", b"", True), (b"/plone/author/ada", b"", True),
        (b"/plone/x", b"form.widgets.a=1", True),
        (b"/plone/p/@@image_view_fullscreen", b"", True), (b"/plone/blog", b"b_start=1", False),
    ],
)  # fmt: skip
def test_a_referer_is_part_of_the_pages_for_which_plone_reads_it_and_no_part_of_json(path, query, counts):
    page, json, referer = (b"accept", b"text/html"), (b"accept", b"application/json"), (b"referer", b"/x")
    sent = [referer, (b"if-none-match", b"*"), page]
    key = asked(scope(page, referer, path=path, query=query)).key
    assert (key != asked(scope(page, path=path, query=query)).key) is counts
    assert for_everybody(key, sent) == ([referer, page] if counts else [page])
    assert asked(scope(referer, json, path=path, query=query)).key == asked(scope(json, path=path, query=query)).key


NOISE = [
    (b"user-agent", b"x"), (b"forwarded", b"for=1"), (b"x-forwarded-for", b"1"), (b"x-real-ip", b"1"), (b"dnt", b"1"),
    (b"cf-ray", b"1"), (b"cf-connecting-ip", b"1"), (b"x-amzn-trace-id", b"1"), (b"traceparent", b"1"),
    (b"sec-fetch-mode", b"navigate"), (b"sec-ch-ua-platform", b"x"), (b"sec-gpc", b"1"), (b"save-data", b"on"),
    (b"via", b"1.1 cdn"), (b"x-forwarded-port", b"443"), (b"priority", b"u=0"), (b"cookie", b"_pk_id.1.1fff=7"),
    (b"referer", b"https://search.example/"), (b"x-b3-traceid", b"1"), (b"cdn-loop", b"x"),
]  # fmt: skip


def test_what_is_no_part_of_a_page_is_not_sent_for_one_either():
    host = (b"host", b"h")
    plain = asked(scope(host))
    for field in NOISE:
        found = asked(scope(host, field))
        assert (found and found.key) == plain.key, field
    sent = for_everybody(plain.key, [host, *NOISE])
    assert sent == [host, (b"traceparent", b"1")]  # which ties log lines together


@pytest.mark.parametrize(
    "name",
    [
        b"cf-access-authenticated-user-email", b"cf-access-jwt-assertion", b"cf-cert-subject-dn", b"x-remote-user",
        b"x-amzn-oidc-identity", b"x-amzn-oidc-data", b"x-amzn-mtls-clientcert-subject", b"x-amzn-lattice-identity",
        b"cloudfront-viewer-cert-subject", b"cf-client-cert-der-base64", b"cf-client-cert-sha256",
        b"x-arr-clientcert", b"x-appengine-user-email", b"x-vercel-oidc-token", b"x-forwarded-client-cert",
    ],
)  # fmt: skip
def test_a_field_by_which_a_network_says_who_asks_is_part_of_the_page_and_sent_for_it(name):
    key = asked(scope((name, b"ada"))).key
    assert key != asked(scope((name, b"eve"))).key != asked(scope()).key
    assert for_everybody(key, [(name, b"ada"), (b"cf-ray", b"1")]) == [(name, b"ada")]


APP, OTHER_APP = ((b"x-requested-with", name) for name in (b"com.moodle.moodlemobile", b"com.facebook.katana"))


def test_readers_inside_of_apps_share_a_page_with_browsers_and_a_script_does_not():
    plain, script = asked(scope()).key, (b"x-requested-with", b"XMLHttpRequest")
    assert asked(scope(APP)).key == asked(scope(OTHER_APP)).key == plain != asked(scope(script)).key
    assert for_everybody(plain, [APP]) == []
    assert for_everybody(asked(scope(script)).key, [script]) == [script]
    for other in (b"", b"xmlhttprequest", b"com", b"com.example.app, XMLHttpRequest", b"Fetch 1.0"):
        assert asked(scope((b"x-requested-with", other))).key != plain, other
    assert asked(scope(APP, script)).key != asked(scope(script)).key
    assert for_everybody(asked(scope(APP, script)).key, [APP, script]) == [
        (b"x-requested-with", b"com.moodle.moodlemobile, XMLHttpRequest")
    ]


def test_an_operator_names_further_fields_that_are_no_part_of_a_page():
    rules = Rules(ignored=["x-scan-id", "X-Apm-*", "cf-*"])
    host, noise = (b"host", b"h"), [(b"x-scan-id", b"1"), (b"x-apm-span", b"1"), (b"cf-anything", b"1")]
    plain = asked(scope(host), rules).key
    assert asked(scope(host, *noise), rules).key == plain
    assert for_everybody(plain, [host, *noise]) == [host]
    for other in ((b"x-scan-id-2", b"1"), (b"x-apm", b"1"), (b"cf-access-jwt-assertion", b"1")):
        assert asked(scope(host, other), rules).key != plain, other
    assert asked(scope(host, noise[0])).key != plain


def test_an_operator_may_call_no_field_meaningless_by_which_the_bridge_tells_pages_apart():
    known = freshness._PERSONAL | freshness._OWN | freshness._NEGOTIATED
    assert {name.decode() for name in known} <= set(TELLING_FIELDS)


FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"accept", b"accept-language", b"accept-encoding", b"cookie", b"x-a", b"referer"])
        | st.sampled_from(sorted({name for name, _ in NOISE})),
        st.sampled_from([b"a", b"text/html, */*", b"de, en;q=0.5", b"gzip", b"I18N_LANGUAGE=de", b"x=1; y", b""]),
    )
)  # fmt: skip


@given(FIELDS, FIELDS)
def test_requests_that_share_a_page_ask_plone_for_it_alike(one, other):
    first, second = asked(scope(*one)), asked(scope(*other))
    if first and second and first.key == second.key:
        asks = [for_everybody(first.key, each) for each in (one, other)]
        told = [sorted(field for field in each if field[0] != b"traceparent") for each in asks]
        assert told[0] == told[1]


@pytest.mark.parametrize(
    ("field", "again", "passed"),
    [
        (b"max-age=0", True, False), (b"no-cache", True, False), (b"max-age=60", False, False),
        (b"no-store", False, True), (b"MAX-AGE=0", True, False), (b"only-if-cached", False, False),
    ],
)  # fmt: skip
def test_what_a_client_says_about_freshness(field, again, passed):
    found = asked(scope((b"cache-control", field)))
    assert (found is None) is passed
    assert passed or found.again is again


@pytest.mark.parametrize(
    "field",
    [
        (b"accept", b"%d" + b"a" * 10_000), (b"accept-encoding", b"%d" + b"a" * 10_000),
        (b"accept-language", b"%d" + b"a" * 10_000), (b"%d" + b"x" * 10_000, b"1"),
    ],
)  # fmt: skip
def test_what_clients_ask_with_takes_no_memory_once_they_are_answered(field):
    tracemalloc.start()
    try:
        for number in range(300):
            asked(scope(tuple(part.replace(b"%d", b"%d" % number) for part in field)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1_000_000
