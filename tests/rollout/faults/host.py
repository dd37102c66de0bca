"""The machine that is struck: a container with systemd, sshd and an engine of its own, seen and hurt from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab import machine
from tests.rollout.operator import CHECKOUT, NEWEST, OLDEST, Operator, docker, until

HERE = Path(__file__).parent
# Another one lets a matrix be played beside that of somebody else on this machine.
STACK = os.environ.get("EDUHUB_FAULTS_STACK", "eduhub-test")
FIRST_PORT = int(os.environ.get("EDUHUB_FAULTS_PORT", "28000"))
SSH_PORT, EDGE_PORT = FIRST_PORT + 22, FIRST_PORT + 88
URL = f"http://127.0.0.1:{EDGE_PORT}"
NAME = f"{STACK}-faults"
# Holds the state's file system while the machine is off, and is small enough to be filled in no time.
KEEPER, STATE_SIZE = f"{NAME}-state", "64m"
INNER = yaml.safe_load((HERE / "inventory/hosts.yml").read_text())["all"]["vars"]["eduhub_stack"]
LABEL = f"org.eduhub.stack={STACK}"
IMAGES = ["eduhub/pilot:py3.11", "eduhub/edge:bookworm", "eduhub/plone:6.0.13-py3.11",
          *(f"eduhub/bridge:py{python}" for python in (OLDEST, NEWEST))]  # fmt: skip


def boot(folder: Path) -> Host:
    """Boot the machine, give it the images, and return it; its inventory and key are in `folder`."""
    remove()
    image = machine.with_engine("bookworm")
    docker("volume", "create", "--label", LABEL, "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt",
           f"o=size={STATE_SIZE}", KEEPER)  # fmt: skip
    state = f"{KEEPER}:/var/lib/{INNER}"
    docker("run", "--detach", "--name", KEEPER, "--label", LABEL, "--network", "none", "--volume", state,
           "--entrypoint", "sleep", image, "infinity")  # fmt: skip
    machine.start(
        NAME, image, "--hostname", "faultshost", "--label", LABEL, "--volume", state,
        "--publish", f"127.0.0.1:{EDGE_PORT}:{EDGE_PORT}", "--publish", f"127.0.0.1:{SSH_PORT}:22",
    )  # fmt: skip
    key = folder / "key"
    machine.new_key(key)
    host = Host(inventory(folder / "inventory", key), key, Path(docker("inspect", "--format", MOUNTED, KEEPER)))
    machine.authorise(NAME, key)
    host.booted()
    # As role docker_host would bring them, but without an archive on either side: the time is better spent.
    saved = subprocess.Popen(["docker", "save", *IMAGES], stdout=subprocess.PIPE)
    subprocess.run(["docker", "exec", "-i", NAME, "docker", "load"], stdin=saved.stdout, check=True, timeout=600,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    assert saved.wait(timeout=60) == 0
    return host


MOUNTED = "{{range .Mounts}}{{.Source}}{{end}}"


def remove() -> None:
    """Remove the machine, its volumes and the state's file system, if they are there."""
    for name in (NAME, KEEPER):
        docker("rm", "--force", "--volumes", name)
    docker("volume", "rm", "--force", KEEPER)


def inventory(folder: Path, key: Path) -> Path:
    """Write this machine's inventory into `folder` and return it."""
    shutil.copytree(HERE / "inventory", folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["vars"] |= {
        "ansible_port": SSH_PORT, "edge_port": EDGE_PORT, "ansible_ssh_private_key_file": str(key),
    }  # fmt: skip
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    return folder


@dataclass
class Host:
    """The machine: `state` is its /var/lib/STACK as this machine sees it."""

    inventory: Path
    key: Path
    state: Path
    starts: list[tuple[float, str]] = field(default_factory=list)

    @property
    def operator(self) -> Operator:
        return Operator(self.inventory)

    def deploy(self) -> None:
        """Deploy the oldest Python over ssh. The images are there, and what builds them is not asked."""
        words = [sys.executable, "-m", "front", "deploy", "--inventory", str(self.inventory), "--values",
                 json.dumps({"eduhub_python": OLDEST})]  # fmt: skip
        done = subprocess.run(words, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": "ansible"}, timeout=500, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0, done.stdout

    def booted(self) -> None:
        """Wait until systemd, sshd and the engine are there."""
        until("the machine boots", lambda: self.does("systemctl is-active ssh docker") == 0, 60, pause=0.3)

    def does(self, script: str) -> int:
        """Run a shell script there; return its exit code."""
        return subprocess.run(["docker", "exec", NAME, "sh", "-c", script], capture_output=True, timeout=120,
                              check=False).returncode  # fmt: skip

    def says(self, script: str) -> str:
        """Run a shell script there; return what it printed."""
        return docker("exec", NAME, "sh", "-c", script)

    def containers(self) -> dict[str, str]:
        """The state of each of the stack's containers, by its name without the stack's."""
        found = self.says(f"docker ps --all --filter name=^{INNER}- --format '{{{{.Names}}}} {{{{.State}}}}'")
        return {name.removeprefix(f"{INNER}-"): state for name, state in map(str.split, found.splitlines())}

    def journal(self) -> list[dict[str, Any]]:
        """The journal's lines, as far as they are written."""
        lines = (self.state / "journal.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def release(self) -> dict[str, Any]:
        """The state file's document."""
        return dict(json.loads((self.state / "release.json").read_text()))

    def lock(self) -> dict[str, Any] | None:
        """The lock's document, None where it is free."""
        with suppress(FileNotFoundError):
            return dict(json.loads((self.state / "lock.json").read_text()))
        return None

    @contextmanager
    def watched_starts(self) -> Iterator[None]:
        """Note when the engine starts which container, as long as the block lasts."""
        self.starts.clear()
        words = ["docker", "exec", NAME, "docker", "events", "--filter", "event=start", "--format",
                 "{{.Actor.Attributes.name}}"]  # fmt: skip
        events = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def note() -> None:
            for line in events.stdout or ():
                self.starts.append((time.time(), line.strip().removeprefix(f"{INNER}-")))

        threading.Thread(target=note, daemon=True).start()
        try:
            yield
        finally:
            events.kill()
            events.wait(timeout=10)


def answered_by() -> str | None:
    """The slot that answers the public address now; None when nobody does."""
    try:
        with urllib.request.urlopen(f"{URL}/health/live", timeout=5) as answer:
            return str(answer.headers["X-EduHub-Slot"])
    except OSError:
        return None
