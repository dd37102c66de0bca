"""Of what is found under a new Python only that stops which would hurt what serves; an allowance ends with its day."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.gates.contract.allow_list import Allowance
from eduhub_pilot.gates.criteria import KINDS, RuntimeCriteria
from eduhub_pilot.gates.runtime.findings import Finding, Report, differences, judge, named, parse_report
from eduhub_pilot.gates.runtime.gate import decide

TODAY = date(2026, 6, 1)
WANTED = RuntimeCriteria()
OURS = {"ours": True}
LIBRARY = {"owner": "click", "module": "click.more"}


def report(*findings: Finding, python: str = "3.11.2", **versions: str) -> Report:
    return Report(python, 9, 8, 7, {"click": "8.1.8", **versions}, findings)


def finding(kind: str, path: str = "/lib/x.py", line: int = 3, what: str = "is bad", **more) -> Finding:
    return Finding(kind, path, line, what, **{"reach": "start", **more})


# finding, what blue was found to have (None: no blue), whether it stops
CASES = {
    "ours, removed": (finding("removed", **OURS), report(), True),
    "ours, import of what is not installed": (finding("import", missing="nothing", **OURS), report(), True),
    "ours, without a blue": (finding("import", missing="nothing", **OURS), None, True),
    "ours, a warning": (finding("deprecated", **OURS), report(), False),
    "ours, installs": (finding("boot", **OURS), report(), False),
    "library, new with this Python": (finding("import", error="TypeError", **LIBRARY), report(), True),
    "library, an optional dependency lost":
        (finding("import", missing="no.thing", reach="guarded", **LIBRARY), report(no="1"), True),
    "library, an optional dependency that was never there":
        (finding("import", missing="no.thing", reach="later", **LIBRARY), report(), False),
    "library, a dependency that it declares":
        (finding("import", missing="no.thing", reach="later", declared=True, **LIBRARY), None, True),
    "library, at the start, what it imports is missing": (finding("import", missing="nothing", **LIBRARY), None, True),
    "library, a module of the standard library is gone":
        (finding("import", missing="imp", reach="later", error="ModuleNotFoundError", **LIBRARY), None, True),
    "library, such an import is caught":
        (finding("import", missing="distutils", reach="guarded", error="ModuleNotFoundError", **LIBRARY), None, False),
    "library, in another version, asked for later":
        (finding("import", error="RuntimeError", reach="later", **LIBRARY), report(click="7.0"), False),
    "library, in another version, at the start":
        (finding("import", error="RuntimeError", **LIBRARY), report(click="7.0"), True),
    "library, wants settings, without a live release":
        (finding("import", error="RuntimeError", reach="later", **LIBRARY), None, False),
    "library, another Python broke it, without a live release":
        (finding("import", error="TypeError", reach="later", **LIBRARY), None, True),
    "library, for another system, without a live release":
        (finding("import", error="ImportError", reach="later", **LIBRARY), None, False),
    "library, does not compile": (finding("compile", **LIBRARY), report(), True),
    "library, does not compile, without a live release": (finding("compile", **LIBRARY), None, True),
    "library, does not compile, and is not reached": (finding("compile", reach=None, **LIBRARY), report(), False),
    "ours, not reached": (finding("removed", reach=None, **OURS), report(), False),
    "ours, what it imports in a function is missing":
        (finding("import", missing="x", error="ModuleNotFoundError", lazy=True, reach="start", **OURS), None, False),
    "ours, what it imports in a function is lost":
        (finding("import", missing="x", error="ModuleNotFoundError", lazy=True, reach="start", **OURS), report(x="1"),
         True),
    "ours, named in a text, wants a package of others":
        (finding("import", missing="pytest", error="ModuleNotFoundError", reach="named", **OURS), None, True),
    "ours, possibly imported, wants a package of others":
        (finding("import", missing="pytest", error="ModuleNotFoundError", reach="possible", **OURS), None, False),
    "ours, named in a text, wants what Python no longer has":
        (finding("import", missing="imp", error="ModuleNotFoundError", reach="named", **OURS), None, True),
    "library, for another Python": (finding("abi", **LIBRARY), None, True),
    "library, removed name": (finding("removed", **LIBRARY), None, True),
    "library, removed name, but made for this Python": (finding("removed", supported=True, **LIBRARY), None, False),
}


@pytest.mark.parametrize(("found", "blue", "stops"), CASES.values(), ids=CASES)
def test_what_stops(found, blue, stops):
    judgement = judge(report(found), blue, WANTED, TODAY)
    assert (judgement.stops, judgement.notes) == (([found.sentence], []) if stops else ([], [found.sentence]))


@given(st.sampled_from(KINDS), st.booleans(), st.sampled_from([None, "click"]), st.booleans())
def test_what_blue_has_as_well_never_stops(kind, ours, owner, top):
    green = finding(kind, "/usr/lib/python3.11/site-packages/x.py", ours=ours, owner=owner, top=top, error="E")
    blue = finding(kind, "/usr/lib/python3.9/site-packages/x.py", 7, ours=ours, owner=owner, top=top, error="E")
    assert judge(report(green), report(blue), RuntimeCriteria(kinds=KINDS), TODAY).stops == []


def test_the_same_module_that_fails_otherwise_is_another_finding():
    green = finding("import", error="ImportError", missing="imp", module="app.x", **OURS)
    blue = finding("import", error="ImportError", missing="redis", module="app.x", **OURS)
    assert judge(report(green), report(blue), WANTED, TODAY).stops == [green.sentence]


def test_only_the_wanted_kinds_stop():
    removed, old = finding("removed", **OURS), finding("deprecated", line=4, **OURS)
    judgement = judge(report(removed, old), None, RuntimeCriteria(kinds=("deprecated",)), TODAY)
    assert (judgement.stops, judgement.notes) == ([old.sentence], [removed.sentence])


def test_ours_come_first():
    judgement = judge(report(finding("abi", "/a"), finding("abi", "/z", **OURS)), None, WANTED, TODAY)
    assert judgement.stops == ["/z:3 is bad.", "/a:3 is bad."]


@pytest.mark.parametrize(("until", "stops", "allowed"), [
    (TODAY, [], ["/lib/x.py:3 is bad. Allowed until 2026-06-01: told the vendor."]),
    (date(2026, 5, 31), ["/lib/x.py:3 is bad. It was allowed until 2026-05-31."], []),
])  # fmt: skip
def test_an_allowance_counts_until_its_day_and_not_a_day_longer(until, stops, allowed):
    wanted = RuntimeCriteria(allowed=(Allowance("*/x.py", "removed", until, "told the vendor"),))
    judgement = judge(report(finding("removed", **OURS)), None, wanted, TODAY)
    assert (judgement.stops, judgement.allowed) == (stops, allowed)


def test_differences_of_distributions_are_listed_and_said():
    blue, green = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "4"}
    difference = differences(blue, green)
    assert difference == {"added": {"d": "4"}, "removed": {"c": "1"}, "changed": {"b": ["1", "2"]}}
    assert named(difference) == "d 4 is added, c 1 is removed, b changes from 1 to 2"
    assert named(differences(blue, blue)) == "the distributions are unchanged"
    assert named(differences({}, {str(n): "1" for n in range(9)})).endswith("2 1 is added, 6 more differ")


def test_the_sentence_of_the_verdict():
    one = judge(report(finding("removed", **OURS)), None, WANTED, TODAY)
    two = judge(report(finding("removed", **OURS), finding("abi", "/z", **OURS)), None, WANTED, TODAY)
    assert decide(report(), one, "") == ("fail", "On Python 3.11.2: /lib/x.py:3 is bad.")
    assert decide(report(), two, "")[1].endswith("That is the first of 2 findings.")
    fine = judge(report(), None, WANTED, TODAY)
    passed = "8 modules of 7 packages can be imported on Python 3.11.2; x is new."
    assert decide(report(), fine, "x is new") == ("pass", passed)
    left = Report("3.11.2", 9, 8, 7, {}, [], unexamined=["app.slow"])
    word, reason = decide(left, fine, "")
    assert (word, "such as app.slow. Raise pilot_runtime_seconds." in reason) == ("inconclusive", True)
    assert decide(left, one, "")[0] == "fail"


GOOD = {"python": "3.11.2", "files": 1, "modules": 1, "packages": 1, "distributions": {}, "findings": [], "dropped": 0,
        "unexamined": [], "unreached": 4, "mounted": 0}  # fmt: skip


@pytest.mark.parametrize("change", [
    {"findings": [{"kind": "abi"}]}, {"findings": 3}, {"modules": "many"}, {"distributions": []}, {"python": ...},
])  # fmt: skip
def test_a_report_that_is_none_is_refused(change):
    text = json.dumps({name: value for name, value in {**GOOD, **change}.items() if value is not ...})
    for none in (text, "", "null", "[]", text[:-3]):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own words are among them
            parse_report(none)


def test_a_whole_report_is_taken():
    assert parse_report(json.dumps(GOOD)).modules == 1
