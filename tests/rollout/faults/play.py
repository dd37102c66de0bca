"""Playing one cell: the load, the command, the blow at its moment, and the wait for a legal state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.rollout.faults.host import URL, Host, answered_by
from tests.rollout.faults.judge import Blow, unexplained
from tests.rollout.faults.matrix import Cell
from tests.rollout.faults.strike import PilotKiller, mend, plone_answers, strike
from tests.rollout.operator import NEWEST, OLDEST, LoadGenerator, until

# When a step has begun: what the journal, or the engine, says then.
MARKS = {
    "begin": ("begin", "begun", None),
    "prove": ("prove", "started", None),
    "25%": ("shift", "moved", 25),
    "100%": ("shift", "moved", 100),
    "rehearse": ("shift", "moved", 0),
    "shifted": ("shift", "shifted", None),
    "confirm": ("confirm", "confirmed", None),
    "end": ("confirm", "lock_released", None),
}
# Which run of the pilot does the work of a step; those of a shift are one, and struck at the journal's mark.
PILOTS = {"begin": "begin", "prove": "prove", "confirm": "confirm"}
DISK_SECONDS = 30
# Everything is over so long after the blow, the rest of the command included.
SETTLED_SECONDS = 120
STABLE_SECONDS = 1.5
TARGET = {"upgrade": NEWEST, "rollback": OLDEST}


@dataclass
class Seen:
    """What a cell came to."""

    outcome: str = ""
    seconds: float = 0.0
    returned: int | None = None
    failed: int = 0
    gap: float = 0.0
    output: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def load(folder: Path) -> Iterator[Path]:
    """Put light and page requests on the machine's stack while the block lasts; their events are in the file."""
    options = ("--rate", "25", "--page-rate", "2", "--download", "", "--slow", "", "--timeout", "20")
    with LoadGenerator.running(folder, 400, *options, url=URL) as running:
        until("the load runs", lambda: running.requests() > 15, 30)
        yield folder / "events.jsonl"
        running.result()


def live(host: Host) -> dict[str, Any]:
    return dict(host.release()["live"])


def other_than(slot: str) -> str:
    return {"blue": "green", "green": "blue"}[slot]


def words_of(verb: str) -> list[str]:
    """Return what the operator types."""
    return [verb, "--python", TARGET[verb]] if verb == "upgrade" else [verb]


def reached(host: Host, step: str, slot: str, before: int) -> bool:
    """Return whether the run is at `step`; the journal is of `before` lines when it began."""
    if step == "start":
        return any(name == slot for _, name in host.starts)
    where, event, percent = MARKS[step]
    found = [line for line in host.journal()[before:] if (line["step"], line["event"]) == (where, event)]
    return any(percent is None or line.get("percent") == percent for line in found)


def outcome_now(host: Host, running: subprocess.Popen[str], before: dict[str, Any]) -> str:
    """Return which outcome the host is in, "" while something is still under way."""
    if running.poll() is None:
        return ""
    try:
        state, lock = host.release(), host.lock()
    except (OSError, ValueError):
        return ""
    now, rollout = state["live"], state.get("rollout")
    new = now["slot"] != before["slot"]
    if answered_by() != now["slot"]:
        return ""
    if rollout:
        waits = rollout["step"] in {"begin", "prove"} and host.containers().get("shift") != "running"
        return "left" if waits and not new else ""
    if lock:
        return "kept" if new else "left"
    return "on" if new else "back"


def settled(host: Host, running: subprocess.Popen[str], before: dict[str, Any], deadline: float) -> str:
    """Return the outcome, once it has been the same for some time."""
    last, since = "", time.monotonic()
    while time.monotonic() < deadline:
        now = outcome_now(host, running, before)
        if now != last:
            last, since = now, time.monotonic()
        if last and time.monotonic() - since >= STABLE_SECONDS:
            return last
        time.sleep(0.2)
    raise AssertionError(f"no legal state within {SETTLED_SECONDS} s: {host.release()}, lock {host.lock()}")


def blow(host: Host, cell: Cell, slot: str, running: subprocess.Popen[str], seen: int, stack: ExitStack) -> Blow:
    """Wait for the cell's step, and strike."""
    killer = PilotKiller(PILOTS.get(cell.step, "shift")) if cell.fault == "pilot" and early(cell) else None
    if killer:
        stack.callback(killer.end)
        until(f"the pilot of {cell.step} is killed", lambda: killer.done() or gone(running), 90, pause=0.01)
        assert killer.done(), "the command ended before the step"
        return Blow(time.time(), time.time())
    until(f"the run is at {cell.step}", lambda: reached(host, cell.step, slot, seen) or gone(running), 90, pause=0.01)
    assert reached(host, cell.step, slot, seen), "the command ended before the step"
    if cell.fault == "pilot":
        killer = PilotKiller("shift")
        stack.callback(killer.end)
        until("the pilot is killed", killer.done, 10, pause=0.01)
    return strike(host, cell.fault, slot, running)


def early(cell: Cell) -> bool:
    """Whether the pilot of the cell's step is a run of its own, so that its killer waits for it."""
    return cell.step in PILOTS and not (cell.verb == "rollback" and cell.step == "prove")


def gone(running: subprocess.Popen[str]) -> bool:
    return running.poll() is not None


def play(host: Host, cell: Cell, folder: Path, seen: Seen) -> None:
    """Play the cell up to a legal state, and fill in `seen`; what the operator does next comes after it."""
    before, start = live(host), len(host.journal())
    slot = other_than(before["slot"])
    with ExitStack() as stack:
        stack.callback(mend, host, cell.fault)
        events = stack.enter_context(load(folder))
        stack.enter_context(host.watched_starts())
        printed = stack.enter_context((folder / "output").open("w+"))
        running = subprocess.Popen(
            host.operator.command(*words_of(cell.verb)), stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        stack.callback(end, running)
        struck = blow(host, cell, slot, running, start, stack)
        deadline = time.monotonic() + SETTLED_SECONDS
        if cell.fault == "disk":
            time.sleep(DISK_SECONDS)
            mend(host, "disk")
        if cell.fault == "plone":
            until("the command ends", lambda: gone(running), SETTLED_SECONDS, pause=0.2)
            mend(host, "plone")
        if cell.fault == "reboot":
            host.booted()
        seen.outcome = settled(host, running, before, deadline)
        seen.seconds = round(time.time() - struck.struck - STABLE_SECONDS, 1)
        if struck.dark:
            until("Plone answers", plone_answers, 120, pause=0.5)
        asked = Blow(struck.began, struck.struck, struck.cuts, struck.dark, time.time() + 0.5)
        time.sleep(0.5)
        seen.returned = running.returncode
        printed.seek(0)
        seen.output = printed.read()
    print(f"$ ./invoke {' '.join(words_of(cell.verb))}\n{seen.output}[exit {seen.returned}]")
    seen.lines = host.journal()[start:]
    account(seen, asked, events)


def account(seen: Seen, struck: Blow, file: Path) -> None:
    """Fail for requests that failed and were not in flight on what was killed; count the others."""
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(events) > 50
    seen.failed = sum(bool(event["error"]) for event in events)
    good = sorted(event["sent"] for event in events if not event["error"] and event["kind"] == "light")
    seen.gap = round(max(later - sooner for sooner, later in pairwise(good)), 2)
    assert unexplained(events, struck) == []


def end(running: subprocess.Popen[str]) -> None:
    """End the command if it still runs, as a closed terminal would."""
    if not gone(running):
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=120)
