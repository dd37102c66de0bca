"""The self-test fails when a gate lets a known-bad green pass, stops a good one, or has no known-bad green at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.http import ask, exchange
from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.contract import gate as contract
from eduhub_pilot.gates.performance import load
from eduhub_pilot.gates.runner import GATES, Gate
from eduhub_pilot.gates.runtime import gate as runtime
from eduhub_pilot.gates.self_test import self_test as module
from eduhub_pilot.gates.self_test.candidates import CASES
from eduhub_pilot.gates.self_test.self_test import self_test
from eduhub_pilot.model.facts import Container, Image, Look
from eduhub_pilot.model.verdict import Verdict
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import FakeEngine
from tests.unit.pilot.world import World

pytestmark = pytest.mark.slow

IMAGE = "eduhub/pilot:py3.11"


class LocalEngine(FakeEngine):
    """An engine whose containers are folders here, looked into by this Python."""

    def __init__(self, root: Path) -> None:
        super().__init__(lambda _: None)
        self.root, self.images = root, {IMAGE: Image("sha256:" + "bb" * 32)}

    def lay(
        self, name: str, image: str, folder: str, files: Mapping[str, str], environment: Mapping[str, str], stack: str
    ) -> None:
        assert (folder, environment, stack) == ("/candidate", {"PYTHONPATH": "/candidate"}, "eduhub")
        (self.root / name).mkdir()
        for file, text in files.items():
            (self.root / name / file).write_text(text)
        self.containers[name] = Container(name, "created", image, command=("python3", "-m", "eduhub_pilot"),
                                          mounts=(str(self.root / name),))  # fmt: skip

    def discard(self, name: str) -> None:
        if self.containers.pop(name, None) is None:
            return
        (self.root / name).rename(self.root / f"was-{len(list(self.root.iterdir()))}")

    def look(
        self, like: str, command: Sequence[str], memory: str, seconds: float, between: Callable[[], None]
    ) -> Look:
        assert memory
        between()
        words = [sys.executable, "-S", *command[1:]]
        done = subprocess.run(words, cwd="/", env={"PYTHONPATH": str(self.root / like)}, capture_output=True, text=True,
                              timeout=seconds, check=False)  # fmt: skip
        return Look(done.returncode, done.stdout)


@pytest.fixture
def host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    (tmp_path / "containers").mkdir()
    monkeypatch.setattr(module, "PROBE_SECONDS", 2.0)
    # Shorter rounds are noisier ones, and these greens differ by a lot.
    for name, count in {"CHUNK": 5, "WARM": 1, "DISCARDED": 1}.items():
        monkeypatch.setattr(load, name, count)
    world.settings.gates.clear()  # type: ignore[attr-defined]  # a dict, as World makes it
    return replace(world.host, engine=LocalEngine(tmp_path / "containers"), ask=ask, fetch=exchange)


def test_traffic_of_the_public_on_the_host_is_none_on_the_servers_of_the_self_test(host, monkeypatch):
    def counts(*_: object) -> None:
        raise AssertionError("The host's HAProxy was asked for its counters.")

    monkeypatch.setattr(type(host.proxy), "counts", counts)
    computes = [case for case in CASES if case.gate == "performance" and "computes" in (case.wrong or "")]
    monkeypatch.setattr(module, "CASES", computes)
    outcome = self_test(host, IMAGE, [gate for gate in GATES if gate.name == "performance"])
    assert (outcome.code, [each.message for each in outcome.findings]) == ("self_test_passed", [])


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_the_gates_stop_every_known_bad_green_and_no_good_one(host, gate):
    outcome = self_test(host, IMAGE, (gate,))
    assert (outcome.code, [each.message for each in outcome.findings]) == ("self_test_passed", [])
    bad = sum(green.gate == gate.name and green.wrong is not None for green in CASES)
    assert outcome.message.startswith(f"All {bad} known-bad candidates were stopped, and every good one passed, in ")
    assert (len(outcome.data["candidates"]), host.engine.containers) == (bad + 1, {})


def test_every_gate_has_greens_that_it_must_stop_and_one_that_it_must_not():
    for gate in GATES:
        wrong = [green.wrong for green in CASES if green.gate == gate.name]
        assert (len(wrong) == len(set(wrong)) > 3, None in wrong) == (True, True)


def says(name: str, word: str) -> Gate:
    return Gate(name, lambda _: Verdict(name, word, "because.", {}, {}, 0.1))


LYING = {
    "pass": ("Gate smoke passed a known-bad candidate: it answers 500.", False),
    "fail": ("Gate smoke returned fail for a good candidate: because.", True),
    "inconclusive": (
        "Gate smoke returned inconclusive for a known-bad candidate (it answers 500): because.", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("word", "sentence", "only"), [(word, *said) for word, said in LYING.items()], ids=LYING)
def test_a_gate_that_lies_is_found(host, word, sentence, only):
    outcome = self_test(host, IMAGE, (says("smoke", word),))
    assert (outcome.code, sentence in [each.message for each in outcome.findings]) == ("self_test_failed", True)
    assert (len(outcome.findings) == 1) == only


def test_a_gate_without_a_known_bad_green_is_found(host):
    findings = self_test(host, IMAGE, (says("speed", "pass"),)).findings
    assert [finding.code for finding in findings] == ["gate_missing_candidate"]


def test_a_gate_that_would_not_stop_anything_here_is_told(host):
    host.settings.gates["pilot_gate_runtime"] = "observe"
    outcome = self_test(host, IMAGE, (Gate(smoke.GATE, smoke.run),))
    assert outcome.code == "self_test_passed"
    assert outcome.message.endswith(" On this host runtime would not stop them: pilot_gate_runtime is not enforce.")


def test_nothing_of_the_stack_is_touched(live, host):
    before = live.store.state(), sorted(path.name for path in live.settings.root.rglob("*"))
    self_test(replace(host, store=live.store), IMAGE, (Gate(contract.GATE, contract.run),))
    assert before == (live.store.state(), sorted(path.name for path in live.settings.root.rglob("*")))
    assert live.store.lock() is None


def test_an_image_that_is_not_there_is_refused(host):
    with ends("image_missing"):
        self_test(host, "eduhub/pilot:py3.9", (Gate(runtime.GATE, runtime.run),))
