"""Answers differ where their places do; what changes by itself, and what is one change in many places, is not many."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.adapters.http import REPLY_BYTES
from eduhub_pilot.gates.contract.compare import Difference, Finding, differing, findings, form, gathered, places
from eduhub_pilot.gates.contract.requests import Ignored, Request, contract_criteria
from eduhub_pilot.model.facts import Reply
from eduhub_pilot.model.release import Spec

WANTED = contract_criteria(Spec({"python": "3.11"}), [], [], [], [], 60)
ASKED = Request("/courses?page=2")
JSON = {"content-type": "application/json"}


def reply(body: str | bytes, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, 0.1, None, {**JSON, **named}, body if isinstance(body, bytes) else body.encode())


def found(blue: Reply, green: Reply, pairs: int = 3) -> list[tuple[str, str | None, str | None]]:
    """What differs between two that always answer like this."""
    one, other = places(ASKED, blue, WANTED), places(ASKED, green, WANTED)
    differences = differing([one] * pairs, [other] * pairs)
    return [(each.where, each.live, each.candidate) for each, _ in gathered(differences, blue.status)]


DIFFERENT = {
    "number format": ('{"price": 1}', '{"price": 1.0}', ("body.price", "1", "1.0")),
    "exponent": ('{"price": 1e5}', '{"price": 100000}', ("body.price", "1e5", "100000")),
    "big number": ('{"n": 12345678901234567890}', '{"n": 12345678901234567000}',
                   ("body.n", "12345678901234567890", "12345678901234567000")),
    "number and text": ('{"n": 1}', '{"n": "1"}', ("body.n", "1", '"1"')),
    "null and absent": ('{"n": null, "m": 1}', '{"m": 1}', ("body.n", "null", None)),
    "empty list and empty object": ('{"n": []}', '{"n": {}}', ("body.n", "[]", "{}")),
    "true and 1": ("true", "1", ("body", "true", "1")),
    "NaN and null": ('{"n": NaN}', '{"n": null}', ("body.n", "NaN", "null")),
    "no JSON any more": ('{"n": 1}', "{'n': 1}", ("body.n", "1", None)),
    "a row more": ('{"items": [1]}', '{"items": [1, 2]}', ("body.items[*]", None, "2")),
}  # fmt: skip


@pytest.mark.parametrize(("blue", "green", "difference"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_difference_in_the_body_is_named_by_its_place(blue, green, difference):
    assert found(reply(blue), reply(green))[0] == difference


ALIKE = {
    "key order": ('{"a": 1, "b": [2, {"c": 3, "d": 4}]}', '{"b": [2, {"d": 4, "c": 3}], "a": 1}'),
    "blanks": ('{"a": 1}', '{\n "a" : 1\n}'),
    "escapes": ('{"a": "\\u00e9"}', '{"a": "é"}'),
}


@pytest.mark.parametrize(("blue", "green"), ALIKE.values(), ids=ALIKE)
def test_what_json_does_not_tell_apart_is_no_difference(blue, green):
    assert found(reply(blue), reply(green)) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=4), part, max_size=4), max_leaves=12,
)  # fmt: skip


@given(values, st.booleans())
def test_a_document_never_differs_from_itself_however_it_is_written(document, ordered):
    blue, green = json.dumps(document), json.dumps(document, indent=3, sort_keys=ordered, ensure_ascii=False)
    assert found(reply(blue), reply(green)) == []


@given(st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1, max_size=5), values, min_size=1), st.data())
def test_one_changed_field_is_one_finding(document, data):
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = 1
    changed = {**document, name: 1.0}
    assert found(reply(json.dumps(document)), reply(json.dumps(changed))) == [(f"body.{name}", "1", "1.0")]


def test_the_same_change_in_each_row_is_one_finding_that_says_how_often():
    def rows(number: str) -> str:
        return f'{{"items": [{", ".join(f"""{{"id": {row}, "price": {number}}}""" for row in range(5))}]}}'

    one, other = (places(ASKED, reply(rows(number)), WANTED) for number in ("2", "2.0"))
    ((difference, times),) = gathered(differing([one], [other]), 200)
    assert (difference, times) == (Difference("body.items[*].price", "2", "2.0"), 5)


def test_a_header_that_is_compared_differs_and_another_does_not():
    blue = reply("{}", vary="Accept", server="x", etag='"1"', set_cookie="a=1")
    green = reply("{}", vary="Cookie", server="y", etag='"2"')
    assert found(blue, green) == [
        ("header vary", "Accept", "Cookie"), ("header set-cookie", "there", None),
        ("header set-cookie.a", "no attribute", None),
    ]  # fmt: skip


def test_a_header_that_is_a_set_has_no_order():
    blue = reply("{}", allow="GET, HEAD, POST", vary="Accept, Cookie", cache_control="a, b")
    green = reply("{}", allow="POST, HEAD, GET", vary="cookie,accept", cache_control="b, a")
    assert found(blue, green) == [("header cache-control", "a, b", "b, a")]
    assert found(blue, reply("{}", allow="GET, HEAD", vary="Accept, Cookie", cache_control="a, b")) == [
        ("header allow", "GET, HEAD, POST", "GET, HEAD")
    ]


def test_a_cookie_is_compared_by_its_attributes_and_not_by_its_value_or_times():
    given = "sid=1; Secure; HttpOnly; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=2; Max-Age=7, ts01ab=x; Path=/"
    alike = "b=3; max-age=9, sid=4; Expires=Thu, 22 Oct 2026 07:28:00 GMT; httponly; secure, ts99ff=y; Path=/"
    assert found(reply("{}", set_cookie=given), reply("{}", set_cookie=alike)) == []
    assert found(reply("{}", set_cookie=given), reply("{}", set_cookie=alike.replace(" httponly;", ""))) == [
        ("header set-cookie.sid", "expires; httponly; secure", "expires; secure")
    ]


def test_lengths_and_ranges_that_are_lost_are_differences():
    assert found(reply("", accept_ranges="bytes"), reply("")) == [("header accept-ranges", "bytes", None)]
    blue, green = (reply("", 206, content_range=f"bytes 0-0/{length}") for length in (1000, 9))
    assert found(blue, green) == [("header content-range", "bytes 0-0/1000", "bytes 0-0/9")]
    head = replace(ASKED, method="HEAD")
    assert places(head, reply("", content_length="1000"), WANTED)["header content-length"] == "1000"
    assert places(ASKED, reply("{}", content_length="9"), WANTED)["body length"] == "cut off"
    assert "body length" not in places(ASKED, reply("{}", content_length="2"), WANTED)
    large = reply(b"\xff" * REPLY_BYTES, content_length=str(REPLY_BYTES + 9))
    assert places(ASKED, large, WANTED)["body length"] == str(REPLY_BYTES + 9)


def test_another_status_is_the_only_finding_of_its_request():
    assert found(reply('{"a": 1}'), reply("no", 500, vary="x")) == [("status", "200", "500")]


def test_what_an_error_says_is_one_finding():
    blue = reply('{"type": "NotFound", "message": "Resource not found: /x"}', 404)
    green = reply('{"title": "Not Found", "detail": "no"}', 404)
    assert found(blue, green) == [("body.type", '"NotFound"', None)]


def test_another_type_of_content_is_no_difference_in_the_body_too():
    assert found(reply("{}"), reply("<html>", content_type="text/html")) == [
        ("header content-type", "application/json", "text/html")
    ]


def test_a_text_differs_by_its_first_line_that_does():
    text = {"content_type": "text/html; charset=utf-8"}
    assert found(reply("a\nb\nc", **text), reply("a\nB\nC", **text)) == [("body line 2", "b", "B")]
    assert found(reply("a\nb", **text), reply("a\nx\nb", **text)) == [("body lines", "2", "3")]
    assert found(reply("a\n  b", **text), reply("a\nb", **text)) == []


def test_what_is_no_text_differs_as_a_whole():
    (difference,) = found(reply(b"\x89PNG1", content_type="image/png"), reply(b"\x89PNG2", content_type="image/png"))
    assert difference[0] == "body"
    assert difference[1].startswith("5 bytes with sha256 ")


def test_no_answer_is_a_status_too():
    assert found(reply("{}"), Reply(None, 5, "timeout")) == [("status", "200", "no answer before the timeout")]


def test_a_place_may_be_ignored_with_all_rows_of_its_list():
    wanted = replace(WANTED, ignored=(Ignored("/courses", "body.items[*].token"),))
    assert places(ASKED, reply('{"items": [{"token": 1, "id": 2}]}'), wanted) == {
        "status": "200", "header content-type": "application/json", "body.items[0].id": "2",
    }  # fmt: skip


def pairs(blue: list[str], green: list[str]) -> list[tuple[str | None, str | None]]:
    found = differing([{"x": value} for value in blue], [{"x": value} for value in green])
    return [(each.live, each.candidate) for each in found]


CHANGING = {
    "both, as content does": (["1", "1", "2"], ["1", "2", "2"], []),
    "both, by themselves": (["10:01", "10:02", "10:03"], ["10:02", "10:03", "10:04"], []),
    "both, each in its form": (["1.5", "1.6", "1.7"], ["1", "2", "3"], [("1.7", "3")]),
    "a time that lost its zone": (["1T2Z", "1T3Z", "1T4Z"], ["1T2", "1T3", "1T4"], []),
    "a token": (["f00ba", "11111", "abcde"], ["zzzzz", "99", "x1"], []),
    "only green": (["1", "1", "1"], ["1", "2", "1"], [("1", "2")]),
    "only blue": (["1", "2", "1"], ["1", "1", "1"], []),
    "nothing": (["1", "1", "1"], ["2", "2", "2"], [("1", "2")]),
}


@pytest.mark.parametrize(("blue", "green", "differences"), CHANGING.values(), ids=CHANGING)
def test_what_changes_is_compared_by_its_form(blue, green, differences):
    assert pairs(blue, green) == differences


@given(st.lists(st.text(), min_size=3, max_size=3), st.permutations(range(3)))
def test_answers_that_change_alike_never_differ(said, order):
    assert pairs(said, [said[number] for number in order]) == [] or len(set(said)) == 1


@given(st.text())
def test_a_form_is_one_of_itself(text):
    assert form(form(text)) == form(text)


def test_a_header_that_differs_alike_on_several_requests_is_one_finding():
    difference, other = Difference("header vary", "a", None), Difference("body.x", "1", "2")
    requests = [Request("/a"), Request("/b", "HEAD", (("Accept", "text/html"),)), Request("/c", credentials="editor")]
    several = [(each, difference, 1) for each in requests]
    said = [each.sentence for each in findings([*several, (requests[1], other, 3), (requests[2], other, 1)])]
    assert said == [
        "GET /a: header vary is a on the live release and absent on the candidate, and the same on 2 more requests.",
        "HEAD /b (text/html): body.x is 1 on the live release and 2 on the candidate (3 times).",
        "GET /c (as editor): body.x is 1 on the live release and 2 on the candidate.",
    ]


def test_a_long_value_is_cut():
    sentence = Finding(Difference("body", "x" * 200, "y\n z"), (Request("/"),)).sentence
    assert sentence == f"GET /: body is {'x' * 77}... on the live release and y z on the candidate."
