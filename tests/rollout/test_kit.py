"""A bare Debian without any network gets one signed file, and deploys, upgrades and rolls back from it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import machine
from tests.rollout.operator import CHECKOUT, LADDER, until
from tests.rotation import STORY

pytestmark = STORY

NAME, SUITE = "eduhub-test-kit", "bookworm"
# The two that a Debian with security updates has.
OLD, NEW = LADDER[-2:]


@pytest.fixture
def bare() -> Iterator[None]:
    """A machine with systemd, Python and a loopback interface, and nothing else."""
    remove()
    machine.start(NAME, machine.plain(SUITE), "--network", "none", "--label", "org.eduhub.stack=eduhub-test")
    yield
    remove()


def remove() -> None:
    subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, timeout=120, check=False)


def is_up() -> bool:
    words = ["docker", "exec", NAME, "systemctl", "is-system-running", "--wait"]
    return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 0


def kit_of(folder: Path) -> Path:
    """Make a signed kit from a clone of this checkout's commit, below `folder`; return its path."""
    clone = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True, timeout=120)
    machine.new_key(folder / "key")
    words = ["kit", "--python", f"{OLD},{NEW}", "--suite", SUITE, "--sign-key", str(folder / "key")]
    done = subprocess.run(
        [sys.executable, "tasks.py", *words], cwd=clone, capture_output=True, text=True, timeout=900, check=False
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    (kit,) = (clone / "kits").glob("*.tar")
    return kit


def demand_signature(kit: Path, folder: Path) -> None:
    """Check the kit before it is unpacked, as the runbook does; fail where the signature is another."""
    (folder / "allowed").write_text(f"maker@example.edu {(folder / 'key.pub').read_text()}")
    words = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", "maker@example.edu"]
    with kit.open("rb") as file:
        subprocess.run([*words, "-n", "eduhub-rollout-kit", "-s", f"{kit}.sig"], stdin=file, check=True, timeout=300)


def on_it(*words: str, seconds: float = 900) -> str:
    """Run a program on the machine, in the kit that was unpacked there; return what it printed."""
    began = time.monotonic()
    command = ["docker", "exec", NAME, "sh", "-c", 'cd /srv/* && "$@"', "sh"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=seconds, check=False)
    print(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}[exit {done.returncode}, {time.monotonic() - began:.0f} s]")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def live() -> str:
    """Return the Python of the live release."""
    (host,) = json.loads(on_it("./invoke", "status", "--json"))["hosts"].values()
    return ".".join(str(host["python"]).split(".")[:2])


@pytest.mark.usefixtures("bare")
def test_without_a_network_one_file_deploys_upgrades_and_rolls_back(tmp_path):
    kit = kit_of(tmp_path)
    demand_signature(kit, tmp_path)
    until("systemd is up", is_up, 60, pause=1)
    unpack = ["docker", "exec", "--interactive", NAME, "tar", "xC", "/srv"]
    with kit.open("rb") as file:
        subprocess.run(unpack, stdin=file, check=True, timeout=300)
    assert on_it("ip", "route") == ""

    # What reaches hosts, and checks signatures of later kits: a bare Debian does not have it.
    packages = ["python3", "-m", "builder.kit.packages", "--install", "openssh-client"]
    on_it("env", "PYTHONPATH=images", *packages)
    assert "is whole" in on_it("./invoke", "kit.verify")
    on_it("./invoke", "deploy", "--python", OLD)
    assert live() == OLD
    on_it("./invoke", "upgrade", "--python", NEW, "--accept-slower")
    assert live() == NEW
    on_it("./invoke", "rollback")
    assert live() == OLD
