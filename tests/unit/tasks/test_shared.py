"""Several operators use one checkout: they wait for each other, and take nothing from each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.tasks.checkout import Checkout


def starts(checkout: Checkout, python: str) -> subprocess.Popen[str]:
    """Type `./invoke` beside others."""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([checkout.root / "invoke"], env=checkout.environment(python), text=True, **streams)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something at most ten seconds."""
    deadline = time.monotonic() + 10
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_second_of_two_first_starts_waits_for_the_first_and_says_so(tmp_path):
    checkout = Checkout(tmp_path, made_of="others")
    python = checkout.python_with(f"[ $1 = config ] || {{ echo pip >>{tmp_path}/log; sleep 1; }}")
    both = [starts(checkout, python) for _ in range(2)]
    ended = [(each.communicate(timeout=60), each.returncode) for each in both]
    assert [code for _, code in ended] == [0, 0], ended
    assert (tmp_path / "log").read_text() == "pip\n"
    said = sorted(stderr for (_, stderr), _ in ended)
    assert said[0] == "invoke: making .venv from requirements.txt (once, about a minute)\n"
    assert said[1].startswith(f"invoke: waiting for another ./invoke in {checkout.root} to ")
    assert said[1].count("\n") == 1


def test_a_running_verb_keeps_its_environment_until_it_ends(tmp_path):
    checkout = Checkout(tmp_path).fits()
    (checkout.root / "tasks.py").write_text("import sys; print('started', flush=True); sys.stdin.read()")
    python = checkout.python_with()
    verb = starts(checkout, python)
    assert verb.stdout.readline() == "started\n"
    (checkout.root / "requirements.txt").write_text("# others\n")
    newer = starts(checkout, python)
    assert newer.stderr.readline() == (
        f"invoke: waiting for another ./invoke in {checkout.root} to end, as .venv has other packages than "
        "requirements.txt and is made again\n"
    )
    assert checkout.is_as_before()
    verb.communicate(timeout=60)
    newer.communicate(timeout=60)
    assert (verb.returncode, newer.returncode, (checkout.root / ".venv").is_symlink()) == (0, 0, False)


def test_an_environment_with_the_same_packages_is_used_as_it_is_while_others_use_it(tmp_path):
    checkout = Checkout(tmp_path)
    with subprocess.Popen(["flock", "-s", checkout.root / ".venv.lock", "sleep", "60"]) as verb:
        until((checkout.root / ".venv.lock").exists)
        time.sleep(0.2)
        done = checkout.types()
        verb.terminate()
    assert (done.returncode, checkout.is_as_before()) == (0, True)
    assert done.stderr == (
        "invoke: another ./invoke uses .venv, which is made again later\n"
        "invoke: going on with the .venv of Python 3.11.1, which has the same packages\n"
    )


@pytest.fixture
def another() -> Iterator[Checkout]:
    """A checkout that another user may read, with a .venv of its own."""
    if os.getuid() or not Path("/usr/bin/python3").exists():
        pytest.skip("only root can be another user, who needs a Python to start")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    checkout = Checkout(folder)
    (checkout.root / ".venv").unlink()
    checkout.elsewhere.rename(checkout.root / ".venv")
    answers = 'case "$1" in -c) exit 0 ;; *) echo started ;; esac'
    Checkout.program(checkout.root / ".venv/bin/python", answers)
    yield checkout
    shutil.rmtree(folder)


def typed_by_another(checkout: Checkout) -> subprocess.CompletedProcess[str]:
    """Type `./invoke` as a user without a name and a home."""
    return checkout.types("/usr/bin/python3", "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")


def test_another_user_who_may_not_renew_an_environment_uses_it_while_its_packages_are_right(another):
    done = typed_by_another(another)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "going on with the .venv of Python 3.11.1, which has the same packages" in done.stderr


@pytest.mark.parametrize("writable", [False, True])
def test_another_user_is_told_who_can_renew_an_environment(another, writable):
    (another.root / "requirements.txt").write_text("# others\n")
    another.root.chmod(0o777 if writable else 0o755)
    done = typed_by_another(another)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        f"invoke: {another.root}/.venv has other packages than requirements.txt, and may not be made again by this "
        f"user; type as root: '{another.root}/invoke' --version"
    )


def test_an_environment_that_only_its_owner_can_read_is_named(another):
    (another.root / ".venv").chmod(0o700)
    done = typed_by_another(another)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot be read; type as root: chmod -R go+rX '{another.root}/.venv'\n" in done.stderr


def test_what_an_interrupted_run_of_another_user_left_is_named(another):
    shutil.rmtree(another.root / ".venv")
    (another.root / ".venv.new/bin").mkdir(parents=True)
    another.root.chmod(0o777)
    done = typed_by_another(another)
    assert (done.returncode, done.stdout) == (2, "")
    left = f"{another.root}/.venv.new"
    assert done.stderr == f"invoke: {left} of an earlier run cannot be removed; type: sudo rm -r '{left}'\n"
