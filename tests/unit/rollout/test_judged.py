"""Of many upgrades it is told which verdicts must not be, and the delay is a real one of a part of blue's time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rollout import judged as package
from tests.rollout.judged import __main__ as program
from tests.rollout.judged.verdicts import SLOWER, Judged, delay_ms, judged, summary, wrong

FOLDER = Path(package.__file__).parent / "slow"
MEASURED = {"ratio": {"p50": {"value": 1.01}, "cpu": {"value": 0.98}}, "milliseconds": {"blue": {"p50": 2.0}}}
LINE = {"gate": "performance", "verdict": "pass", "seconds": 11.0, "reason": "fine.", "measured": MEASURED}


def test_the_last_verdict_of_the_gate_counts():
    lines = [{"event": "begun"}, {**LINE, "verdict": "error"}, LINE, {"gate": "performance", "skipped": "no blue"}]
    assert judged(0.0, lines) == Judged(0.0, "pass", 11.0, 1.01, 0.98, 2.0, "fine.")


@pytest.mark.parametrize("lines", [[], [{"gate": "smoke", "verdict": "pass"}]])
def test_a_run_in_which_the_gate_was_not_asked_is_no_pass(lines):
    assert wrong([judged(0.0, lines)]) == [Judged(0.0, "none", 0.0)]


VERDICTS = ["pass", "inconclusive", "fail", "error", "none"]


def test_the_same_release_must_not_fail_and_a_slower_one_must():
    same, slower = ([Judged(part, word, 1.0) for word in VERDICTS] for part in (0.0, SLOWER))
    assert [each.verdict for each in wrong(same)] == ["fail", "error", "none"]
    assert [each.verdict for each in wrong(slower)] == ["pass", "inconclusive", "error", "none"]


def test_the_delay_is_a_fifth_of_blues_median():
    same = [Judged(0.0, "pass", 1.0, blue_ms=time) for time in (1.0, 2.0, 9.0, None)]
    assert delay_ms(same) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="Nothing was measured"):
        delay_ms([Judged(0.0, "none", 0.0)])


def test_what_came_of_them_is_a_line_for_each_kind():
    found = [Judged(0.0, "pass", 11.0, 0.99, 1.0), Judged(0.0, "pass", 15.0, 1.02, 1.01), Judged(0.0, "fail", 20.0),
             Judged(SLOWER, "fail", 12.0, 1.19)]  # fmt: skip
    assert summary(found) == [
        ("the same release: 2 pass, 1 fail of 3; 15 s each, 20 s at most; p50 0.99 to 1.02 times blue's; CPU 1.00 to "
         "1.01 times blue's."),
        "20% slower: 1 fail of 1; 12 s each, 12 s at most; p50 1.19 to 1.19 times blue's.",
    ]


class Host:
    """An operator whose upgrades are judged by `says`: from the milliseconds of the delay to a verdict."""

    def __init__(self, says, live="blue") -> None:
        self.says, self.live, self.lines, self.variables = says, live, [], []

    def status(self) -> dict[str, str | None]:
        return {"live": self.live, "python": "3.13.5"}

    def with_variables(self, _folder: Path, **variables) -> Host:
        self.variables.append(variables)
        return self

    def types(self, *words: str) -> None:
        assert words == ("upgrade", "--python", "3.13")
        delay = float(self.variables[-1]["bridge_environment"].get("SLOW_MS", "0"))
        self.lines += [{"event": "begun"}, {**LINE, "verdict": self.says(delay)}]


@pytest.fixture
def typed(monkeypatch, capsys):
    """Let a host be judged, twice the same and three times slower; return the exit code and what was printed."""

    def run(host: Host, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(program, "Operator", lambda: host)
        monkeypatch.setattr(program, "journal", lambda: host.lines)
        code = program.main(["--same", "2", "--slower", "3", *more])
        return code, "".join(capsys.readouterr())

    return run


def test_upgrades_are_new_each_time_and_slow_by_a_fifth_of_what_was_measured(typed, tmp_path):
    host = Host(lambda delay: "fail" if delay else "pass")
    code, printed = typed(host, "--record", str(tmp_path / "record"))
    assert (code, "the same release: 2 pass of 2" in printed, "20% slower: 3 fail of 3" in printed) == (0, True, True)
    environments = [each["bridge_environment"] for each in host.variables]
    assert [each["RUN"] for each in environments] == ["1", "2", "3", "4", "5"]
    assert [each.get("SLOW_MS") for each in environments] == [None, None, *["0.400"] * 3]
    assert ["bridge_mounts" in each for each in host.variables] == [False, False, True, True, True]
    lines = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [(line["slower"], line["verdict"]) for line in lines] == [(0.0, "pass")] * 2 + [(SLOWER, "fail")] * 3


@pytest.mark.parametrize(("says", "many"), [(lambda _: "fail", 2), (lambda _: "pass", 3)], ids=["noise", "blindness"])
def test_a_verdict_that_must_not_be_ends_with_1_and_is_named(typed, says, many):
    code, printed = typed(Host(says))
    assert (code, printed.count("Must not be: ")) == (1, many)


def test_without_a_stack_nothing_is_judged(typed):
    code, printed = typed(Host(lambda _: "pass", live=None))
    assert (code, printed.startswith("Deploy a stack first")) == (2, True)


ASKED = """
import asyncio, time
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

class Cycle(RequestResponseCycle):
    def __init__(self):
        self.scope, self.disconnected = {}, True

    async def send_500_response(self):
        pass

    receive = send = None
    response_started = response_complete = True
    logger = access_logger = None

async def app(*_):
    pass

began, cpu = time.monotonic(), time.process_time()
for _ in range(20):
    asyncio.run(Cycle().run_asgi(app))
print(time.monotonic() - began, time.process_time() - cpu, RequestResponseCycle.run_asgi.__module__)
"""


def asked(milliseconds: str) -> tuple[float, float, str]:
    """How long twenty answers took, in time and in processor time, and whose the answering is."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env={"PYTHONPATH": str(FOLDER), "SLOW_MS": milliseconds}, text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    seconds, cpu, module = done.stdout.split()
    return float(seconds), float(cpu), module


def test_a_bridge_that_is_to_be_slow_waits_and_takes_no_processor_for_it():
    seconds, cpu, module = asked("20")
    assert (seconds >= 0.4, cpu < 0.4, module) == (True, True, "sitecustomize")
    assert asked("0")[2].startswith("uvicorn.")
