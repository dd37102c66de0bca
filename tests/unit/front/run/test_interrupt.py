"""Ctrl-C and its like: Ansible is ended, the run is undone whatever else is pressed, and the exit code tells."""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.unit.front.conftest import Front

pytestmark = pytest.mark.slow

# Stands for ansible-playbook: writes down how it was called, does what the test says its playbook does.
ANSIBLE = """\
#!{python}
import json, os, pathlib, signal, sys, time
playbook = pathlib.Path(sys.argv[-1]).stem
here = pathlib.Path({folder!r})
(here / f"{{playbook}}.called").write_text(json.dumps([os.getpid(), sys.argv[1:]]))
exec((here / f"{{playbook}}.does").read_text())
"""
WRITE = """\
pathlib.Path(os.environ['EDUHUB_OUTCOME']).write_text(json.dumps({}))
(here / f"{{playbook}}.wrote").touch()
"""


def outcome(ended: bool, **host: object) -> str:
    """Return a line of the stand-in that writes this outcome of the only host."""
    return WRITE.format({"hosts": {"localhost": host}, "ended": ended})


BEGUN = outcome(False, phase="prove", phases=["begin", "prove"]) + "time.sleep(600)\n"
STUBBORN = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + BEGUN
REVERTED = outcome(True, phases=["revert"], failed="revert", exits={"revert": 1})
UNDONE = f"print('blue serves')\n{REVERTED}sys.exit(2)\n"
# Undoes only when the test has made the file `go`.
SLOWLY = "print('undoing slowly', flush=True)\nwhile not (here / 'go').exists(): time.sleep(0.02)\n"


@pytest.fixture
def ansible(checkout):
    """A front with a stand-in for ansible-playbook beside its interpreter, and what that does by default."""
    bin_ = checkout / "bin"
    bin_.mkdir()
    (bin_ / "python").symlink_to(Path(sys.executable).resolve())
    (bin_ / "ansible-playbook").write_text(ANSIBLE.format(python=sys.executable, folder=str(checkout)))
    (bin_ / "ansible-playbook").chmod(0o755)
    for verb in ("deploy", "destroy", "recover"):
        (checkout / f"ansible/playbooks/{verb}.yml").touch()
    front = Front(checkout, str(bin_ / "python"))
    front.environment["PYTHONPATH"] += os.pathsep + sysconfig.get_path("purelib")
    (checkout / "recover.does").write_text(UNDONE)
    return front


def called(front: Front, playbook: str) -> list[str] | None:
    """Return the words that played `playbook`; None when it was not played."""
    path = front.checkout / f"{playbook}.called"
    return json.loads(path.read_text())[1] if path.exists() else None


def until(path: Path, words: str = "", count: int = 1) -> None:
    """Wait until there is a file, and `words` stand in it `count` times."""
    deadline = time.monotonic() + 300
    while not path.exists() or path.read_text().count(words) < count:
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def running(front: Front, playbook: str) -> bool:
    """Whether the stand-in that played `playbook` still runs."""
    pid = json.loads((front.checkout / f"{playbook}.called").read_text())[0]
    return Path(f"/proc/{pid}").exists()


def interrupted(front: Front, does: str, *numbers: int, verb: str = "deploy", words: tuple[str, ...] = ()):
    """Play `verb`, sending one signal when its outcome is written and each other one when recovery runs."""
    (front.checkout / f"{verb}.does").write_text(does)
    told = front.checkout / "errors"
    with told.open("w") as errors:
        run = front.start(verb, *words, stderr=errors)
    try:
        until(front.checkout / f"{verb}.wrote")
        run.send_signal(numbers[0])
        for heard, number in enumerate(numbers[1:], start=1):
            until(front.checkout / "recover.called")
            run.send_signal(number)
            until(told, "Undoing, please wait.", heard)
        (front.checkout / "go").touch()
        output, _ = run.communicate(timeout=300)
    finally:
        run.kill()
    return run.returncode, output, told.read_text()


def test_an_interrupted_run_is_undone(ansible):
    code, output, errors = interrupted(ansible, BEGUN, signal.SIGINT, words=("--values", '{"eduhub_python": "3.11"}'))
    assert code == 1
    assert [running(ansible, "deploy"), running(ansible, "recover")] == [False, False]
    assert "blue serves" in output
    assert output.endswith("\nNext: ./invoke deploy --python 3.11\n")
    assert "Undoing run" in errors
    assert "Traceback" not in output + errors


def test_the_recovery_is_about_the_same_run_and_hosts(ansible):
    interrupted(ansible, BEGUN, signal.SIGINT, words=("--limit", "localhost"))
    deployed, recovered = called(ansible, "deploy"), called(ansible, "recover")
    assert deployed is not None
    assert recovered is not None
    assert deployed[:-1] == recovered[:-1]
    assert recovered[-1] == "ansible/playbooks/recover.yml"
    assert recovered[2:4] == ["--limit", "localhost"]
    assert {"eduhub_run", "eduhub_owner", "eduhub_verb", "eduhub_checkout"} == set(json.loads(recovered[-2]))


def test_more_signals_do_not_stop_the_recovery(ansible):
    (ansible.checkout / "recover.does").write_text(SLOWLY + UNDONE)
    code, output, errors = interrupted(ansible, BEGUN, signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
    assert code == 1
    assert "blue serves" in output
    assert errors.count("Undoing, please wait.") == 2


def test_the_recovery_outlives_the_terminal(ansible):
    (ansible.checkout / "recover.does").write_text(SLOWLY + UNDONE)
    (ansible.checkout / "deploy.does").write_text(BEGUN)
    run = ansible.start("deploy")
    until(ansible.checkout / "deploy.wrote")
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    run.stderr.close()
    run.send_signal(signal.SIGHUP)
    until(ansible.checkout / "recover.called")
    (ansible.checkout / "go").touch()
    assert run.wait(timeout=300) == 1


def test_an_ansible_that_does_not_listen_is_ended_harder(ansible):
    play = ansible.checkout / "ansible/front/run/play.py"
    play.write_text(play.read_text().replace("(signal.SIGINT, 20.0)", "(signal.SIGINT, 0.5)"))
    code, *_ = interrupted(ansible, STUBBORN, signal.SIGINT)
    assert (code, running(ansible, "deploy")) == (1, False)


def test_a_run_that_had_not_begun_is_not_undone(ansible):
    does = outcome(False, phase="preflight") + "time.sleep(600)\n"
    code, output, _ = interrupted(ansible, does, signal.SIGINT)
    assert (code, called(ansible, "recover")) == (2, None)
    assert output.endswith("\nNext: ./invoke deploy\n")


@pytest.mark.parametrize("host", [
    {"phase": "edge", "phases": ["preflight", "edge"]},
    {"phase": "plan", "phases": ["preflight", "edge", "plan"], "changed_in": ["edge"]},
])  # fmt: skip
def test_half_a_deployment_is_not_said_to_have_touched_nothing(ansible, host):
    code, output, _ = interrupted(ansible, outcome(False, **host) + "time.sleep(600)\n", signal.SIGINT)
    assert (code, "nothing was touched" in output) == (3, False), output
    assert "./invoke status" in output
    assert called(ansible, "recover") is None


def test_half_a_removal_needs_a_person(ansible):
    does = outcome(False, phase="destroy", phases=["destroy"]) + "time.sleep(600)\n"
    code, _, _ = interrupted(ansible, does, signal.SIGINT, verb="destroy")
    assert (code, called(ansible, "recover")) == (3, None)


def test_a_run_that_ended_by_itself_is_not_undone_again(ansible):
    (ansible.checkout / "deploy.does").write_text(
        outcome(True, phases=["begin", "prove", "revert"], failed="prove", exits={"revert": 1}) + "sys.exit(2)\n"
    )
    code, output, _ = ansible.run("deploy")
    assert (code, called(ansible, "recover")) == (1, None)
    assert output.endswith("\nNext: ./invoke deploy\n")


def test_a_run_whose_ansible_was_killed_is_undone_too(ansible):
    (ansible.checkout / "deploy.does").write_text(BEGUN.replace("time.sleep(600)", "os.kill(os.getpid(), 9)"))
    code, output, _ = ansible.run("deploy")
    assert code == 1
    assert "blue serves" in output


def test_an_interruption_after_the_release_was_confirmed_takes_nothing_back(ansible):
    confirmed = outcome(True, phases=["revert"], exits={"revert": 0}, changed=1)
    (ansible.checkout / "recover.does").write_text(confirmed)
    code, output, _ = interrupted(ansible, BEGUN, signal.SIGINT)
    assert code == 0
    assert "confirmed before the interruption" in output.splitlines()[-1]


def test_a_recovery_that_fails_calls_a_person(ansible):
    (ansible.checkout / "recover.does").write_text("sys.exit('[ERROR]: no way')\n")
    code, output, _ = interrupted(ansible, BEGUN, signal.SIGINT)
    assert code == 3
    assert output.endswith("\nNext: ./invoke status\n")
    assert "no way\n" in output


def test_a_ctrl_c_in_a_terminal_reaches_the_front_alone(ansible):
    (ansible.checkout / "deploy.does").write_text("signal.signal(signal.SIGINT, lambda *_: os._exit(77))\n" + BEGUN)
    run = ansible.start("deploy")
    until(ansible.checkout / "deploy.wrote")
    pid = json.loads((ansible.checkout / "deploy.called").read_text())[0]
    assert (os.getsid(pid), True) == (pid, os.getsid(run.pid) == run.pid)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(timeout=300) == 1
