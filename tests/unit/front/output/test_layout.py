"""Lines for any width: texts are folded, logs and commands stay whole, commands are about the request's hosts."""

from __future__ import annotations

import pytest

from front.arguments.request import Request
from front.output import layout
from front.run.messages import Message

CAMPUS = Request("upgrade", "campus", "a")


def test_texts_are_folded_and_logs_are_not():
    text = "one two three\n\n  a    log line\n| another log line\nr-1-2-3 x"
    lines = ["one two", "three", "  a    log line", "| another log line", "r-1-2-3", "x"]
    assert list(layout.wrapped(text, 8)) == lines


def test_each_next_command_is_a_whole_line_about_the_same_hosts():
    message = Message("x", "Not ready.", (("./invoke", "rollback"), ("docker", "logs", "eduhub blue")))
    assert list(layout.rendered(message, CAMPUS, 20)) == [
        "Not ready.",
        "Next: ./invoke rollback --inventory campus --limit a",
        "      docker logs 'eduhub blue'",
    ]


@pytest.mark.parametrize(("given", "width"), [("40", 40), ("3", 20), ("400", 110)])
def test_a_line_is_as_wide_as_the_terminal_within_limits(monkeypatch, given, width):
    monkeypatch.setenv("COLUMNS", given)
    assert layout.columns() == width


def test_a_line_that_does_not_fit_shows_where_it_was_cut():
    assert [layout.cut("green 25%", width) for width in (9, 8, 1)] == ["green 25%", "green 2…", "…"]
