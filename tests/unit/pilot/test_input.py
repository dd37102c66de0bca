"""The pilot is told its settings in one document, and a shift keeps by those that its run began with."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from eduhub_pilot import cli
from eduhub_pilot.model.errors import RefusedError

RUN = ["--run", "run-2"]


@pytest.fixture
def told(monkeypatch, capsys):
    """Run a command line with a text on standard input; return its exit code and what it printed."""

    def tell(words: list[str], text: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return cli.main(words), capsys.readouterr().out

    return tell


@pytest.fixture
def rooted(live, monkeypatch):
    """A host whose files the command line finds, with settings of its own."""
    monkeypatch.setattr(cli, "ROOT", live.settings.root)
    given = {"pilot_stack": "two", "pilot_watch_seconds": 7, "pilot_gate_performance": "off"}
    live.host = replace(live.host, settings=replace(live.settings, given=given))
    return live


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": []}', "[" * 100_000])
def test_what_is_no_document_is_refused(told, text):
    code, answer = told(["status"], text)
    assert (code, "Standard input is not" in answer) == (2, True)


def test_a_setting_out_of_its_range_is_one_message_with_its_name_value_and_range(told):
    code, answer = told(["status"], '{"settings": {"pilot_lock_seconds": 1}}')
    assert code == 2
    assert "pilot_lock_seconds is 1, not a number from 30 to 86400 seconds (a day), like 900: correct it in" in answer


def test_without_a_document_the_settings_have_their_defaults():
    assert cli.make_host(None, None).settings.stack == "eduhub"


def test_what_is_wrong_with_a_gate_keeps_a_rollout_from_beginning_but_nobody_from_asking(rooted):
    host = cli.make_host({"pilot_gate_smoke": "nonsense"}, None)
    with pytest.raises(RefusedError, match="pilot_gate_smoke is"):
        replace_gates(rooted, host.settings.gates).begin("run-2", "upgrade", python="3.11")


def replace_gates(world, gates):
    world.host = replace(world.host, settings=replace(world.host.settings, gates=gates))
    return world


def test_a_shift_keeps_by_the_settings_that_its_run_began_with(rooted):
    rooted.begin("run-2", "upgrade", python="3.11")
    kept = json.loads((rooted.settings.root / "runs/run-2/settings.json").read_text())
    assert kept == {"schema": 1, "settings": dict(rooted.host.settings.given)}
    settings = cli.make_host(None, "run-2").settings
    assert (settings.stack, settings.plan.seconds) == ("two", 7)
    # Whoever asks meanwhile goes by what the inventory says now.
    assert cli.make_host({"pilot_watch_seconds": 9}, None).settings.watch_seconds == 9


@pytest.mark.parametrize("text", [None, "", "{", '{"schema": 1}', '{"schema": 2, "settings": {}}'])
def test_a_shift_whose_settings_cannot_be_read_gives_traffic_back(proven, told, monkeypatch, text):
    """Nobody could keep watch by them; `revert` ends the run."""
    monkeypatch.setattr(cli, "ROOT", proven.settings.root)
    path = proven.settings.root / "runs/run-2/settings.json"
    path.unlink() if text is None else path.write_text(text)
    back = []
    monkeypatch.setattr("eduhub_pilot.commands.shift._give_back", lambda host, run: back.append((host.store.root, run)))
    code, answer = told(["shift", *RUN])
    assert (code, back) == (2, [(proven.settings.root, "run-2")])
    assert "runs/run-2/settings.json in the host's state directory" in answer
