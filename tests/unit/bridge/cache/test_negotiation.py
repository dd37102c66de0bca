"""Readers who differ in nothing that Plone would answer differently share a page; a reader who is known never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_bridge.cache.negotiation import Rules, accepted, encoding, languages

CHROME = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
FIREFOX = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (b"", b""), (b"utm_source=a", b""), (b"a=1&utm_source=a%20b&b=", b"a=1&b="), (b"fbclid&x", b"x"),
        (b"utm_=1&&a", b"&a"), (b"utm_source=1&utm_source=2", b""), (b"a=utm_source=1", b"a=utm_source=1"),
        # Spelt as no campaign does, or read by Zope as more than one parameter or another type: Plone's to read.
        (b"UTM_source=a", b"UTM_source=a"), (b"%75tm_source=a", b"%75tm_source=a"), (b"xutm_a=1", b"xutm_a=1"),
        (b"fbclid2=1", b"fbclid2=1"), (b"utm_a=1;b=2", b"utm_a=1;b=2"), (b"utm_a:list=1", b"utm_a:list=1"),
        (b"a;utm_a=1", b"a;utm_a=1"), (b"utm%5fa=1", b"utm%5fa=1"),
    ],
)  # fmt: skip
def test_parameters_of_a_campaign_are_left_out_and_the_others_stay_byte_for_byte(query, rest):
    assert Rules(parameters=["utm_*", "fbclid"]).trimmed(query) == rest
    assert Rules().trimmed(query) == query


@pytest.mark.parametrize(
    "cookie",
    [
        b"__ac=x", b"__ac=", b"__ac", b"__ac;", b"__ac_name=x", b"_ZopeId=x", b"__cp=x", b"statusmessages=x",
        b"auth_token=eyJ", b"plone_skin=x", b"_ga=1; __ac=x", b"_ga=1;__ac=x", b"_ga=1,__ac=x", b"_ga=1 ; \t__ac =x",
        b'__ac="x"', b'_ga="1"__ac=x', b'_ga="1", __ac=x', b"__ac=1; __ac=2", b"; ; __ac=x", b"a;__ac=x", b"=__ac=x",
        b"__AC=x", b"_ga=\xe9; __ac=x", b"a=b\x01__ac=x", b"I18N_LANGUAGE=de; __ac=x", b"beaker.session.id=1",
    ],
)  # fmt: skip
def test_a_reader_whom_plone_may_know_is_told_by_every_spelling_of_its_cookies(cookie):
    assert Rules().language_of(cookie) is None


@pytest.mark.parametrize(
    "cookie",
    [
        b"_ga=GA1.1.2; _pk_id.1.1fff=7f.1.; _pk_ses.1.1fff=1", b"CookieConsent={stamp:%27x%27}", b"", b";", b"x", b"=",
        b"my__ac=x", b"not__cp=1", b"plone-toolbar={}", b'klaro="{\\"a\\":true}"', b"_ga=\xff\xfe", b"%5F%5Fac=x",
    ],
)  # fmt: skip
def test_other_cookies_say_nothing_about_a_page(cookie):
    assert Rules().language_of(cookie) == b""


@pytest.mark.parametrize(
    ("cookie", "language"),
    [
        (b"I18N_LANGUAGE=de", b"I18N_LANGUAGE=de"), (b'_ga=1; I18N_LANGUAGE="pt-br"; x=2', b"I18N_LANGUAGE=pt-br"),
        (b"I18N_LANGUAGE=de; I18N_LANGUAGE=en", None), (b"i18n_language=de", None), (b"I18N_LANGUAGE=", None),
        (b"I18N_LANGUAGE = de", None), (b"I18N_LANGUAGE=de<x>", None), (b"I18N_LANGUAGE=%64e", None),
    ],
)  # fmt: skip
def test_a_language_cookie_is_part_of_the_page_in_its_plain_spelling_and_plones_to_read_in_others(cookie, language):
    assert Rules().language_of(cookie) == language


@pytest.mark.parametrize(
    ("names", "cookie", "personal"),
    [
        (["_shibsession_*"], b"_ga=1; _shibsession_64656=x", True), (["_shibsession_*"], b"_shibstate=x", False),
        (["*sess*"], b"PHPSESSID=1", True), (["*"], b"anything=1", True), (["*"], b"anything", True),
        (["a.b"], b"aXb=1", False), (["x"], b"__ac=1", True),
    ],
)  # fmt: skip
def test_an_operator_adds_cookies_by_which_a_reader_is_known(names, cookie, personal):
    assert (Rules(names).language_of(cookie) is None) is personal


def test_browsers_ask_for_pages_alike_and_everything_else_is_itself():
    assert accepted(CHROME) == accepted(FIREFOX) == accepted(FIREFOX.replace(b",", b", "))
    for value in (b"application/json", b"text/html", b"*/*", b"application/json, text/html", b"text/html, a/b", b""):
        assert accepted(value) == value
    assert accepted(b"text/html, */*;q=0") == b"text/html, */*;q=0"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"gzip, deflate, br, zstd", b"gzip"), (b"br;q=1.0, gzip;q=0.8, *;q=0.1", b"gzip"), (b"deflate", b""),
        (b"", b""), (b"gzip;q=0", b""), (b"gzip; q=0.000, br", b""), (b"identity", b""), (b"GZIP", b"gzip"),
        (b"gzip, identity;q=0", b"gzip, identity;q=0"), (b"gzip, *;q=0", b"gzip, *;q=0"),
    ],
)  # fmt: skip
def test_an_encoding_is_gzip_or_none(value, found):
    assert encoding(value) == found


@pytest.mark.parametrize(
    ("value", "supported", "found"),
    [
        (b"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", b"", b"de-de,de;q=0.9,en-us;q=0.8,en;q=0.7"),
        (b"de-DE, de;q=0.5", b"", b"de-de,de;q=0.9"),
        (b"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", b"de en", b"de,en;q=0.9"),
        (b"fr, de-AT;q=0.8, it;q=0.2", b"de en", b"de"), (b"fr", b"de en", b""),
        (b"pt-BR, pt;q=0.9", b"pt pt-br", b"pt-br,pt;q=0.9"),
        (b"de, en", b"de", b"de, en"), (b"de;q=0.5, en;q=0.9", b"de", b"de;q=0.5, en;q=0.9"), (b"*", b"de", b"*"),
        (b"de, en;q=0", b"", b"de"), (b"", b"", b""), (b"nonsense!", b"", b"nonsense!"),
    ],
)  # fmt: skip
def test_languages_are_those_of_the_site_in_the_readers_order(value, supported, found):
    assert languages(value, frozenset(supported.split())) == found


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_text_around_it_hides_a_login(before, after):
    assert Rules().language_of(before + b"; __ac=x; " + after) is None
