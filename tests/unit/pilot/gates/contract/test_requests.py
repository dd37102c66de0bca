"""What is asked: the shipped set, the smoke pages, the institution's own; what could write or leak is refused."""

from __future__ import annotations

import pytest

from eduhub_pilot.gates.contract.requests import METHODS, Request, authorization, contract_criteria, credentials_of
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.release import Spec

OURS, FOREIGN = Spec({"python": "3.11", "smoke_paths": ["/plone/"]}), Spec({"smoke_paths": ["/", "/courses"]})


def asked(spec: Spec | None, *requests, headers=(), ignored=()) -> list[Request]:
    return list(contract_criteria(spec, list(requests), list(headers), list(ignored), [], 60).requests)


def test_an_image_like_ours_is_asked_the_shipped_set_and_another_its_pages():
    ours, foreign = asked(OURS), asked(FOREIGN)
    assert ours[0] == Request("/plone/")
    assert Request("/plone/no-such-page", headers=(("Accept", "application/json"),)) in ours
    assert foreign == [Request("/"), Request("/courses")]
    assert all(each.method in METHODS for each in ours)


def test_the_institution_adds_its_own():
    own = {"path": "/courses?page=2", "method": "HEAD", "headers": {"Accept": "text/html"}, "credentials": "editor"}
    (*_, last) = asked(FOREIGN, own, own)
    assert last == Request("/courses?page=2", "HEAD", (("Accept", "text/html"),), "editor")
    assert (last.named, credentials_of([last, last])) == ("HEAD /courses?page=2 (text/html, as editor)", ["editor"])


def test_a_header_that_is_asked_for_is_compared_by_value():
    wanted = contract_criteria(OURS, [], ["ETag", "X-Total"], [], [], 60)
    assert ({"etag", "x-total", "vary"} <= set(wanted.headers), "etag" in wanted.presence) == (True, False)


BAD = {
    "a text": ("/courses", "'/courses' names no path"),
    "no path": ({"method": "GET"}, "names no path"),
    "no path of ours": ({"path": "http://elsewhere/"}, "'http://elsewhere/' is no path"),
    "a blank": ({"path": "/a b"}, "'/a b' is no path"),
    "a line end": ({"path": "/a\r\nX: y"}, "is no path"),
    "a write": ({"path": "/a", "method": "POST"}, "'POST' is none of GET, HEAD, OPTIONS: a gate only reads"),
    "a misspelt field": ({"path": "/a", "header": {}}, "it has no 'header'"),
    "headers that are none": ({"path": "/a", "headers": ["Accept"]}, "the headers of '/a' are no mapping"),
    "a header of two lines": ({"path": "/a", "headers": {"A": "b\r\nC: d"}}, "the headers of '/a' are no mapping"),
    "a secret in the inventory": ({"path": "/a", "headers": {"authorization": "x"}}, "which would stand in logs"),
    "credentials elsewhere": ({"path": "/a", "credentials": "../shadow"}, "'../shadow' is no name of a file"),
}


@pytest.mark.parametrize(("entry", "words"), BAD.values(), ids=BAD)
def test_an_entry_that_makes_no_sense_is_refused_by_name(entry, words):
    with pytest.raises(RefusedError) as refused:
        asked(OURS, entry)
    assert words in refused.value.message


def test_a_place_or_header_that_makes_no_sense_is_refused_too():
    with pytest.raises(RefusedError, match="pilot_contract_ignored looks like"):
        asked(OURS, ignored=[{"path": "/a"}])
    with pytest.raises(RefusedError, match="pilot_contract_headers has 'vary:', which is no header"):
        asked(OURS, headers=["vary:"])


def test_credentials_are_a_user_and_password_or_a_whole_value():
    assert authorization("ana:s3cret\n") == {"Authorization": "Basic YW5hOnMzY3JldA=="}
    assert authorization("Bearer a:b") == {"Authorization": "Bearer a:b"}
