"""What an operator's shell, home and machine have for other work does not change how `invoke` starts."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path

import pytest

from tests.unit.builder.small import wheel_of
from tests.unit.tasks.checkout import Checkout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTHONHOME", "/nowhere"), ("PYTHONPATH", "{}"), ("PYTHONSAFEPATH", "1"), ("PYTHONOPTIMIZE", "2"),
        ("PYTHONIOENCODING", "latin-1"), ("PYTHONWARNINGS", "error"), ("PYTHONINSPECT", "1"),
    ],
)  # fmt: skip
def test_settings_for_other_programs_of_python_do_not_count(tmp_path, name, value):
    checkout = Checkout(tmp_path).fits()
    (tmp_path / "json.py").write_text("raise SystemExit('another json')")
    (checkout.root / "own.py").touch()
    words = "import json, os, own, sys, warnings; warnings.warn('old'); print(__debug__, sys.stdout.encoding)"
    (checkout.root / "tasks.py").write_text(f"{words}\nassert {name!r} not in os.environ\n")
    done = checkout.types(**{name: value.format(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "True utf-8\n"), done.stderr


@pytest.mark.slow
def test_settings_of_pip_for_other_work_move_no_package(tmp_path):
    hashed = wheel_of("tiny", tmp_path)
    checkout = Checkout(tmp_path, f"tiny==1.0 --hash=sha256:{hashed}\n", made_of="others")
    (checkout.root / "tasks.py").write_text("import tiny; print(tiny.__file__)")
    conf = tmp_path / "home/.config/pip/pip.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"[global]\nfind-links = {tmp_path}\nrequire-virtualenv = true\n[install]\nuser = true\n")
    more = {"PIP_TARGET": str(tmp_path / "t"), "PIP_NO_BINARY": ":all:", "PIP_PYTHON": sys.executable, "PIP_ROOT": "/r"}
    done = checkout.types(sys.executable, "env", "-u", "PIP_FIND_LINKS", HOME=str(tmp_path / "home"), **more)
    assert done.stdout.startswith(f"{checkout.root}/.venv/lib/"), done.stderr


@pytest.mark.parametrize(("umask", "others"), [("077", 0o055), ("007", 0o075), ("022", 0o055)])
def test_a_new_environment_can_be_read_by_others(tmp_path, umask, others):
    checkout = Checkout(tmp_path, made_of="others")
    done = checkout.types(checkout.python_with(), "sh", "-c", f'umask {umask}; exec "$@"', "sh")
    assert done.returncode == 0, done.stderr
    for path in (checkout.root / ".venv", checkout.root / ".venv/bin"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == others
    assert stat.S_IMODE((checkout.root / ".venv.lock").stat().st_mode) & 0o004


def test_invoke_may_be_started_by_a_link_to_a_link(tmp_path):
    checkout = Checkout(tmp_path).fits()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/one").symlink_to(checkout.root / "invoke")
    (tmp_path / "bin/eduhub").symlink_to("one")
    done = checkout.types(sys.executable, "sh", "-c", 'exec ../bin/eduhub "$@"')
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n"), done.stderr


@pytest.mark.parametrize("folder", ["absent", "full"])
def test_a_directory_for_temporary_files_is_not_needed(tmp_path, folder):
    checkout = Checkout(tmp_path, made_of="others")
    if folder == "full":
        Path(tmp_path, folder).touch()
    done = checkout.types(checkout.python_with(), TMPDIR=str(tmp_path / folder))
    assert done.returncode == 0
    assert done.stderr == "invoke: making .venv from requirements.txt (once, about a minute)\n"
    assert sorted(path.name for path in checkout.root.glob(".venv*")) == [".venv", ".venv.lock"]


def test_a_directory_that_was_removed_is_as_good_as_any_to_type_in(tmp_path):
    checkout = Checkout(tmp_path).fits()
    away = 'mkdir away; cd away; rmdir "$PWD"; exec "$@"'
    assert checkout.types(sys.executable, "sh", "-c", away, "sh").returncode == 0


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("/nowhere/python3", "EDUHUB_PYTHON names /nowhere/python3, which is no program; name another with "),
        ("python3 -I", "EDUHUB_PYTHON names python3 -I, which is no program; name another with "),
    ],
)
def test_a_python_that_is_no_program_is_named(tmp_path, named, said):
    done = Checkout(tmp_path).types(named)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"invoke: {said}")


def test_a_python_may_be_named_from_where_invoke_is_typed(tmp_path):
    checkout = Checkout(tmp_path).fits()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/python").symlink_to(sys.executable)
    done = checkout.types("./python", "sh", "-c", 'cd ../there; exec "$@"', "sh")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_program_is_needed_that_other_systems_than_linux_lack(tmp_path):
    """As macOS: others of the same name know no option of GNU's."""
    checkout = Checkout(tmp_path, made_of="others")
    tools = tmp_path / "tools"
    tools.mkdir()
    portable = "awk cat cp dirname env grep id ln ls mkdir readlink rm sh tail touch wc"
    for name in portable.split():
        (tools / name).symlink_to(shutil.which(name))
    for name, options in (("mv", "-T"), ("sed", "-i")):
        Checkout.program(tools / name, f'[ "$1" != {options} ] || exit 64; exec {shutil.which(name)} "$@"')
    Checkout.program(tools / "shasum", f'[ "$*" = "-a 256" ] && exec {shutil.which("sha256sum")}')
    done = checkout.types(checkout.python_with(), PATH=str(tools))
    assert (done.returncode, done.stdout) == (0, f"{checkout.root}/.venv/bin/python\n"), done.stderr
    assert done.stderr == "invoke: making .venv from requirements.txt (once, about a minute)\n"
    assert checkout.types(checkout.python_with(), PATH=str(tools)).stderr == ""
