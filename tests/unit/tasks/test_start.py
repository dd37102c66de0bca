"""`invoke` makes .venv, or says in one sentence why it cannot."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.unit.tasks.checkout import CHECKOUT, Checkout

MAKING = "invoke: making .venv from requirements.txt (once, about a minute)"


def test_with_any_locale_and_in_any_folder_the_verbs_work_in_utf_8(tmp_path):
    folder = tmp_path / "meine Prüfung"
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / "requirements.txt").touch()
    stamp = f"Python {platform.python_version()} {hashlib.sha256(b'').hexdigest()}  -"
    (folder / ".venv/stamp").write_text(stamp + "\n")
    (folder / "tasks.py").write_text("import sys; print(sys.getfilesystemencoding(), sys.stdout.encoding)")
    shutil.copy(CHECKOUT / "invoke", folder)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "EDUHUB_PYTHON": sys.executable}
    done = subprocess.run([folder / "invoke"], env=os.environ | ascii_only, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "utf-8 utf-8\n", "")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ERROR: No matching distribution found for absent==1", "check the network or pip's index setting"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "free some disk"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "use another one"),
    ],
)
def test_where_packages_cannot_be_had_the_environment_of_the_version_before_is_kept(tmp_path, reason, advice):
    checkout = Checkout(tmp_path, made_of="others")
    done = checkout.types(checkout.python_with(f'echo "{reason}" >&2; exit 1'))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (2, "", True)
    assert f"({reason})" in done.stderr
    assert advice in done.stderr
    assert "git checkout ORIG_HEAD" in done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'pyenv: python2.7: not found' >&2; echo advice >&2; exit 127", "pyenv: python2.7: not found"),
        ('[ "$1" != --version ] || echo "true (GNU coreutils) 9.1"', "true (GNU coreutils) 9.1"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_run_as_python_is_told_and_not_taken_for_an_old_one(tmp_path, text, why):
    python = Checkout.program(tmp_path / "python", text)
    done = Checkout(tmp_path).types(str(python))
    advice = "name another with EDUHUB_PYTHON=/usr/bin/python3.11"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"invoke: {python} does not run as Python ({why}); {advice}\n"


def test_a_directory_is_no_python(tmp_path):
    done = Checkout(tmp_path).types(str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"invoke: {tmp_path} does not run as Python ({tmp_path}: " in done.stderr


def test_an_old_python_is_told_with_its_version(tmp_path):
    answers = 'case "$*" in --version) echo Python 3.9.2 ;; *print*) echo 3 ;; *) exit 1 ;; esac'
    python = Checkout.program(tmp_path / "python", answers)
    done = Checkout(tmp_path).types(str(python))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("invoke: Python 3.9.2 is too old for the operator's machine, which needs 3.11 ")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [("No space left on device", "free some disk space"), ("strange", "repair the module venv of ")],
)
def test_what_cannot_be_made_anew_of_the_same_packages_is_used_as_it_is(tmp_path, reason, advice):
    fails = f'case "$*" in "-m venv"*) echo "{reason}" >&2; exit 1; esac; exec {sys.executable} "$@"'
    python = Checkout.program(tmp_path / "python", fails)
    checkout = Checkout(tmp_path)
    done = checkout.types(str(python))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (0, f"{sys.executable}\n", True)
    assert f"({reason}); {advice}" in done.stderr
    assert done.stderr.endswith("invoke: going on with the .venv of Python 3.11.1, which has the same packages\n")


@pytest.mark.parametrize("aside", [False, True], ids=["in its place", "moved aside by a run that was interrupted"])
def test_an_environment_that_does_not_work_is_kept_and_not_used(tmp_path, aside):
    python = Checkout.program(tmp_path / "python", f'[ "$2" != venv ] || exit 1; exec {sys.executable} "$@"')
    checkout = Checkout(tmp_path)
    Checkout.program(checkout.elsewhere / "bin/python", "exit 1")
    if aside:
        (checkout.root / ".venv").rename(checkout.root / ".venv.old")
    done = checkout.types(str(python))
    assert (done.returncode, done.stdout, checkout.is_as_before()) == (2, "", True)


def test_an_environment_that_was_moved_is_made_again_where_it_is(tmp_path):
    """Its programs start with the Python of the place where it was made."""
    checkout = Checkout(tmp_path, made_of="others")
    python = checkout.python_with()
    assert checkout.types(python).returncode == 0
    checkout.root = checkout.root.rename(tmp_path / "moved")
    done = checkout.types(python)
    assert (done.returncode, done.stdout) == (0, f"{checkout.root}/.venv/bin/python\n")
    was = f".venv was made as {tmp_path}/checkout/.venv, which its programs start with"
    assert done.stderr.splitlines() == [f"invoke: {was}", MAKING]
    assert checkout.types(python).stderr == ""


def test_an_environment_that_lacks_files_is_made_again(tmp_path):
    checkout = Checkout(tmp_path, made_of="others")
    python = checkout.python_with()
    assert checkout.types(python).returncode == 0
    (checkout.root / ".venv/bin/pip").unlink()
    done = checkout.types(python)
    assert (done.returncode, done.stderr.splitlines()) == (0, ["invoke: .venv lacks files", MAKING])
    assert (checkout.root / ".venv/bin/pip").exists()


@pytest.mark.slow
@pytest.mark.parametrize("size", ["1m", "8m"])
def test_a_full_disk_is_named_as_the_reason(tmp_path, size):
    """pip, which venv starts, prints it, and venv does not."""
    (tmp_path / "disk").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", tmp_path / "disk"], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        checkout = Checkout(tmp_path / "disk", made_of="others")
        done = checkout.types()
        assert (done.returncode, checkout.is_as_before()) == (2, True)
        assert "No space left on device" in done.stderr
        assert "; free some disk space, and try again" in done.stderr
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_first_start_that_is_interrupted_leaves_what_was_there(tmp_path, number):
    checkout = Checkout(tmp_path, made_of="others")
    python = checkout.python_with("[ $1 = config ] || exec sleep 60")
    # What ignores a signal, as nohup does, lets its programs ignore it.
    command = ["env", "--default-signal", checkout.root / "invoke"]
    with subprocess.Popen(
        command, env=checkout.environment(python), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as start:
        assert start.stderr.readline() == f"{MAKING}\n"
        time.sleep(0.5)
        os.killpg(start.pid, number)
        *_, said = start.stderr.readlines()  # the shell may say first which signal it was
    assert said == "invoke: interrupted; .venv is as it was\n"
    assert start.returncode in {130, -number}
    assert checkout.is_as_before()


@pytest.mark.parametrize("name", ['a "b"', "a $b", "a `b`", "a\\ b", "a:b"])
def test_a_directory_whose_name_programs_do_not_bear_is_refused_at_once(tmp_path, name):
    checkout = Checkout(tmp_path / name, made_of="others")
    done = checkout.types()
    assert (done.returncode, checkout.is_as_before()) == (2, True)
    assert done.stderr.splitlines()[0] == (
        f"invoke: no program of Python starts below {checkout.root}: rename what has one of \" $ ` \\ : in its name"
    )


@pytest.mark.slow
def test_a_new_environment_replaces_a_link_and_its_programs_start_from_where_it_is(tmp_path):
    checkout = Checkout(tmp_path / "Prüfung of O'Brien", made_of="others")
    done = checkout.types()
    here = checkout.root / ".venv"
    assert (done.returncode, done.stdout) == (0, f"{here}/bin/python\n")
    assert not here.is_symlink()
    assert (checkout.elsewhere / "bin/python").exists()
    assert [path.name for path in checkout.root.glob(".venv.*")] == [".venv.lock"]
    pip = subprocess.run([here / "bin/pip", "--version"], capture_output=True, text=True, check=False)
    assert (pip.returncode, f" from {here}/lib" in pip.stdout) == (0, True)
    assert checkout.types().stderr == ""
