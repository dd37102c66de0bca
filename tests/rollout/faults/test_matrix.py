"""Struck at any step, the host ends in a legal state by itself, and the next command ends the rest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.rollout.faults import host as machine
from tests.rollout.faults import institutions
from tests.rollout.faults.conditions import CONDITIONS
from tests.rollout.faults.host import Host, answered_by
from tests.rollout.faults.matrix import CELLS, Cell, chosen
from tests.rollout.faults.play import DISK_SECONDS, Seen, live, other_than, play
from tests.rollout.faults.strike import mend
from tests.rollout.operator import NEWEST, OLDEST, until

# "all", a day, or the ids of cells, separated by commas; without it those of today.
ASKED = os.environ.get("EDUHUB_FAULTS", "") or f"{datetime.now(UTC):%Y-%m-%d}"
# With booting and deploying, about three minutes on two cores.
A_DAY = 3
# What was measured is also written here, a line a cell, if it is set.
RECORD = os.environ.get("EDUHUB_FAULTS_RECORD", "")

# By then a host is in a legal state: more than the inventory's pilot_start_seconds and pilot_confirm_seconds.
LEGAL_SECONDS = 30
# A pilot without a disk ends after so long, and the engine starts it again.
PAUSE_SECONDS = 15
ORIGIN = {"upgrade": OLDEST, "rollback": NEWEST}


def cells() -> list[Cell]:
    """Return the cells that this run plays: upgrades first, since a rollback needs what one leaves."""
    if re.fullmatch(r"all|\d{4}-\d\d-\d\d", ASKED):
        return sorted(chosen(ASKED, A_DAY), key=lambda cell: (cell.verb != "upgrade", CELLS.index(cell)))
    known = {cell.id: cell for cell in CELLS}
    return [known[asked] for asked in ASKED.split(",")]


# Not for the session: the stories beside this destroy whatever carries the label of their stack, and this does.
@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The machine with the stack on the oldest Python; removed in the end."""
    host = machine.boot(tmp_path_factory.mktemp("faults"))
    try:
        host.deploy()
        yield host
    finally:
        machine.remove()


def python_of(release: str) -> str:
    """Return the Python that a release's id names."""
    return release.split("-py")[1].partition("-")[0]


def at_rest(host: Host, verb: str) -> None:
    """Bring the host to where `verb` begins: confirmed, unlocked, on the origin's Python, the way back warm."""
    for fault in ("disk", "plone", "ssh", "dockerd"):
        mend(host, fault)
    host.booted()
    if host.lock() or host.release().get("rollout"):
        assert host.operator.types("rollback", "--take-over").returncode in {0, 2}
    warm = host.containers().get(other_than(live(host)["slot"])) == "running"
    if verb == "rollback" and python_of(live(host)["release"]) == NEWEST and not warm:
        assert host.operator.types("rollback").returncode == 0
    if python_of(live(host)["release"]) != ORIGIN[verb]:
        words = ["upgrade", "--python", ORIGIN[verb]] if verb == "rollback" or not warm else ["rollback"]
        assert host.operator.types(*words).returncode == 0
    assert (python_of(live(host)["release"]), host.lock()) == (ORIGIN[verb], None)
    if verb == "upgrade":
        # A release that was there before would be found warm, and nothing would be started.
        host.does(f"docker rm --force {machine.INNER}-{other_than(live(host)['slot'])}")


def tells_the_story(cell: Cell, seen: Seen) -> None:
    """The journal names the run and what became of it; the command does not say anything else."""
    run = next((line["run"] for line in seen.lines if line["event"] in {"begun", "resumed"}), None)
    assert "Traceback" not in seen.output
    if run is None:  # struck before anything was written down: refused, or killed, with nothing touched
        assert (seen.outcome, seen.returned in {2, -9}) == ("back", True)
        return
    told = {line["event"] for line in seen.lines if line["run"] == run}
    # On a full disk a line may have room where release.json has none: the undoing is told, and again when repeated.
    undone = {False, True} if (cell.fault, seen.outcome) == ("disk", "left") else {seen.outcome == "back"}
    assert ("confirmed" in told) is (seen.outcome in {"on", "kept"})
    assert ("reverted" in told) in undone
    if seen.returned in {0, 1, 2, 3}:
        assert seen.returned in {"on": {0, 1, 2, 3}, "kept": {1, 2, 3}, "back": {1, 3}, "left": {1, 3}}[seen.outcome]


def ended_by_the_next_command(host: Host, cell: Cell, seen: Seen) -> None:
    """Whatever was left, one command ends it, the same one as after any other run."""
    if seen.outcome not in {"left", "kept"}:
        assert host.lock() is None
        return
    if seen.outcome == "left" and cell.verb == "upgrade":
        words = ["upgrade", "--python", NEWEST, "--resume"]
    else:
        words = ["upgrade", "--python", NEWEST] if (cell.verb, seen.outcome) == ("rollback", "kept") else ["rollback"]
        until("the lock is stale", lambda: stale(host), 60, pause=0.5)
    assert host.operator.types(*words).returncode == 0
    assert (host.lock(), host.release().get("rollout")) == (None, None)


def stale(host: Host) -> bool:
    """Return whether nobody has to respect the lock any more."""
    lock = host.lock()
    if not lock:
        return True
    heard = datetime.fromisoformat(lock["heartbeat"])
    return (datetime.now(UTC) - heard).total_seconds() > lock["ttl_seconds"]


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_after_a_fault_the_host_is_in_a_legal_state_and_the_next_command_ends_it(deployed, cell, tmp_path):
    at_rest(deployed, cell.verb)
    seen = Seen()
    try:
        play(deployed, cell, tmp_path, seen)
        assert seen.outcome in cell.outcomes
        # A run that goes on takes the time that it takes, and one of both releases serves meanwhile.
        longer = DISK_SECONDS + PAUSE_SECONDS if cell.fault == "disk" else 0
        # A shift that goes on by itself waits until the release is ready again, and then for a confirmation.
        longer += LEGAL_SECONDS if any(line["event"] == "shifted" for line in seen.lines) else 0
        assert seen.outcome == "on" or seen.seconds <= LEGAL_SECONDS + longer
        tells_the_story(cell, seen)
        ended_by_the_next_command(deployed, cell, seen)
    except BaseException as error:
        note(cell, seen, f"{type(error).__name__}: {error}"[:500])
        raise
    note(cell, seen)


def note(cell: Cell, seen: Seen, wrong: str = "") -> None:
    """Write down what was measured, where it was asked for, and what was `wrong` with it."""
    print(cell.id, seen.outcome, f"{seen.seconds} s, exit {seen.returned}, failed {seen.failed}, gap {seen.gap} s")
    if RECORD:
        line = {"outcome": seen.outcome, "seconds": seen.seconds, "exit": seen.returned, "failed": seen.failed,
                "gap": seen.gap} | ({"wrong": wrong} if wrong else {})  # fmt: skip
        with Path(RECORD).open("a") as file:
            file.write(json.dumps({"cell": cell.id, **line}) + "\n")


def test_a_warm_rollback_needs_no_network_but_the_operators_own(deployed):
    at_rest(deployed, "rollback")
    assert deployed.does("ip route show default > /run/way-out && ip route del default") == 0
    try:
        assert deployed.does("ip route get 192.0.2.1") == 2, "there is still a way out of the machine"
        assert deployed.operator.types("rollback").returncode == 0
    finally:
        deployed.does("ip route add $(cat /run/way-out)")
    assert (python_of(live(deployed)["release"]), deployed.lock()) == (OLDEST, None)


# After the faults, on the same machine: what a condition of its host leaves cannot reach them.
@pytest.mark.rotates(1)
@pytest.mark.parametrize("condition", [*CONDITIONS, *institutions.CONDITIONS], ids=lambda condition: condition.__name__)
def test_a_host_of_an_institution(deployed, condition, tmp_path):
    at_rest(deployed, "upgrade")
    condition(deployed, tmp_path)
    assert answered_by()
