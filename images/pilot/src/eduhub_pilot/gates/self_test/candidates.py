"""The candidates of the self-test, as data: what they answer, or the code in their image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Trick = Literal["by turns", "hangs", "cuts", "no_listener", "other release", "other slot"]


@dataclass(frozen=True)
class Page:
    """One answer. `tick` in the body is replaced by a number that grows with each answer."""

    body: str
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What an answer costs, in milliseconds: waiting, computing, and, for READ alone, waiting for Plone."""

    wait: float = 0.8
    compute: float = 0.2
    plone: float = 8.0


@dataclass(frozen=True)
class Case:
    """One candidate: what is `wrong` with it, None for one that must pass; `pages` and `trick`, or `code` by file name.

    `work` is what its answers cost, for a gate that measures.
    """

    gate: str
    wrong: str | None
    pages: Mapping[str, Page] = field(default_factory=dict)
    trick: Trick | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    work: Work | None = None


READ = "/search"
COURSES = {"items": [{"id": 1, "price": 1}, {"id": 2, "price": 2}], "at": "10:tick", "next": None}
LIVE_PAGES: Mapping[str, Page] = {
    "/": Page("<html>\n<p>Courses</p>\n</html>", kind="text/html; charset=utf-8"),
    "/courses": Page(json.dumps(COURSES), headers={"Vary": "Accept", "Cache-Control": "no-store"}),
    "/nowhere": Page('{"type": "NotFound", "message": "Nothing is here."}', 404),
}


def _but(path: str, page: Page) -> dict[str, Page]:
    return {**LIVE_PAGES, path: page}


def _courses(**changes: object) -> dict[str, Page]:
    return _but("/courses", Page(json.dumps({**COURSES, **changes}), headers=LIVE_PAGES["/courses"].headers))


def _smoke(wrong: str | None, page: Page | None = None, trick: Trick | None = None) -> Case:
    return Case("smoke", wrong, _but("/", page) if page else LIVE_PAGES, trick)


def _contract(wrong: str | None, pages: Mapping[str, Page], trick: Trick | None = None) -> Case:
    return Case("contract", wrong, pages, trick)


def _performance(wrong: str | None, work: Work | None = None, pages: Mapping[str, Page] | None = None) -> Case:
    return Case("performance", wrong, pages or LIVE_PAGES, work=work or Work())


def _runtime(wrong: str | None, source: str, **more: str) -> Case:
    return Case("runtime", wrong, code={"app.py": source, **more})


CASES: Sequence[Case] = (
    _smoke(None),
    _smoke("it answers 500", Page("{}", 500)),
    _smoke("it answers 500 by turns", trick="by turns"),
    _smoke("it redirects", Page("", 301, headers={"Location": "https://login.example.edu/"})),
    _smoke("it accepts connections and hangs", trick="hangs"),
    _smoke("it cuts connections", trick="cuts"),
    _smoke("no process listens", trick="no_listener"),
    _smoke("another release answers", trick="other release"),
    _smoke("the other slot answers", trick="other slot"),
    _runtime(None, "import json\n\n\ndef price(x):\n    return json.dumps(x)\n"),
    _runtime("a file does not compile", "print 'hello'\n"),
    _runtime("a module is imported that is not installed", "import eduhub_has_no_such_module\n"),
    _runtime("a module that Python 3.10 removed is used in a function", "def f():\n    import formatter\n"),
    _runtime("a function that Python 3.11 removed is used",
             "import inspect\n\n\ndef f(x):\n    return inspect.getargspec(x)\n"),
    _runtime("an extension module is built for another Python",
             "", **{"speed.cpython-36m-x86_64-linux-gnu.so": ""}),
    _runtime("a module raises when it is imported", "raise RuntimeError('not on this Python')\n"),
    _runtime("a module crashes the interpreter", "import os\n\nos.abort()\n"),
    _contract(None, {**LIVE_PAGES, "/courses": Page(
        '{"at": "10:tick", "next":null, "items": [{"price": 1, "id": 1}, {"id": 2, "price": 2}]}',
        headers=LIVE_PAGES["/courses"].headers)}),
    _contract("a number is written otherwise", _courses(items=[{"id": 1, "price": 1.0}, {"id": 2, "price": 2.0}])),
    _contract("a number has become a text", _courses(items=[{"id": "1", "price": 1}, {"id": "2", "price": 2}])),
    _contract("a field is gone", _courses(items=[{"id": 1, "price": 1}, {"id": 2}])),
    _contract("a field is new", _courses(total=2)),
    _contract("a time is written otherwise", _courses(at="10.tick")),
    _contract("a header differs", _but("/courses", Page(
        json.dumps(COURSES), headers={"Vary": "Accept, Cookie", "Cache-Control": "no-store"}))),
    _contract("an error says something else", _but("/nowhere", Page('{"detail": "Not Found"}', 404))),
    _contract("an error has another status", _but("/nowhere", Page('{"type": "NotFound"}', 410))),
    _contract("a text differs", _but("/", Page("<html>\n<p>Kurse</p>\n</html>", kind="text/html; charset=utf-8"))),
    _contract("it answers otherwise by turns", LIVE_PAGES, "by turns"),
    _contract("it accepts connections and hangs", LIVE_PAGES, "hangs"),
    _performance(None),
    # Beside its work an answer takes 0.4 ms to be sent and received.
    _performance("it answers a fifth later", Work(wait=0.8 + 0.28)),
    _performance("it computes more, in the same time", Work(wait=0.65, compute=0.35)),
    _performance("a page that it is measured by answers 500", pages=_but("/courses", Page("{}", 500))),
    _performance("it keeps Plone busy twice as long", Work(plone=16.0)),
)  # fmt: skip
