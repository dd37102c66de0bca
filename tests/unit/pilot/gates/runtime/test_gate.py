"""The gate `runtime` examines green's image in a container of its own and holds it against what blue was like."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from eduhub_pilot.gates.candidate import Skipped
from eduhub_pilot.gates.runtime import gate as runtime
from eduhub_pilot.model.facts import Image, Look
from tests.unit.pilot.gates.reports import FOUND, looks
from tests.unit.pilot.world import World


@pytest.fixture
def started(live) -> World:
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.engine.looked.clear()
    return live


def test_green_alone_is_looked_into_as_blue_was_when_it_was_proven(started):
    verdict = runtime.run(started.candidate("run-2"))
    assert (verdict.verdict, [like for like, _ in started.engine.looked]) == ("pass", ["eduhub-green"])
    assert verdict.reason.startswith("80 modules of 7 packages can be imported on Python 3.11.2; ")
    assert verdict.reason.endswith("the distributions are unchanged.")
    assert verdict.measured["compared_with"] == started.store.state().live.release


def test_a_blue_that_was_never_looked_into_is_looked_into_now(started):
    release = started.store.state().live.release
    for broken in (None, "{"):
        path = started.settings.root / f"releases/{release}/runtime.json"
        path.unlink() if broken is None else path.write_text(broken)
        started.engine.looked.clear()
        shutil.rmtree(started.settings.root / "examined")
        assert runtime.run(started.candidate("run-2")).measured["compared_with"] == release
        assert [like for like, _ in started.engine.looked] == ["eduhub-green", "eduhub-blue"]
        assert json.loads(path.read_text())["python"] == "3.9.2"


def test_an_image_is_examined_once_for_all_releases_that_start_it_alike(started):
    runtime.run(started.candidate("run-2"))
    again = runtime.run(started.candidate("run-2"))
    assert (again.verdict, len(started.engine.looked)) == ("pass", 1)
    green = started.engine.containers["eduhub-green"]
    started.engine.containers["eduhub-green"] = replace(green, command=("python3", "-m", "other"))
    runtime.run(started.candidate("run-2"))
    assert len(started.engine.looked) == 2


def test_mounted_code_is_examined_each_time(started):
    started.engine.looks["eduhub-green"] = looks(mounted=1)
    runtime.run(started.candidate("run-2"))
    runtime.run(started.candidate("run-2"))
    assert len(started.engine.looked) == 2


def test_a_finding_of_the_application_fails_and_is_kept(started):
    started.engine.looks["eduhub-green"] = looks(findings=[FOUND])
    verdict = runtime.run(started.candidate("run-2"))
    assert (verdict.verdict, verdict.consequence) == ("fail", "revert")
    assert verdict.reason == "On Python 3.11.2: /app/a.py:3 uses imp."
    assert verdict.measured["findings"] == ["/app/a.py:3 uses imp."]


def test_an_allowed_finding_passes_and_is_told(started):
    started.engine.looks["eduhub-green"] = looks(findings=[FOUND])
    allowed = [{"path": "/app/*", "until": "2026-12-31", "why": "ticket 4"}]
    verdict = runtime.run(started.candidate("run-2", runtime_allowed=allowed))
    assert (verdict.verdict, "allowed for a time: 1 finding" in verdict.reason) == ("pass", True)
    assert verdict.measured["allowed"] == ["/app/a.py:3 uses imp. Allowed until 2026-12-31: ticket 4."]


def test_differences_of_distributions_to_blue_are_told(started):
    started.engine.looks["eduhub-green"] = looks(distributions={"click": "8.2"})
    verdict = runtime.run(started.candidate("run-2"))
    assert verdict.reason.endswith("; click changes from 8.1.8 to 8.2.")
    assert verdict.measured["dependencies"] == {"added": {}, "removed": {}, "changed": {"click": ["8.1.8", "8.2"]}}


def test_another_python_than_the_release_says_fails(started):
    started.engine.looks["eduhub-green"] = looks(python="3.9.2")
    assert runtime.run(started.candidate("run-2")).reason == (
        "On Python 3.9.2: the interpreter of the image is 3.9.2, but the release names 3.11."
    )


NO_REPORT = {
    "too slow": (Look(137, "", "seconds"), "inconclusive", "took more than 120 s. Raise pilot_runtime_seconds."),
    "too large": (Look(137, "", "memory"), "inconclusive", "more memory than 512m. Raise pilot_runtime_memory."),
    "unexamined": (looks(unexamined=["app.x"]), "inconclusive", "such as app.x"),
    "no report": (Look(1, "Traceback"), "error", "ended with exit code 1 and no report"),
    "no Python in an image that says it has one": (Look(127, "", "absent"), "fail", "no python3 nor python"),
}


@pytest.mark.parametrize(("look", "word", "words"), NO_REPORT.values(), ids=NO_REPORT)
def test_without_a_whole_report_there_is_no_pass(started, look, word, words):
    started.engine.looks["eduhub-green"] = look
    verdict = runtime.run(started.candidate("run-2"))
    assert (verdict.verdict, words in verdict.reason) == (word, True)
    assert started.store.evidence(started.store.state().rollout.release, "runtime.json") is None


def test_an_engine_that_is_down_is_an_error(started):
    candidate = started.candidate("run-2")
    started.engine.down = True
    assert runtime.run(candidate).verdict == "error"


def test_an_image_of_somebody_else_without_python_is_skipped(world):
    world.engine.images["example.edu/bridge:1"] = Image("sha256:" + "ab" * 32)
    begun = world.begin("run-1", spec=world.spec(image="example.edu/bridge:1", python=None))
    world.role_bridge(begun.data["slot"], begun.data["record"])
    world.engine.looks["eduhub-blue"] = Look(127, "", "absent")
    assert runtime.run(world.candidate("run-1")) == Skipped(
        "runtime", "The image of eduhub-blue has no python3 nor python: there is no Python to examine."
    )
    assert [command[0] for _, command in world.engine.looked] == ["python3", "python"]


def test_a_first_deployment_has_nothing_to_compare_with(world):
    begun = world.begin("run-1")
    world.role_bridge(begun.data["slot"], begun.data["record"])
    verdict = runtime.run(world.candidate("run-1"))
    assert (verdict.verdict, verdict.measured["compared_with"]) == ("pass", None)
    assert verdict.reason.endswith("; there is no live release to compare with.")
