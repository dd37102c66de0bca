"""A run that ends while it begins tells what it had changed by then."""

from __future__ import annotations

import io
import json

import pytest

from eduhub_pilot.cli import main
from eduhub_pilot.model.errors import EngineDownError
from eduhub_pilot.rollout.revert import revert
from tests.unit.pilot.answers import ends


def refuses(*_: object) -> None:
    raise EngineDownError("The Docker Engine did not answer.")


def test_a_run_that_undid_another_one_before_the_engine_failed_says_so(held, monkeypatch, capsys):
    monkeypatch.setattr("eduhub_pilot.cli.make_host", lambda *_: held.host)
    monkeypatch.setattr(held.engine, "tag", refuses)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"spec": json.loads(held.spec())})))
    words = ["--run", "run-3", "--owner", "ben@desk", "--verb", "upgrade", "--python", "3.11", "--take-over"]
    assert main(["begin", *words]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["code"], answer["cause"], answer["changed"]) == ("begin_failed", "engine_down", True)
    assert "Run run-2 of ana@desk was at step shifted. It was undone." in answer["message"]
    assert "(blue)" in answer["message"]
    monkeypatch.undo()
    assert revert(held.host, "run-3", "").code == "nothing_to_revert"


def test_a_run_that_holds_the_lock_says_so(live, monkeypatch):
    monkeypatch.setattr(live.engine, "tag", refuses)
    with ends("begin_failed") as error:
        live.begin("run-2", "upgrade", python="3.11")
    assert error.value.message.startswith("Run run-2 holds the lock. The Docker Engine")


def test_an_undo_that_meets_a_full_disk_is_told(held):
    held.store.full = True
    with ends("begin_failed") as error:
        held.begin("run-3", "upgrade", python="3.11", take_over=True)
    assert error.value.message.startswith("The undo of run run-2 began. The pilot could not read or write a file")
    assert (error.value.data, held.haproxy.weight) == ({"cause": "disk_error"}, 0)


def test_a_run_that_had_changed_nothing_is_refused_as_before(live, monkeypatch):
    monkeypatch.setattr(live.engine, "image", refuses)
    with ends("engine_down"):
        live.begin("run-2", "upgrade", python="3.11")
    assert live.store.lock() is None


def test_a_full_disk_before_anything_was_changed_is_the_disk(live):
    live.store.full = True
    with pytest.raises(OSError, match="No space"):
        live.begin("run-2", "upgrade", python="3.11")
