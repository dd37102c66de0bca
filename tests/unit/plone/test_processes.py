"""Processes that share what was loaded: forked for real, each writes what it does into a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eduhub_plone import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A parent as eduhub_plone has it: the database and each process say that they began, then wait for SIGTERM.
PROGRAM = """
import logging, signal, sys, threading, time
from pathlib import Path
from eduhub_plone import processes
folder, count, ends = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.INFO, format="%(message)s")
processes.SHORTEST_LIFE_SECONDS, processes.STOP_SECONDS = float(sys.argv[4]), int(sys.argv[5])
if sys.argv[6]:
    threading.Thread(target=time.sleep, args=(60,), name=sys.argv[6], daemon=True).start()
def note(number, what):
    with (folder / "notes").open("a") as notes:
        notes.write(f"{number} {what} {processes.os.getpid()}\\n")
def live(number):
    try:
        note(number, "begins")  # the signal may come right after it
        while True:
            time.sleep(60)
    finally:
        note(number, "ends")
def database(ready):
    if ends == "0":
        raise OSError("no such disk")
    ready()
    live(0)
these = processes.Processes(count, database)
these.divide()
if sys.argv[7]:
    threading.Thread(target=time.sleep, args=(60,), name=sys.argv[7], daemon=True).start()
these.tell_threads()
if these.number == 1:
    time.sleep(0.3)  # the others must not come meanwhile
    if ends == "1":
        sys.exit(3)
    note(1, "prepares")
    these.ready()
live(these.number)
"""
TIMEOUT_SECONDS = 60
SOURCE = Path(processes.__file__).parents[1]


class Parent:
    """The parent, and what its processes noted."""

    def __init__(
        self, folder: Path, count: int = 3, ends: str = "", shortest_life: float = 0, stop_seconds: int = 15,
        thread: str = "", opened: str = "",
    ) -> None:  # fmt: skip
        self.folder = folder
        given = (folder, count, ends, shortest_life, stop_seconds, thread, opened)
        words = [sys.executable, "-c", PROGRAM, *(str(each) for each in given)]
        path = {**os.environ, "PYTHONPATH": str(SOURCE)}
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=path)

    def notes(self) -> list[list[str]]:
        path = self.folder / "notes"
        return [line.split() for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def told(self) -> list[str]:
        return [f"{number} {what}" for number, what, _ in self.notes()]

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not done():
            assert time.monotonic() < deadline, self.notes()
            time.sleep(0.01)

    def pid(self, number: int) -> int:
        """The process id of the newest process of that number."""
        return int([pid for each, what, pid in self.notes() if (each, what) == (str(number), "begins")][-1])

    def ended(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, said


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Parent]]:
    parents: list[Parent] = []

    def begun(**given: object) -> Parent:
        parents.append(Parent(tmp_path, **given))  # type: ignore[arg-type]
        return parents[-1]

    yield begun
    for parent in parents:
        if parent.process.poll() is None:
            parent.process.terminate()
            parent.ended()


def running(parent: Parent, count: int) -> bool:
    return sum(what == "begins" for _, what, _ in parent.notes()) >= count


def test_the_database_comes_first_and_the_others_wait_until_the_first_is_ready(begin: Callable[..., Parent]) -> None:
    parent = begin()
    parent.until(lambda: running(parent, 4))
    told = parent.told()
    assert told.index("1 prepares") < min(told.index("2 begins"), told.index("3 begins"))
    assert sorted(each for each in told if each.endswith("begins")) == [f"{n} begins" for n in range(4)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_processes_and_the_database_after_them(begin: Callable[..., Parent], number: int) -> None:
    parent = begin()
    parent.until(lambda: running(parent, 4))
    parent.process.send_signal(number)
    assert parent.ended()[0] == 0
    ends = [each for each in parent.told() if each.endswith("ends")]
    assert (sorted(ends), ends[-1]) == ([f"{n} ends" for n in range(4)], "0 ends")


@pytest.mark.parametrize("number", [1, 2])
def test_a_process_that_was_killed_is_started_anew_and_the_others_stay(
    begin: Callable[..., Parent], number: int
) -> None:
    parent = begin()
    parent.until(lambda: running(parent, 4))
    others = [parent.pid(each) for each in range(4) if each != number]
    os.kill(parent.pid(number), signal.SIGKILL)
    parent.until(lambda: running(parent, 5))
    assert [parent.pid(each) for each in range(4) if each != number] == others
    parent.process.terminate()
    code, said = parent.ended()
    assert (code, f"Process {number} of Plone ended with -9" in said) == (0, True)


@pytest.mark.parametrize(
    ("killed", "shortest_life", "name"), [(0, 0, "The process of the database"), (1, 60, "Process 1 of Plone")]
)
def test_without_its_database_or_with_a_first_that_ends_soon_all_end_with_1(
    begin: Callable[..., Parent], killed: int, shortest_life: float, name: str
) -> None:
    parent = begin(shortest_life=shortest_life)
    parent.until(lambda: running(parent, 4))
    os.kill(parent.pid(killed), signal.SIGKILL)
    code, said = parent.ended()
    assert (code, f"{name} ended with -9" in said) == (1, True)
    assert {f"{n} ends" for n in range(4) if n != killed} <= set(parent.told())


def test_another_that_ends_soon_is_started_anew_after_a_while_and_the_site_serves(begin: Callable[..., Parent]) -> None:
    parent = begin(shortest_life=3)
    parent.until(lambda: running(parent, 4))
    first = parent.pid(1)
    killed = time.monotonic()
    os.kill(parent.pid(2), signal.SIGKILL)
    parent.until(lambda: running(parent, 5))
    assert (time.monotonic() - killed > 1, parent.pid(1)) == (True, first)


def test_one_that_does_not_end_is_killed(begin: Callable[..., Parent]) -> None:
    parent = begin(stop_seconds=1)
    parent.until(lambda: running(parent, 4))
    os.kill(parent.pid(2), signal.SIGSTOP)
    parent.process.terminate()
    assert parent.ended()[0] == 0


def test_a_thread_that_began_before_the_fork_is_named(begin: Callable[..., Parent]) -> None:
    parent = begin(thread="queue")
    parent.until(lambda: running(parent, 4))
    parent.process.terminate()
    assert "(queue) are in none of its processes" in parent.ended()[1]


@pytest.mark.parametrize(
    ("opened", "count", "told"),
    [("mails", 3, True), ("mails", 1, False), ("/data/client/zeo.sock zeo client networking thread", 3, False)],
)
def test_a_thread_that_each_process_begins_is_named_once(
    begin: Callable[..., Parent], opened: str, count: int, told: bool
) -> None:
    parent = begin(opened=opened, count=count)
    parent.until(lambda: running(parent, count + 1))
    parent.process.terminate()
    words = f"when the database was opened ({opened}) run in each of the {count} processes"
    assert parent.ended()[1].count(words) == int(told)


@pytest.mark.parametrize(("ends", "name"), [("0", "The process of the database"), ("1", "Process 1 of Plone")])
def test_one_that_ends_before_it_is_ready_ends_all(begin: Callable[..., Parent], ends: str, name: str) -> None:
    parent = begin(ends=ends)
    code, said = parent.ended()
    assert (code, f"{name} ended before it was ready" in said, "2 begins" in parent.told()) == (1, True, False)
    assert ("The database cannot be served (OSError: no such disk)." in said) == (ends == "0")


def test_a_signal_while_the_first_prepares_ends_all(begin: Callable[..., Parent]) -> None:
    parent = begin()
    parent.until(lambda: "0 begins" in parent.told())
    parent.process.terminate()
    assert (parent.ended()[0], "2 begins" in parent.told()) == (0, False)
