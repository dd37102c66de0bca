"""How traffic stands, in lines: from what a shift writes down; any other output is no view of it."""

from __future__ import annotations

import json

import pytest

from front.output.traffic import traffic_in

BLUE = {"weight": 75, "per_second": 120.44, "p95_seconds": [0.025, 0.05], "errors": 0}
GREEN = {"weight": 25, "per_second": 9.0, "p95_seconds": [2.5, None], "errors": 1}
IDLE = {"weight": 0, "per_second": 0.0, "p95_seconds": None, "errors": 0}


def told(blue: object = BLUE, green: object = GREEN, **more: object) -> dict[str, str]:
    slots = {"blue": blue, "green": green}
    document = {"schema": 1, "run": "r", "to": "green", "percent": 25, "seconds": 3.4, "slots": slots, **more}
    return {"stdout": json.dumps(document) + "\r\n"}


def test_both_slots_are_shown_with_weight_rate_p95_and_errors():
    view = traffic_in(told())
    assert view
    assert view.title == "25% of the traffic to green for 3 s"
    assert view.line == "green 25% 9.0/s p95 > 2500 ms 1 error · blue 75% 120.4/s p95 ≤ 50 ms 0 errors"
    assert view.table == [
        "green  25%    9.0/s  p95 > 2500 ms   1 error",
        " blue  75%  120.4/s    p95 ≤ 50 ms  0 errors",
    ]


def test_a_slot_without_requests_is_left_out_and_so_is_an_unknown_p95():
    view = traffic_in(told(blue={**BLUE, "p95_seconds": None}, green=IDLE))
    assert view
    assert (view.line, len(view.table)) == ("blue 75% 120.4/s 0 errors", 1)


def test_without_requests_there_are_no_lines():
    view = traffic_in(told(blue=IDLE, green=IDLE))
    assert view
    assert (view.line, view.table) == ("", [])


@pytest.mark.parametrize(
    "result",
    [{}, {"stdout": ""}, {"stdout": "[]"}, {"stdout": "7"}, {"stdout": '{"over":true,"code":"shifted","exit":0}'},
     told(green=None), told(green={}), told(to="\x1b[2J"), told(percent="x"), told(blue={**BLUE, "errors": "many"}),
     told(blue={**BLUE, "p95_seconds": [1]}), told(seconds=None), {"msg": "no route", "unreachable": True}],
)  # fmt: skip
def test_anything_else_is_no_view(result):
    assert traffic_in(result) is None
