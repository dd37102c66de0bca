"""Which pages of a backup are rendered, and when two answers are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from eduhub_plone.backup.pages import MOST, answers, asked, chosen, mixed, told


def test_of_each_type_the_first_items_are_chosen_the_shallow_ones_first() -> None:
    """An order of the catalog's own would be another one in another image."""
    items = [("Event", "/P/e"), ("Document", "/P/a/a"), *(("Document", f"/P/{name}") for name in "dcbz")]
    assert chosen(items) == ["/P/b", "/P/c", "/P/d", "/P/e"]
    assert chosen(reversed(items)) == chosen(items)


def test_a_large_site_leaves_out_no_other() -> None:
    large, small = [f"/P/{number}" for number in range(2 * MOST)], ["/departments/physics", "/departments/physics/a"]
    assert set(small) < set(mixed([large, small])[:MOST])
    assert mixed([large]) == large


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": [1, 2], "b": None}, {"b": None, "a": [2, 1]}, True),
        ({"a": [1, 2]}, {"a": [1, 3]}, False),
        ({"a": "1"}, {"a": 1}, False),
        ([{"a": [{"b": 1}, {"c": 2}]}], [{"a": [{"c": 2}, {"b": 1}]}], True),
    ],
)
def test_json_is_the_same_whatever_its_order(one: Any, other: Any, same: bool) -> None:
    """Some of Plone's lists are sets, and their order is the process's."""
    first, second = (told(200, "application/json", json.dumps(each).encode()) for each in (one, other))
    assert ((first == second), first.startswith("200 application/json ")) == (same, True)


def test_of_an_item_the_content_has_a_digest_of_its_own() -> None:
    """Versions of Plone add members and rename others; what an editor wrote is the same in each."""
    item = {"title": "News", "created": "2026-11-29T20:00:00+00:00", "@components": {"a": 1}, "lock": {}}

    def words(**changed: object) -> list[str]:
        return told(200, "application/json", json.dumps({**item, **changed}).encode()).split()

    first, other, misread = words(), words(lock=None), words(created="56910736-01-01T00:00:00+00:00")
    assert (first[3], len(first)) == ("content", 5)
    assert (other[2] == first[2], other[4] == first[4], misread[4] == first[4]) == (False, True, False)


def test_of_html_counts_what_could_not_be_rendered() -> None:
    """Tokens and times are in each page; a broken portlet leaves its status 200."""
    whole, other = (told(200, "text/html", body) for body in (b"<p>token 1</p>", b"<p>token 2</p>"))
    broken = told(200, "text/html", b"<section>error while rendering plone.footer</section>")
    assert (whole == other, broken) == (True, "200 text/html with 1 parts that cannot be rendered")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A site that says who asks, fails at one page, and cannot find another."""
    path, who = environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "nobody")
    if path == "/broken":
        raise KeyError(path)
    start_response("404 Not Found" if path == "/gone" else "200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [f"{environ['REQUEST_METHOD']} {path} by {who}".encode()]


def test_a_page_is_asked_for_as_a_client_does() -> None:
    """A path is UTF-8, as WSGI hands it on; an error that nobody catches is a 500 of its name."""
    assert asked(application, "/") == (200, "text/html", b"GET / by nobody")
    assert asked(application, "/gone")[0] == 404
    assert asked(application, "/broken") == (500, "KeyError", b"")
    assert asked(application, "/B\xfccher")[2].decode() == "GET /B\xc3\xbccher by nobody"


def test_each_page_is_asked_for_in_three_ways() -> None:
    """What everybody sees, what an editor sees, and the data."""
    assert [name for name, _ in answers(application, "/P", "secret")] == [
        "/P as HTML", "/P as HTML for admin", "/P as JSON for admin",
    ]  # fmt: skip
