"""Whatever stands in the files of a host, each command answers in one object; what it refuses, it leaves as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from eduhub_pilot import cli
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.errors import PilotError
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import World

COMMANDS = {
    "status": ["status"],
    "releases": ["releases"],
    "report": ["report"],
    "preflight": ["preflight"],
    "init": ["init"],
    "begin": ["begin", "--run", "run-9", "--owner", "bob@lab", "--verb", "rollback"],
    "prove": ["prove", "--run", "run-1"],
    "shift": ["shift", "--run", "run-1"],
    "await": ["await", "--run", "run-1"],
    "confirm": ["confirm", "--owner", "bob@lab"],
    "revert": ["revert", "--run", "run-1"],
}
# What needs no state goes on without it: a report of the journal.
WITHOUT_STATE = {"report": "/var/lib/eduhub/release.json"}

def text(answer) -> str:
    """Return the messages of an answer and its findings."""
    return "\n".join([answer["message"], *(finding["message"] for finding in answer["findings"])])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "emptied": lambda path: path.write_bytes(b""),
    "of a newer pilot": lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 2')),
    "random": lambda path: path.write_bytes(bytes(range(256))),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a number of a million digits": lambda path: path.write_text('{"schema": ' + "1" * 1_000_000 + "}"),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run a command line on a world's host; return its exit code and its answer."""
    memory = tmp_path / "meminfo"
    memory.write_text("MemAvailable:    4000000 kB\n")
    monkeypatch.setattr("eduhub_pilot.commands.preflight.MEMORY", memory)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def ask(world: World, words: list[str]) -> tuple[int, dict]:
        monkeypatch.setattr(cli, "make_host", lambda *_: world.host)
        code = cli.main(words)
        (line,) = capsys.readouterr().out.splitlines()
        return code, json.loads(line)

    return ask


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_release_json_that_cannot_be_read_is_refused_by_name_and_left_alone(live, asked, damage):
    path = live.settings.root / "release.json"
    damage(path)
    before = path.read_bytes()
    for name, words in COMMANDS.items():
        code, answer = asked(live, words)
        assert path.read_bytes() == before
        if name in WITHOUT_STATE:
            assert (code, WITHOUT_STATE[name] in text(answer)) == (0, True)
        else:
            assert (name, code, text(answer).count("/var/lib/eduhub/release.json") > 0) == (name, 2, True)
            known = (["mv", "/var/lib/eduhub/release.json"], ["./invoke", "images.build"])
            following = [*answer["next"], *(each for finding in answer["findings"] for each in finding["next"])]
            assert any(each[:2] in known for each in following)


def test_a_release_json_that_was_moved_away_costs_nothing_but_the_older_releases(live, asked):
    old = live.store.state().live
    path = live.settings.root / "release.json"
    path.rename(path.with_name("release.json.bad"))
    code, answer = asked(live, ["status"])
    assert (code, answer["status"]["release"], answer["status"]["live"]) == (0, old.release, old.slot)
    assert live.roll("run-2", "upgrade", python="3.11").code == "confirmed"
    assert live.roll("run-3", "rollback").code == "confirmed"
    assert live.store.state().live.release == old.release


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_lock_that_cannot_be_read_is_refused_by_name_until_it_is_taken_over(live, asked, damage):
    live.begin("run-2", "upgrade", python="3.11")
    path = live.settings.root / "lock.json"
    damage(path)
    before = path.read_bytes()
    for name in ("begin", "prove", "shift", "revert", "preflight"):
        code, answer = asked(live, COMMANDS[name])
        assert (name, code, path.read_bytes() == before) == (name, 2, True)
        assert "/var/lib/eduhub/lock.json" in text(answer)
    assert "/var/lib/eduhub/lock.json" in asked(live, ["status"])[1]["status"]["notes"][0]["message"]
    assert live.roll("run-3", "upgrade", python="3.11", take_over=True).code == "confirmed"


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_record_that_cannot_be_read_closes_the_way_back_with_its_name(live, asked, damage):
    live.roll("run-2", "upgrade", python="3.11")
    release = live.store.state().last_good
    damage(live.settings.root / f"releases/{release}/release.json")
    back = asked(live, ["status"])[1]["status"]["rollback"]
    assert (back["ready"], back["why"]) == (False, f"the record of {release} is missing or cannot be read")
    code, answer = asked(live, COMMANDS["begin"])
    assert (code, release in text(answer), live.store.lock()) == (2, True, None)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_state_that_breaks_while_traffic_moves_gives_it_back_and_is_left_for_a_person(live, damage):
    begun = live.begin("run-2", "upgrade", python="3.11", hold=True, confirm_within="60")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    assert live.haproxy.weight == 100
    path = live.settings.root / "release.json"
    whole = path.read_text()
    damage(path)
    before = path.read_bytes()
    with pytest.raises(PilotError, match=r"/var/lib/eduhub/release\.json"):
        shift(live.host, "run-2")
    assert (live.haproxy.weight, live.store.weight(), path.read_bytes() == before) == (0, 0, True)
    # The engine starts it again and again; once the file is mended it goes back for good, since nobody confirmed.
    path.write_text(whole)
    live.clock.sleep(61)
    with suppress(PilotError):
        live.goes_on()
    live.check()
    assert (live.haproxy.weight, live.store.lock()) == (0, None)


def left_to_itself(world: World) -> None:
    """Nobody types anything until long after the deadline."""
    for _ in range(3):
        world.clock.sleep(61)
        with suppress(PilotError):
            world.goes_on()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_lock_that_breaks_while_traffic_moves_gives_it_back_until_it_is_taken_over(held, damage):
    path = held.settings.root / "lock.json"
    damage(path)
    before = path.read_bytes()
    left_to_itself(held)
    assert (held.haproxy.weight, held.lives(), path.read_bytes() == before) == (0, True, True)
    assert held.roll("run-3", "upgrade", python="3.11", take_over=True).code == "confirmed"
    held.check()


def test_a_release_json_that_is_taken_away_while_traffic_moves_gives_it_back(held):
    (held.settings.root / "release.json").unlink()
    left_to_itself(held)
    assert (held.haproxy.weight, held.store.state().live.slot) == (0, "blue")
    assert held.roll("run-3", "upgrade", python="3.11", take_over=True).code == "confirmed"
    held.check()


def test_a_traffic_map_that_is_taken_away_commits_nothing(live):
    live.roll("run-2", "upgrade", python="3.11")
    begun = live.begin("run-3", "upgrade", python="3.9", hold=True, confirm_within="60")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-3")
    live.shift("run-3")
    state = live.store.state()
    live.store.save_state(state.at(state.rollout, "confirm"))  # where the confirmation was killed
    (live.settings.root / "edge/traffic.map").unlink()
    left_to_itself(live)
    assert (live.haproxy.weight, live.store.state().live.slot, live.store.lock()) == (100, "green", None)


MAPS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "random": lambda path: path.write_bytes(bytes(range(256))),
    "taken away": lambda path: path.unlink(),
    "of the other slot": lambda path: path.write_text("green 0\n"),
}


@pytest.mark.parametrize("damage", MAPS.values(), ids=MAPS)
def test_a_traffic_map_that_breaks_while_traffic_moves_keeps_nobody_from_going_back(live, damage):
    live.roll("run-2", "upgrade", python="3.11")
    begun = live.begin("run-3", "upgrade", python="3.9", hold=True, confirm_within="60")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-3")
    live.shift("run-3")
    assert (live.haproxy.weight, live.store.state().live.slot) == (0, "green")
    damage(live.settings.root / "edge/traffic.map")
    left_to_itself(live)
    assert (live.haproxy.weight, live.store.lock(), live.lives()) == (100, None, False)


NONSENSE = {"stop_seconds": "soon", "live_path": 7, "smoke_paths": "/plone/", "python": 3.11}


@pytest.mark.parametrize(("name", "value"), NONSENSE.items(), ids=NONSENSE)
def test_a_record_with_a_field_that_is_none_is_refused_by_name_and_stops_no_revert(proven, asked, name, value):
    state = proven.store.state()
    path = proven.settings.root / f"releases/{state.rollout.release}/release.json"
    fields = json.loads(path.read_text())
    fields["spec"][name] = value
    path.write_text(json.dumps(fields))
    (finding,) = asked(proven, ["preflight", "--run", "run-2"])[1]["findings"]
    assert f"{path.name} holds {json.dumps(value)} in '{name}'" in finding["message"]
    code, answer = asked(proven, ["revert", "--run", "run-2"])
    assert (code, answer["code"] == "reverted", proven.store.state().rollout) == (1, True, None)


JOURNALS = {
    "cut in the middle": b'{"time": "2026-01-01T00:00:00Z", "run": "run-1", "ho',
    "random": bytes(range(256)) * 9,
    "lines that are none": b'[]\n3\n"x"\n{"time": 1, "step": [], "event": {}}\n',
    "nested without end": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("broken", JOURNALS.values(), ids=JOURNALS)
def test_a_journal_in_any_state_stops_nobody_and_loses_nothing(live, asked, broken):
    path = live.settings.root / "journal.jsonl"
    path.write_bytes(path.read_bytes() + broken)
    before = path.read_bytes().decode(errors="replace").splitlines()
    code, answer = asked(live, ["report"])
    assert (code, "of the journal could not be read" in json.dumps(answer["report"]["notes"])) == (0, True)
    assert live.roll("run-2", "upgrade", python="3.11").code == "confirmed"
    after = path.read_text(errors="replace")
    assert [line for line in before[:-1] if line not in after] == []
    assert before[-1] in after.replace('\\"', '"') or broken == JOURNALS["random"]


def test_a_record_that_was_changed_is_named_and_never_started(live, asked):
    live.roll("run-2", "upgrade", python="3.11")
    release = live.store.state().last_good
    path = live.settings.root / f"releases/{release}/release.json"
    path.write_text(path.read_text().replace('"stop_seconds": 5', '"stop_seconds": 6'))
    (finding,) = asked(live, ["preflight"])[1]["findings"]
    assert finding["message"].startswith(f"/var/lib/eduhub/releases/{release}/release.json was changed")
    code, answer = asked(live, COMMANDS["begin"])
    assert (code, f"The record of release {release} was changed" in text(answer)) == (2, True)
    # What the inventory says is made anew, instead of being taken for what the file says now.
    assert live.roll("run-4", "upgrade", python="3.9").code == "confirmed"
    assert live.store.state().live.release != release


def test_a_run_whose_record_was_changed_is_not_gone_on_with(proven):
    release = proven.store.state().rollout.release
    path = proven.settings.root / f"releases/{release}/release.json"
    path.write_text(path.read_text().replace('"stop_seconds": 5', '"stop_seconds": 6'))
    with ends("record_changed"):
        proven.begin("run-3", "upgrade", resume=True)
    assert proven.store.state().rollout is not None
