"""An unmodified client cannot tell the bridge from Plone: the same requests, the same answers, on each Python.

What is asked stands in reads.py and stories.py, what is left out of the comparison in alike.py, and where the
bridge is meant to differ in exceptions.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bridge.alike import told
from tests.bridge.document import service
from tests.bridge.door import Answer, Door, Request
from tests.bridge.exceptions import REFUSED
from tests.bridge.reads import TABLE, readings
from tests.bridge.stack import PYTHONS
from tests.bridge.stories import STORIES

READINGS = readings()
# Every <plone:service> of the packages that this Plone is made of.
LIST_SERVICES = """
import pathlib, re, sys
for path in pathlib.Path("/app/lib").rglob("*.zcml"):
    if "test" not in path.name:
        for service in re.findall(r"<plone:service(.*?)/>", path.read_text(), re.DOTALL):
            given = dict(re.findall(r'(\\w+)="(.*?)"', service))
            print(given["method"], given.get("name", ""))
"""


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.name)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_request_that_changes_nothing_is_answered_as_by_plone(sides, python, reading):
    difference = sides.ask("plone", reading).difference(sides.ask(python, reading))
    assert not difference, f"\n{difference}"


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_story_of_writing_goes_as_it_goes_in_plone(sides, python, name):
    pairs = zip(STORIES[name], sides.tell("plone", name), sides.tell(python, name), strict=True)
    differences = [f"{step.name}:\n{before.difference(after)}" for step, before, after in pairs if before != after]
    assert not differences, "\n".join(differences)


def test_every_python_tells_the_same(sides):
    one, *others = PYTHONS
    for other in others:
        apart = [each.name for each in READINGS if sides.ask(one, each) != sides.ask(other, each)]
        apart += [name for name in STORIES if sides.tell(one, name) != sides.tell(other, name)]
        assert apart == []


def test_no_service_of_plone_is_left_out(classic):
    done = classic.container.exec_run(["python3", "-c", LIST_SERVICES])
    offered = {tuple(line.split(" ", 1)) for line in done.output.decode().splitlines()}
    asked = [*TABLE, *(step for steps in STORIES.values() for step in steps)]
    compared = {(each.method, name if (name := service(each.path)).startswith("@") else "") for each in asked}
    assert len(offered) > 90
    assert offered - compared == set()


@pytest.mark.parametrize("exception", REFUSED, ids=lambda exception: exception.request.name)
@pytest.mark.parametrize("python", PYTHONS)
def test_an_exception_is_what_it_is_said_to_be(sides, python, exception):
    mine, plones = (sides.doors[side].ask(exception.request) for side in (python, "plone"))
    assert (mine.status, plones.status < 500) == (exception.status, True)
    assert plones.status != exception.status
    assert exception.reason
    assert mine.field("content-type") == "application/problem+json"


PLONE = Door("http://127.0.0.1:8080/Plone", ("127.0.0.1", 1), "", root="/Plone")
BRIDGE = Door("http://bridge.test:1/plone", ("127.0.0.1", 1), "")
ANSWER = Answer(
    200, [("content-type", "application/json"), ("content-length", ""), ("vary", "a"), ("vary", "b")],
    b'{"@id": "%s/x", "a": [1, 2]}',
)  # fmt: skip


def answered(door: Door, **changes: object) -> Answer:
    answer = replace(ANSWER, **{"body": ANSWER.body, **changes})
    body = answer.body.replace(b"%s", door.base.encode())
    fields = [(name, str(len(body)) if name == "content-length" else value) for name, value in answer.fields]
    return replace(answer, body=body, fields=fields)


def test_only_the_address_of_the_site_may_differ():
    request = Request("GET", "/x")
    before = told(answered(PLONE), request, PLONE)
    assert before.difference(told(answered(BRIDGE), request, BRIDGE)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 201}, {"fields": ANSWER.fields[:-1]}, {"fields": ANSWER.fields[::-1]}, {"body": ANSWER.body[:-1]},
        {"body": b'{"@id": "%s/y", "a": [1, 2]}'}, {"body": b'{"@id": "%s/x", "a": [2, 1]}'},
        {"body": b'{"@id": "http://127.0.0.1:8080/Plone/x", "a": [1, 2]}'},
        {"fields": [*ANSWER.fields, ("set-cookie", "a=1")]},
    ],
)  # fmt: skip
def test_every_other_difference_is_seen(changes):
    request = Request("GET", "/x")
    before = told(answered(PLONE), request, PLONE)
    assert before.difference(told(answered(BRIDGE, **changes), request, BRIDGE)) != ""


def test_a_wrong_length_is_seen():
    request = Request("GET", "/x")
    fields = [(name, "3" if name == "content-length" else value) for name, value in ANSWER.fields]
    wrong = replace(answered(PLONE, body=b"{}"), fields=fields)
    assert told(wrong, request, PLONE).difference(told(answered(BRIDGE, body=b"{}"), request, BRIDGE)) != ""
